//! Health classes: labels teach a classifier, which is judged, serves beside the forecaster, and goes with
//! its version.

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::training::Step;
use serde_json::{Value, json};

use crate::lives::{pump, with_history};
use crate::tester::{START, Server};

pub(crate) const COUNT: usize = 1_800;
/// When the tank leaked; it does at the end.
const LEAKS: [(usize, usize); 2] = [(600, 900), (1_300, COUNT)];

fn leaks(step: usize) -> bool {
    LEAKS.iter().any(|(from, to)| (*from..*to).contains(&step))
}

fn at(step: usize) -> DateTime<Utc> {
    START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds(COUNT as i64 - 1 - step as i64)
}

/// A tank that leaks now and then.
pub(crate) async fn with_leaks() -> Server {
    let server = Server::start().await;
    server.asset("tank-1").await;
    let mut level = 3.0;
    let frames: Vec<Value> = (0..COUNT)
        .map(|step| {
            level += 0.05 * (0.08 * pump(step) - level) - if leaks(step) { 0.03 } else { 0.0 };
            let noise = 0.01 * (step as f64 * 12.989).sin();
            json!({"ts": at(step), "values": {"pump": pump(step), "level": level + noise, "ambient": 20.0}})
        })
        .collect();
    for chunk in frames.chunks(1_000) {
        assert_eq!(server.post("/v1/assets/tank-1/telemetry", json!(chunk)).await.success()["rejected"], 0);
    }
    server
}

pub(crate) async fn label(server: &Server, class: &str, from: usize, to: usize) {
    let end = if to < COUNT { json!(at(to)) } else { Value::Null };
    let event = json!({"kind": "label", "class": class, "start": at(from), "end": end});
    assert_eq!(server.post("/v1/assets/tank-1/events", event).await.success()["stored"], 1);
}

/// The job's verdict.
pub(crate) async fn learn(server: &Server) -> Value {
    let recipe = json!({"max_steps": 60, "evaluate_every": 10});
    let made = server.post("/v1/fine-tune-jobs", json!({"asset": "tank-1", "recipe": recipe})).await;
    let path = made.header("location").to_owned();
    assert!(matches!(server.learn_once().await, Step::Worked(..)));
    let job = server.get(&path).await.success();
    assert_eq!(job["status"], "succeeded", "{job}");
    job["verdict"].clone()
}

async fn state(server: &Server) -> Value {
    server.get("/v1/assets/tank-1/state").await.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_teach_classes_that_the_state_shows_for_as_long_as_their_version_serves() {
    let server = with_leaks().await;
    for (class, from, to) in
        [("healthy", 0, 600), ("leaking", 600, 900), ("healthy", 900, 1_300), ("leaking", 1_300, COUNT)]
    {
        label(&server, class, from, to).await;
    }
    assert_eq!(state(&server).await.get("health"), None);
    for (class, condition) in [("leaking", "above"), ("healthy", "below")] {
        let rule = json!({"name": class, "source": "health", "class": class, "condition": condition, "limit": 0.5,
            "severity": "major"});
        let made = server.post("/v1/assets/tank-1/alarm-rules", rule).await;
        assert_eq!((made.status.as_u16(), &made.json()["class"]), (201, &json!(class)));
    }
    assert!(server.alarms().await.is_empty(), "nobody names classes yet");
    let verdict = learn(&server).await;
    let health = &verdict["health"];
    assert_eq!((&health["improved"], &verdict["promoted"]), (&json!(true), &json!(true)), "{verdict}");
    let card = &health["candidate"];
    assert!(card["accuracy"].as_f64().unwrap() > 0.9, "{health}");
    assert!(card["macro_f1"].as_f64().unwrap() > health["naive"]["macro_f1"].as_f64().unwrap(), "{health}");
    assert_eq!((&card["order"], &health["champion"]), (&json!(["healthy", "leaking"]), &Value::Null));
    assert!(card["classes"]["leaking"]["recall"].as_f64().unwrap() > 0.9, "{health}");
    assert!(verdict["reason"].as_str().unwrap().contains("new health classes: accuracy"), "{verdict}");
    let models = server.get("/v1/assets/tank-1/models").await.success();
    assert_eq!(models["items"][0]["scores"]["health"], *health, "the version keeps its scores");

    assert_eq!(server.forecast_once().await, 1);
    let shown = state(&server).await["health"].clone();
    assert_eq!((&shown["class"], &shown["at"]), (&json!("leaking"), &json!(START)), "{shown}");
    let sum: f64 = shown["probabilities"].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9 && shown["probabilities"]["leaking"].as_f64().unwrap() > 0.5, "{shown}");
    let alarms = server.alarms().await;
    let texts: Vec<&str> = alarms.iter().map(|alarm| alarm["text"].as_str().unwrap()).collect();
    assert!(texts.iter().any(|text| text.starts_with("the probability of leaking is 0.")), "{texts:?}");
    assert!(texts.iter().any(|text| text.ends_with(", below 0.5")), "{texts:?}");
    let leaking = alarms.iter().find(|alarm| alarm["name"] == "leaking").unwrap();
    assert_eq!((&leaking["value"], &leaking["raised_at"]), (&shown["probabilities"]["leaking"], &shown["at"]));
    let past = server.get(&format!("/v1/assets/tank-1/state?as_of={}", at(COUNT - 5).timestamp_millis())).await;
    assert_eq!(past.success().get("health"), None, "what is shown is of now");

    // Another job on the same labels is no better, and the classifier stays whoever forecasts.
    let second = learn(&server).await;
    assert_eq!(second["health"]["improved"], false, "{second}");
    assert!(second["health"]["champion"]["accuracy"].as_f64().unwrap() > 0.9, "{second}");
    server.post("/v1/assets/tank-1/models/2/promote", json!({})).await.success();
    // Nothing is said of an older version's class until the new one has looked.
    assert_eq!(state(&server).await.get("health"), None);
    let next = json!({"ts": at(COUNT), "values": {"pump": pump(COUNT), "level": 1.4, "ambient": 20.0}});
    server.clock.advance(TimeDelta::seconds(1));
    server.post("/v1/assets/tank-1/telemetry", next).await.success();
    assert_eq!(server.forecast_once().await, 1);
    assert_eq!(state(&server).await["health"]["class"], "leaking");

    server.post("/v1/assets/tank-1/models/0/promote", json!({})).await.success();
    assert_eq!(state(&server).await.get("health"), None, "the base model names no classes");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_labels_are_told_and_forecasts_learn_all_the_same() {
    let server = with_history(800).await;
    let begin = START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds(300);
    let event = json!({"kind": "label", "class": "healthy", "start": begin});
    server.post("/v1/assets/tank-1/events", event).await.success();
    let verdict = learn(&server).await;
    let health = &verdict["health"];
    assert_eq!((&health["improved"], &health["candidate"]), (&json!(false), &Value::Null), "{health}");
    assert!(health["reason"].as_str().unwrap().contains("labels of 1 classes have enough steps and 2 are needed"));
    assert!(verdict["candidate"]["crps"].as_f64().unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_classification_is_refused_where_it_is_wrong() {
    let server = with_history(10).await;
    for (settings, pointer) in [
        (json!({"loss": "hinge"}), "/recipe/classification"),
        (json!({"label_smoothing": 0.9}), "/recipe/classification/label_smoothing"),
        (json!({"colour": 1}), "/recipe/classification"),
    ] {
        let body = json!({"asset": "tank-1", "recipe": {"classification": settings}});
        assert_eq!(server.post("/v1/fine-tune-jobs", body).await.problem(422, "invalid"), [pointer]);
    }
}
