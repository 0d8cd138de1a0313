//! The fleet: how all assets stand in one request, and the risk that limits are broken.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::lives::with_history;
use crate::stream::heard_all;
use crate::tester::{START, Server};

async fn fleet(server: &Server, query: &str) -> Vec<Value> {
    server.get(&format!("/v1/fleet{query}")).await.success()["items"].as_array().unwrap().clone()
}

async fn rule(server: &Server, name: &str, condition: &str, limit: f64) -> Value {
    let body = json!({"name": name, "condition": condition, "signal": "level", "limit": limit, "severity": "minor"});
    server.post("/v1/assets/tank-1/alarm-rules", body).await.success()
}

/// Moves on by a frame, so that the twin is forecast again.
async fn forecast_again(server: &Server) {
    server.clock.advance(TimeDelta::seconds(6));
    let frame = json!({"ts": server.clock.now(), "values": {"level": 3.2}});
    server.post("/v1/assets/tank-1/telemetry", frame).await.success();
    assert_eq!(server.forecast_once().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_will_be_broken_is_told_with_its_signal_and_time() {
    let server = with_history(800).await;
    server.post("/v1/assets", json!({"key": "empty", "type": "tank", "name": "Spare"})).await.success();
    // Between what the forecast reaches early and late: the level falls or rises toward where the pump holds it.
    let answer = server.post("/v1/assets/tank-1/predict", json!({"quantiles": [0.5]})).await.success();
    let median: Vec<f64> =
        answer["signals"]["level"]["0.5"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    let (now, last) = (median[0], median[59]);
    let rises = last > now;
    let middle = f64::midpoint(now, last);
    assert!((last - now).abs() > 0.1, "{now} to {last}");
    rule(&server, "halfway", if rises { "above" } else { "below" }, middle).await;
    rule(&server, "never", if rises { "below" } else { "above" }, if rises { -50.0 } else { 500.0 }).await;
    assert_eq!(server.forecast_once().await, 1);

    let all = fleet(&server, "").await;
    let keys: Vec<&str> = all.iter().map(|one| one["asset"].as_str().unwrap()).collect();
    assert_eq!(keys, ["empty", "tank-1"]);
    assert_eq!((&all[0]["freshness"], &all[0]["name"], all[0].get("risk")), (&json!("empty"), &json!("Spare"), None));
    assert_eq!((&all[1]["freshness"], &all[1]["observed_at"]), (&json!("live"), &json!(START)));
    let risk = &all[1]["risk"];
    assert!(risk["probability"].as_f64().unwrap() > 0.95, "{risk}");
    let worst = &risk["limits"][0];
    assert_eq!((&worst["signal"], &worst["rule"]), (&json!("level"), &json!("halfway")));
    assert_eq!(worst[if rises { "max" } else { "min" }], json!(middle));
    // The median crosses the limit where the forecast says so, to within a few steps.
    let crosses = 1 + median.iter().position(|value| (*value > middle) == rises).unwrap();
    let told = worst["p50_s"].as_f64().unwrap();
    assert!((told - crosses as f64).abs() <= 4.0, "{told} for {crosses}");
    let never = risk["limits"].as_array().unwrap().iter().find(|limit| limit["rule"] == "never").unwrap();
    assert_eq!((&never["probability"], &never["median_s"]), (&json!(0.0), &Value::Null));
    // The type's own limits stand beside those of the rules, on both sides.
    assert_eq!(risk["limits"].as_array().unwrap().len(), 4);
    let own: Vec<_> = risk["limits"].as_array().unwrap().iter().filter(|limit| limit["rule"].is_null()).collect();
    assert!(own.iter().any(|limit| limit["min"] == 0.0) && own.iter().any(|limit| limit["max"] == 10.0), "{risk}");
    let begin = START.parse::<DateTime<Utc>>().unwrap();
    assert_eq!((&risk["at"], &risk["until"]), (&json!(START), &json!(begin + TimeDelta::seconds(60))));
    let state = server.get("/v1/assets/tank-1/state").await.success();
    assert_eq!(&state["risk"], risk);
    let listed = server.get("/v1/assets/tank-1/predictions?limit=1&cause=refresh").await.success();
    assert_eq!(listed["items"][0]["id"], risk["prediction"]);
    assert_eq!(server.get("/v1/assets/tank-1/state?as_of=2026-11-24T11:59:00Z").await.success().get("risk"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rules_the_limits_are_those_of_the_type() {
    let server = with_history(400).await;
    assert_eq!(server.forecast_once().await, 1);
    let own = fleet(&server, "").await[0]["risk"].clone();
    let limits: Vec<(&Value, &Value)> =
        own["limits"].as_array().unwrap().iter().map(|limit| (&limit["min"], &limit["max"])).collect();
    assert!(limits.contains(&(&json!(0.0), &Value::Null)) && limits.contains(&(&Value::Null, &json!(10.0))), "{own}");
    assert!(own["probability"].as_f64().unwrap() < 0.05, "{own}");
    // A rule's limit stands before that of the type on its side, at once; one that is switched off does not.
    assert_eq!(server.forecast_once().await, 0);
    let made = rule(&server, "high", "above", 9.0).await;
    assert_eq!(server.forecast_once().await, 1, "another limit is another risk");
    let maxima = async || {
        let risk = fleet(&server, "").await[0]["risk"].clone();
        let limits = risk["limits"].as_array().unwrap().clone();
        limits.iter().filter(|limit| limit["max"].is_number()).map(|limit| limit["max"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(maxima().await, [json!(9.0), json!(10.0)]);
    let path = format!("/v1/assets/tank-1/alarm-rules/{}", made["id"].as_str().unwrap());
    server.patch(&path, None, json!({"enabled": false})).await.success();
    assert_eq!(server.forecast_once().await, 1);
    assert_eq!(maxima().await, [json!(10.0)]);
    server.patch(&path, None, json!({"enabled": true})).await.success();
    assert_eq!(server.forecast_once().await, 1);
    assert_eq!(maxima().await, [json!(9.0), json!(10.0)]);
    assert_eq!(server.delete(&path).await.status, 204);
    assert_eq!(server.forecast_once().await, 1);
    assert_eq!(maxima().await, [json!(10.0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_is_filtered_paged_and_asked_for_by_keys() {
    let server = Server::start().await;
    for key in ["tank-1", "tank-2", "tank-3"] {
        server.asset(key).await;
    }
    let keys =
        |items: Vec<Value>| items.iter().map(|one| one["asset"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(keys(fleet(&server, "?assets=tank-3,none,tank-1").await), ["tank-1", "tank-3"]);
    assert!(fleet(&server, "?assets=").await.is_empty());
    assert_eq!(keys(fleet(&server, "?q=k-2").await), ["tank-2"]);
    assert!(fleet(&server, "?type=pump").await.is_empty());
    let page = server.get("/v1/fleet?limit=2").await.success();
    let next = format!("?limit=2&cursor={}", page["next"].as_str().unwrap());
    assert_eq!(keys(fleet(&server, &next).await), ["tank-3"]);
    assert_eq!(server.get("/v1/fleet?assets=tank-1&limit=2").await.problem(422, "invalid"), ["assets"]);
    let many: Vec<String> = (0..1_001).map(|key| format!("k{key}")).collect();
    assert_eq!(server.get(&format!("/v1/fleet?assets={}", many.join(","))).await.problem(422, "invalid"), ["assets"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_judged_is_told_on_the_stream() {
    let server = with_history(800).await;
    rule(&server, "high", "above", 9.0).await;
    let feed = tokio::spawn(server.rooms.feed.clone().run(server.end.clone()));
    let response = server.request(reqwest::Method::GET, "/v1/stream?asset=tank-1").send().await.unwrap();
    let listening = tokio::spawn(heard_all(response, &["\"anomaly_score\":", "\"contributions\":", "\"risk\":"]));
    // The look-out tells only what changes while somebody listens.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..2 {
        forecast_again(&server).await;
    }
    let told = listening.await.unwrap();
    let states: Vec<Value> = told
        .split("\n\n")
        .filter(|event| event.contains("event: state"))
        .filter_map(|event| serde_json::from_str(event.lines().find_map(|line| line.strip_prefix("data: "))?).ok())
        .collect();
    let judged = states.iter().rfind(|state| state["risk"].is_object()).unwrap();
    let rules: Vec<&Value> = judged["risk"]["limits"].as_array().unwrap().iter().map(|limit| &limit["rule"]).collect();
    assert!(judged["asset"] == "tank-1" && rules.contains(&&json!("high")), "{judged}");
    assert!(judged["anomaly_score"].is_number(), "{judged}");
    assert!(judged["reported"]["level"].is_number(), "the whole state: {judged}");
    server.end.cancel();
    feed.await.unwrap();
}
