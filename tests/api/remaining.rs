//! Remaining time: runs to failure teach how long it is until the next one; the state shows it, it goes with
//! its version, and it is silent while the asset is down.

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::features::{Grid, RemainingModel, Run};
use counterpart::model::remaining::foretell;
use counterpart::training::Step;
use serde_json::{Value, json};

use crate::tester::{START, Server};

/// Steps of the runs; the last one goes on.
const RUNS: [usize; 11] = [180, 120, 230, 150, 200, 130, 220, 170, 140, 190, 160];
/// Steps that the asset is down between two runs.
const DOWN: usize = 4;
/// Steps until the last run fails, at the end of the record.
const LEFT: usize = 40;

/// Every step of the record: how worn the bearing is, or that it is down.
fn steps() -> Vec<Option<f64>> {
    let mut steps = Vec::new();
    for (run, length) in RUNS.iter().enumerate() {
        let lasts = if run + 1 < RUNS.len() { *length } else { length - LEFT };
        steps.extend((0..lasts).map(|step| Some((step as f64 / *length as f64).powi(2))));
        if run + 1 < RUNS.len() {
            steps.extend([None; DOWN]);
        }
    }
    steps
}

fn at(step: usize) -> DateTime<Utc> {
    START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds(steps().len() as i64 - 1 - step as i64)
}

fn frame(instant: DateTime<Utc>, step: usize, wear: Option<f64>) -> Value {
    let noise = 0.2 * (step as f64 * 12.989).sin();
    let load = if wear.is_some() { 50.0 + 10.0 * (step as f64 / 9.0).sin() } else { 0.0 };
    let shakes = wear.map_or(0.0, |wear| 2.0 + 3.0 * wear + noise);
    json!({"ts": instant, "values": {"load": load, "vibration": shakes}})
}

async fn bearing() -> Server {
    let server = Server::start().await;
    let kind = json!({
        "key": "bearing", "interval": "PT1S", "health_classes": ["healthy", "broken"],
        "end_of_life": {"class": "broken"},
        "signals": [
            {"name": "load", "unit": "%", "role": "control_input", "min": 0.0, "max": 100.0},
            {"name": "vibration", "unit": "mm/s", "role": "output", "min": -2.0, "max": 20.0},
        ],
    });
    server.post("/v1/asset-types", kind).await.success();
    server.post("/v1/assets", json!({"key": "bearing-1", "type": "bearing"})).await.success();
    let steps = steps();
    let frames: Vec<Value> = steps.iter().enumerate().map(|(step, wear)| frame(at(step), step, *wear)).collect();
    for chunk in frames.chunks(1_000) {
        assert_eq!(server.post("/v1/assets/bearing-1/telemetry", json!(chunk)).await.success()["rejected"], 0);
    }
    server
}

/// Labels of the newest `count` failures.
async fn failures(server: &Server, count: usize) {
    let (mut labels, mut down) = (Vec::new(), 0);
    for length in &RUNS[..RUNS.len() - 1] {
        down += length;
        labels.push(json!({"kind": "label", "class": "broken", "start": at(down), "end": at(down + DOWN)}));
        down += DOWN;
    }
    let newest = &labels[labels.len() - count..];
    assert_eq!(server.post("/v1/assets/bearing-1/events", json!(newest)).await.success()["stored"], count);
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

async fn state(server: &Server) -> Value {
    server.get("/v1/assets/bearing-1/state").await.success()
}

/// Seconds of a duration of minutes and seconds.
fn seconds(text: &Value) -> f64 {
    text.as_str().unwrap().parse::<counterpart::asset::Interval>().unwrap().seconds()
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_to_failure_teach_the_time_that_remains_for_as_long_as_their_version_serves() {
    let server = bearing().await;
    failures(&server, RUNS.len() - 1).await;
    let verdict = learn(&server).await;
    let remaining = &verdict["remaining"];
    assert_eq!((&remaining["improved"], &verdict["promoted"]), (&json!(true), &json!(true)), "{verdict}");
    assert_eq!(
        (&remaining["class"], &remaining["failures"], &remaining["judged_runs"]),
        (&json!("broken"), &json!(10), &json!(2))
    );
    let error = |who: &str| remaining[who]["rmse_s"].as_f64().unwrap();
    assert!(error("candidate") < 0.7 * error("naive"), "{remaining}");
    assert!(verdict["reason"].as_str().unwrap().contains("new remaining time: time to `broken` within"), "{verdict}");
    let models = server.get("/v1/assets/bearing-1/models").await.success();
    assert_eq!(models["items"][0]["scores"]["remaining"], *remaining, "the version keeps its scores");

    assert_eq!(state(&server).await.get("health"), None);
    assert_eq!(server.forecast_once().await, 1);
    let health = state(&server).await["health"].clone();
    assert_eq!((&health["at"], health.get("class")), (&json!(START), None), "{health}");
    let shown = &health["remaining_time"];
    let horizon = seconds(&shown["horizon"]);
    assert!((80.0..140.0).contains(&horizon) && shown["class"] == "broken", "{shown}");
    let median = seconds(&shown["quantiles"]["0.5"]);
    assert!((median - LEFT as f64).abs() < 25.0, "{shown}");
    assert!(seconds(&shown["quantiles"]["0.1"]) < median, "{shown}");
    assert!((0.0..0.3).contains(&shown["beyond_horizon"].as_f64().unwrap()), "{shown}");
    let past = server.get(&format!("/v1/assets/bearing-1/state?as_of={}", at(100).timestamp_millis())).await;
    assert_eq!(past.success().get("health"), None, "what is shown is of now");

    // While it is down nothing remains; once it is restored there is more than before.
    let now = START.parse::<DateTime<Utc>>().unwrap();
    let feed = async |from: usize, to: usize, wear: Option<f64>| {
        server.clock.advance(TimeDelta::seconds((to - from) as i64));
        let frames: Vec<Value> =
            (from..to).map(|step| frame(now + TimeDelta::seconds(step as i64 + 1), step, wear)).collect();
        server.post("/v1/assets/bearing-1/telemetry", json!(frames)).await.success();
        assert_eq!(server.forecast_once().await, 1);
    };
    let event = |end: Value| json!({"id": "now", "kind": "label", "class": "broken", "start": now + TimeDelta::seconds(1), "end": end});
    server.post("/v1/assets/bearing-1/events", event(Value::Null)).await.success();
    feed(0, 4, None).await;
    assert_eq!(state(&server).await.get("health"), None, "it is down");
    server.post("/v1/assets/bearing-1/events", event(json!(now + TimeDelta::seconds(5)))).await.success();
    feed(4, 16, Some(0.0)).await;
    let shown = state(&server).await["health"]["remaining_time"].clone();
    assert!(shown["beyond_horizon"].as_f64().unwrap() > 0.4, "{shown}");

    // It goes with its version.
    server.post("/v1/assets/bearing-1/models/0/promote", json!({})).await.success();
    assert_eq!(state(&server).await.get("health"), None, "the base model knows nothing of it");
    server.post("/v1/assets/bearing-1/models/roll-back", json!({})).await.success();
    assert_eq!(state(&server).await["health"]["remaining_time"], shown);

    // Another job on the same failures is no better, and the model stays whoever forecasts.
    let second = learn(&server).await;
    assert_eq!(second["remaining"]["improved"], false, "{second}");
    assert!(second["remaining"]["champion"]["rmse_s"].as_f64().unwrap() > 0.0, "{second}");
    server.post("/v1/assets/bearing-1/models/2/promote", json!({})).await.success();
    feed(16, 18, Some(0.0)).await;
    assert!(state(&server).await["health"]["remaining_time"]["beyond_horizon"].is_number());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_outgrew_what_is_at_hand_is_told_as_from_its_whole_record() {
    let server = bearing().await;
    failures(&server, RUNS.len() - 1).await;
    assert_eq!(learn(&server).await["promoted"], true);
    let now = START.parse::<DateTime<Utc>>().unwrap();
    let more = 2_300;
    let next = |step: usize| frame(now + TimeDelta::seconds(step as i64 + 1), step, Some(0.9));
    server.clock.advance(TimeDelta::seconds(more as i64));
    for chunk in (0..more).map(next).collect::<Vec<_>>().chunks(1_000) {
        server.post("/v1/assets/bearing-1/telemetry", json!(chunk)).await.success();
    }
    // The second time it is remembered how the run began.
    for step in more..more + 2 {
        assert_eq!(server.forecast_once().await, 1);
        let told = state(&server).await["health"]["remaining_time"]["beyond_horizon"].as_f64().unwrap();
        let [whole, forgetful] = by_hand(&server).await;
        assert!((told - whole).abs() < 1e-6, "{told} {whole}");
        assert!((told - forgetful).abs() > 1e-3, "how it began matters: {told} {forgetful}");
        server.clock.advance(TimeDelta::seconds(1));
        server.post("/v1/assets/bearing-1/telemetry", next(step)).await.success();
    }
}

/// The probability beyond the horizon from the whole record of the run that goes on, and from its newest
/// steps as if it had begun with them.
async fn by_hand(server: &Server) -> [f64; 2] {
    let asset = server.rooms.assets.find("bearing-1").await.unwrap();
    let champion = counterpart::model::store::champion(&server.db.pool, asset.id).await.unwrap().unwrap();
    let version = counterpart::model::store::weights(&server.db.pool, champion.model_id).await.unwrap().unwrap();
    let model = RemainingModel::attached_to(&version.weights).unwrap();
    let frames = server.rooms.readings.newest(asset.id, 10_000).await.unwrap();
    let grid = Grid::new(&asset.asset_type, &frames).unwrap();
    let (last, recall) = (grid.len() - 1, model.memory.upon(&asset.asset_type, &grid).unwrap());
    let restored = at(steps().iter().rposition(Option::is_none).unwrap() + 1);
    let whole = grid.instants.partition_point(|instant| *instant < restored);
    let age = (grid.instants[last] - restored).num_seconds() as f64;
    [whole, grid.len() - 2_048].map(|first| {
        let row = recall.at(last, Run { first, beginning: None }, age).unwrap();
        let said = foretell(&model.head, &[&model.memory.scaled(&row)]).unwrap();
        said[0][said[0].len() - 1]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_failures_are_told_with_how_many_are_needed() {
    let server = bearing().await;
    failures(&server, 2).await;
    let verdict = learn(&server).await;
    let remaining = &verdict["remaining"];
    assert_eq!((&remaining["failures"], &remaining["failures_needed"]), (&json!(2), &json!(1)), "{remaining}");
    assert_eq!((&remaining["improved"], &remaining["candidate"]), (&json!(false), &Value::Null));
    assert!(remaining["reason"].as_str().unwrap().contains("3 are needed: 1 more"), "{remaining}");
    assert_eq!(server.forecast_once().await, 1);
    assert_eq!(state(&server).await.get("health"), None, "nothing is made up");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_no_class_of_the_type_is_refused_where_it_is_wrong() {
    let server = Server::start().await;
    let kind = |end: Value| {
        json!({"key": "bearing", "interval": "PT1S", "health_classes": ["healthy", "broken"], "end_of_life": end,
            "signals": [{"name": "vibration", "role": "output"}]})
    };
    for (end, pointer) in [
        (json!({"class": "gone"}), "/end_of_life/class"),
        (json!({"class": "broken", "restored_by": "oiled"}), "/end_of_life/restored_by"),
    ] {
        assert_eq!(server.post("/v1/asset-types", kind(end)).await.problem(422, "invalid"), [pointer]);
    }
    let made = server.post("/v1/asset-types", kind(json!({"class": "broken"}))).await.success();
    assert_eq!(made["end_of_life"], json!({"class": "broken"}), "{made}");
}
