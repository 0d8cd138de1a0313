//! What another version would say to the saved scenarios: numbers that the what-ifs of both versions bear out.

use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::Server;

const SCENARIOS: &str = "/v1/assets/tank-1/scenarios";

/// A tank that has learned once.
async fn learned() -> Server {
    let server = with_history(1_200).await;
    server.post("/v1/fine-tune-jobs", json!({"asset": "tank-1"})).await.success();
    server.learn_once().await;
    server
}

fn ramp(value: f64) -> Value {
    json!([{"signal": "pump", "op": "ramp", "value": value, "from": 0, "to": 8}])
}

fn medians(of: &Value) -> Vec<f64> {
    of["level"]["0.5"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// What a version says, once it serves: medians of the baseline, and of the difference.
async fn said(server: &Server, version: i32, horizon: usize) -> (Vec<f64>, Vec<f64>) {
    server.post(&format!("/v1/assets/tank-1/models/{version}/promote"), json!({})).await.success();
    let body = json!({"horizon": horizon, "quantiles": [0.5], "scenarios": [{"overrides": ramp(60.0)}]});
    let answer = server.post("/v1/assets/tank-1/what-if", body).await.success();
    assert_eq!(answer["model"]["version"], version);
    (medians(&answer["baseline"]["signals"]), medians(&answer["scenarios"][0]["delta"]))
}

fn apart(one: &[f64], other: &[f64]) -> (f64, f64) {
    let gaps: Vec<f64> = one.iter().zip(other).map(|(a, b)| (a - b).abs()).collect();
    (gaps.iter().copied().fold(0.0, f64::max), gaps.iter().sum::<f64>() / gaps.len() as f64)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_differences_are_those_of_the_answers() {
    let server = Box::pin(learned()).await;
    let limits = json!([{"signal": "level", "max": 4.0, "probability": 0.9}, {"signal": "pump", "max": 50.0}]);
    let saved = json!({"name": "more water", "horizon": 30, "overrides": ramp(60.0), "constraints": limits});
    server.post(SCENARIOS, saved).await.success();
    let diff = server.get("/v1/assets/tank-1/models/1/diff?against=0").await.success();
    assert_eq!((&diff["version"], &diff["against"], &diff["more"]), (&json!(1), &json!(0), &json!(false)));
    let one = &diff["scenarios"][0];
    assert_eq!((&one["name"], &one["horizon"], &one["problem"]), (&json!("more water"), &json!(30), &Value::Null));
    let gap = &one["outputs"]["level"];
    assert_eq!(gap["unit"], "m");
    let (first, second) = (said(&server, 1, 30).await, said(&server, 0, 30).await);
    for (part, (largest, mean)) in [("baseline", apart(&first.0, &second.0)), ("delta", apart(&first.1, &second.1))] {
        let told = |member: &str| gap[part][member].as_f64().unwrap();
        // A live answer starts from warm fits, which differ from fresh ones in their last digits.
        assert!((told("largest") - largest).abs() < 1e-3 + 0.02 * largest, "{part}: {gap} for {largest}");
        assert!((told("mean") - mean).abs() < 1e-3 + 0.02 * mean, "{part}: {gap} for {mean}");
        assert!((1..=30).contains(&gap[part]["step"].as_u64().unwrap()));
    }
    assert!(gap["baseline"]["largest"].as_f64().unwrap() > 0.0, "two versions that say the same: {diff}");
    assert_eq!(diff["outputs"]["level"], *gap, "of one scenario");
    let number = |value: &Value| value.as_f64().unwrap();
    let larger = number(&gap["baseline"]["largest"]).max(number(&gap["delta"]["largest"]));
    assert!((number(&gap["share"]) - larger / 10.0).abs() < 1e-6, "the level goes from 0 to 10 m: {gap}");
    let [level, pump] = [0, 1].map(|place| &one["constraints"][place]);
    assert_eq!(
        (&level["signal"], &level["unit"], &level["max"], &level["min"]),
        (&json!("level"), &json!("m"), &json!(4.0), &Value::Null)
    );
    for (kept, met) in [("kept", "met"), ("kept_against", "met_against")] {
        assert_eq!(number(&level[kept]) >= 0.9 - 1e-9, level[met], "{level}");
        // What a person sets needs no forecast.
        assert_eq!((number(&pump[kept]), &pump[met]), (0.0, &json!(false)), "{pump}");
    }
    // Asked again, and the other way round, it is the same; nothing of it depends on who serves.
    let turned = server.get("/v1/assets/tank-1/models/0/diff?against=1").await.success();
    assert_eq!(turned["scenarios"][0]["outputs"], one["outputs"]);
    assert_eq!(turned["scenarios"][0]["constraints"][0]["kept"], level["kept_against"]);
    // The base model was promoted last: what serves is compared with what served before.
    let serves = server.get("/v1/assets/tank-1/models/0/diff").await.success();
    assert_eq!((&serves["against"], &serves["scenarios"]), (&json!(1), &turned["scenarios"]));
    others_are_asked_too(&server).await;
}

/// Scenarios inherit, and one that can no longer be asked says so. Learning takes long, so it is done once.
async fn others_are_asked_too(server: &Server) {
    let parent =
        server.post(SCENARIOS, json!({"name": "parent", "horizon": 20, "overrides": ramp(60.0)})).await.success();
    server.post(SCENARIOS, json!({"name": "child", "parent": parent["id"], "overrides": []})).await.success();
    server.post(SCENARIOS, json!({"name": "nothing", "horizon": 20, "overrides": []})).await.success();
    let broken = json!({"name": "broken", "horizon": 20, "overrides": ramp(60.0)});
    let broken = server.post(SCENARIOS, broken).await.success();
    // As if the type had been changed since it was saved.
    sqlx::query(
        "update scenario set settings = jsonb_set(settings, '{overrides,0,signal}', '\"gone\"') where name = 'broken'",
    )
    .execute(&server.db.pool)
    .await
    .unwrap();
    let other = i32::from(server.get("/v1/assets/tank-1/models").await.success()["champion"] != 1);
    let diff = server.get(&format!("/v1/assets/tank-1/models/{other}/diff")).await.success();
    assert_eq!(diff["against"], 1 - other, "what serves");
    let of = |name: &str| diff["scenarios"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(of("broken")["id"], broken["id"]);
    assert!(
        of("broken")["problem"].as_str().unwrap().contains("gone") && of("broken")["outputs"] == json!({}),
        "{diff}"
    );
    assert_eq!(of("child")["outputs"], of("parent")["outputs"]);
    assert_eq!(of("nothing")["outputs"]["level"]["delta"], json!({"largest": 0.0, "step": 1, "mean": 0.0}));
    assert_eq!(of("nothing")["outputs"]["level"]["baseline"], of("parent")["outputs"]["level"]["baseline"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_is_refused() {
    let server = with_history(10).await;
    let path = "/v1/assets/tank-1/models";
    server.get("/v1/assets/none/models/0/diff?against=0").await.problem(404, "not-found");
    server.get(&format!("{path}/3/diff")).await.problem(404, "not-found");
    server.get(&format!("{path}/0/diff?against=-1")).await.problem(404, "not-found");
    assert_eq!(server.get(&format!("{path}/0/diff")).await.problem(422, "invalid"), ["against"]);
    assert_eq!(server.get(&format!("{path}/0/diff?with=1")).await.problem(422, "invalid").len(), 1);
}
