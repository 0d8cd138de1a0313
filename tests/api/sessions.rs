//! Signing in: a key in a cookie, which pages of other sites cannot make use of.

use counterpart::access::Role;
use reqwest::{Method, RequestBuilder, header};
use serde_json::json;

use crate::tester::{Answer, Server, tank};

fn with_cookie(request: RequestBuilder, key: &str) -> RequestBuilder {
    request.header(header::COOKIE, format!("theme=dark; counterpart_key={key}"))
}

async fn locked() -> (Server, String) {
    let server = Server::start().await;
    let key = server.key(Role::Admin).await;
    (server, key)
}

#[tokio::test]
async fn a_key_becomes_a_cookie_and_the_cookie_opens_the_stream() {
    let (server, key) = locked().await;
    let answer = server.post("/v1/session", json!({"key": format!(" {key}\n")})).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    let cookie = answer.header(header::SET_COOKIE);
    assert!(cookie.starts_with(&format!("counterpart_key={key}; ")), "{cookie}");
    for part in ["Path=/v1", "HttpOnly", "SameSite=Strict", "Max-Age=2592000"] {
        assert!(cookie.split("; ").any(|one| one == part), "{cookie} has no {part}");
    }
    assert!(!cookie.contains("Secure"), "it would not be sent to a server without TLS: {cookie}");
    let encrypted = server.request(Method::POST, "/v1/session").header("origin", "https://twin.example");
    let encrypted = encrypted.header("sec-fetch-site", "same-origin").json(&json!({"key": key}));
    assert!(Answer::to(encrypted).await.header(header::SET_COOKIE).ends_with("; Secure"));

    let stream = with_cookie(server.request(Method::GET, "/v1/stream"), &key).send().await.unwrap();
    assert_eq!(
        (stream.status().as_u16(), &stream.headers()["content-type"]),
        (200, &header::HeaderValue::from_static("text/event-stream"))
    );
    let who = Answer::to(with_cookie(server.request(Method::GET, "/v1/session"), &key)).await.success();
    assert_eq!(who["key"]["prefix"], key[..12]);

    let out = server.delete("/v1/session").await;
    assert!(out.status == 204 && out.header(header::SET_COOKIE).starts_with("counterpart_key=; Path=/v1; Max-Age=0; "));
}

#[tokio::test]
async fn a_wrong_key_is_said_at_its_field_and_gets_no_cookie() {
    let (server, key) = locked().await;
    for wrong in ["", "cpk_", &key[..12], &format!("{key}a")] {
        let answer = server.post("/v1/session", json!({"key": wrong})).await;
        assert_eq!(answer.problem(401, "key-needed"), ["/key"]);
        assert_eq!(answer.header(header::SET_COOKIE), "");
    }
    assert_eq!(server.post("/v1/session", json!({"password": "x"})).await.problem(422, "invalid").len(), 1);
    let soon = server.clock.now() + chrono::TimeDelta::hours(1);
    let made = server.with_key(Method::POST, "/v1/api-keys", &key);
    let made = Answer::to(made.json(&json!({"name": "short", "role": "reader", "expires_at": soon}))).await.success();
    let short = server.post("/v1/session", json!({"key": made["key"]})).await;
    assert!(short.header(header::SET_COOKIE).contains("Max-Age=3600;"), "no longer than the key: {short:?}");
}

#[tokio::test]
async fn a_cookie_changes_things_only_from_our_own_pages() {
    let (server, key) = locked().await;
    let post = |headers: &[(&'static str, String)]| {
        let request = with_cookie(server.request(Method::POST, "/v1/asset-types"), &key).json(&tank("tank"));
        Answer::to(headers.iter().fold(request, |request, (name, value)| request.header(*name, value)))
    };
    // Neither header: no browser of today, so a cookie that somebody copied. With a key in the header it works.
    post(&[]).await.problem(403, "forbidden");
    post(&[("sec-fetch-site", "none".to_owned())]).await.problem(403, "forbidden");
    post(&[("sec-fetch-site", "same-site".to_owned())]).await.problem(403, "forbidden");
    post(&[("sec-fetch-site", "cross-site".to_owned())]).await.problem(403, "forbidden");
    post(&[("origin", "http://localhost:1".to_owned())]).await.problem(403, "forbidden");
    assert_eq!(post(&[("sec-fetch-site", "same-origin".to_owned())]).await.status, 201);
    assert_eq!(post(&[("origin", server.url(""))]).await.status, 200);
    let bearer = server.with_key(Method::POST, "/v1/asset-types", &key).json(&tank("other"));
    assert_eq!(Answer::to(bearer).await.status, 201);
    // Reading with a cookie is no change; what it says stays on its origin.
    let read = Answer::to(with_cookie(server.request(Method::GET, "/v1/asset-types"), &key)).await;
    assert_eq!((read.status.as_u16(), read.header("cross-origin-resource-policy")), (200, "same-origin"));
    // A wrong header is not saved by a right cookie.
    let both = with_cookie(server.with_key(Method::GET, "/v1/assets", "cpk_x"), &key);
    Answer::to(both).await.problem(401, "key-needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_key_that_it_was_begun_with() {
    let server = Server::start().await;
    let whole = async |response: reqwest::Response| {
        let text = tokio::time::timeout(std::time::Duration::from_secs(10), response.text()).await;
        text.expect("the stream ends").unwrap()
    };
    // Nobody's, which the first key of an admin ends.
    let open = server.request(Method::GET, "/v1/stream").send().await.unwrap();
    let key = server.key(Role::Admin).await;
    assert!(whole(open).await.contains(": open"));

    let reader = server.key(Role::Reader).await;
    let [stays, goes] = [&key, &reader].map(|key| server.with_key(Method::GET, "/v1/stream", key).send());
    let (stays, goes) = (stays.await.unwrap(), goes.await.unwrap());
    let id = server.rooms.access.named(&reader[..12]).await.unwrap();
    server.rooms.access.revoke(id, false).await.unwrap();
    whole(goes).await;
    let still = tokio::time::timeout(std::time::Duration::from_secs(2), stays.text()).await;
    assert!(still.is_err(), "the other one goes on");
}

#[tokio::test]
async fn whoever_has_no_key_is_told_how_one_is_made() {
    let (server, _) = locked().await;
    let told = server.get("/v1/session/key-command").await;
    assert_eq!(told.header(header::CACHE_CONTROL), "no-store");
    // This server was not started by a command, so that it does not say which database.
    assert_eq!(told.success(), json!({"command": "counterpart key create --name NAME --role reader"}));
}
