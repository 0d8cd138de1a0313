//! The three lives: a reading becomes a state and a forecast; a job becomes a verdict and a version
//! that can serve; a what-if becomes two futures and their difference.

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::training::Step;
use serde_json::{Value, json};

use crate::tester::{START, Server};

/// Frames of a tank that answers its pump slowly, the newest at [`START`].
fn frames(count: usize) -> Vec<Value> {
    let begin = START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds(count as i64 - 1);
    let mut level = 3.0;
    (0..count)
        .map(|step| {
            let pump = pump(step);
            level += 0.05 * (0.08 * pump - level);
            let noise = 0.01 * (step as f64 * 12.989).sin();
            json!({
                "ts": begin + TimeDelta::seconds(step as i64),
                "values": {"pump": pump, "level": level + noise, "ambient": 20.0 + (step as f64 / 90.0).sin()}
            })
        })
        .collect()
}

/// Steps of changing height and length.
pub(crate) fn pump(step: usize) -> f64 {
    let block = step / 37;
    30.0 + 10.0 * ((block * 7919) % 5) as f64
}

/// A server with one tank that has so many frames behind it.
pub(crate) async fn with_history(count: usize) -> Server {
    let server = Server::start().await;
    server.post("/v1/asset-types", crate::tester::tank("tank")).await.success();
    fill(&server, count).await;
    server
}

/// Makes `tank-1` of the type `tank`, with so many frames behind it.
pub(crate) async fn fill(server: &Server, count: usize) {
    server.post("/v1/assets", json!({"key": "tank-1", "type": "tank"})).await.success();
    for chunk in frames(count).chunks(1_000) {
        let receipt = server.post("/v1/assets/tank-1/telemetry", json!(chunk)).await.success();
        assert_eq!(receipt["rejected"], 0, "{receipt}");
    }
}

fn medians(answer: &Value) -> Vec<f64> {
    answer["0.5"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_becomes_a_state_and_a_forecast() {
    let server = with_history(600).await;
    let state = server.get("/v1/assets/tank-1/state").await.success();
    assert_eq!(state["observed_at"], START);
    assert_eq!(state["freshness"], "live");
    assert_eq!(server.forecast_once().await, 1);
    assert_eq!(server.forecast_once().await, 0, "nothing new was measured");
    let listed = server.get("/v1/assets/tank-1/predictions").await.success();
    let vintage = &listed["items"][0];
    assert_eq!(vintage["state"]["observed_at"], START);
    assert_eq!(vintage["timestamps"].as_array().unwrap().len(), 60);
    assert_eq!(vintage["model"]["source"], "base");
    let one = server.get(&format!("/v1/assets/tank-1/predictions/{}", vintage["id"].as_str().unwrap())).await.success();
    assert_eq!(&one, vintage);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_asset_is_served_by_the_fallback_that_says_so() {
    let server = with_history(10).await;
    let answer = server.post("/v1/assets/tank-1/predict", json!({"horizon": 5})).await.success();
    assert_eq!(answer["model"]["source"], "fallback");
    assert!(answer["model"]["reason"].as_str().unwrap().contains("10 steps of history"), "{answer}");
    let levels = medians(&answer["signals"]["level"]);
    assert!(levels.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_without_readings_cannot_be_predicted() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    server.post("/v1/assets/tank-1/predict", json!({})).await.problem(422, "insufficient-data");
    server.post("/v1/assets/none/predict", json!({})).await.problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_follows_known_inputs() {
    let server = with_history(900).await;
    let ask = async |pump: f64| {
        let body = json!({"horizon": 40, "inputs": {"pump": vec![pump; 40]}, "quantiles": [0.05, 0.5, 0.95]});
        server.post("/v1/assets/tank-1/predict", body).await.success()
    };
    let (low, high) = (ask(30.0).await, ask(70.0).await);
    assert_eq!(low["inputs"]["pump"]["source"], "given");
    assert_eq!(low["inputs"]["ambient"]["source"], "hold");
    let (low, high) = (medians(&low["signals"]["level"]), medians(&high["signals"]["level"]));
    // The tank's gain is 0.08 m per percent and 87 % of it comes within 40 steps: 2.8 m.
    assert!((2.2..3.4).contains(&(high[39] - low[39])), "{} and {}", low[39], high[39]);
    let desired = server.put("/v1/assets/tank-1/desired", json!({"pump": 70.0})).await;
    desired.success();
    let desired = server.post("/v1/assets/tank-1/predict", json!({"horizon": 40})).await.success();
    assert_eq!(desired["inputs"]["pump"]["source"], "desired");
    assert!((medians(&desired["signals"]["level"])[39] - high[39]).abs() < 1e-6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_what_if_shows_two_futures_and_their_difference() {
    let server = with_history(900).await;
    let body = json!({"horizon": 48, "scenarios": [
        {"name": "more", "overrides": [{"signal": "pump", "op": "ramp", "value": 70.0, "from": 8, "to": 16}]},
        {"name": "nothing"},
        {"name": "the same", "overrides": [{"signal": "pump", "op": "hold"}]},
        {"name": "added", "overrides": [{"signal": "pump", "op": "add", "value": -3.0, "from": 10, "to": 20}]},
        {"name": "listed", "overrides": [{"signal": "pump", "op": "series", "values": [40.0, 41.0], "from": 46, "to": 48}], },
        {"name": "warm", "overrides": [{"signal": "ambient", "op": "multiply", "value": 1.1, "assume": true}]},
    ], "limits": "clamp"});
    let answer = server.post("/v1/assets/tank-1/what-if", body.clone()).await.success();
    let of = |name: &str| {
        let scenarios = answer["scenarios"].as_array().unwrap();
        scenarios.iter().find(|scenario| scenario["name"] == name).unwrap().clone()
    };
    let delta = medians(&of("more")["delta"]["level"]);
    assert!(delta[..8].iter().all(|gap| gap.abs() < 1e-6), "nothing changes before the override: {delta:?}");
    assert!(delta[47] > 0.5, "{delta:?}");
    for name in ["nothing", "the same"] {
        let same = of(name);
        for quantile in ["0.1", "0.5", "0.9"] {
            let gaps = same["delta"]["level"][quantile].as_array().unwrap();
            assert!(gaps.iter().all(|gap| gap.as_f64() == Some(0.0)), "{name} {quantile}");
        }
        assert_eq!(same["signals"], answer["baseline"]["signals"]);
    }
    assert_eq!(of("listed")["inputs"]["pump"]["values"][47], 41.0);
    assert_eq!(answer, server.post("/v1/assets/tank-1/what-if", body).await.success(), "asked again, the same answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_what_if_refuses_what_cannot_be() {
    let server = with_history(200).await;
    let ask = async |change: Value| {
        let body = json!({"horizon": 20, "scenarios": [{"overrides": [change]}]});
        server.post("/v1/assets/tank-1/what-if", body).await
    };
    let cases = [
        (json!({"signal": "level", "op": "set", "value": 1.0}), "/scenarios/0/overrides/0/signal"),
        (json!({"signal": "ambient", "op": "set", "value": 1.0}), "/scenarios/0/overrides/0/signal"),
        (json!({"signal": "boiler", "op": "set", "value": 1.0}), "/scenarios/0/overrides/0/signal"),
        (json!({"signal": "pump", "op": "set", "value": 101.0}), "/scenarios/0/overrides/0/value"),
        (json!({"signal": "pump", "op": "ramp", "value": 95.0, "to": 2}), "/scenarios/0/overrides/0/value"),
        (json!({"signal": "pump", "op": "set"}), "/scenarios/0/overrides/0/value"),
        (json!({"signal": "pump", "op": "series", "values": [1.0]}), "/scenarios/0/overrides/0/values"),
        (json!({"signal": "pump", "op": "hold", "from": 9, "to": 9}), "/scenarios/0/overrides/0/to"),
        (json!({"signal": "pump", "op": "hold", "to": 21}), "/scenarios/0/overrides/0/to"),
    ];
    for (change, pointer) in cases {
        let answer = ask(change.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{change}");
    }
    let role = ask(json!({"signal": "level", "op": "set", "value": 1.0})).await;
    assert!(role.text.contains("role output"), "{role:?}");
    for (horizon, slug) in [(json!(0), "invalid"), (json!(1_000_000_000), "horizon-too-large"), (json!(-1), "invalid")]
    {
        let body = json!({"horizon": horizon, "scenarios": [{}]});
        assert_eq!(server.post("/v1/assets/tank-1/what-if", body).await.problem(422, slug), ["/horizon"]);
    }
    let many = vec![json!({}); 1_001];
    let answer = server.post("/v1/assets/tank-1/what-if", json!({"scenarios": many})).await;
    assert_eq!(answer.problem(422, "invalid"), ["/scenarios"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_with_a_verdict_and_a_version_that_can_serve_and_go() {
    let server = with_history(800).await;
    let settings = json!({"asset": "tank-1", "recipe": {"max_steps": 40, "evaluate_every": 10}});
    let made = server.post("/v1/fine-tune-jobs", settings.clone()).await;
    assert_eq!(made.status.as_u16(), 202);
    let path = made.header("location").to_owned();
    server.post("/v1/fine-tune-jobs", settings).await.problem(409, "conflict");
    assert!(matches!(server.learn_once().await, Step::Worked(..)));
    let job = server.get(&path).await.success();
    assert_eq!(job["status"], "succeeded", "{job}");
    let verdict = &job["verdict"];
    assert!(verdict["reason"].as_str().unwrap().len() > 20, "{verdict}");
    for who in ["candidate", "champion", "naive"] {
        assert!(verdict[who]["crps"].as_f64().unwrap() > 0.0, "{verdict}");
    }
    assert!(verdict["candidate"]["crps"].as_f64() < verdict["naive"]["crps"].as_f64(), "{verdict}");

    let models = server.get("/v1/assets/tank-1/models").await.success();
    assert_eq!(models["items"][0]["version"], 1);
    let predict = async || server.post("/v1/assets/tank-1/predict", json!({"horizon": 16})).await.success();
    server.post("/v1/assets/tank-1/models/1/promote", json!({})).await.success();
    let tuned = predict().await;
    assert_eq!((&tuned["model"]["source"], &tuned["model"]["version"]), (&json!("model"), &json!(1)));
    assert!(tuned["skill"]["vs_naive"].as_f64().unwrap() > 0.0, "{tuned}");
    server.post("/v1/assets/tank-1/models/0/promote", json!({})).await.success();
    let base = predict().await;
    assert_eq!(base["model"]["source"], "base");
    assert_ne!(base["signals"], tuned["signals"]);
    server.post("/v1/assets/tank-1/models/roll-back", json!({})).await.success();
    assert_eq!(predict().await["signals"], tuned["signals"], "the version that was rolled back to answers as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_too_little_to_learn_from_a_version_has_honest_bands_and_says_so() {
    let server = with_history(500).await;
    server.post("/v1/fine-tune-jobs", json!({"asset": "tank-1"})).await.success();
    assert!(matches!(server.learn_once().await, Step::Worked(..)));
    let models = server.get("/v1/assets/tank-1/models").await.success();
    let note = models["items"][0]["note"].as_str().unwrap();
    assert!(note.contains("173 usable windows and fine-tuning needs 300"), "{note}");
    assert!(models["items"][0]["reason"].as_str().unwrap().starts_with(note), "{models}");
    let predict = async || server.post("/v1/assets/tank-1/predict", json!({"horizon": 16})).await.success();
    server.post("/v1/assets/tank-1/models/1/promote", json!({})).await.success();
    let answer = predict().await;
    assert_eq!((&answer["model"]["version"], &answer["model"]["reason"]), (&json!(1), &json!(note)));
    server.post("/v1/assets/tank-1/models/0/promote", json!({})).await.success();
    let base = predict().await;
    assert_ne!(base["signals"]["level"]["0.9"], answer["signals"]["level"]["0.9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bands_that_missed_what_happened_widen_and_say_how_often_they_held() {
    let server = with_history(800).await;
    server
        .post("/v1/fine-tune-jobs", json!({"asset": "tank-1", "recipe": {"max_steps": 1}, "promote": "manual"}))
        .await
        .success();
    assert!(matches!(server.learn_once().await, Step::Worked(..)));
    let forecasts = &server.rooms.forecasts;
    let width = async || {
        let answer = server.post("/v1/assets/tank-1/predict", json!({"horizon": 16, "as_of": START})).await.success();
        let level = |key: &str| answer["signals"]["level"][key][15].as_f64().unwrap();
        (level("0.9") - level("0.1"), answer["skill"]["served"].clone())
    };
    let (before, served) = width().await;
    assert_eq!(served, Value::Null);
    assert_eq!(server.forecast_once().await, 1);
    assert_eq!(forecasts.look_back().await.unwrap(), 0, "its last step has not been measured");

    let begin = START.parse::<DateTime<Utc>>().unwrap();
    let frame = |step: usize| {
        let ts = begin + TimeDelta::seconds(step as i64 + 1);
        json!({"ts": ts, "values": {"pump": pump(799), "level": 9.9, "ambient": 20.0}})
    };
    server.clock.advance(TimeDelta::seconds(61));
    let after: Vec<Value> = (0..60).map(frame).collect();
    assert_eq!(server.post("/v1/assets/tank-1/telemetry", json!(after)).await.success()["rejected"], 0);
    assert_eq!(forecasts.look_back().await.unwrap(), 1);
    assert_eq!(forecasts.look_back().await.unwrap(), 0, "once is enough");
    let (wider, served) = width().await;
    assert_eq!(served, json!({"coverage_80": 0.0, "truths": 60}));
    assert!((wider / before - (0.06_f64 * 0.8).exp()).abs() < 1e-3, "{before} became {wider}");

    // Another version begins anew.
    server.post("/v1/assets/tank-1/models/1/promote", json!({})).await.success();
    assert_eq!(width().await.1, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn enough_fresh_readings_start_a_job_by_themselves() {
    let server = with_history(1_500).await;
    assert!(matches!(server.learn_once().await, Step::Scheduled(jobs) if jobs.len() == 1));
    let jobs = server.get("/v1/fine-tune-jobs?asset=tank-1").await.success();
    assert_eq!(jobs["items"][0]["cause"], "fresh_readings");
}
