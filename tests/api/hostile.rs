//! Requests that mean no good. None may end in a 5xx or go unanswered.

use std::time::{Duration, Instant};

use counterpart::server::Config;
use reqwest::{Method, header};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::tester::{Answer, Server};

async fn posted(server: &Server, content_type: &str, body: Vec<u8>) -> Answer {
    let request = server.request(Method::POST, "/v1/assets").header(header::CONTENT_TYPE, content_type);
    Answer::to(request.body(body)).await
}

#[tokio::test]
async fn bodies_that_are_not_json() {
    let server = Server::start().await;
    let utf16: Vec<u8> = "{\"key\":\"a\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{\"key\":".to_vec(),
        b"{} {}".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        utf16,
        b"{\"key\":\"\xc0\xaf\"}".to_vec(),
        br#"{"key":"\ud800"}"#.to_vec(),
        b"/* a */ {}".to_vec(),
        b"{'key':'a'}".to_vec(),
        br#"{"key":NaN}"#.to_vec(),
        br#"{"key":1e999}"#.to_vec(),
        br#"{"key":01}"#.to_vec(),
        [b"[".repeat(129), b"]".repeat(129)].concat(),
        b"[".repeat(100_000),
        [br#"{"x":"#.to_vec(), b"[".repeat(100_000)].concat(),
    ];
    for body in bodies {
        let start = String::from_utf8_lossy(&body[..body.len().min(30)]).into_owned();
        let answer = posted(&server, "application/json", body).await;
        assert_eq!(answer.status, 400, "{start}: {answer:?}");
        answer.problem(400, "invalid-json");
    }
}

#[tokio::test]
async fn bodies_of_another_shape() {
    let server = Server::start().await;
    for (body, pointer) in [
        (r#"{"key":"a","key":"a"}"#, "/key"),
        (r#"{"__proto__":{}}"#, "/__proto__"),
        (r#"["a","tank"]"#, ""),
        (r#""a""#, ""),
        ("null", ""),
        (r#"{"key":"a\u0000","type":"tank"}"#, "/key"),
        (r#"{"key":{},"type":"tank"}"#, "/key"),
        (r#"{"key":"a","type":"tank","type_version":1e10}"#, "/type_version"),
        (r#"{"key":"a","type":"tank","type_version":99999999999}"#, "/type_version"),
        (r#"{"key":"a","type":"tank","type_version":1.5}"#, "/type_version"),
        (r#"{"key":"a","type":"tank","type_version":true}"#, "/type_version"),
    ] {
        let answer = posted(&server, "application/json; charset=UTF-8", body.as_bytes().to_vec()).await;
        assert_eq!(answer.problem(422, "invalid"), [pointer], "{body}");
    }
}

#[tokio::test]
async fn bodies_of_another_type_or_size() {
    let server = Server::start().await;
    for content_type in ["text/plain", "application/json; charset=utf-16", "application/vnd.x+json", "", "json"] {
        let answer = posted(&server, content_type, b"{}".to_vec()).await;
        assert_eq!(answer.status, 415, "{content_type}");
        answer.problem(415, "unsupported-media-type");
    }
    let untyped = server.request(Method::POST, "/v1/assets").body("{}");
    Answer::to(untyped).await.problem(415, "unsupported-media-type");
    for coding in ["gzip", "br", "x"] {
        let packed = server
            .request(Method::POST, "/v1/assets")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_ENCODING, coding);
        Answer::to(packed.body("{}")).await.problem(415, "unsupported-media-type");
    }
    let started = Instant::now();
    let head = "POST /v1/assets HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let answer = server.raw(format!("{head}content-length: 99999999999\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("/problems/too-large"), "{answer}");
    let expecting = format!("{head}content-length: 16777217\r\nexpect: 100-continue\r\n\r\n");
    let answer = server.raw(expecting.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn addresses_that_lead_nowhere() {
    let server = Server::start().await;
    let long = "a".repeat(9000);
    for (path, status) in [
        ("/v1/assets/%00", 422),
        ("/v1/assets/a%00b", 422),
        ("/v1/assets/%zz", 400),
        ("/v1/assets/%", 400),
        ("/v1/assets/%ff", 400),
        ("/v1/assets/..%2f..%2fetc%2fpasswd", 422),
        ("/../../etc/passwd", 404),
        ("/v1/assets/..", 422),
        ("/v1/assets/.", 422),
        ("/v1/assets/", 404),
        ("/v1/assets//", 404),
        ("/v1/assets//state", 404),
        ("/v1//assets", 404),
        ("/v1/assets/a%20b", 422),
        ("/v1/assets/%C3%BC", 422),
        ("/v1/assets/none", 404),
        ("/v1/assets?q=%zz", 400),
        (&format!("/v1/assets/{}", &long[..1000]), 422),
        (&format!("/v1/assets/{long}"), 414),
        ("/v1/asset-types/%00", 422),
        ("/v1/asset-types/a/versions/99999999999", 422),
        ("/v1/asset-types/a/versions/-1", 404),
        ("/docs/..%2f..%2fCargo.toml", 404),
        ("/problems/%00", 404),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = server.raw(request.as_bytes()).await;
        let start = &path[..path.len().min(40)];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{start}: {answer}");
        assert!(answer.contains("application/problem+json"), "{start}: {answer}");
    }
}

#[tokio::test]
async fn requests_that_break_the_protocol() {
    let server = Server::start().await;
    let many = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect::<Vec<_>>().concat();
    let wide = format!("x: {}\r\n", "a".repeat(40_000));
    let huge = format!("x: {}\r\n", "a".repeat(1_000_000));
    let end = "host: localhost\r\nconnection: close\r\n\r\n";
    let post = "POST /v1/assets HTTP/1.1\r\ncontent-type: application/json\r\n";
    for (request, status) in [
        (format!("GET /healthz HTTP/1.1\r\n{many}{end}"), "431"),
        (format!("GET /healthz HTTP/1.1\r\n{wide}{end}"), "431"),
        (format!("GET /healthz HTTP/1.1\r\n{huge}{end}"), "431"),
        (format!("{post}content-length: -1\r\n{end}"), "400"),
        (format!("{post}transfer-encoding: xchunked\r\n{end}"), "400"),
        (format!("{post}transfer-encoding: chunked\r\n{end}FFFFFFFFFFFFFFFFF\r\n"), "400"),
        (format!("{post}content-length: 100\r\n{end}{{}}"), "408"),
        ("GET /healthz\r\n\r\n".to_owned(), "400"),
        (format!("GET /{} HTTP/1.1\r\n{end}", "a".repeat(100_000)), "414"),
    ] {
        let server = if status == "408" {
            &Server::start_with(Config { body_timeout_s: 1, ..Config::default() }).await
        } else {
            &server
        };
        let start = request.chars().take(70).collect::<String>();
        let answer = server.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{start:?}: {answer}");
    }
    let smuggled = "POST /v1/assets HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
                    0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let answer = server.raw(smuggled.as_bytes()).await;
    assert!(!answer.contains("ok\n"), "the second request was carried out: {answer}");
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_slow_head_is_cut() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: loc").await.unwrap();
    let started = Instant::now();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
}
