//! Joint sample paths: asked for, reproducible, paired with the baseline, and refused with a reason.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::{START, Server};

fn paths(signals: &Value) -> Vec<Vec<f64>> {
    let rows = signals["level"].as_array().unwrap().iter();
    rows.map(|row| row.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()).collect()
}

fn numbers(row: &Value) -> Vec<f64> {
    row.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prediction_comes_with_paths_when_they_are_asked_for() {
    let server = with_history(600).await;
    let ask = async |body: Value| server.post("/v1/assets/tank-1/predict", body).await.success();
    let answer = ask(json!({"horizon": 30, "samples": 400, "seed": 7})).await;
    let sampled = paths(&answer["paths"]);
    assert_eq!((sampled.len(), sampled[0].len()), (400, 30));
    let (low, high) = (numbers(&answer["signals"]["level"]["0.1"]), numbers(&answer["signals"]["level"]["0.9"]));
    for step in 0..30 {
        let inside = sampled.iter().filter(|path| (low[step]..=high[step]).contains(&path[step])).count();
        // Four deviations of a share of 0.8 among 400.
        assert!((288..=352).contains(&inside), "{inside} of 400 inside the 80 % band at step {step}");
    }
    assert_eq!(sampled, paths(&ask(json!({"horizon": 30, "samples": 400, "seed": 7})).await["paths"]));
    assert_ne!(sampled, paths(&ask(json!({"horizon": 30, "samples": 400, "seed": 8})).await["paths"]));
    assert_eq!(ask(json!({"horizon": 30})).await.get("paths"), None);

    let id = answer["id"].as_str().unwrap();
    let one = server.get(&format!("/v1/assets/tank-1/predictions/{id}")).await;
    assert!(!one.text.contains("paths"), "a vintage keeps no paths: {one:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_of_scenarios_have_the_luck_of_the_baseline() {
    let server = with_history(600).await;
    let body = json!({"horizon": 40, "samples": 50, "scenarios": [
        {"overrides": [{"signal": "pump", "op": "hold"}]},
        {"overrides": [{"signal": "pump", "op": "add", "value": 8.0, "from": 12}]},
    ]});
    let answer = server.post("/v1/assets/tank-1/what-if", body).await.success();
    let unmodified = paths(&answer["baseline"]["paths"]);
    assert_eq!(unmodified.len(), 50);
    assert_eq!(unmodified, paths(&answer["scenarios"][0]["paths"]));
    let more = paths(&answer["scenarios"][1]["paths"]);
    for (before, after) in unmodified.iter().zip(&more) {
        assert_eq!(before[..12], after[..12]);
        assert!(after[39] > before[39], "more water on every path, whatever its luck");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fallback_has_paths_too() {
    let server = with_history(10).await;
    let answer = server.post("/v1/assets/tank-1/predict", json!({"horizon": 5, "samples": 3})).await.success();
    assert_eq!(answer["model"]["source"], "fallback");
    assert!(paths(&answer["paths"]).iter().flatten().all(|level| (0.0..=10.0).contains(level)), "within the limits");
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_that_cannot_be_given_are_refused_with_a_reason() {
    let server = with_history(100).await;
    for body in [json!({"samples": 0}), json!({"samples": 1_001}), json!({"samples": -3}), json!({"samples": 2.5})] {
        let answer = server.post("/v1/assets/tank-1/predict", body.clone()).await;
        assert_eq!(answer.problem(422, "invalid"), ["/samples"], "{body}");
    }
    for seed in [json!(-1), json!("seven"), json!(1_u64 << 53)] {
        let answer = server.post("/v1/assets/tank-1/predict", json!({"samples": 2, "seed": seed})).await;
        assert_eq!(answer.problem(422, "invalid"), ["/seed"]);
    }
    let body = json!({"horizon": 512, "samples": 1_000, "scenarios": [{}]});
    let answer = server.post("/v1/assets/tank-1/what-if", body).await;
    assert_eq!(answer.problem(422, "invalid"), ["/samples"]);
    assert!(answer.text.contains("1024000 values"), "{answer:?}");
    let body = json!({"samples": 0, "scenarios": [{}]});
    assert_eq!(server.post("/v1/assets/tank-1/what-if", body).await.problem(422, "invalid"), ["/samples"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn quantiles_of_the_delta_are_those_of_the_paired_paths() {
    let server = with_history(600).await;
    let body = json!({"horizon": 40, "samples": 1000, "seed": 3, "scenarios": [
        {"overrides": [{"signal": "pump", "op": "add", "value": 8.0, "from": 4}]},
    ]});
    let answer = server.post("/v1/assets/tank-1/what-if", body).await.success();
    let scenario = &answer["scenarios"][0];
    let (before, after) = (paths(&answer["baseline"]["paths"]), paths(&scenario["paths"]));
    for step in [0, 8, 20, 39] {
        let mut gaps: Vec<f64> = before.iter().zip(&after).map(|(before, after)| after[step] - before[step]).collect();
        gaps.sort_by(f64::total_cmp);
        let spread = gaps[999] - gaps[0];
        for (key, place) in [("0.1", 100), ("0.5", 500), ("0.9", 900)] {
            let said = scenario["delta"]["level"][key][step].as_f64().unwrap();
            assert!(
                (gaps[place] - said).abs() <= 0.15 * spread + 1e-5,
                "step {step}: {said} and {} of {spread}",
                gaps[place]
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_that_err_together_have_paths_that_move_together() {
    let server = Server::start().await;
    let output = |name: &str| json!({"name": name, "unit": "m", "role": "output"});
    let signals =
        json!([{"name": "pump", "unit": "%", "role": "control_input"}, output("one"), output("same"), output("other")]);
    server.post("/v1/asset-types", json!({"key": "three", "interval": "PT1S", "signals": signals})).await.success();
    server.post("/v1/assets", json!({"key": "three-1", "type": "three"})).await.success();
    let mut draw = ChaCha8Rng::seed_from_u64(5);
    let (mut common, mut own) = (0.0, 0.0);
    let frames: Vec<Value> = (0..900)
        .map(|step| {
            let pump = f64::from((step / 40) % 3);
            // Nobody measures what disturbs the first two alike, and the third on its own.
            common = 0.6 * common + draw.random_range(-1.0..1.0);
            own = 0.6 * own + draw.random_range(-1.0..1.0);
            let ts = START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds(899 - i64::from(step));
            let mut noise = || 0.05 * draw.random_range(-1.0..1.0);
            json!({"ts": ts, "values": {
                "pump": pump, "one": pump + common + noise(), "same": 2.0 * pump + common + noise(), "other": pump + own,
            }})
        })
        .collect();
    assert_eq!(server.post("/v1/assets/three-1/telemetry", json!(frames)).await.success()["rejected"], 0);
    let answer = server.post("/v1/assets/three-1/predict", json!({"horizon": 32, "samples": 1000})).await.success();
    let sampled = |name: &str| answer["paths"][name].as_array().unwrap().iter().map(numbers).collect::<Vec<_>>();
    let correlation = |one: &str, other: &str| {
        let (one, other) = (sampled(one), sampled(other));
        let (one, other): (Vec<f64>, Vec<f64>) =
            (one.iter().map(|row| row[20]).collect(), other.iter().map(|row| row[20]).collect());
        let mean = |row: &[f64]| row.iter().sum::<f64>() / row.len() as f64;
        let (a, b) = (mean(&one), mean(&other));
        let sum = |of: &dyn Fn(f64, f64) -> f64| one.iter().zip(&other).map(|(x, y)| of(x - a, y - b)).sum::<f64>();
        sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt()
    };
    let (together, apart) = (correlation("one", "same"), correlation("one", "other"));
    assert!(together > 0.3, "{together}");
    assert!(apart.abs() < 0.25, "{apart}");
}
