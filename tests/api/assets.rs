//! Assets: making, listing, changing, deleting.

use chrono::TimeDelta;
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::tester::{Answer, START, Server, tank};

#[tokio::test]
async fn an_asset_is_made_once_and_shown() {
    let server = Server::start().await;
    server.post("/v1/asset-types", tank("tank")).await.success();
    let new = json!({"key": "t-1", "type": "tank", "name": "First", "attributes": {"volume": 3.5, "maker": "ACME"}});
    let made = server.post("/v1/assets", new.clone()).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.header(header::LOCATION), "/v1/assets/t-1");
    let expected = json!({"key": "t-1", "type": "tank", "type_version": 1, "name": "First", "revision": 1,
        "attributes": {"volume": 3.5, "maker": "ACME"}, "created_at": START, "updated_at": START});
    assert_eq!(made.json(), expected);
    let again = server.post("/v1/assets", new).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, expected.clone()));
    let spelled = r#"{"key":"t-1","type":"tank","name":"First","attributes":{"volume":35e-1,"maker":"ACME"}}"#;
    let spelled =
        server.request(Method::POST, "/v1/assets").header(header::CONTENT_TYPE, "application/json").body(spelled);
    assert_eq!(Answer::to(spelled).await.status, 200);
    server.post("/v1/assets", json!({"key": "t-1", "type": "tank"})).await.problem(409, "conflict");
    // Another case is another key.
    assert_eq!(server.post("/v1/assets", json!({"key": "T-1", "type": "tank"})).await.status, 201);

    let read = server.get("/v1/assets/t-1").await;
    assert_eq!((read.json(), read.tag()), (expected, made.tag()));
    let known = server.request(Method::GET, "/v1/assets/t-1").header(header::IF_NONE_MATCH, made.tag());
    let known = Answer::to(known).await;
    assert_eq!((known.status.as_u16(), known.text.as_str(), known.tag()), (304, "", made.tag()));
}

#[tokio::test]
async fn a_wrong_asset_is_refused() {
    let server = Server::start().await;
    server.post("/v1/asset-types", tank("tank")).await.success();
    for (body, pointer) in [
        (json!({"key": "a", "type": "none"}), "/type"),
        (json!({"key": "a", "type": "tank", "type_version": 2}), "/type"),
        (json!({"key": "", "type": "tank"}), "/key"),
        (json!({"key": "a\u{0}", "type": "tank"}), "/key"),
        (json!({"key": "a", "type": "tank", "name": ""}), "/name"),
        (json!({"key": "a", "type": "tank", "name": "x".repeat(201)}), "/name"),
        (json!({"key": "a", "type": "tank", "name": "\u{0}"}), "/name"),
        (json!({"key": "a", "type": "tank", "attributes": {"volume": "3"}}), "/attributes/volume"),
        (json!({"key": "a", "type": "tank", "attributes": {"colour": "red"}}), "/attributes/colour"),
        (json!({"key": "a", "type": "tank", "attributes": []}), "/attributes"),
        (json!({"key": "a", "type": "tank", "revision": 3}), "/revision"),
        (json!({"key": "a"}), "/type"),
    ] {
        assert_eq!(server.post("/v1/assets", body.clone()).await.problem(422, "invalid"), [pointer], "{body}");
    }
    assert_eq!(server.get("/v1/assets").await.success()["items"], json!([]));
}

#[tokio::test]
async fn assets_are_listed_in_pages_and_filtered() {
    let server = Server::start().await;
    server.post("/v1/asset-types", tank("other")).await.success();
    for key in ["t-3", "t-1", "t-2"] {
        server.asset(key).await;
    }
    server.post("/v1/assets", json!({"key": "o-1", "type": "other", "name": "Big 100% tank_1"})).await.success();
    let keys = async |path: &str| -> Vec<String> {
        let page = server.get(path).await.success();
        page["items"].as_array().unwrap().iter().map(|item| item["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys("/v1/assets").await, ["o-1", "t-1", "t-2", "t-3"]);
    assert_eq!(keys("/v1/assets?type=tank").await, ["t-1", "t-2", "t-3"]);
    assert_eq!(keys("/v1/assets?type=none").await, Vec::<String>::new());
    assert_eq!(keys("/v1/assets?q=BIG").await, ["o-1"]);
    assert_eq!(keys("/v1/assets?q=100%25").await, ["o-1"]);
    assert_eq!(keys("/v1/assets?q=T-").await, ["t-1", "t-2", "t-3"]);
    assert_eq!(keys("/v1/assets?q=_2").await, Vec::<String>::new());

    let mut seen = Vec::new();
    let mut path = "/v1/assets?limit=1".to_owned();
    loop {
        let page = server.get(&path).await.success();
        seen.push(page["items"][0]["key"].as_str().unwrap().to_owned());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/assets?limit=1&cursor={next}");
    }
    assert_eq!(seen, ["o-1", "t-1", "t-2", "t-3"]);

    for (query, pointer) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("cursor=abc", "cursor"),
        ("cursor=%F0%9F%92%A9", "cursor"),
        ("type=..", "type"),
        ("colour=red", "colour"),
        ("q=%00", "query"),
        ("limit=1&limit=2", "limit"),
    ] {
        let answer = server.get(&format!("/v1/assets?{query}")).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{query}");
    }
}

#[tokio::test]
async fn an_asset_is_changed_by_a_merge_patch() {
    let server = Server::start().await;
    server.asset("t-1").await;
    let path = "/v1/assets/t-1";
    let first = server.get(path).await;
    server.clock.advance(TimeDelta::seconds(5));
    let patch = json!({"name": "First", "attributes": {"volume": 2, "maker": "ACME"}});
    let second = server.patch(path, Some(first.tag()), patch).await;
    let body = second.success();
    assert_eq!((&body["name"], &body["revision"]), (&json!("First"), &json!(2)));
    assert_eq!((&body["created_at"], &body["updated_at"]), (&json!(START), &json!("2026-11-24T12:00:05Z")));
    assert_ne!(first.tag(), second.tag());

    server.patch(path, Some(first.tag()), json!({"name": "Late"})).await.problem(412, "precondition-failed");
    let third = server.patch(path, None, json!({"name": null, "attributes": {"volume": null}})).await.success();
    assert_eq!((&third["name"], &third["attributes"]), (&Value::Null, &json!({"maker": "ACME"})));
    // What changes nothing makes no revision.
    assert_eq!(server.patch(path, None, json!({})).await.success()["revision"], 3);

    for (patch, pointer) in [
        (json!({"key": "t-2"}), "/key"),
        (json!({"type": "other"}), "/type"),
        (json!({"colour": "red"}), "/colour"),
        (json!({"name": 1}), "/name"),
        (json!({"type_version": null}), "/type_version"),
        (json!({"type_version": 7}), "/type_version"),
        (json!({"attributes": {"volume": "much"}}), "/attributes/volume"),
        (json!({"attributes": 1}), "/attributes"),
        (json!([]), ""),
        (json!(null), ""),
    ] {
        assert_eq!(server.patch(path, None, patch.clone()).await.problem(422, "invalid"), [pointer], "{patch}");
    }
    server.patch("/v1/assets/none", None, json!({})).await.problem(404, "not-found");
    let json = server.request(Method::PATCH, path).json(&json!({}));
    Answer::to(json).await.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn an_asset_moves_to_another_version_only_if_its_readings_stay_readable() {
    let server = Server::start().await;
    server.asset("t-1").await;
    let mut document = tank("tank");
    document.as_object_mut().unwrap().remove("key");
    document["signals"][2]["max"] = json!(20);
    server.put("/v1/asset-types/tank", document.clone()).await.success();
    document["signals"].as_array_mut().unwrap().swap(0, 1);
    server.put("/v1/asset-types/tank", document).await.success();
    assert_eq!(server.get("/v1/assets/t-1").await.json()["type_version"], 1, "a new version touches no asset");
    let path = "/v1/assets/t-1";
    assert_eq!(server.patch(path, None, json!({"type_version": 2})).await.success()["type_version"], 2);
    server.patch(path, None, json!({"type_version": 3})).await.problem(409, "conflict");
    assert_eq!(server.post("/v1/assets", json!({"key": "t-2", "type": "tank"})).await.success()["type_version"], 3);
}

#[tokio::test]
async fn changes_at_the_same_time_all_count() {
    let server = Server::start().await;
    server.asset("t-1").await;
    let patch = |n: u32| server.patch("/v1/assets/t-1", None, json!({"name": format!("name {n}")}));
    let answers = futures::future::join_all((0..4).map(patch)).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(server.get("/v1/assets/t-1").await.json()["revision"], 5);
}

#[tokio::test]
async fn a_deleted_asset_takes_everything_along_and_says_so() {
    let server = Server::start().await;
    server.asset("t-1").await;
    server.asset("t-2").await;
    fill(&server, "t-1").await;
    let tag = server.get("/v1/assets/t-1").await.tag().to_owned();
    let stale = server.request(Method::DELETE, "/v1/assets/t-1").header(header::IF_MATCH, "\"0-0\"");
    Answer::to(stale).await.problem(412, "precondition-failed");
    let gone = server.delete("/v1/assets/t-1").await.success();
    let deleted = json!({"frames": 2, "models": 1, "jobs": 1, "predictions": 1, "events": 2, "alarms": 1});
    assert_eq!(gone, json!({"key": "t-1", "deleted": deleted}));
    server.get("/v1/assets/t-1").await.problem(404, "not-found");
    server.delete("/v1/assets/t-1").await.problem(404, "not-found");
    let left: i64 = sqlx::query_scalar("select count(*) from frame").fetch_one(&server.db.pool).await.unwrap();
    assert_eq!(left, 0);

    // The same key again is another asset, also for who still holds the old tag.
    server.asset("t-1").await;
    assert_ne!(server.get("/v1/assets/t-1").await.tag(), tag);
    let gone = server.delete("/v1/assets/t-2").await.success();
    let nothing = json!({"frames": 0, "models": 0, "jobs": 0, "predictions": 0, "events": 0, "alarms": 0});
    assert_eq!(gone["deleted"], nothing);
}

/// Two frames, a champion with its job, a prediction, two events, a rule with an active alarm.
async fn fill(server: &Server, key: &str) {
    let mut db = server.db.pool.acquire().await.unwrap();
    sqlx::raw_sql(
        "create table if not exists frame_of_test partition of frame for values from ('2026-11-24') to ('2026-11-25')",
    )
    .execute(&mut *db)
    .await
    .unwrap();
    sqlx::query(
        "with one as (select id, created_at as at from asset where key = $1),
         twins as (insert into twin (asset_id, updated_at) select id, at from one),
         frames as (insert into frame select id, at + n * interval '1 second', '{1,2,3,0}', null, at
             from one, generate_series(1, 2) n),
         jobs as (insert into fine_tune_job (id, asset_id, status, cause, recipe, run_after, created_at, updated_at)
             select gen_random_uuid(), id, 'succeeded', 'request', '{}', at, at, at from one returning id),
         models as (insert into model_version select gen_random_uuid(), one.id, 1, jobs.id, 'base', '', '', '{}', '{}',
             '{}', '{}', true, '', at from one, jobs returning id),
         champions as (insert into champion select one.id, models.id, models.id, at, '' from one, models),
         events as (insert into event (asset_id, id, kind, starts_at, text, received_at)
             select id, n::text, 'note', at, 'x', at from one, generate_series(1, 2) n),
         rules as (insert into alarm_rule (id, asset_id, name, source, condition, deadband, hold_us, severity, enabled,
                 created_at, updated_at)
             select gen_random_uuid(), id, 'silent', 'measured', 'missing', 0, 1, 'minor', true, at, at from one
             returning id),
         states as (insert into alarm_state (rule_id, phase, evaluated_at) select rules.id, 'active', at from one, rules),
         alarms as (insert into alarm (id, asset_id, rule_id, name, source, condition, severity, text, raised_at,
                 created_at, updated_at)
             select gen_random_uuid(), one.id, rules.id, 'silent', 'measured', 'missing', 'minor', '', at, at, at
             from one, rules)
         insert into prediction select id, gen_random_uuid(), at, at, null, 'refresh', '{}' from one",
    )
    .bind(key)
    .execute(&mut *db)
    .await
    .unwrap();
    sqlx::query("update fine_tune_job set model_id = (select id from model_version limit 1)")
        .execute(&mut *db)
        .await
        .unwrap();
}
