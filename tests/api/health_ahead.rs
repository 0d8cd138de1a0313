//! Health over the horizon: labels teach the class ahead and the time to another one, each is told by who lost
//! least, and limits stand beside them.

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::training::Step;
use serde_json::{Value, json};

use crate::tester::{START, Server};

/// A bearing wears out within so many steps, and counts as worn from this one on.
const PERIOD: usize = 120;
const WORN: usize = 84;
/// Steps of the record: at its end the bearing is sound, and worn in 6 steps.
const COUNT: usize = 20 * PERIOD + 79;
const LEADS: [usize; 3] = [16, 32, 64];

fn at(step: usize) -> DateTime<Utc> {
    START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds(COUNT as i64 - 1 - step as i64)
}

fn class(step: usize) -> &'static str {
    if step % PERIOD < WORN { "sound" } else { "worn" }
}

fn frame(step: usize) -> Value {
    let wear = (step % PERIOD) as f64 / PERIOD as f64;
    let (load, noise) = (50.0 + 10.0 * (step as f64 / 9.0).sin(), 0.05 * (step as f64 * 12.989).sin());
    json!({"ts": at(step), "values": {"load": load, "vibration": 2.0 + 3.0 * wear + noise}})
}

/// A bearing that is replaced when it is worn out, with a label for each of its spells.
async fn bearing() -> Server {
    let server = Server::start().await;
    let kind = json!({
        "key": "bearing", "interval": "PT1S", "health_classes": ["sound", "worn"],
        "signals": [
            {"name": "load", "unit": "%", "role": "control_input", "min": 0.0, "max": 100.0},
            {"name": "vibration", "unit": "mm/s", "role": "output", "min": -2.0, "max": 20.0},
        ],
    });
    server.post("/v1/asset-types", kind).await.success();
    server.post("/v1/assets", json!({"key": "bearing-1", "type": "bearing"})).await.success();
    for chunk in (0..COUNT).map(frame).collect::<Vec<_>>().chunks(1_000) {
        assert_eq!(server.post("/v1/assets/bearing-1/telemetry", json!(chunk)).await.success()["rejected"], 0);
    }
    let mut labels = Vec::new();
    for begin in (0..COUNT).step_by(PERIOD) {
        for (class, from, to) in [("sound", begin, begin + WORN), ("worn", begin + WORN, begin + PERIOD)] {
            if from < COUNT {
                let end = if to < COUNT { json!(at(to)) } else { Value::Null };
                labels.push(json!({"kind": "label", "class": class, "start": at(from), "end": end}));
            }
        }
    }
    let stored = server.post("/v1/assets/bearing-1/events", json!(labels)).await.success()["stored"].clone();
    assert_eq!(stored, labels.len());
    server
}

/// The job's verdict.
async fn learn(server: &Server) -> Value {
    let recipe = json!({"max_steps": 40, "evaluate_every": 10});
    let made = server.post("/v1/fine-tune-jobs", json!({"asset": "bearing-1", "recipe": recipe})).await;
    let path = made.header("location").to_owned();
    assert!(matches!(server.learn_once().await, Step::Worked(..)));
    let job = server.get(&path).await.success();
    assert_eq!(job["status"], "succeeded", "{job}");
    job["verdict"].clone()
}

/// What is said ahead of a step: instants, classes that come true there, whole probabilities.
fn comes_true(health: &Value, step: usize) {
    let ahead = health["ahead"].as_array().unwrap_or_else(|| panic!("{health}"));
    assert_eq!(ahead.len(), LEADS.len(), "{health}");
    for (one, lead) in ahead.iter().zip(LEADS) {
        let told = one["at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
        assert_eq!((&one["step"], told), (&json!(lead), at(step) + TimeDelta::seconds(lead as i64)));
        assert_eq!((&one["class"], &one["by"]), (&json!(class(step + lead)), &json!("learned")), "{lead}: {health}");
        let sum: f64 = one["probabilities"].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{one}");
    }
}

/// Probabilities that a class is reached by each lead, and that it is not.
fn reached(health: &Value, class: &str) -> (Vec<f64>, f64) {
    let time = &health["time_to_class"][class];
    let within = time["within"].as_array().unwrap_or_else(|| panic!("{health}"));
    let steps: Vec<usize> = within.iter().map(|one| one["step"].as_u64().unwrap() as usize).collect();
    assert_eq!(steps, LEADS);
    let within: Vec<f64> = within.iter().map(|one| one["probability"].as_f64().unwrap()).collect();
    let beyond = time["beyond"].as_f64().unwrap();
    assert!(within.windows(2).all(|pair| pair[0] <= pair[1]), "it never falls: {time}");
    assert!((within[LEADS.len() - 1] + beyond - 1.0).abs() < 1e-6, "{time}");
    (within, beyond)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_can_be_foreseen_is_told_ahead_with_the_time_to_it_and_to_limits() {
    let server = bearing().await;
    let verdict = learn(&server).await;
    let health = &verdict["health"];
    assert_eq!((&health["improved"], &verdict["promoted"]), (&json!(true), &json!(true)), "{verdict}");
    let leads = health["ahead"]["leads"].as_array().unwrap();
    for (lead, step) in leads.iter().zip(LEADS) {
        assert_eq!((&lead["step"], &lead["by"]), (&json!(step), &json!("learned")), "{health}");
        let loss = |who: &str| lead[who]["log_loss"].as_f64().unwrap();
        assert!(["held", "rates", "frequencies"].iter().all(|who| loss("learned") < loss(who)), "{lead}");
        for score in ["accuracy", "macro_f1", "ece"] {
            assert!((0.0..=1.0).contains(&lead["learned"][score].as_f64().unwrap()), "{lead}");
        }
        assert!(lead["changes"].as_u64().unwrap() > 10, "{lead}");
    }
    assert!(health["ahead"]["reason"].as_str().unwrap().starts_with("in 16 steps learned: "), "{health}");
    let worn = &health["ahead"]["times"]["worn"];
    assert!(worn["learned"].as_f64().unwrap() < worn["rates"].as_f64().unwrap(), "{worn}");
    let models = server.get("/v1/assets/bearing-1/models").await.success();
    assert_eq!(models["items"][0]["scores"]["health"]["ahead"], health["ahead"], "the version keeps its scores");

    assert_eq!(server.forecast_once().await, 1);
    let state = server.get("/v1/assets/bearing-1/state").await.success();
    let shown = &state["health"];
    assert_eq!((&shown["class"], &shown["at"]), (&json!("sound"), &json!(START)), "{shown}");
    comes_true(shown, COUNT - 1);
    let (within, _) = reached(shown, "worn");
    assert!(within[0] > 0.5, "it is worn in 6 steps: {shown}");
    assert_eq!(shown["time_to_class"].get("sound"), None, "it is sound already");
    let fleet = server.get("/v1/fleet").await.success();
    let standing = &fleet["items"][0]["health"];
    assert_eq!(
        (&standing["class"], standing.get("ahead"), standing.get("time_to_class")),
        (&json!("sound"), None, None)
    );

    // Who asks for a prediction is told the same, and of a past state what was to be seen then.
    let rule =
        json!({"name": "shakes", "condition": "above", "signal": "vibration", "limit": 4.3, "severity": "minor"});
    server.post("/v1/assets/bearing-1/alarm-rules", rule).await.success();
    let asked = server.post("/v1/assets/bearing-1/predict", json!({"horizon": 30, "health": true})).await.success();
    assert_eq!((&asked["health"]["at"], asked.get("risk")), (&json!(START), None));
    comes_true(&asked["health"], COUNT - 1);
    assert!((reached(&asked["health"], "worn").0[0] - within[0]).abs() < 1e-6);
    let early = COUNT - 1 - 42;
    let past = server
        .post("/v1/assets/bearing-1/predict", json!({"horizon": 10, "as_of": at(early), "health": true}))
        .await
        .success();
    comes_true(&past["health"], early);
    let (within, _) = reached(&past["health"], "worn");
    assert!(within[0] < 0.3 && within[2] > 0.5, "it is worn in 48 steps: {past}");

    let asked = server.post("/v1/assets/bearing-1/predict", json!({"horizon": 30, "limits": true})).await.success();
    assert_eq!(asked.get("health"), None, "nobody asked");
    let limits = asked["risk"]["limits"].as_array().unwrap();
    assert_eq!(
        (&asked["risk"]["prediction"], limits.len()),
        (&asked["id"], 3),
        "a rule, and both of the type: {asked}"
    );
    let shakes = limits.iter().find(|limit| limit["rule"] == "shakes").unwrap();
    let times: Vec<f64> = ["p10_s", "p50_s", "p90_s"].iter().filter_map(|key| shakes[*key].as_f64()).collect();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{shakes}");
    let probability = shakes["probability"].as_f64().unwrap();
    let known = [0.1, 0.5, 0.9].iter().filter(|level| probability >= **level - 1e-9).count();
    assert_eq!(times.len(), known, "what lies within the horizon: {shakes}");

    // Another job on the same labels is no better.
    let second = learn(&server).await;
    assert_eq!(second["health"]["improved"], false, "{second}");
    assert_eq!(second["health"]["ahead"]["leads"][0]["by"], "learned");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_limits_is_checked() {
    let server = bearing().await;
    let wrong = json!({"horizon": 10, "limits": "all"});
    assert_eq!(server.post("/v1/assets/bearing-1/predict", wrong).await.problem(422, "invalid"), ["/limits"]);
    let asked = server
        .post("/v1/assets/bearing-1/predict", json!({"horizon": 10, "health": true, "limits": true}))
        .await
        .success();
    assert_eq!(asked.get("health"), None, "nothing was taught");
    assert_eq!(asked["risk"]["limits"].as_array().unwrap().len(), 2, "{asked}");
}
