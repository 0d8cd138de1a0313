//! A device that writes: batch after batch, each sent again until it is acknowledged.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::COMMON;
use super::book::Book;

/// Frames of a batch that go to the writer's own asset, and to the common one.
const OWN: u64 = 40;
const OF_ALL: u64 = 10;

/// What a writer takes for an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belief {
    /// A 200 that says that everything is stored.
    OnlyAnswers,
    /// The control: having sent it.
    WhateverWasSent,
}

/// What the writers and the killer tell each other.
pub(crate) struct Shared {
    address: SocketAddr,
    pub(crate) batches: AtomicU64,
    pub(crate) resent: AtomicU64,
    pub(crate) hung_up: AtomicU64,
    pub(crate) finish: AtomicBool,
}

impl Shared {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            batches: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            hung_up: AtomicU64::new(0),
            finish: AtomicBool::new(false),
        }
    }

    pub(crate) async fn until_batches(&self, enough: u64) {
        while self.batches.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The values of a writer's frame: nothing else may be found at its instant.
pub(crate) fn values(writer: u64, seq: u64) -> [f64; 2] {
    [(seq * 64 + writer) as f64, -((seq * 64 + writer) as f64) / 8.0]
}

/// The instant of a writer's frame: no two writers share one.
pub(crate) fn instant(writer: u64, seq: u64) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-10-01T00:00:00Z".parse().expect("an instant");
    start + TimeDelta::milliseconds((seq * 100 + writer).cast_signed())
}

fn batch(writer: u64, first: u64) -> Vec<(String, u64)> {
    let asset = |place: u64| if place < OWN { format!("own-{writer}") } else { COMMON.to_owned() };
    (0..OWN + OF_ALL).map(|place| (asset(place), first + place)).collect()
}

fn body(writer: u64, batch: &[(String, u64)]) -> Value {
    let frame = |(asset, seq): &(String, u64)| {
        let [a, b] = values(writer, *seq);
        json!({"asset": asset, "observed_at": instant(writer, *seq), "values": {"a": a, "b": b}})
    };
    batch.iter().map(frame).collect()
}

/// Writes until told to finish; returns what was acknowledged.
pub(crate) async fn write(number: u64, seed: u64, belief: Belief, shared: std::sync::Arc<Shared>) -> Book {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ (number + 1) << 32);
    let client = reqwest::Client::new();
    let url = format!("http://{}/v1/telemetry", shared.address);
    let mut book = Book::new(number);
    let mut first = 0;
    while !shared.finish.load(Ordering::Relaxed) {
        let batch = batch(number, first);
        let body = body(number, &batch);
        let mut tries = 0_u32;
        loop {
            // One request in ten is hung up on, at a moment when it may or may not have been stored.
            let patience = if random.random_ratio(1, 10) {
                Duration::from_micros(random.random_range(200..30_000))
            } else {
                Duration::from_secs(10)
            };
            let sent = async {
                let answer = client.post(&url).json(&body).send().await.ok()?;
                Some((answer.status().as_u16(), answer.json::<Value>().await.ok()?))
            };
            let answer = tokio::time::timeout(patience, sent).await;
            tries += 1;
            if answer.is_err() {
                shared.hung_up.fetch_add(1, Ordering::Relaxed);
            }
            let acknowledged = match answer.ok().flatten() {
                Some((200, receipt)) => {
                    let readings = batch.len() as u64 * 2;
                    let kept = |name: &str| receipt[name].as_u64().unwrap_or_default();
                    assert_eq!(kept("stored") + kept("duplicates"), readings, "a receipt that adds up: {receipt}");
                    true
                }
                // A crash never makes a good batch a bad one.
                Some((status, receipt)) => {
                    assert!(status >= 500 || status == 429 || status == 408, "{status}: {receipt}");
                    false
                }
                None => false,
            };
            if acknowledged || belief == Belief::WhateverWasSent {
                break;
            }
            shared.resent.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(u64::from(tries.min(10)) * 5)).await;
        }
        first += batch.len() as u64;
        book.acknowledge(batch);
        shared.batches.fetch_add(1, Ordering::Relaxed);
        if belief == Belief::WhateverWasSent {
            // It does not wait for answers, so without a pause it would only be busy.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    book
}
