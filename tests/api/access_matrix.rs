//! Who may do what: every door of the router, with every kind of key. What is expected is written
//! here a second time, by rules rather than door by door, so that a slip in the server's table shows.

use chrono::TimeDelta;
use counterpart::access::{KeyForm, Role};
use reqwest::{Method, StatusCode};

use crate::tester::{Answer, Server};

const OPEN: [(&str, &str); 13] = [
    ("GET", "/"),
    ("GET", "/ui/js/main.js"),
    ("GET", "/docs"),
    ("GET", "/docs/"),
    ("GET", "/docs/swagger-ui-bundle.js"),
    ("GET", "/openapi.json"),
    ("GET", "/problems"),
    ("GET", "/problems/key-needed"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("POST", "/v1/session"),
    ("DELETE", "/v1/session"),
    ("GET", "/v1/session/key-command"),
];
/// What is not written anywhere in the description of the API.
const ELSEWHERE: [(&str, &str); 3] = [("GET", "/metrics"), ("HEAD", "/v1/assets"), ("HEAD", "/v1/api-keys")];
const SENDS: [&str; 3] = ["/v1/telemetry", "/v1/assets/{asset}/telemetry", "/v1/assets/{asset}/events"];
const ASKS: [&str; 4] = ["/predict", "/what-if", "/retro-what-if", "/goal-seek"];

/// What becomes of a request at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passes,
    NoKey,
    WrongRole,
}

/// The roles for which a door is meant.
fn meant_for(method: &str, path: &str) -> &'static [Role] {
    use Role::{Admin, Device, Operator, Reader};
    if path == "/v1/session" {
        return &[Device, Reader, Operator, Admin];
    }
    if ["/v1/api-keys", "/v1/audit", "/v1/webhooks"].iter().any(|part| path.starts_with(part)) {
        return &[Admin];
    }
    let reads = ["GET", "HEAD"].contains(&method);
    if reads || method == "POST" && ASKS.iter().any(|ask| path.ends_with(ask)) {
        return &[Reader, Operator, Admin];
    }
    if method == "POST" && SENDS.contains(&path) {
        return &[Device, Operator, Admin];
    }
    let operates = ["/desired", "/imports"].iter().any(|end| path.ends_with(end))
        || ["/scenarios", "/events", "/models", "/fine-tune-jobs", "/backtests", "/v1/alarms/"]
            .iter()
            .any(|part| path.contains(part));
    if operates { &[Operator, Admin] } else { &[Admin] }
}

/// A path with something in the place of each name.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{id}" | "{job}" | "{rule}" | "{run}" => "01890000-0000-7000-8000-000000000000",
        "{version}" => "1",
        part if part.starts_with('{') => "none",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

async fn doors(server: &Server) -> Vec<(String, String)> {
    let document = server.get("/openapi.json").await.success();
    let mut doors: Vec<(String, String)> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys().map(|method| method.to_uppercase());
        doors.extend(methods.map(|method| (method, path.clone())));
    }
    doors.extend(ELSEWHERE.iter().chain(&OPEN).map(|(method, path)| ((*method).to_owned(), (*path).to_owned())));
    doors.sort();
    doors.dedup();
    doors
}

async fn fate(server: &Server, method: &str, path: &str, key: Option<&str>) -> Fate {
    let method: Method = method.parse().unwrap();
    let mut request = server.request(method.clone(), &filled(path));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    // The body is not waited for: the stream's has no end.
    let response = request.send().await.unwrap();
    let status = response.status();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if method == Method::HEAD => {}
        StatusCode::UNAUTHORIZED => {
            assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"), "{path}");
            // Signing in refuses a wrong key in the same way; here it is the gate's answer.
            let text = response.text().await.unwrap();
            assert!(text.contains("/problems/key-needed"), "{method} {path}: {text}");
        }
        StatusCode::FORBIDDEN => {
            let text = response.text().await.unwrap();
            assert!(text.contains("/problems/role-needed") && text.contains("admin"), "{method} {path}: {text}");
        }
        status => assert!(!status.is_server_error(), "{method} {path}: {status}"),
    }
    match status {
        StatusCode::UNAUTHORIZED => Fate::NoKey,
        StatusCode::FORBIDDEN => Fate::WrongRole,
        _ => Fate::Passes,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_opens_for_those_it_is_meant_for_and_for_nobody_else() {
    let server = Server::start().await;
    let mut keys = Vec::new();
    for role in counterpart::access::ROLES {
        keys.push((role, server.key(role).await));
    }
    let admin = |name: &str, expires_at| KeyForm { name: name.to_owned(), role: Role::Admin, expires_at };
    let (revoked, gone) = server.rooms.access.create(admin("revoked", None)).await.unwrap();
    server.rooms.access.revoke(revoked.id, false).await.unwrap();
    let soon = server.clock.now() + TimeDelta::seconds(1);
    let (_, old) = server.rooms.access.create(admin("expired", Some(soon))).await.unwrap();
    server.clock.advance(TimeDelta::seconds(1));
    let unknown = format!("{}{}", &keys[3].1[..13], "a".repeat(43));
    let strangers = [None, Some(unknown.as_str()), Some("nonsense"), Some(gone.reveal()), Some(old.reveal())];

    let doors = doors(&server).await;
    assert!(doors.len() > 80, "{} doors", doors.len());
    let mut wrong = Vec::new();
    let mut count = 0;
    for (method, path) in &doors {
        let open = OPEN.contains(&(method, path));
        for key in strangers {
            let expected = if open { Fate::Passes } else { Fate::NoKey };
            let seen = fate(&server, method, path, key).await;
            count += 1;
            if seen != expected {
                wrong.push(format!("{method} {path} with {key:?}: {seen:?}"));
            }
        }
        for (role, key) in &keys {
            let may = open || meant_for(method, path).contains(role);
            let expected = if may { Fate::Passes } else { Fate::WrongRole };
            let seen = fate(&server, method, path, Some(key)).await;
            count += 1;
            if seen != expected {
                wrong.push(format!("{method} {path} as {role:?}: {seen:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n  {}", wrong.len(), wrong.join("\n  "));
    assert_eq!(count, doors.len() * 9);
}

#[tokio::test]
async fn what_is_nowhere_tells_strangers_nothing() {
    let server = Server::start().await;
    server.get("/v1/nothing").await.problem(404, "not-found");
    let device = server.key(Role::Device).await;
    let admin = server.key(Role::Admin).await;
    server.get("/v1/nothing").await.problem(401, "key-needed");
    Answer::to(server.with_key(Method::GET, "/v1/nothing", &device)).await.problem(404, "not-found");
    server.get("/nothing").await.problem(404, "not-found");
    // A method that a resource does not take: only who may do everything learns that it is none.
    server.delete("/v1/assets").await.problem(401, "key-needed");
    Answer::to(server.with_key(Method::DELETE, "/v1/assets", &admin)).await.problem(405, "method-not-allowed");
    // No asset is told from one that there is, without a key.
    server.get("/v1/assets/none").await.problem(401, "key-needed");
}
