//! Writers side by side, on one server or two: nothing is lost, nothing counts twice, and the order
//! of arrival does not matter.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use counterpart::asset::{Asset, Assets};
use counterpart::clock::Clock;
use counterpart::ingest::{Config, Form, Ingest, Options, Receipt};
use counterpart::reading::{self, Readings};
use counterpart::twin::Twins;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::tester::Server;

/// Another server's way in, on the same database.
fn way_in(server: &Server, writers: u32) -> (Ingest, Readings) {
    let (pool, clock) = (server.db.pool.clone(), server.clock.clone());
    let readings = Readings::new(pool.clone(), clock.clone(), &reading::Config::default());
    let config = Config { ingest_writers: writers, ..Config::default() };
    (Ingest::new(Assets::new(pool, clock.clone()), readings.clone(), clock, &config, None), readings)
}

async fn store(ingest: &Ingest, asset: &Arc<Asset>, body: &str) -> Receipt {
    let mut hold = ingest.admit(body.len()).unwrap();
    ingest.take(Some(asset.clone()), Form::Json, body.as_bytes(), &Options::default(), &mut hold).await.unwrap()
}

fn body(frames: &[(i64, f64, Option<f64>)]) -> String {
    let frame = |(second, level, pump): &(i64, f64, Option<f64>)| {
        let pump = pump.map_or_else(String::new, |pump| format!(r#","pump":{pump}"#));
        format!(r#"{{"ts":{},"values":{{"level":{level}{pump}}}}}"#, 1_795_000_000_000 + second * 1000)
    };
    format!("[{}]", frames.iter().map(frame).collect::<Vec<_>>().join(","))
}

/// What must be the same however it came to be.
async fn essence(server: &Server, asset: &Asset) -> String {
    let (pool, clock): (_, Clock) = (server.db.pool.clone(), server.clock.clone());
    let assets = Assets::new(pool.clone(), clock.clone());
    let readings = Readings::new(pool.clone(), clock.clone(), &reading::Config::default());
    let twins = Twins::new(pool, clock, assets, readings.clone());
    let twin = twins.get(asset.id).await.unwrap().unwrap();
    let frames = readings
        .range(asset.id, DateTime::UNIX_EPOCH, DateTime::<Utc>::MAX_UTC - chrono::TimeDelta::days(400 * 365 * 200))
        .await
        .unwrap();
    format!("{:?} {:?} {:?} {} {frames:?}", twin.observed_at, twin.reported, twin.reported_at, twin.readings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_order_and_any_repetition_end_in_the_same_state() {
    let server = Server::start().await;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (ingest, _) = way_in(&server, 2);
    for round in 0..12 {
        // Each instant has one value only, so that the order cannot matter.
        let mut frames: Vec<(i64, f64, Option<f64>)> = (0..60)
            .map(|second| (second, f64::from(rng.random_range(0..100_u32)) / 10.0, rng.random_bool(0.5).then_some(1.0)))
            .collect();
        let (plain, mixed) = (format!("plain-{round}"), format!("mixed-{round}"));
        for key in [&plain, &mixed] {
            server.asset(key).await;
        }
        let assets = Assets::new(server.db.pool.clone(), server.clock.clone());
        let (plain, mixed) = (assets.find(&plain).await.unwrap(), assets.find(&mixed).await.unwrap());
        let receipt = store(&ingest, &plain, &body(&frames)).await;
        assert_eq!(receipt.stored, receipt.received);
        assert_eq!(
            store(&ingest, &plain, &body(&frames)).await.duplicates,
            receipt.received,
            "a batch twice is a batch once"
        );

        let repeated: Vec<_> = frames.iter().filter(|_| rng.random_bool(0.3)).copied().collect();
        frames.extend(repeated);
        frames.shuffle(&mut rng);
        let parts = frames.chunks(rng.random_range(1..20)).map(body).collect::<Vec<_>>();
        let receipts = futures::future::join_all(parts.iter().map(|part| store(&ingest, &mixed, part))).await;
        assert_eq!(receipts.iter().map(|receipt| receipt.stored).sum::<u64>(), receipt.received);
        assert_eq!(essence(&server, &plain).await, essence(&server, &mixed).await, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_on_one_database_share_assets_without_loss() {
    let server = Server::start().await;
    let keys: Vec<String> = (0..5).map(|k| format!("tank-{k}")).collect();
    for key in &keys {
        server.asset(key).await;
    }
    let servers = [way_in(&server, 2), way_in(&server, 3)];
    let mut tasks = Vec::new();
    for sender in 0..16_i64 {
        let (ingest, _) = servers[(sender % 2) as usize].clone();
        let keys = keys.clone();
        tasks.push(tokio::spawn(async move {
            let mut stored = 0;
            for batch in 0..20_i64 {
                let items: Vec<String> = keys
                    .iter()
                    .flat_map(|key| {
                        (0..4).map(move |k| {
                            // Senders overlap: two of them send each instant, with the same value.
                            let second = (sender / 2) * 1000 + batch * 4 + k;
                            format!(
                                r#"{{"asset":"{key}","ts":{},"values":{{"level":{}}}}}"#,
                                1_795_000_000_000 + second * 1000,
                                second % 10
                            )
                        })
                    })
                    .collect();
                let body = format!("[{}]", items.join(","));
                let mut hold = ingest.admit(body.len()).unwrap();
                let receipt =
                    ingest.take(None, Form::Json, body.as_bytes(), &Options::default(), &mut hold).await.unwrap();
                assert_eq!((receipt.stored + receipt.duplicates, receipt.updated, receipt.rejected), (20, 0, 0));
                stored += receipt.stored;
            }
            stored
        }));
    }
    let mut stored = 0;
    for task in tasks {
        stored += task.await.unwrap();
    }
    assert_eq!(stored, 5 * 8 * 80, "each reading is stored by one of its two senders");
    let assets = Assets::new(server.db.pool.clone(), server.clock.clone());
    for key in &keys {
        let asset = assets.find(key).await.unwrap();
        let twins = Twins::new(server.db.pool.clone(), server.clock.clone(), assets.clone(), servers[0].1.clone());
        let twin = twins.get(asset.id).await.unwrap().unwrap();
        assert_eq!(twin.readings, 640);
        // Each server's memory agrees with the table, whoever wrote last.
        let table = format!("{:?}", servers[0].1.newest(asset.id, 640).await.unwrap());
        for (_, readings) in &servers {
            let recent = readings.recent(asset.id, twin.seq, 640).await.unwrap();
            // As text, because a gap does not equal a gap.
            assert!(format!("{recent:?}") == table, "{key}");
        }
    }
}

#[tokio::test]
async fn the_hot_tail_follows_appends_and_corrections() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    let (ingest, readings) = way_in(&server, 1);
    let asset = ingest.assets().find("tank-1").await.unwrap();
    let twins = Twins::new(server.db.pool.clone(), server.clock.clone(), ingest.assets().clone(), readings.clone());
    let steps = [
        vec![(0, 1.0, None), (1, 2.0, None)],
        vec![(2, 3.0, None)],
        vec![(1, 9.0, None)],
        vec![(5, 5.0, Some(1.0)), (3, 4.0, None)],
        vec![(5, 5.0, Some(1.0))],
    ];
    for step in steps {
        store(&ingest, &asset, &body(&step)).await;
        let twin = twins.get(asset.id).await.unwrap().unwrap();
        let recent = readings.recent(asset.id, twin.seq, 100).await.unwrap();
        assert_eq!(format!("{recent:?}"), format!("{:?}", readings.newest(asset.id, 100).await.unwrap()));
    }
    let twin = twins.get(asset.id).await.unwrap().unwrap();
    assert_eq!((twin.seq, twin.readings), (4, 6), "a repeated request is no change");
}

#[tokio::test]
async fn readings_of_an_asset_that_goes_meanwhile_are_refused_alone() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    server.asset("tank-2").await;
    let (ingest, _) = way_in(&server, 1);
    // This server still knows the asset for a moment.
    ingest.assets().find_many(&["tank-1", "tank-2"]).await.unwrap();
    server.delete("/v1/assets/tank-1").await;
    let body = r#"[{"asset":"tank-1","ts":1795000000000,"values":{"level":1}},{"asset":"tank-2","ts":1795000000000,"values":{"level":1}}]"#;
    for (atomic, stored, rejected) in [(true, 0, 2), (false, 1, 1)] {
        let mut hold = ingest.admit(body.len()).unwrap();
        let options = Options { atomic, ..Options::default() };
        let receipt = ingest.take(None, Form::Json, body.as_bytes(), &options, &mut hold).await.unwrap();
        assert_eq!((receipt.stored, receipt.rejected), (stored, rejected));
    }
}

#[tokio::test]
async fn a_broken_connection_is_replaced() {
    let server = Server::start().await;
    server.asset("tank-1").await;
    let (ingest, _) = way_in(&server, 1);
    let asset = ingest.assets().find("tank-1").await.unwrap();
    assert_eq!(store(&ingest, &asset, &body(&[(0, 1.0, None)])).await.stored, 1);
    sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
        .execute(&server.db.pool)
        .await
        .unwrap();
    assert_eq!(store(&ingest, &asset, &body(&[(1, 1.0, None)])).await.stored, 1);
}

#[tokio::test]
async fn memory_for_requests_is_bounded_and_given_back() {
    let server = Server::start().await;
    let (ingest, _) = way_in(&server, 1);
    let mut first = ingest.admit(40 << 20).unwrap();
    assert!(ingest.admit(40 << 20).is_err());
    first.resize(10 << 20).unwrap();
    let second = ingest.admit(40 << 20).unwrap();
    assert!(first.resize(30 << 20).is_err());
    drop(second);
    first.resize(64 << 20).unwrap();
}
