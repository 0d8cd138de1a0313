//! A request with an Idempotency-Key is carried out once, however often it is sent.

use reqwest::Method;
use serde_json::{Value, json};

use crate::lives::with_history;
use crate::tester::{Answer, Server, tank};

async fn send(server: &Server, key: &str, path: &str, body: &Value) -> Answer {
    Answer::to(server.request(Method::POST, path).header("idempotency-key", key).json(body)).await
}

async fn assets(server: &Server) -> usize {
    server.get("/v1/assets").await.success()["items"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_the_first_is_given_again() {
    let server = Server::start().await;
    server.post("/v1/asset-types", tank("tank")).await.success();
    let body = json!({"key": "tank-1", "type": "tank"});
    let first = send(&server, "\"k1\"", "/v1/assets", &body).await;
    assert_eq!(first.status.as_u16(), 201, "{first:?}");
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = send(&server, "k1", "/v1/assets", &body).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    for name in ["etag", "location", "content-type"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    // Without the key the server looks at what is there: the same asset.
    let unnamed = server.post("/v1/assets", body.clone()).await;
    assert_eq!((unnamed.status.as_u16(), unnamed.header("idempotency-replayed")), (200, ""));
    let other = json!({"key": "tank-2", "type": "tank"});
    assert_eq!(
        send(&server, "k1", "/v1/assets", &other).await.problem(422, "idempotency-key-reused"),
        ["idempotency-key"]
    );
    send(&server, "k1", "/v1/asset-types", &body).await.problem(422, "idempotency-key-reused");
    assert_eq!(assets(&server).await, 1);
    // A day later the key is free.
    server.clock.advance(chrono::TimeDelta::hours(25));
    send(&server, "k1", "/v1/assets", &other).await.success();
    assert_eq!(assets(&server).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_may_be_mended() {
    let server = Server::start().await;
    let body = json!({"key": "tank-1", "type": "tank"});
    let refused = send(&server, "k", "/v1/assets", &body).await;
    assert!(refused.status.is_client_error(), "{refused:?}");
    server.post("/v1/asset-types", tank("tank")).await.success();
    send(&server, "k", "/v1/assets", &body).await.success();
    for key in ["", "two words", &"k".repeat(256)] {
        assert_eq!(send(&server, key, "/v1/assets", &body).await.problem(422, "invalid"), ["idempotency-key"]);
    }
    let large = json!({"key": "x".repeat(1 << 20), "type": "tank"});
    send(&server, "large", "/v1/assets", &large).await.problem(413, "too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_are_carried_out_once() {
    let server = with_history(100).await;
    let body = json!({"name": "twice", "overrides": []});
    let answers =
        futures::future::join_all((0..8).map(|_| send(&server, "k", "/v1/assets/tank-1/scenarios", &body))).await;
    let (made, waiting): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status.is_success());
    let ids: std::collections::BTreeSet<String> = made.iter().map(|answer| answer.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{answers:?}");
    for answer in waiting {
        answer.problem(409, "conflict");
        assert_eq!(answer.header("retry-after"), "1");
    }
    let kept = server.get("/v1/assets/tank-1/scenarios").await.success();
    assert_eq!(kept["items"].as_array().unwrap().len(), 1, "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_server_died_is_carried_out_anew() {
    let server = Server::start().await;
    server.post("/v1/asset-types", tank("tank")).await.success();
    let body = json!({"key": "tank-1", "type": "tank"});
    send(&server, "k", "/v1/assets", &body).await.success();
    server.delete("/v1/assets/tank-1").await;
    // As a server leaves it that is killed between the first word and the answer.
    sqlx::query("update idempotency_key set status = null, headers = null, body = null")
        .execute(&server.db.pool)
        .await
        .unwrap();
    send(&server, "k", "/v1/assets", &body).await.problem(409, "conflict");
    server.clock.advance(chrono::TimeDelta::seconds(61));
    send(&server, "k", "/v1/assets", &body).await.success();
    assert_eq!(assets(&server).await, 1);
}
