//! What was acknowledged is there, once and right, after the server was killed in the middle.
//!
//! The real binary with its default database takes batches from several writers and is killed with
//! SIGKILL again and again. A writer sends a batch until it is answered with 200; some requests are
//! hung up on. Then the database is compared with the writers' books. A control, in which writers
//! believe that whatever they sent was acknowledged, must be caught.
//!
//! `COUNTERPART_CRASH_KILLS` (10), `COUNTERPART_CRASH_WRITERS` (4), `COUNTERPART_CRASH_SEED` (1).
//! Prints one line of JSON.

mod book;
mod process;
mod writer;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use book::Findings;
use process::Server;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use writer::{Belief, Shared};

/// The asset that all writers write to, beside one of their own each.
const COMMON: &str = "common";

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a whole number"))
}

/// One run: `kills` deaths of the server while the writers write.
async fn run(kills: u64, writers: u64, seed: u64, belief: Belief) -> (Findings, serde_json::Value) {
    let start = Instant::now();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut server = Server::start(data.path()).await;
    server.make_assets(writers).await;

    let shared = Arc::new(Shared::new(server.address()));
    let hands: Vec<_> =
        (0..writers).map(|number| tokio::spawn(writer::write(number, seed, belief, Arc::clone(&shared)))).collect();
    let mut slowest_restart = Duration::ZERO;
    for _ in 0..kills {
        // Each life does some work before it ends.
        let before = shared.batches.load(Ordering::Relaxed);
        shared.until_batches(before + writers).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
        server.kill();
        slowest_restart = slowest_restart.max(server.restart().await);
    }
    shared.finish.store(true, Ordering::Relaxed);
    let mut books = Vec::new();
    for hand in hands {
        books.push(hand.await.expect("a writer keeps its book"));
    }
    let findings = book::compare(&server.database_url().await, &books).await;
    server.kill();
    server.until_no_postgres_is_left().await;
    let line = serde_json::json!({
        "test": "crash", "belief": format!("{belief:?}"), "seed": seed, "kills": kills, "writers": writers,
        "acknowledged": findings.acknowledged, "lost": findings.lost, "wrong": findings.wrong,
        "phantom": findings.phantom, "state_drift": findings.state_drift,
        "resent": shared.resent.load(Ordering::Relaxed), "hung_up": shared.hung_up.load(Ordering::Relaxed),
        "slowest_restart_ms": slowest_restart.as_millis() as u64, "took_s": start.elapsed().as_secs_f64(),
    });
    let mut out = std::io::stdout();
    writeln!(out, "{line}").expect("somebody reads");
    (findings, line)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9() {
    let kills = setting("COUNTERPART_CRASH_KILLS", 10);
    let writers = setting("COUNTERPART_CRASH_WRITERS", 4);
    let seed = setting("COUNTERPART_CRASH_SEED", 1);
    let (findings, line) = run(kills, writers, seed, Belief::OnlyAnswers).await;
    assert!(findings.acknowledged > 0, "{line}");
    assert!(findings.is_clean(), "{line}");

    let (control, line) = run(2, writers, seed, Belief::WhateverWasSent).await;
    assert!(control.lost > 0, "the comparison must catch writers that believe too much: {line}");
}
