//! The audit trail: what was changed, and with which key.

use chrono::TimeDelta;
use counterpart::access::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::tester::{Answer, Server, tank};

/// What the trail says, once it says as much as is expected: entries are written beside their requests.
async fn trail(server: &Server, query: &str, key: &str, count: usize) -> Vec<Value> {
    let read = async {
        loop {
            let page = Answer::to(server.with_key(Method::GET, &format!("/v1/audit{query}"), key)).await.success();
            let items = page["items"].as_array().unwrap().clone();
            if items.len() >= count {
                return items;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), read).await.expect("the entries come")
}

fn told(entry: &Value) -> (&str, &str, &str, i64) {
    let text = |name: &str| entry[name].as_str().unwrap_or("nobody");
    (text("key_name"), text("method"), text("path"), entry["status"].as_i64().unwrap_or_default())
}

#[tokio::test]
async fn changes_and_what_was_refused_are_told_with_the_key() {
    let server = Server::start().await;
    let [reader, operator] = [server.key(Role::Reader).await, server.key(Role::Operator).await];
    server.post("/v1/asset-types", tank("tank")).await.success();
    let admin = server.key(Role::Admin).await;
    let post = async |key: &str, path: &str, body: Value| {
        server.clock.advance(TimeDelta::seconds(1));
        Answer::to(server.with_key(Method::POST, path, key).json(&body)).await.status.as_u16()
    };
    assert_eq!(post(&admin, "/v1/assets", json!({"key": "tank-1", "type": "tank"})).await, 201);
    assert_eq!(post(&operator, "/v1/assets?secret=x", json!({"key": "tank-2", "type": "tank"})).await, 403);
    assert_eq!(post(&operator, "/v1/fine-tune-jobs", json!({"asset": "none"})).await, 404);
    // Readings, questions and reading leave none.
    let frame = json!({"ts": crate::tester::START, "values": {"level": 3.0}});
    assert_eq!(post(&operator, "/v1/assets/tank-1/telemetry", frame).await, 200);
    assert_ne!(post(&reader, "/v1/assets/tank-1/what-if", json!({"scenarios": [{}]})).await, 403);
    assert_eq!(Answer::to(server.with_key(Method::GET, "/v1/assets", &operator)).await.status, 200);
    // Nor do strangers, who could fill it.
    server.post("/v1/assets", json!({})).await.problem(401, "key-needed");

    let all = trail(&server, "", &admin, 4).await;
    let expected = [
        ("the operator's", "POST", "/v1/fine-tune-jobs", 404),
        ("the operator's", "POST", "/v1/assets", 403),
        ("the admin's", "POST", "/v1/assets", 201),
        ("nobody", "POST", "/v1/asset-types", 201),
    ];
    assert_eq!(all.iter().map(told).collect::<Vec<_>>(), expected);
    let id = all[0]["key_id"].as_str().unwrap();
    assert_eq!(trail(&server, &format!("?key={id}"), &admin, 2).await.len(), 2);
    let page = Answer::to(server.with_key(Method::GET, "/v1/audit?limit=3", &admin)).await.success();
    let next = format!("?limit=3&cursor={}", page["next"].as_str().unwrap());
    assert_eq!(trail(&server, &next, &admin, 1).await.iter().map(told).collect::<Vec<_>>(), expected[3..]);
    for (query, count) in [
        ("?actor=key", 3),
        ("?actor=open", 1),
        ("?actor=server", 0),
        ("?action=POST", 4),
        ("?action=DELETE", 0),
        ("?path=/v1/assets", 2),
        ("?path=/v1/asset-types&actor=open&action=POST", 1),
        ("?path=/v1/asset-types&actor=key", 0),
    ] {
        let found = Answer::to(server.with_key(Method::GET, &format!("/v1/audit{query}"), &admin)).await.success();
        assert_eq!(found["items"].as_array().unwrap().len(), count, "{query}: {found}");
    }
    for (query, pointer) in [
        ("?actor=me", "actor"),
        ("?action=GET", "action"),
        ("?path=assets", "path"),
        ("?path=/%00", "query"),
        ("?key=x", "key"),
        ("?limit=0", "limit"),
        ("?cursor=x", "cursor"),
        ("?a=b", "a"),
    ] {
        let wrong = Answer::to(server.with_key(Method::GET, &format!("/v1/audit{query}"), &admin)).await;
        assert_eq!(wrong.problem(422, "invalid"), [pointer]);
    }
    Answer::to(server.with_key(Method::GET, "/v1/audit", &operator)).await.problem(403, "role-needed");

    server.clock.advance(TimeDelta::days(399));
    assert_eq!(server.rooms.access.forget_trail().await.unwrap(), 0);
    server.clock.advance(TimeDelta::days(2));
    assert_eq!(server.rooms.access.forget_trail().await.unwrap(), 4);
}

#[tokio::test]
async fn a_request_that_lost_its_client_leaves_an_entry_without_a_status() {
    let server = Server::start().await;
    let admin = server.key(Role::Admin).await;
    let lost = format!(
        "POST /v1/asset-types HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {admin}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    {
        use tokio::io::AsyncWriteExt as _;
        let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        stream.write_all(lost.as_bytes()).await.unwrap();
    }
    let all = trail(&server, "", &admin, 1).await;
    let (name, method, path, status) = told(&all[0]);
    assert_eq!((name, method, path), ("the admin's", "POST", "/v1/asset-types"));
    // The server may have seen first that the body broke off, and answered into the void.
    assert!([0, 400].contains(&status), "{all:?}");
}

#[tokio::test]
async fn what_the_server_did_by_itself_stands_in_the_trail() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    // As a room writes it down; that they do is tested where they do.
    sqlx::query(
        "insert into audit_entry (id, at, act, path, reason)
         values (gen_random_uuid(), now(), 'promote', '/v1/assets/tank-1/models/1', 'better than the base model')",
    )
    .execute(&server.db.pool)
    .await
    .unwrap();
    let admin = server.key(Role::Admin).await;
    let told = &trail(&server, "?actor=server&action=promote&path=/v1/assets/tank-1", &admin, 1).await[0];
    assert_eq!((&told["actor"], &told["act"]), (&json!("server"), &json!("promote")));
    assert_eq!(told["reason"], "better than the base model");
    for nobodys in ["key_id", "key_name", "role", "method", "status"] {
        assert_eq!(told[nobodys], Value::Null, "{nobodys}");
    }
}
