//! The stream: what changes is told, and a client that lost it gets what it missed.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use serde_json::json;

use crate::tester::{START, Server};

/// Reads a stream until it has told `wanted`, and gives back all that it told.
pub(crate) async fn heard(response: reqwest::Response, wanted: &str) -> String {
    heard_all(response, &[wanted]).await
}

/// As [`heard`], until all of it was told.
pub(crate) async fn heard_all(response: reqwest::Response, wanted: &[&str]) -> String {
    let mut body = response.bytes_stream();
    let mut text = String::new();
    let read = async {
        while !wanted.iter().all(|wanted| text.contains(wanted)) {
            let chunk = body.next().await.expect("the stream is open").unwrap();
            text += std::str::from_utf8(&chunk).unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .unwrap_or_else(|_| panic!("never heard all of {wanted:?}"));
    text
}

fn start() -> DateTime<Utc> {
    START.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resumes_hears_what_it_missed() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    server.asset("tank-2").await;
    for (asset, pump) in [("tank-1", 12.5), ("tank-2", 99.0)] {
        let frame = json!({"ts": START, "values": {"pump": pump}});
        server.post(&format!("/v1/assets/{asset}/telemetry"), frame).await.success();
    }
    let before = (start() - TimeDelta::seconds(1)).timestamp_micros().to_string();
    let request = server.request(reqwest::Method::GET, "/v1/stream?asset=tank-1").header("last-event-id", before);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let told = heard(response, "12.5").await;
    assert!(told.contains("event: state\n") && told.contains("\nid: "), "{told}");
    assert!(!told.contains("99"), "only the asset that was asked for: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_told_as_it_changes() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    let work = server.rooms.start_work();
    let response = server.request(reqwest::Method::GET, "/v1/stream").send().await.unwrap();
    let listening = tokio::spawn(heard(response, "33.25"));
    server.clock.advance(TimeDelta::seconds(1));
    let frame = json!({"ts": START, "values": {"pump": 33.25}});
    server.post("/v1/assets/tank-1/telemetry", frame).await.success();
    listening.await.unwrap();
    server.end.cancel();
    work.join_all().await;
}

#[tokio::test]
async fn a_stream_of_an_unknown_asset_is_refused() {
    let server = Server::start().await;
    server.get("/v1/stream?asset=none").await.problem(404, "not-found");
    server.get("/v1/stream?colour=red").await.problem(422, "invalid");
}
