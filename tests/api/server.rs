//! What every answer has, and the doors that belong to no room.

use counterpart::access::Role;
use counterpart::server::{Config, ServerError, bind, guarded};
use reqwest::{Method, header};
use serde_json::json;

use crate::tester::{Answer, Server, tank};

#[tokio::test]
async fn the_server_says_how_it_is() {
    let server = Server::start().await;
    assert_eq!(server.get("/healthz").await.text, "ok\n");
    assert_eq!(server.get("/readyz").await.text, "ready\n");
    server.get("/v1/assets/none").await.problem(404, "not-found");
    let metrics = server.get("/metrics").await;
    assert!(metrics.header(header::CONTENT_TYPE).starts_with("application/openmetrics-text"));
    let line = r#"counterpart_http_requests_total{method="GET",route="/v1/assets/{asset}",status="404"} 1"#;
    assert!(metrics.text.contains(line), "{}", metrics.text);
    assert!(metrics.text.contains("counterpart_http_request_seconds_bucket{"), "{}", metrics.text);
    assert!(metrics.text.contains("counterpart_http_requests_in_work 1"), "{}", metrics.text);
}

#[tokio::test]
async fn a_server_without_its_database_is_alive_but_not_ready() {
    let server = Server::start().await;
    server.db.pool.close().await;
    assert_eq!(server.get("/healthz").await.status, 200);
    let answer = server.get("/readyz").await;
    answer.problem(503, "unavailable");
    assert_eq!(answer.header(header::RETRY_AFTER), "1");
    let answer = server.get("/v1/assets").await;
    answer.problem(503, "unavailable");
    assert_eq!(answer.header(header::RETRY_AFTER), "1");
}

#[tokio::test]
async fn each_problem_has_a_page() {
    let server = Server::start().await;
    let index = server.get("/problems").await;
    assert_eq!(index.header(header::CONTENT_TYPE), "text/html; charset=utf-8");
    for kind in counterpart::web::problem::ALL {
        assert!(index.text.contains(&format!("href=\"/problems/{}\"", kind.slug)));
        let page = server.get(&format!("/problems/{}", kind.slug)).await;
        assert!(page.status.is_success() && page.text.contains(kind.advice), "{page:?}");
    }
    server.get("/problems/none").await.problem(404, "not-found");
}

#[tokio::test]
async fn every_answer_is_guarded_named_and_fresh() {
    let server = Server::start().await;
    for path in ["/healthz", "/v1/assets", "/none", "/docs/", "/problems"] {
        let answer = server.get(path).await;
        assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
    }
    let named = server.request(Method::GET, "/healthz").header("x-request-id", "mine-1");
    assert_eq!(Answer::to(named).await.header("x-request-id"), "mine-1");
    let named = server.request(Method::GET, "/healthz").header("x-request-id", "x".repeat(65));
    assert_eq!(Answer::to(named).await.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn large_answers_are_compressed_for_who_can_read_them() {
    let server = Server::start().await;
    let packed = server.request(Method::GET, "/openapi.json").header(header::ACCEPT_ENCODING, "gzip").send();
    assert_eq!(packed.await.unwrap().headers()[header::CONTENT_ENCODING], "gzip");
    let plain = server.get("/openapi.json").await;
    assert_eq!(plain.header(header::CONTENT_ENCODING), "");
}

#[tokio::test]
async fn the_reference_works_without_a_network() {
    let server = Server::start().await;
    let page = server.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(!page.text.contains("https://"), "{}", page.text);
    assert!(!page.text.contains("<script>"), "an inline script would be blocked: {}", page.text);
    let start = server.get("/docs/swagger-initializer.js").await;
    assert!(start.text.contains("/openapi.json"), "{}", start.text);
    assert_eq!(server.get("/docs/swagger-ui-bundle.js").await.status, 200);
}

#[tokio::test]
async fn pages_of_other_sites_cannot_change_anything() {
    let server = Server::start().await;
    let post = |name: &'static str, value: String| {
        Answer::to(server.request(Method::POST, "/v1/asset-types").header(name, value).json(&tank("tank")))
    };
    post("sec-fetch-site", "cross-site".to_owned()).await.problem(403, "forbidden");
    post("sec-fetch-site", "same-site".to_owned()).await.problem(403, "forbidden");
    post("origin", "http://evil.example".to_owned()).await.problem(403, "forbidden");
    post("host", "evil.example".to_owned()).await.problem(403, "forbidden");
    assert_eq!(post("sec-fetch-site", "same-origin".to_owned()).await.status, 201);
    assert_eq!(post("origin", server.url("")).await.status, 200);
    let rebound =
        server.request(Method::GET, "/v1/assets").header("host", format!("evil.example:{}", server.address.port()));
    Answer::to(rebound).await.problem(403, "forbidden");
}

#[tokio::test]
async fn methods_that_a_resource_does_not_take_are_named() {
    let server = Server::start().await;
    let answer = server.delete("/v1/assets").await;
    answer.problem(405, "method-not-allowed");
    let allowed = answer.header(header::ALLOW);
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    server.put("/healthz", json!({})).await.problem(405, "method-not-allowed");
    let head = Answer::to(server.request(Method::HEAD, "/v1/assets")).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn other_machines_are_let_in_only_on_demand() {
    let server = Server::start().await;
    let access = &server.rooms.access;
    let open = Config { bind: "0.0.0.0:0".parse().unwrap(), ..Config::default() };
    let refused = guarded(&open, access).await.unwrap_err();
    assert!(matches!(refused, ServerError::Exposed(_)), "{refused}");
    for way_out in ["counterpart key create --name NAME --role admin", "--bind 127.0.0.1", "--insecure"] {
        assert!(refused.to_string().contains(way_out), "{refused}");
    }
    assert!(guarded(&Config::default(), access).await.is_ok());
    assert!(guarded(&Config { insecure: true, ..open.clone() }, access).await.is_ok());
    server.key(Role::Reader).await;
    assert!(guarded(&open, access).await.is_ok());
    // A key of a reader does not lock what only this machine reaches, but nothing opens the other one.
    assert_eq!(server.get("/v1/assets").await.status, 200);
    let exposed = Server::start_on(open, server.db.clone()).await;
    exposed.get("/v1/assets").await.problem(401, "key-needed");
    let taken = bind(&Config::default()).await.unwrap();
    let again = Config { bind: taken.local_addr().unwrap(), ..Config::default() };
    assert!(matches!(bind(&again).await, Err(ServerError::Bind { .. })));
}
