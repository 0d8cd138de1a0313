//! Asset types: versions, inheritance, faults.

use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::tester::{Answer, START, Server, tank};

fn document() -> Value {
    let mut document = tank("tank");
    document.as_object_mut().unwrap().remove("key");
    document
}

#[tokio::test]
async fn a_type_is_made_once_and_shown_as_it_was_said() {
    let server = Server::start().await;
    let made = server.post("/v1/asset-types", tank("tank")).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.header(header::LOCATION), "/v1/asset-types/tank/versions/1");
    let body = made.json();
    assert_eq!((&body["key"], &body["version"], &body["created_at"]), (&json!("tank"), &json!(1), &json!(START)));
    assert_eq!(
        body["signals"][2],
        json!({"name": "level", "unit": "m", "kind": "number", "role": "output", "min": 0.0, "max": 10.0})
    );
    assert_eq!(body["signals"][3]["labels"], json!(["shut", "open"]));
    assert_eq!((&body["interval"], &body["on_invalid"]), (&json!("PT1S"), &json!("refuse")));

    let again = server.post("/v1/asset-types", tank("tank")).await;
    assert_eq!((again.status.as_u16(), again.tag()), (200, made.tag()));
    assert_eq!(server.get("/v1/asset-types/tank").await.json(), body);
    assert_eq!(server.get("/v1/asset-types/tank/versions/1").await.json(), body);

    let mut other = tank("tank");
    other["interval"] = json!("PT2S");
    server.post("/v1/asset-types", other).await.problem(409, "conflict");
}

#[tokio::test]
async fn a_change_is_a_new_version_and_the_same_is_not() {
    let server = Server::start().await;
    let first = server.put("/v1/asset-types/tank", document()).await;
    assert_eq!(first.status, 201);
    assert_eq!(server.put("/v1/asset-types/tank", document()).await.status, 200);
    let mut changed = document();
    changed["signals"][2]["max"] = json!(12);
    let second = server.put("/v1/asset-types/tank", changed).await;
    assert_eq!((second.status.as_u16(), &second.json()["version"]), (201, &json!(2)));
    assert_ne!(first.tag(), second.tag());

    assert_eq!(server.get("/v1/asset-types/tank").await.json()["version"], 2);
    assert_eq!(server.get("/v1/asset-types/tank/versions/1").await.json()["signals"][2]["max"], 10.0);
    let page = server.get("/v1/asset-types/tank/versions?limit=1").await.success();
    assert_eq!(page["items"][0]["version"], 2);
    let next = format!("/v1/asset-types/tank/versions?cursor={}", page["next"].as_str().unwrap());
    let page = server.get(&next).await.success();
    assert_eq!((&page["items"][0]["version"], &page["next"]), (&json!(1), &Value::Null));

    let stale = server.request(Method::PUT, "/v1/asset-types/tank").header(header::IF_MATCH, first.tag());
    Answer::to(stale.json(&document())).await.problem(412, "precondition-failed");
    let fresh = server.request(Method::PUT, "/v1/asset-types/tank").header(header::IF_MATCH, second.tag());
    assert_eq!(Answer::to(fresh.json(&document())).await.status, 201);
    let absent = server.request(Method::PUT, "/v1/asset-types/none").header(header::IF_MATCH, "*");
    Answer::to(absent.json(&document())).await.problem(412, "precondition-failed");
}

#[tokio::test]
async fn writers_of_a_type_take_turns() {
    let server = Server::start().await;
    let write = |interval: u32| {
        let mut document = document();
        document["interval"] = json!(format!("PT{interval}S"));
        server.put("/v1/asset-types/tank", document)
    };
    let answers = futures::future::join_all((1..=8).map(write)).await;
    let mut versions: Vec<i64> = answers.iter().map(|answer| answer.success()["version"].as_i64().unwrap()).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=8).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_type_inherits_and_says_from_what() {
    let server = Server::start().await;
    server.post("/v1/asset-types", tank("tank")).await.success();
    let child = json!({"key": "hot-tank", "extends": {"type": "tank"}, "signals": [
        {"name": "heater", "unit": "kW", "role": "control_input"},
        {"name": "level", "unit": "m", "role": "output", "max": 5}]});
    let body = server.post("/v1/asset-types", child.clone()).await.success();
    let names: Vec<&str> = body["signals"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["pump", "ambient", "level", "valve", "heater"]);
    assert_eq!((&body["signals"][2]["max"], &body["signals"][2].get("min")), (&json!(5.0), &None));
    assert_eq!((&body["extends"], &body["interval"]), (&json!({"type": "tank", "version": 1}), &json!("PT1S")));
    assert_eq!(server.post("/v1/asset-types", child).await.status, 200, "the same twice is the same");

    // A later version of the parent changes nothing by itself.
    let mut parent = document();
    parent["interval"] = json!("PT2S");
    server.put("/v1/asset-types/tank", parent).await.success();
    assert_eq!(server.get("/v1/asset-types/hot-tank").await.json()["interval"], "PT1S");

    for (extends, pointer) in [
        (json!({"type": "none"}), "/extends/type"),
        (json!({"type": "tank", "version": 9}), "/extends/type"),
        (json!({"type": "self"}), "/extends/type"),
        (json!({"type": "../x"}), "/extends/type"),
        (json!({"type": "tank", "version": "1"}), "/extends/version"),
    ] {
        let answer = server.post("/v1/asset-types", json!({"key": "self", "extends": extends})).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer]);
    }
}

#[tokio::test]
async fn a_wrong_document_is_refused_with_all_its_faults() {
    let server = Server::start().await;
    let body = json!({"key": "x", "interval": "P2D", "signals": [
        {"name": "a", "role": "output", "min": 2, "max": 1}, {"name": "a", "role": "state", "kind": "enum"}]});
    let pointers = server.post("/v1/asset-types", body).await.problem(422, "invalid");
    assert_eq!(pointers, ["/interval", "/signals/0/max", "/signals/1/name", "/signals/1/labels"]);
    for (body, pointer) in [
        (json!({"key": "x", "interval": "PT1S", "signals": []}), "/signals"),
        (json!({"key": "x", "interval": 1, "signals": []}), "/interval"),
        (json!({"key": "x", "interval": "PT1S", "signals": [{"name": "a"}]}), "/signals/0/role"),
        (json!({"key": "x", "interval": "PT1S", "signals": [{"name": "a", "role": "king"}]}), "/signals/0/role"),
        (json!({"key": "x", "interval": "PT1S", "signals": [["a", "output"]]}), "/signals/0"),
        (json!({"key": "x", "interval": "PT1S", "colour": 1}), "/colour"),
        (json!({"key": "../x", "interval": "PT1S"}), "/key"),
        (json!({"interval": "PT1S"}), "/key"),
        (json!([["x"]]), ""),
    ] {
        assert_eq!(server.post("/v1/asset-types", body).await.problem(422, "invalid"), [pointer]);
    }
    server.get("/v1/asset-types/x").await.problem(404, "not-found");
}

#[tokio::test]
async fn types_are_listed_in_pages_and_go_when_nobody_needs_them() {
    let server = Server::start().await;
    for key in ["c", "a", "b"] {
        server.post("/v1/asset-types", tank(key)).await.success();
    }
    let page = server.get("/v1/asset-types?limit=2").await.success();
    assert_eq!((&page["items"][0]["key"], &page["items"][1]["key"]), (&json!("a"), &json!("b")));
    let next = page["next"].as_str().unwrap();
    let page = server.get(&format!("/v1/asset-types?limit=2&cursor={next}")).await.success();
    assert_eq!((&page["items"][0]["key"], &page["next"]), (&json!("c"), &Value::Null));

    server.post("/v1/assets", json!({"key": "one", "type": "c"})).await.success();
    server.delete("/v1/asset-types/c").await.problem(409, "conflict");
    server.delete("/v1/assets/one").await.success();
    assert_eq!(server.delete("/v1/asset-types/c").await.success(), json!({"key": "c", "versions": 1}));
    server.delete("/v1/asset-types/c").await.problem(404, "not-found");
    server.get("/v1/asset-types/c/versions").await.problem(404, "not-found");
    server.get("/v1/asset-types/a/versions/0").await.problem(404, "not-found");
    assert_eq!(server.get("/v1/asset-types/a/versions/x").await.problem(422, "invalid").len(), 1);
}
