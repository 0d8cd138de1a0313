//! How the server ends.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::tester::Server;

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let mut server = Server::start().await;
    assert_eq!(server.get("/healthz").await.status, 200);
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let started = Instant::now();
    server.end.cancel();
    (&mut server.task).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_request_in_work_is_finished() {
    let mut server = Server::start().await;
    let body = r#"{"key":"x","interval":"PT1S","signals":[{"name":"a","role":"output"}]}"#;
    let head = format!(
        "POST /v1/asset-types HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body.as_bytes()[..10]).await.unwrap();
    // The request has begun when it is counted.
    while !server.get("/metrics").await.text.contains("http_requests_in_work 2") {
        tokio::task::yield_now().await;
    }
    server.end.cancel();
    tokio::task::yield_now().await;
    stream.write_all(&body.as_bytes()[10..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    (&mut server.task).await.unwrap();
}
