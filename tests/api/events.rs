//! Events: kept one by one, idempotent by the sender's id, found again by what they say.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::tester::{START, Server};

const EVENTS: &str = "/v1/assets/tank-1/events";

fn at(seconds: i64) -> DateTime<Utc> {
    START.parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds)
}

async fn with_tank() -> Server {
    let server = Server::start().await;
    server.asset("tank-1").await;
    server
}

fn counts(receipt: &Value) -> [u64; 5] {
    ["received", "stored", "updated", "duplicates", "rejected"].map(|name| receipt[name].as_u64().unwrap())
}

async fn ids(server: &Server, query: &str) -> Vec<String> {
    let listed = server.get(&format!("{EVENTS}{query}")).await.success();
    listed["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn one_event_is_kept_shown_and_deleted() {
    let server = with_tank().await;
    let note = json!({"kind": "note", "start": at(-60), "text": "oil changed", "severity": "info"});
    let receipt = server.post(EVENTS, note).await.success();
    assert_eq!(counts(&receipt), [1, 1, 0, 0, 0]);
    let path = format!("{EVENTS}/{}", receipt["ids"][0].as_str().unwrap());
    let kept = server.get(&path).await.success();
    assert_eq!(
        (&kept["kind"], &kept["text"], &kept["start"]),
        (&json!("note"), &json!("oil changed"), &json!(at(-60)))
    );
    assert_eq!((&kept["end"], &kept["class"], &kept["received_at"]), (&Value::Null, &Value::Null, &json!(at(0))));
    assert_eq!(server.delete(&path).await.status, 204);
    server.get(&path).await.problem(404, "not-found");
    server.delete(&path).await.problem(404, "not-found");
    server.get("/v1/assets/none/events").await.problem(404, "not-found");
    assert_eq!(counts(&server.post(EVENTS, json!([])).await.success()), [0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn the_same_id_again_changes_nothing_or_replaces() {
    let server = with_tank().await;
    let open = json!({"id": "leak-1", "kind": "label", "class": "leaking", "start": at(-100)});
    let closed = json!({"id": "leak-1", "kind": "label", "class": "leaking", "start": at(-100), "end": at(-10)});
    assert_eq!(counts(&server.post(EVENTS, open.clone()).await.success()), [1, 1, 0, 0, 0]);
    assert_eq!(counts(&server.post(EVENTS, open.clone()).await.success()), [1, 0, 0, 1, 0]);
    assert_eq!(counts(&server.post(EVENTS, closed.clone()).await.success()), [1, 0, 1, 0, 0]);
    assert_eq!(server.get(&format!("{EVENTS}/leak-1")).await.success()["end"], json!(at(-10)));
    // Within one request the later one counts.
    let other = json!({"id": "e-2", "kind": "log", "code": "E2", "start": START});
    let both = server.post(EVENTS, json!([open, closed, other, other])).await.success();
    assert_eq!(counts(&both), [4, 1, 1, 2, 0]);
    assert_eq!(both["ids"], json!(["leak-1", "leak-1", "e-2", "e-2"]));
    assert_eq!(server.get(&format!("{EVENTS}/leak-1")).await.success()["end"], json!(at(-10)));
}

#[tokio::test]
async fn good_events_are_kept_although_others_are_refused() {
    let server = with_tank().await;
    let body = json!([
        {"kind": "log", "code": "E1", "start": at(0)},
        {"kind": "label", "class": "broken", "start": at(0)},
        {"kind": "note", "start": at(0), "end": at(-1), "text": "x"},
        {"kind": "note", "start": at(601), "text": "x"},
        {"kind": "note", "start": at(600), "text": "x"},
        {"kind": "note", "start": at(0), "text": "a\u{0}b"},
    ]);
    let answer = server.post(EVENTS, body).await;
    assert_eq!(answer.status, 207, "{answer:?}");
    let receipt = answer.json();
    assert_eq!(counts(&receipt), [6, 2, 0, 0, 4]);
    let errors: Vec<(u64, &str, &str)> = receipt["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["index"].as_u64().unwrap(), e["pointer"].as_str().unwrap(), e["type"].as_str().unwrap()))
        .collect();
    let expected = [
        (1, "/1/class", "/problems/invalid"),
        (2, "/2/end", "/problems/invalid"),
        (3, "/3/start", "/problems/timestamp-in-future"),
        (5, "/5/text", "/problems/invalid"),
    ];
    assert_eq!(errors, expected);
    assert_eq!(receipt["ids"][1], Value::Null);
    assert_eq!(ids(&server, "").await.len(), 2);

    let none = server.post(EVENTS, json!({"kind": "note", "start": "1960-01-01T00:00:00Z", "text": "x"})).await;
    assert_eq!(none.problem(422, "nothing-stored"), ["/start"]);
    let many = json!(vec![json!({"kind": "note", "start": START, "text": "x"}); 1_001]);
    let refused = server.post(EVENTS, many).await;
    refused.problem(422, "batch-too-large");
    assert_eq!(refused.json()["max"], 1_000);
    let broken = server.request(reqwest::Method::POST, EVENTS).header("content-type", "application/json").body("[{");
    crate::tester::Answer::to(broken).await.problem(400, "invalid-json");
    assert_eq!(ids(&server, "").await.len(), 2);
}

#[tokio::test]
async fn events_are_found_by_what_they_say() {
    let server = with_tank().await;
    let body = json!([
        {"id": "a", "kind": "log", "code": "E1", "severity": "minor", "start": at(-90)},
        {"id": "b", "kind": "log", "code": "E2", "severity": "critical", "start": at(-80)},
        {"id": "c", "kind": "label", "class": "leaking", "start": at(-85), "end": at(-20)},
        {"id": "d", "kind": "note", "text": "seen", "start": at(-10)},
        {"id": "e", "kind": "note", "text": "seen too", "start": at(-10)},
    ]);
    server.post(EVENTS, body).await.success();
    assert_eq!(ids(&server, "").await, ["e", "d", "b", "c", "a"]);
    assert_eq!(ids(&server, "?kind=log").await, ["b", "a"]);
    assert_eq!(ids(&server, "?code=E2").await, ["b"]);
    assert_eq!(ids(&server, "?severity=minor").await, ["a"]);
    assert_eq!(ids(&server, "?class=leaking").await, ["c"]);
    let range = format!("?from={}&to={}", at(-50).timestamp_millis(), at(-10).timestamp_millis());
    assert_eq!(ids(&server, &range).await, ["c"], "it lasted into the range; the end is not part of it");

    let mut all = Vec::new();
    let mut cursor = String::new();
    for _ in 0..3 {
        let page = server.get(&format!("{EVENTS}?limit=2{cursor}")).await.success();
        all.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(all, ["e", "d", "b", "c", "a"]);
    for (query, pointer) in [("kind=x", "kind"), ("from=x", "from"), ("severity=x", "severity"), ("colour=x", "colour")]
    {
        assert_eq!(server.get(&format!("{EVENTS}?{query}")).await.problem(422, "invalid"), [pointer]);
    }
    let turned =
        server.get(&format!("{EVENTS}?from={}&to={}", at(1).timestamp_millis(), at(0).timestamp_millis())).await;
    assert_eq!(turned.problem(422, "invalid"), ["from"]);
}
