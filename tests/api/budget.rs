//! More than can be given is refused, with the most that can be. `tests/bench/what_if.rs` measures how soon.

use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::{Answer, Server};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_refused_with_the_most_that_can_be() {
    let server = with_history(100).await;
    let hold = json!({"signal": "pump", "op": "hold"});
    let constraint = json!({"signal": "level", "max": 1.0});
    let kpi = json!({"name": "a", "signal": "level", "agg": "mean"});
    let cases: Vec<(Value, &str, &str, u64)> = vec![
        (json!({"horizon": 1_000_000_000_u64, "scenarios": [{}]}), "horizon-too-large", "/horizon", 512),
        (json!({"horizon": 513, "scenarios": [{}]}), "horizon-too-large", "/horizon", 512),
        (json!({"scenarios": vec![json!({}); 1_001]}), "invalid", "/scenarios", 64),
        (json!({"scenarios": [{}, {"overrides": vec![hold; 257]}]}), "invalid", "/scenarios/1/overrides", 256),
        (json!({"scenarios": [{}], "constraints": vec![constraint; 33]}), "invalid", "/constraints", 32),
        (json!({"scenarios": [{}], "kpis": vec![kpi; 33]}), "invalid", "/kpis", 32),
        (json!({"scenarios": [{}], "samples": 1_001}), "invalid", "/samples", 1_000),
        (json!({"horizon": 512, "scenarios": vec![json!({}); 64], "samples": 31}), "invalid", "/samples", 30),
        (
            json!({"horizon": 512, "scenarios": vec![json!({}); 64],
                "quantiles": (1..=98).map(|level| f64::from(level) / 100.0).collect::<Vec<f64>>()}),
            "invalid",
            "/scenarios",
            19,
        ),
    ];
    for (body, slug, pointer, max) in cases {
        let answer = server.post("/v1/assets/tank-1/what-if", body).await;
        assert_eq!(answer.problem(422, slug), [pointer]);
        assert_eq!(answer.json()["max"], max, "{answer:?}");
        assert!(
            answer.text.contains(&max.to_string()) || pointer == "/samples" || pointer == "/scenarios",
            "{answer:?}"
        );
    }
    // No look at the asset: one that does not exist is refused alike.
    let body = json!({"horizon": 513, "scenarios": [{}]});
    server.post("/v1/assets/none/what-if", body).await.problem(422, "horizon-too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_what_ifs_are_answered_exactly() {
    let server = with_history(100).await;
    let post = async |body: String| {
        let request = server.request(Method::POST, "/v1/assets/tank-1/what-if");
        Answer::to(request.header(header::CONTENT_TYPE, "application/json").body(body)).await
    };
    for horizon in ["-1", "0", "1.5", "\"10\"", "null_", "1e30"] {
        let answer = post(format!("{{\"horizon\": {horizon}, \"scenarios\": [{{}}]}}")).await;
        match horizon {
            "null_" => drop(answer.problem(400, "invalid-json")),
            _ => assert_eq!(answer.problem(422, "invalid"), ["/horizon"], "{horizon}"),
        }
    }
    for value in ["NaN", "Infinity", "-Infinity", "1e999", "1,5"] {
        let change = format!("{{\"signal\": \"pump\", \"op\": \"set\", \"value\": {value}}}");
        let answer = post(format!("{{\"scenarios\": [{{\"overrides\": [{change}]}}]}}")).await;
        answer.problem(400, "invalid-json");
    }
    for value in ["1e308", "-1e308", "100.0001", "-0.1"] {
        let change = format!("{{\"signal\": \"pump\", \"op\": \"set\", \"value\": {value}}}");
        let answer = post(format!("{{\"scenarios\": [{{\"overrides\": [{change}]}}]}}")).await;
        assert_eq!(answer.problem(422, "invalid"), ["/scenarios/0/overrides/0/value"], "{value}");
    }
    // 16 MiB hold no million of overrides; a body beyond that is not read.
    let head = "POST /v1/assets/tank-1/what-if HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
        content-type: application/json\r\ncontent-length: 30000000\r\n\r\n";
    let refused = server.raw(head.as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 413") && refused.contains("/problems/too-large"), "{refused}");
    let many = vec!["{}"; 1_000_000].join(",");
    let answer = post(format!("{{\"scenarios\": [{many}]}}")).await;
    assert_eq!(answer.problem(422, "invalid"), ["/scenarios"]);
    assert_eq!(answer.json()["max"], 64);
    // Nothing changed is exactly no difference.
    let answer = post("{\"horizon\": 12, \"scenarios\": [{\"overrides\": []}]}".to_owned()).await.success();
    for row in answer["scenarios"][0]["delta"]["level"].as_object().unwrap().values() {
        assert!(row.as_array().unwrap().iter().all(|gap| gap.as_f64().map(f64::to_bits) == Some(0)));
    }
    let array = post("[[[10, [{}]]]]".to_owned()).await;
    array.problem(422, "invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_without_readings_or_model_never_makes_a_5xx() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    let body = json!({"scenarios": [{}], "constraints": [{"signal": "level", "max": 1.0}]});
    server.post("/v1/assets/tank-1/what-if", body.clone()).await.problem(422, "insufficient-data");
    let server = with_history(5).await;
    let answer = server.post("/v1/assets/tank-1/what-if", body).await.success();
    assert_eq!(answer["model"]["source"], "fallback");
    assert!(answer["scenarios"][0]["constraints"][0]["met"].is_boolean());
}
