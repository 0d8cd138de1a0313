//! How the server ends.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
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

#[tokio::test]
async fn a_signal_ends_the_program_in_order() {
    let db = counterpart::db::fixture::fresh().await;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_counterpart"))
            .args(["serve", "--bind", "127.0.0.1:0", "--log-format", "json"])
            .env("DATABASE_URL", &db.url)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("it says where it listens before it ends");
            if let Some((_, rest)) = line.split_once("dashboard http://") {
                break rest.to_owned();
            }
        };
        let _silent = TcpStream::connect(&address).await.unwrap();
        let answer = reqwest::get(format!("http://{address}/readyz")).await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "ready\n");
        let started = Instant::now();
        kill(Pid::from_raw(i32::try_from(program.id().unwrap()).unwrap()), signal).unwrap();
        let rest = async { while lines.next_line().await.unwrap().is_some() {} };
        let (status, ()) = tokio::join!(program.wait(), rest);
        assert!(status.unwrap().success());
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
}
