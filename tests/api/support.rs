//! Support: what-ifs say where they leave what the model has seen, and can be kept within it.

use serde_json::{Value, json};

use crate::lives::with_history;

fn scores(support: &Value) -> Vec<f64> {
    support["score"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect()
}

fn mean(support: &Value) -> f64 {
    let scores = scores(support);
    scores.iter().sum::<f64>() / scores.len() as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn the_farther_a_scenario_leaves_what_was_seen_the_less_support_it_has() {
    let server = with_history(900).await;
    // The pump has been at 30 to 70; its ramp of 10 a second keeps the rates in the limits.
    let to = |value: f64| json!({"overrides": [{"signal": "pump", "op": "ramp", "value": value, "from": 0, "to": 12}]});
    let body = json!({"horizon": 40, "scenarios": [to(60.0), to(80.0), to(95.0), {}]});
    let answer = server.post("/v1/assets/tank-1/what-if", body).await.success();
    let support = |index: usize| &answer["scenarios"][index]["support"];
    assert_eq!(scores(support(0)).len(), 40);
    assert!(scores(support(0)).iter().all(|score| (0.0..=1.0).contains(score)));
    assert!(mean(support(0)) > mean(support(1)) && mean(support(1)) > mean(support(2)), "{answer}");
    assert_eq!(support(3), &answer["baseline"]["support"], "nothing changed is the baseline");
    let outside = support(2)["outside"].as_array().unwrap();
    let pump = outside.iter().find(|one| one["signal"] == "pump" && one["kind"] == "range").unwrap();
    assert_eq!(pump["seen"], json!([30.0, 70.0]));
    assert_eq!(pump["until"], 40);
    assert!(pump["value"].as_f64().unwrap() > 70.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_can_be_refused_or_brought_inside() {
    let server = with_history(900).await;
    let ask = async |policy: &str, value: f64| {
        let over = json!([{"signal": "pump", "op": "ramp", "value": value, "from": 4, "to": 16}]);
        let body = json!({"horizon": 30, "scenarios": [{}, {"overrides": over}], "out_of_support": policy});
        server.post("/v1/assets/tank-1/what-if", body).await
    };
    let refused = ask("refuse", 90.0).await;
    assert!(refused.problem(422, "invalid").contains(&"/scenarios/1/overrides".to_owned()), "{refused:?}");
    assert!(refused.text.contains("pump is ") && refused.text.contains("the model has seen 30 to 70"), "{refused:?}");
    let clamped = ask("clamp", 90.0).await.success();
    let scenario = &clamped["scenarios"][1];
    let pump: Vec<f64> =
        scenario["inputs"]["pump"]["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert!(pump.iter().all(|value| *value <= 70.0), "{pump:?}");
    let told = scenario["clamped"].as_array().unwrap();
    assert!(told.iter().all(|one| one["signal"] == "pump" && one["asked"].as_f64() > one["used"].as_f64()), "{told:?}");
    assert_eq!(clamped["scenarios"][0].get("clamped"), None, "the baseline is left alone");
    assert!(ask("warn", 90.0).await.success()["scenarios"][1].get("clamped").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_history_there_is_no_support_and_a_policy_is_one_of_three() {
    let server = with_history(10).await;
    let answer = server.post("/v1/assets/tank-1/what-if", json!({"horizon": 5, "scenarios": [{}]})).await.success();
    assert_eq!(answer["scenarios"][0]["support"], Value::Null);
    let body = json!({"horizon": 5, "scenarios": [{}], "out_of_support": "refuse"});
    assert_eq!(server.post("/v1/assets/tank-1/what-if", body).await.problem(422, "invalid"), ["/out_of_support"]);
    for policy in [json!("never"), json!(3), json!({}), json!(null)] {
        let body = json!({"horizon": 5, "scenarios": [{}], "out_of_support": policy});
        let answer = server.post("/v1/assets/tank-1/what-if", body).await;
        assert_eq!(answer.problem(422, "invalid"), ["/out_of_support"]);
    }
}
