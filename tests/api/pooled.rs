//! A fleet lends its heads: an asset that learns may begin from those that serve others of its type.

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::training::Step;
use serde_json::{Value, json};

use crate::lives::pump;
use crate::tester::{START, Server, tank};

/// Makes an asset with so many frames behind it: a tank that answers its pump slowly.
async fn fill(server: &Server, asset: &str, kind: &str, count: usize) {
    server.post("/v1/assets", json!({"key": asset, "type": kind})).await.success();
    let begin = START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::seconds(count as i64 - 1);
    let mut level = 3.0;
    let frames: Vec<Value> = (0..count)
        .map(|step| {
            let pump = pump(step + 11 * asset.len());
            level += 0.05 * (0.08 * pump - level);
            let noise = 0.01 * (step as f64 * 12.989).sin();
            let ts = begin + TimeDelta::seconds(step as i64);
            json!({"ts": ts, "values": {"pump": pump, "level": level + noise, "ambient": 20.0}})
        })
        .collect();
    let receipt = server.post(&format!("/v1/assets/{asset}/telemetry"), json!(frames)).await.success();
    assert_eq!(receipt["rejected"], 0, "{receipt}");
}

/// The version that came of a job on an asset; it serves only where a person says so.
async fn learned(server: &Server, asset: &str, start: &str) -> Value {
    let recipe = json!({"max_steps": 20, "evaluate_every": 5, "batch": 16, "synthetic": 0.0, "start": start});
    let job = json!({"asset": asset, "recipe": recipe, "promote": "manual"});
    server.post("/v1/fine-tune-jobs", job).await.success();
    assert!(matches!(server.learn_once().await, Step::Worked(..)));
    server.get(&format!("/v1/assets/{asset}/models")).await.success()["items"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_begins_from_the_heads_that_serve_others_of_its_type() {
    let server = Server::start().await;
    for kind in ["tank", "tub"] {
        server.post("/v1/asset-types", tank(kind)).await.success();
    }
    for (asset, kind) in [("tank-1", "tank"), ("tank-no-2", "tank"), ("tub-1", "tub")] {
        fill(&server, asset, kind, 780).await;
    }
    let first = learned(&server, "tank-1", "auto").await;
    assert_eq!((&first["ancestry"], &first["recipe"]["start"]), (&Value::Null, &json!("base")), "{first}");

    let before = learned(&server, "tank-no-2", "pooled").await;
    assert_eq!(before["ancestry"], Value::Null, "what does not serve lends nothing");
    server.post("/v1/assets/tank-1/models/1/promote", json!({})).await.success();
    let lender: String = sqlx::query_scalar(
        "select m.id::text from model_version m join asset a on a.id = m.asset_id where a.key = 'tank-1'",
    )
    .fetch_one(&server.db.pool)
    .await
    .unwrap();
    let pooled = learned(&server, "tank-no-2", "pooled").await;
    let ancestry = &pooled["ancestry"];
    assert_eq!((&ancestry["start"], &ancestry["pooled"]), (&json!("pooled"), &json!([lender])), "{pooled}");
    assert!(ancestry["base_loss"].as_f64().unwrap() > 0.0 && ancestry["pooled_loss"].as_f64().unwrap() > 0.0);
    assert_eq!(pooled["recipe"]["start"], "pooled");
    let reason = pooled["reason"].as_str().unwrap();
    assert!(reason.contains("it began from the head of the other asset of its type that learned (valid"), "{reason}");
    assert_eq!(pooled["curve"][0]["validation_loss"], ancestry["pooled_loss"]);

    let auto = learned(&server, "tank-no-2", "auto").await;
    let (base, other) = (auto["ancestry"]["base_loss"].as_f64(), auto["ancestry"]["pooled_loss"].as_f64());
    let better = other.unwrap() < 0.99 * base.unwrap();
    assert_eq!(auto["ancestry"]["start"], if better { "pooled" } else { "base" }, "{auto}");

    assert_eq!(learned(&server, "tub-1", "auto").await["ancestry"], Value::Null, "another type lends nothing");
    assert_eq!(learned(&server, "tank-1", "auto").await["ancestry"], Value::Null, "its own head is not its kin's");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_too_little_to_learn_from_the_fleets_head_may_serve_and_says_so() {
    let server = Server::start().await;
    server.post("/v1/asset-types", tank("tank")).await.success();
    fill(&server, "tank-1", "tank", 780).await;
    fill(&server, "tank-no-2", "tank", 500).await;
    learned(&server, "tank-1", "auto").await;
    server.post("/v1/assets/tank-1/models/1/promote", json!({})).await.success();
    let version = learned(&server, "tank-no-2", "pooled").await;
    let note = version["note"].as_str().unwrap();
    let wanted = "173 usable windows and fine-tuning needs 300: the head of the other asset of its type that learned";
    assert!(note.contains(wanted), "{note}");
    assert!(version["reason"].as_str().unwrap().contains(note), "{version}");
    assert_eq!(version["ancestry"]["start"], "pooled");
    // It learned nothing itself, so it lends nothing.
    server.post("/v1/assets/tank-no-2/models/1/promote", json!({})).await.success();
    assert_eq!(learned(&server, "tank-1", "pooled").await["ancestry"], Value::Null);
}
