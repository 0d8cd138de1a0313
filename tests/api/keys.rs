//! Keys: made, shown once, found, used, revoked; on this server and on others of the database.

use chrono::TimeDelta;
use counterpart::access::Role;
use counterpart::server::Config;
use reqwest::{Method, header};
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::tester::{Answer, START, Server};

const KEYS: &str = "/v1/api-keys";

async fn get(server: &Server, path: &str, key: &str) -> Answer {
    Answer::to(server.with_key(Method::GET, path, key)).await
}

async fn names(server: &Server, query: &str, key: &str) -> Vec<String> {
    let listed = get(server, &format!("{KEYS}{query}"), key).await.success();
    listed["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_first_key_of_an_admin_closes_what_was_open() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    assert_eq!(server.get("/v1/session").await.success(), json!({"key_needed": false, "role": "admin", "key": null}));
    // That of a reader closes nothing: nobody could manage keys any more.
    server.post(KEYS, json!({"name": "screen", "role": "reader"})).await.success();
    assert_eq!(server.get("/v1/assets").await.status, 200);

    let made = server.post(KEYS, json!({"name": "  Ada ", "role": "admin"})).await;
    assert_eq!((made.status.as_u16(), made.header(header::CACHE_CONTROL)), (201, "no-store"));
    let body = made.json();
    let key = body["key"].as_str().unwrap();
    assert_eq!(made.header(header::LOCATION), format!("{KEYS}/{}", body["id"].as_str().unwrap()));
    assert_eq!((&body["name"], &body["role"], &body["standing"]), (&json!("Ada"), &json!("admin"), &json!("active")));
    assert_eq!(
        (&body["created_at"], &body["expires_at"], &body["last_used_at"]),
        (&json!(START), &Value::Null, &Value::Null)
    );
    assert_eq!(body["prefix"], key[..12]);

    let refused = server.get("/v1/assets").await;
    refused.problem(401, "key-needed");
    assert!(refused.header(header::WWW_AUTHENTICATE).starts_with("Bearer"));
    assert_eq!(get(&server, "/v1/assets", key).await.success()["items"].as_array().unwrap().len(), 1);
    let who = get(&server, "/v1/session", key).await.success();
    assert_eq!((&who["key_needed"], &who["role"], &who["key"]["name"]), (&json!(true), &json!("admin"), &json!("Ada")));
    let shown = get(&server, made.header(header::LOCATION), key).await;
    assert!(!shown.text.contains(&key[13..]) && shown.success()["name"] == "Ada", "{shown:?}");
    let listed = get(&server, KEYS, key).await;
    assert!(!listed.text.contains(&key[13..]) && !listed.text.contains("hash"), "{listed:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_new_key_is_said() {
    let server = Server::start().await;
    for (body, pointer) in [
        (json!({"role": "admin"}), "/name"),
        (json!({"name": " ", "role": "admin"}), "/name"),
        (json!({"name": "a".repeat(101), "role": "admin"}), "/name"),
        (json!({"name": "a\nb", "role": "admin"}), "/name"),
        (json!({"name": "a", "role": "owner"}), "/role"),
        (json!({"name": "a"}), "/role"),
        (json!({"name": "a", "role": "admin", "expires_at": START}), "/expires_at"),
        (json!({"name": "a", "role": "admin", "expires_at": "soon"}), "/expires_at"),
        (json!({"name": "a", "role": "admin", "colour": 1}), "/colour"),
    ] {
        assert_eq!(server.post(KEYS, body.clone()).await.problem(422, "invalid"), [pointer], "{body}");
    }
    server.post(KEYS, json!({"name": "ä".repeat(100), "role": "device"})).await.success();
    for (query, pointer) in [
        ("?role=owner", "role"),
        ("?standing=x", "standing"),
        ("?limit=0", "limit"),
        ("?cursor=x", "cursor"),
        ("?a=b", "a"),
    ] {
        assert_eq!(server.get(&format!("{KEYS}{query}")).await.problem(422, "invalid"), [pointer], "{query}");
    }
    for wrong in ["x", "01890000-0000-7000-8000-00000000000"] {
        assert_eq!(server.get(&format!("{KEYS}/{wrong}")).await.problem(422, "invalid"), ["id"]);
    }
    let none = format!("{KEYS}/01890000-0000-7000-8000-000000000000");
    server.get(&none).await.problem(404, "not-found");
    server.delete(&none).await.problem(404, "not-found");
    assert_eq!(server.delete(&format!("{none}?force=maybe")).await.problem(422, "invalid"), ["force"]);
}

#[tokio::test]
async fn keys_are_found_by_role_and_standing_page_by_page() {
    let server = Server::start().await;
    let admin = server.key(Role::Admin).await;
    for (name, role) in [("a", "device"), ("b", "device"), ("c", "operator")] {
        server.clock.advance(TimeDelta::seconds(1));
        let soon = server.clock.now() + TimeDelta::seconds(10);
        let body = json!({"name": name, "role": role, "expires_at": (name == "b").then_some(soon)});
        let made = Answer::to(server.with_key(Method::POST, KEYS, &admin).json(&body)).await.success();
        if name == "a" {
            let path = format!("{KEYS}/{}", made["id"].as_str().unwrap());
            assert_eq!(Answer::to(server.with_key(Method::DELETE, &path, &admin)).await.status, 204);
            assert_eq!(Answer::to(server.with_key(Method::DELETE, &path, &admin)).await.status, 204, "once more");
            assert_eq!(get(&server, &path, &admin).await.success()["standing"], "revoked");
        }
    }
    server.clock.advance(TimeDelta::seconds(10));
    assert_eq!(names(&server, "", &admin).await, ["c", "b", "a", "the admin's"]);
    assert_eq!(names(&server, "?role=device", &admin).await, ["b", "a"]);
    assert_eq!(names(&server, "?standing=expired", &admin).await, ["b"]);
    assert_eq!(names(&server, "?standing=revoked", &admin).await, ["a"]);
    assert_eq!(names(&server, "?standing=active", &admin).await, ["c", "the admin's"]);
    let first = get(&server, &format!("{KEYS}?limit=3"), &admin).await.success();
    let next = format!("?limit=3&cursor={}", first["next"].as_str().unwrap());
    assert_eq!(names(&server, &next, &admin).await, ["the admin's"]);
}

#[tokio::test]
async fn the_last_admin_goes_only_by_force_and_opens_nothing() {
    let server = Server::start().await;
    let (ada, eve) = (server.key(Role::Admin).await, server.key(Role::Admin).await);
    let id =
        async |key: &str| get(&server, "/v1/session", key).await.success()["key"]["id"].as_str().unwrap().to_owned();
    let (ada_id, eve_id) = (id(&ada).await, id(&eve).await);
    let revoke = async |id: &str, query: &str| {
        Answer::to(server.with_key(Method::DELETE, &format!("{KEYS}/{id}{query}"), &ada)).await
    };
    assert_eq!(revoke(&eve_id, "").await.status, 204);
    get(&server, "/v1/assets", &eve).await.problem(401, "key-needed");
    let refused = revoke(&ada_id, "").await;
    assert_eq!(refused.problem(409, "conflict"), ["force"]);
    assert!(refused.text.contains("counterpart key create"), "{refused:?}");
    assert_eq!(revoke(&ada_id, "?force=true").await.status, 204);
    let last = get(&server, "/v1/assets", &ada).await;
    last.problem(401, "key-needed");
    assert!(last.text.contains("revoked"), "{last:?}");
    server.get("/v1/assets").await.problem(401, "key-needed");
    server.post(KEYS, json!({"name": "me", "role": "admin"})).await.problem(401, "key-needed");
}

#[tokio::test]
async fn two_admins_cannot_revoke_each_other_at_once() {
    let server = Server::start().await;
    for round in 0..10 {
        let (one, two) = (server.key(Role::Admin).await, server.key(Role::Admin).await);
        let access = &server.rooms.access;
        let (one, two) = (access.named(&one[..12]).await.unwrap(), access.named(&two[..12]).await.unwrap());
        let both = tokio::join!(access.revoke(one, false), access.revoke(two, false));
        assert_eq!([both.0.is_ok(), both.1.is_ok()].iter().filter(|done| **done).count(), 1, "round {round}");
        // So that the next two are the last ones again.
        for id in [one, two] {
            access.revoke(id, true).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_key_of_another_server_is_known_after_a_look_and_a_revoked_one_no_more() {
    let here = Server::start().await;
    let there = Server::start_on(Config::default(), here.db.clone()).await;
    let admin = here.key(Role::Admin).await;
    assert_eq!(get(&there, "/v1/assets", &admin).await.status, 200, "the first request reads the keys");
    let device = here.key(Role::Device).await;
    get(&there, "/v1/session", &device).await.problem(401, "key-needed");
    assert!(there.rooms.access.look().await.unwrap());
    assert!(!there.rooms.access.look().await.unwrap(), "nothing changed since");
    assert_eq!(get(&there, "/v1/session", &device).await.status, 200);

    let id = there.rooms.access.named(&device[..12]).await.unwrap();
    there.rooms.access.revoke(id, false).await.unwrap();
    get(&there, "/v1/session", &device).await.problem(401, "key-needed");
    assert_eq!(get(&here, "/v1/session", &device).await.status, 200);
    here.rooms.access.look().await.unwrap();
    get(&here, "/v1/session", &device).await.problem(401, "key-needed");
    // So is what a person changes by hand.
    here.key(Role::Admin).await;
    let by_hand = sqlx::query("update api_key set role = 'reader' where prefix = $1").bind(&admin[..12]);
    by_hand.execute(&here.db.pool).await.unwrap();
    here.rooms.access.look().await.unwrap();
    get(&here, KEYS, &admin).await.problem(403, "role-needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_look_by_themselves_within_seconds() {
    let here = Server::start().await;
    let there = Server::start_on(Config::default(), here.db.clone()).await;
    let admin = here.key(Role::Admin).await;
    assert_eq!(get(&there, "/v1/assets", &admin).await.status, 200);
    let looking = tokio::spawn(there.rooms.access.clone().keep_looking(there.end.clone()));
    let reader = here.key(Role::Reader).await;
    let known = async {
        while get(&there, "/v1/assets", &reader).await.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), known).await.expect("within seconds");
    there.end.cancel();
    looking.await.unwrap();
    // What was used last is written when the server ends.
    let used: i64 = sqlx::query_scalar("select count(*) from api_key where last_used_at is not null")
        .fetch_one(&here.db.pool)
        .await
        .unwrap();
    assert_eq!(used, 2);
}

#[tokio::test]
async fn without_the_database_known_keys_go_on_and_strangers_cost_nothing() {
    let server = Server::start().await;
    let key = server.key(Role::Reader).await;
    server.key(Role::Admin).await;
    let cold = Server::start_on(Config::default(), server.db.clone()).await;
    server.db.pool.close().await;
    assert_eq!(get(&server, "/v1/session", &key).await.status, 200);
    for number in 0..500 {
        let unknown = format!("cpk_{number:08}_{}", "a".repeat(43));
        get(&server, "/v1/session", &unknown).await.problem(401, "key-needed");
    }
    // A server that never read the keys lets nobody in.
    get(&cold, "/v1/session", &key).await.problem(503, "unavailable");
    cold.get("/v1/assets").await.problem(503, "unavailable");
    assert_eq!(cold.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn uses_are_written_at_most_once_a_minute_and_secrets_never() {
    let server = Server::start().await;
    let key = server.key(Role::Admin).await;
    let row = async || -> (Option<chrono::DateTime<chrono::Utc>>, String, Vec<u8>) {
        let all = "select last_used_at, k::text, secret_hash from api_key k";
        sqlx::query_as(all).fetch_one(&server.db.pool).await.unwrap()
    };
    let (used, _, _) = row().await;
    assert_eq!(used, None);
    let begun = server.clock.now();
    for step in 0..5 {
        assert_eq!(get(&server, "/v1/assets", &key).await.status, 200);
        server.rooms.access.look().await.unwrap();
        assert_eq!(row().await.0, Some(begun), "step {step}");
        server.clock.advance(TimeDelta::seconds(12));
    }
    assert_eq!(get(&server, "/v1/assets", &key).await.status, 200);
    server.rooms.access.look().await.unwrap();
    let (used, text, hash) = row().await;
    assert_eq!(used, Some(begun + TimeDelta::seconds(60)));
    assert!(text.contains(&key[..12]) && !text.contains(&key[13..]), "{text}");
    assert_eq!(hash, sha2::Sha256::digest(&key).to_vec());
}

#[tokio::test]
async fn a_device_sends_but_does_not_teach() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    let (device, operator) = (server.key(Role::Device).await, server.key(Role::Operator).await);
    server.key(Role::Admin).await;
    let events = "/v1/assets/tank-1/events";
    let send = async |key: &str, body: Value| Answer::to(server.with_key(Method::POST, events, key).json(&body)).await;
    let label = json!({"id": "l-1", "kind": "label", "class": "leaking", "start": START});
    assert_eq!(send(&operator, label.clone()).await.status, 200);
    let log = json!({"id": "e-1", "kind": "log", "code": "E1", "start": START});
    let over = json!({"id": "l-1", "kind": "log", "code": "E1", "start": START});
    let mixed = send(&device, json!([log, {"kind": "label", "class": "leaking", "start": START}, over])).await;
    assert_eq!(mixed.status, 207, "{mixed:?}");
    let receipt = mixed.json();
    assert_eq!((&receipt["stored"], &receipt["rejected"]), (&json!(1), &json!(2)));
    let errors: Vec<_> = receipt["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["pointer"].as_str().unwrap(), e["type"].as_str().unwrap()))
        .collect();
    assert_eq!(errors, [("/1/kind", "/problems/role-needed"), ("/2/id", "/problems/role-needed")]);
    assert_eq!(get(&server, &format!("{events}/l-1"), &operator).await.success()["kind"], "label");
    let frame = json!({"ts": START, "values": {"level": 3.0}});
    let sent = server.with_key(Method::POST, "/v1/assets/tank-1/telemetry", &device).json(&frame);
    assert_eq!(Answer::to(sent).await.success()["stored"], 1);
    get(&server, "/v1/assets/tank-1/state", &device).await.problem(403, "role-needed");
}
