//! Whether an asset's readings can be believed: found, told, left out of learning, and kept with the version.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::{START, Server, tank};

/// A tank whose level sensor has noise, one frame a second until [`START`].
fn frames(count: i64) -> Vec<Value> {
    let begin = START.parse::<DateTime<Utc>>().unwrap();
    let (mut level, mut state) = (3.0, 11_u64);
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    (0..count)
        .map(|step| {
            let pump = 30.0 + 10.0 * ((step / 37 * 7919) % 5) as f64;
            level += 0.05 * (0.08 * pump - level);
            let values = json!({"pump": pump, "level": level + 0.02 * noise(), "ambient": 20.0 + noise()});
            json!({"ts": begin - TimeDelta::seconds(count - 1 - step), "values": values})
        })
        .collect()
}

/// Makes `tank-1`, whose type keeps what is out of its limits, and sends frames.
async fn with(frames: &[Value]) -> Server {
    let server = Server::start().await;
    let mut kind = tank("tank");
    kind["on_invalid"] = json!("warn");
    server.post("/v1/asset-types", kind).await.success();
    server.post("/v1/assets", json!({"key": "tank-1", "type": "tank"})).await.success();
    let receipt = server.post("/v1/assets/tank-1/telemetry", json!(frames)).await.success();
    assert_eq!(receipt["rejected"], 0, "{receipt}");
    server
}

/// Outliers, a stuck sensor, a stretch in millimetres, a silence, and a value that cannot be.
fn poisoned() -> Vec<Value> {
    let mut frames = frames(1_500);
    let level = |frame: &Value| frame["values"]["level"].as_f64().unwrap();
    for at in [100, 210, 325] {
        frames[at]["values"]["level"] = json!(level(&frames[at]) + 5.0);
    }
    let held = frames[450]["values"]["level"].clone();
    frames[450..550].iter_mut().for_each(|frame| frame["values"]["level"] = held.clone());
    for frame in &mut frames[700..800] {
        frame["values"]["level"] = json!(level(frame) * 1000.0);
    }
    frames[900]["values"]["level"] = json!(-3.0);
    frames.drain(1_000..1_020);
    frames
}

fn signal<'a>(health: &'a Value, name: &str) -> &'a Value {
    health["signals"].as_array().unwrap().iter().find(|signal| signal["signal"] == name).unwrap()
}

fn test<'a>(signal: &'a Value, name: &str) -> &'a Value {
    signal["tests"].as_array().unwrap().iter().find(|test| test["test"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_readings_is_found() {
    let server = with(&poisoned()).await;
    let health = server.get("/v1/assets/tank-1/data-health").await.success();
    assert_eq!((health["frames"].as_i64(), health["span_s"].as_f64()), (Some(1_480), Some(1_499.0)));
    assert_eq!(health["timing"]["silent_steps"], 20);
    let level = signal(&health, "level");
    assert_eq!((&level["worst"], &level["unit"], &level["role"]), (&json!(4), &json!("m"), &json!("output")));
    for (name, fails) in [("spike", 3), ("flat_line", 99), ("unit_jump", 100), ("gross_range", 1)] {
        assert_eq!(test(level, name)["counts"]["fail"], fails, "{name}: {level}");
    }
    assert_eq!(test(level, "gross_range")["thresholds"]["fail_max"], 10.0);
    assert_eq!(test(level, "gross_range")["basis"], "declared");
    assert!(test(level, "spike")["thresholds"]["fail"].as_f64().unwrap() > 0.0);
    assert_eq!(test(signal(&health, "pump"), "rate_of_change")["thresholds"]["suspect"], 10.0);
    let stretches = level["stretches"].as_array().unwrap();
    let stuck = stretches.iter().find(|stretch| stretch["test"] == "flat_line" && stretch["flag"] == 4).unwrap();
    assert_eq!(stuck["values"], 99);
    assert!(level["action"].as_str().unwrap().contains("left out of fine-tuning"), "{level}");
    // Of noise a few values are suspect, because thresholds come from the data; none fails.
    assert_eq!(signal(&health, "ambient")["counts"]["fail"], 0, "{health}");
    // The 99 and the 100 frames go; the rest teaches in stretches.
    assert_eq!(health["dropped_frames"], 199);
    assert_eq!(health["readiness"]["learning"]["enough"], true, "{}", health["readiness"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_can_be_chosen() {
    let server = with(&poisoned()).await;
    let begin = START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds(1_499);
    let at = |seconds: i64| (begin + TimeDelta::seconds(seconds)).timestamp_millis();
    let get = async |query: String| server.get(&format!("/v1/assets/tank-1/data-health?{query}")).await;
    let some = get(format!("from={}&to={}", at(50), at(350))).await.success();
    assert_eq!(
        (some["frames"].as_i64(), &test(signal(&some, "level"), "spike")["counts"]["fail"]),
        (Some(300), &json!(3))
    );
    assert_eq!(some["readiness"]["version"]["enough"], false);
    assert_eq!(some["readiness"]["version"]["frames_needed"], 84);
    assert_eq!(get(format!("to={}", at(90))).await.success()["frames"], 90);
    assert_eq!(get(format!("from={}", at(1_490))).await.success()["frames"], 10);
    let none = get(format!("from={}&to={}", at(-500), at(-400))).await.success();
    assert_eq!((none["frames"].as_i64(), &none["first"]), (Some(0), &Value::Null));
    assert_eq!(none["readiness"]["version"]["frames_needed"], 384);
    assert_eq!(get(format!("from={}&to={}", at(10), at(10))).await.problem(422, "invalid"), ["from"]);
    assert_eq!(get("from=yesterday".to_owned()).await.problem(422, "invalid"), ["from"]);
    assert_eq!(get("to=%00".to_owned()).await.problem(422, "invalid"), ["query"]);
    assert!(get("since=1".to_owned()).await.status.is_client_error());
    server.get("/v1/assets/none/data-health").await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_without_readings_is_told_how_many_it_needs() {
    let server = with_history(0).await;
    let health = server.get("/v1/assets/tank-1/data-health").await.success();
    assert_eq!(health["readiness"]["version"]["frames_needed"], 384);
    let learning = health["readiness"]["learning"]["frames_needed"].as_i64().unwrap();
    assert!((500..900).contains(&learning), "{health}");
    assert_eq!(signal(&health, "level")["worst"], 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_keeps_its_data_card() {
    let server = with(&poisoned()).await;
    let recipe = json!({"max_steps": 20, "evaluate_every": 10, "batch": 16, "synthetic": 0.0});
    let job = server.post("/v1/fine-tune-jobs", json!({"asset": "tank-1", "recipe": recipe})).await.success();
    assert_eq!(job["data"], Value::Null);
    server.learn_once().await;
    let models = server.get("/v1/assets/tank-1/models").await.success();
    let card = &models["items"][0]["data"];
    assert_eq!((card["frames"].as_i64(), card["dropped_frames"].as_i64()), (Some(1_480), Some(199)), "{models}");
    let level = signal(card, "level");
    assert_eq!(level["removed"], json!({"spike": 3, "flat_line": 99, "unit_jump": 100, "gross_range": 1}));
    assert_eq!(signal(card, "pump")["removed"], json!({}));
    assert!(card["windows"]["fresh"].as_i64().unwrap() > 0 && card["windows"]["holdout"].as_i64().unwrap() > 0);
    assert!(card["segments"].as_i64().unwrap() >= 4, "{card}");
    let done = server.get(&format!("/v1/fine-tune-jobs/{}", job["id"].as_str().unwrap())).await.success();
    assert_eq!((&done["status"], &done["data"]), (&json!("succeeded"), card));
}
