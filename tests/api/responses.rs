//! How model versions answer their inputs: measured, kept, held to what the type declares.

use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::{Server, tank};

fn pair<'a>(answer: &'a Value, input: &str, output: &str) -> &'a Value {
    let pairs = answer["responses"].as_array().unwrap();
    pairs.iter().find(|pair| pair["input"] == input && pair["output"] == output).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_model_is_measured_on_the_assets_own_history() {
    let server = with_history(900).await;
    let answer = server.get("/v1/assets/tank-1/models/0/responses").await.success();
    let level = pair(&answer, "pump", "level");
    assert_eq!(level["sign"], "positive");
    // 0.08 m per percent, of which 96 % come within the 64 steps.
    let gain = level["gain"]["median"].as_f64().unwrap();
    assert!((0.06..0.10).contains(&gain), "{level}");
    assert!(level["gain"]["low"].as_f64().unwrap() <= gain && level["gain"]["high"].as_f64().unwrap() >= gain);
    // A lag of 20 steps: a tenth comes within 3, all but 5 % within 60.
    assert!(level["delay_s"]["median"].as_f64().unwrap() <= 6.0, "{level}");
    assert_eq!(answer["contradiction"], Value::Null);
    assert!(answer["responses"].as_array().unwrap().iter().all(|pair| pair["input"] != "ambient"), "not ours to set");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found_and_too_little_is_said() {
    let server = with_history(10).await;
    server.get("/v1/assets/none/models/0/responses").await.problem(404, "not-found");
    server.get("/v1/assets/tank-1/models/7/responses").await.problem(404, "not-found");
    server.get("/v1/assets/tank-1/models/-3/responses").await.problem(404, "not-found");
    server.get("/v1/assets/tank-1/models/0/responses").await.problem(422, "insufficient-data");
    for version in ["one", "99999999999999999999", "1.5", "%00"] {
        let answer = server.get(&format!("/v1/assets/tank-1/models/{version}/responses")).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_on_an_input_that_the_model_ignores_says_so() {
    let server = Server::start().await;
    let mut kind = tank("tank");
    kind["signals"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "lamp", "unit": "1", "role": "control_input", "min": 0, "max": 1}));
    server.post("/v1/asset-types", kind).await.success();
    server.post("/v1/assets", json!({"key": "tank-1", "type": "tank"})).await.success();
    let begin = crate::tester::START.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let mut level = 3.0;
    let frames: Vec<Value> = (0..900)
        .map(|step: i64| {
            let pump = 30.0 + 10.0 * ((step / 37 * 7919) % 5) as f64;
            level += 0.05 * (0.08 * pump - level);
            // The lamp never moved.
            json!({"ts": begin - chrono::TimeDelta::seconds(899 - step), "values": {"pump": pump, "level": level, "ambient": 20.0, "lamp": 0.0}})
        })
        .collect();
    server.post("/v1/assets/tank-1/telemetry", json!(frames)).await.success();
    let body = json!({"horizon": 30, "scenarios": [
        {"overrides": [{"signal": "lamp", "op": "set", "value": 1.0}]},
        {"overrides": [{"signal": "pump", "op": "add", "value": 5.0}]},
    ]});
    let answer = server.post("/v1/assets/tank-1/what-if", body).await.success();
    assert_eq!(answer["scenarios"][0]["unresponsive"], json!([{"signal": "lamp", "outputs": ["level"]}]), "{answer}");
    assert_eq!(answer["scenarios"][1].get("unresponsive"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_responses_are_checked() {
    let server = Server::start().await;
    let with = |responses: Value| {
        let mut kind = tank("tank");
        kind["responses"] = responses;
        kind
    };
    for (responses, pointer) in [
        (json!([{"input": "boiler", "output": "level", "sign": "positive"}]), "/responses/0/input"),
        (json!([{"input": "ambient", "output": "level", "sign": "positive"}]), "/responses/0/input"),
        (json!([{"input": "pump", "output": "pump", "sign": "positive"}]), "/responses/0/output"),
        (json!([{"input": "pump", "output": "level", "sign": "sideways"}]), "/responses/0/sign"),
        (
            json!([{"input": "pump", "output": "level", "sign": "positive"}, {"input": "pump", "output": "level", "sign": "negative"}]),
            "/responses/1",
        ),
    ] {
        let answer = server.post("/v1/asset-types", with(responses)).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer]);
    }
    let kind = with(json!([{"input": "pump", "output": "level", "sign": "positive"}]));
    server.post("/v1/asset-types", kind.clone()).await.success();
    let read = server.get("/v1/asset-types/tank").await.success();
    assert_eq!(read["responses"], kind["responses"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_answers_against_the_declaration_is_not_promoted() {
    let server = Server::start().await;
    let mut kind = tank("tank");
    kind["responses"] = json!([{"input": "pump", "output": "level", "sign": "negative"}]);
    server.post("/v1/asset-types", kind).await.success();
    crate::lives::fill(&server, 1_200).await;
    server.post("/v1/fine-tune-jobs", json!({"asset": "tank-1"})).await.success();
    server.learn_once().await;
    let models = server.get("/v1/assets/tank-1/models").await.success();
    let version = &models["items"][0];
    assert_eq!((version["version"].as_i64(), version["promoted"].as_bool()), (Some(1), Some(false)), "{models}");
    assert!(version["reason"].as_str().unwrap().contains("is declared negative"), "{version}");
    assert_eq!(models["champion"], 0);
    let answer = server.get("/v1/assets/tank-1/models/1/responses").await.success();
    assert_eq!(pair(&answer, "pump", "level")["sign"], "positive");
    assert!(answer["contradiction"].as_str().unwrap().contains("is declared negative"), "{answer}");
    let again = server.get("/v1/assets/tank-1/models/1/responses").await.success();
    assert_eq!(answer, again, "kept with the version");
}
