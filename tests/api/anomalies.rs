//! Anomalies of an asset's history and of its newest step.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::{START, Server};

/// Frames behind those that are there already; the level sensor is off by so much.
async fn go_on(server: &Server, count: usize, off: f64) {
    let begin = START.parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(1);
    let state = server.get("/v1/assets/tank-1/state").await.success();
    let level = state["reported"]["level"]["value"].as_f64().unwrap();
    let pump = state["reported"]["pump"]["value"].as_f64().unwrap();
    let mut true_level = level;
    let frames: Vec<Value> = (0..count)
        .map(|step| {
            true_level += 0.05 * (0.08 * pump - true_level);
            let at = begin + TimeDelta::seconds(step as i64);
            let noise = 0.01 * (step as f64 * 7.31).sin();
            json!({"ts": at, "values": {"pump": pump, "level": true_level + noise + off, "ambient": 20.0}})
        })
        .collect();
    server.clock.advance(TimeDelta::seconds(count as i64));
    let receipt = server.post("/v1/assets/tank-1/telemetry", json!(frames)).await.success();
    assert_eq!(receipt["rejected"], 0, "{receipt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_a_sensor_is_found_in_the_history_and_in_the_state() {
    let server = with_history(2_000).await;
    let quiet = server.get("/v1/assets/tank-1/anomalies").await.success();
    assert_eq!(quiet["threshold"], 1.0);
    assert_eq!(quiet["false_alarm_rate"], 0.001);
    assert_eq!(quiet["signals"], json!(["level"]));
    assert_eq!(quiet["frequency"], "PT1S");
    assert_eq!(quiet["steps"], 2_000);
    assert_eq!(quiet["scores"].as_array().unwrap().len(), 1_000, "thinned");
    assert_eq!(quiet["learned"]["model"], Value::Null);
    let above = |answer: &Value| {
        answer["scores"].as_array().unwrap().iter().filter_map(Value::as_f64).filter(|score| *score > 1.0).count()
    };
    assert!(above(&quiet) <= 15, "{} of 1,000 peaks", above(&quiet));

    // The state knows nothing before the refresher has looked.
    assert_eq!(server.get("/v1/assets/tank-1/state").await.success().get("anomaly_score"), None);
    assert_eq!(server.forecast_once().await, 1);
    let state = server.get("/v1/assets/tank-1/state").await.success();
    assert!(state["anomaly_score"].as_f64().unwrap() < 1.0, "{state}");
    assert_eq!(state["anomaly_at"], START);

    let rule = json!({"name": "odd", "source": "anomaly", "condition": "above", "limit": 1.0, "severity": "warning"});
    assert_eq!(server.post("/v1/assets/tank-1/alarm-rules", rule).await.status, 201);
    assert!(server.alarms().await.is_empty(), "all is well");

    go_on(&server, 60, 1.0).await;
    server.forecast_once().await;
    let state = server.get("/v1/assets/tank-1/state").await.success();
    let score = state["anomaly_score"].as_f64().unwrap();
    assert!(score > 1.0, "{state}");
    assert!((state["contributions"]["level"].as_f64().unwrap() - score).abs() < 1e-9 * score);
    assert_eq!(state["anomaly_at"], state["observed_at"]);
    let alarms = server.alarms().await;
    let alarm = &alarms[0];
    assert_eq!(
        (&alarm["source"], &alarm["value"], &alarm["raised_at"]),
        (&json!("anomaly"), &json!(score), &state["anomaly_at"])
    );
    assert!(alarm["text"].as_str().unwrap().starts_with("the anomaly score is "), "{alarm}");
    assert_eq!(server.alarms().await.len(), 1, "the same score is not told twice");

    let found = server.get(&format!("/v1/assets/tank-1/anomalies?from={START}&max_points=500")).await.success();
    assert_eq!(found["steps"], 61);
    let rows = ["timestamps", "scores"].map(|row| found[row].as_array().unwrap().len());
    assert_eq!(rows, [61, 61]);
    assert_eq!(found["contributions"]["level"].as_array().unwrap().len(), 61);
    let intervals = found["intervals"].as_array().unwrap();
    let interval = intervals.last().unwrap_or_else(|| panic!("{found}"));
    assert_eq!(interval["open"], true, "{interval}");
    assert!(interval["score"].as_f64().unwrap() > 1.0);
    let first = interval["start"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let begun = START.parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(1);
    assert!((first - begun).num_seconds().abs() <= 3, "{interval}");
    let again = server.get(&format!("/v1/assets/tank-1/anomalies?from={START}&max_points=500")).await.success();
    assert_eq!(found, again, "asked again, the same answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_history_says_how_much_is_needed() {
    let server = with_history(100).await;
    let answer = server.get("/v1/assets/tank-1/anomalies").await;
    answer.problem(422, "insufficient-data");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("100") && detail.contains("300"), "{detail}");
    assert_eq!(server.forecast_once().await, 1, "it is forecast all the same");
    assert_eq!(server.get("/v1/assets/tank-1/state").await.success().get("anomaly_score"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_cannot_be_are_refused_where_they_are_wrong() {
    let server = with_history(400).await;
    for (query, pointer) in [
        ("false_alarm_rate=0", "false_alarm_rate"),
        ("false_alarm_rate=NaN", "false_alarm_rate"),
        ("false_alarm_rate=0.5", "false_alarm_rate"),
        ("max_points=0", "max_points"),
        ("max_points=11001", "max_points"),
        ("from=yesterday", "from"),
        ("from=2026-11-24T12:00:00Z&to=2026-11-24T11:00:00Z", "from"),
    ] {
        let answer = server.get(&format!("/v1/assets/tank-1/anomalies?{query}")).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{query}");
    }
    server.get("/v1/assets/tank-2/anomalies").await.problem(404, "not-found");
    let nothing =
        server.get("/v1/assets/tank-1/anomalies?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z").await.success();
    assert_eq!((&nothing["steps"], &nothing["intervals"]), (&json!(0), &json!([])));
}
