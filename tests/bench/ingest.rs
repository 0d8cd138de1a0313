//! What durable ingest over HTTP costs beside raw COPY into a narrow table with a key.
//!
//! A real server with a real private cluster (fsync on) takes 1,000 readings a request, 100 frames of
//! 10 signals of 10 assets, from 8 connections; the same cluster takes the same readings by binary
//! COPY into `(asset, signal, ts, value)` with its primary key, 1,000 rows a transaction, from 8
//! connections. In turn, several rounds; readings per CPU second of the server and all processes of
//! PostgreSQL (for COPY there is no server; the client's own CPU counts on neither side), and the
//! median of the ratios. Validation and state updates are on; forecasts and learning, which are no
//! part of ingest, are not. `cargo bench --bench ingest`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints its result")]

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{Connection as _, PgConnection};

const CONNECTIONS: i64 = 8;
const ASSETS: i64 = 10;
const FRAMES: i64 = 10;
const SIGNALS: i64 = 10;
const BATCH: i64 = ASSETS * FRAMES * SIGNALS;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);
/// Readings begin here and come once a second.
const START_MS: i64 = 1_790_000_000_000;
/// Microseconds between 1970 and 2000, where PostgreSQL counts from.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
/// Clock ticks a second in /proc, on every Linux that we run on.
const TICKS: f64 = 100.0;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let data = tempfile::tempdir().unwrap();
    let mut server = start(data.path()).await;
    let url = format!("http://{}", server.address);
    let postgres = postmaster(data.path());
    let database = database_url(data.path()).await;
    prepare(&url, &database).await;

    let steps: Arc<Vec<AtomicI64>> = Arc::new((0..2 * CONNECTIONS).map(|_| AtomicI64::new(0)).collect());
    let (mut ingest, mut copy, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    println!("1,000 readings a batch, {CONNECTIONS} connections; readings per CPU second (and per second)");
    for round in 0..=ROUNDS {
        let before = (cpu_seconds(server.child.id()), cpu_of_postgres(postgres));
        let (posted, took) = run(|stop| tokio::spawn(post(url.clone(), Arc::clone(&steps), stop))).await;
        let after = (cpu_seconds(server.child.id()), cpu_of_postgres(postgres));
        let (in_server, in_postgres) = (after.0 - before.0, after.1 - before.1);

        let before = cpu_of_postgres(postgres);
        let (copied, copy_took) = run(|stop| tokio::spawn(narrow(database.clone(), Arc::clone(&steps), stop))).await;
        let copy_cpu = cpu_of_postgres(postgres) - before;

        let (a, b) = (posted / (in_server + in_postgres), copied / copy_cpu);
        println!(
            "round {round}: ingest {a:.0} ({:.0}/s; server {:.2} s, PostgreSQL {:.2} s CPU), COPY {b:.0} ({:.0}/s), ratio {:.2}",
            posted / took,
            in_server,
            in_postgres,
            copied / copy_took,
            a / b
        );
        // The first round warms up.
        if round > 0 {
            ingest.push(a);
            copy.push(b);
            ratios.push(a / b);
        }
    }
    let stored: i64 = sqlx::query_scalar("select sum(readings)::int8 from twin")
        .fetch_one(&mut PgConnection::connect(&database).await.unwrap())
        .await
        .unwrap();
    println!("{stored} readings are in the twins' count");
    println!(
        "median: ingest {:.0}, COPY {:.0}, ratio {:.2}",
        median(&mut ingest),
        median(&mut copy),
        median(&mut ratios)
    );
    server.stop();
}

/// Runs one task a connection for a round; returns readings and seconds.
async fn run(task: impl Fn((i64, Arc<AtomicU64>, Instant)) -> tokio::task::JoinHandle<()>) -> (f64, f64) {
    let (count, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let tasks: Vec<_> = (0..CONNECTIONS).map(|k| task((k, Arc::clone(&count), began + ROUND))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    (count.load(Ordering::Relaxed) as f64, began.elapsed().as_secs_f64())
}

async fn post(url: String, steps: Arc<Vec<AtomicI64>>, (k, count, end): (i64, Arc<AtomicU64>, Instant)) {
    let client = reqwest::Client::new();
    while Instant::now() < end {
        let first = steps[k as usize].fetch_add(FRAMES, Ordering::Relaxed);
        let mut body = String::with_capacity(20_000);
        for asset in 0..ASSETS {
            for step in first..first + FRAMES {
                body.push(if body.is_empty() { '[' } else { ',' });
                let ts = START_MS + step * 1000;
                write!(body, r#"{{"asset":"a-{k}-{asset}","ts":{ts},"values":{{"#).unwrap();
                for signal in 0..SIGNALS {
                    let comma = if signal > 0 { "," } else { "" };
                    write!(body, r#"{comma}"signal_{signal}":{}"#, value(asset, signal, step)).unwrap();
                }
                body.push_str("}}");
            }
        }
        body.push(']');
        let request = client.post(format!("{url}/v1/telemetry")).header("content-type", "application/json").body(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let receipt: serde_json::Value = answer.json().await.unwrap();
        assert_eq!((status.as_u16(), &receipt["stored"]), (200, &json!(BATCH)), "{receipt}");
        count.fetch_add(BATCH as u64, Ordering::Relaxed);
    }
}

async fn narrow(database: String, steps: Arc<Vec<AtomicI64>>, (k, count, end): (i64, Arc<AtomicU64>, Instant)) {
    let mut connection = PgConnection::connect(&database).await.unwrap();
    while Instant::now() < end {
        let first = steps[(CONNECTIONS + k) as usize].fetch_add(FRAMES, Ordering::Relaxed);
        let mut rows = Vec::with_capacity(64_000);
        rows.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        for asset in 0..ASSETS {
            for signal in 0..SIGNALS {
                for step in first..first + FRAMES {
                    let at = (START_MS + step * 1000) * 1000 - POSTGRES_EPOCH;
                    rows.extend_from_slice(&4_i16.to_be_bytes());
                    rows.extend_from_slice(&8_i32.to_be_bytes());
                    rows.extend_from_slice(&(k * ASSETS + asset).to_be_bytes());
                    rows.extend_from_slice(&4_i32.to_be_bytes());
                    rows.extend_from_slice(&(signal as i32).to_be_bytes());
                    rows.extend_from_slice(&8_i32.to_be_bytes());
                    rows.extend_from_slice(&at.to_be_bytes());
                    rows.extend_from_slice(&8_i32.to_be_bytes());
                    rows.extend_from_slice(&value(asset, signal, step).to_be_bytes());
                }
            }
        }
        rows.extend_from_slice(&(-1_i16).to_be_bytes());
        let mut copy = connection
            .copy_in_raw("copy narrow (asset, signal, ts, value) from stdin with (format binary)")
            .await
            .unwrap();
        copy.send(rows).await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), BATCH as u64);
        count.fetch_add(BATCH as u64, Ordering::Relaxed);
    }
}

/// A plausible measurement with three decimals.
fn value(asset: i64, signal: i64, step: i64) -> f64 {
    let phase = (step * (signal + 1) + asset * 37) % 10_000;
    (20_000 + phase * 7 % 5_000) as f64 / 1000.0
}

async fn prepare(url: &str, database: &str) {
    let client = reqwest::Client::new();
    let make = async |path: &str, body: serde_json::Value| {
        let answer = client.post(format!("{url}{path}")).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    };
    let signals: Vec<_> = (0..SIGNALS)
        .map(|k| json!({"name": format!("signal_{k}"), "unit": "1", "role": "disturbance", "min": -1e6, "max": 1e6}))
        .collect();
    make("/v1/asset-types", json!({"key": "bench", "interval": "PT1S", "signals": signals})).await;
    for k in 0..CONNECTIONS {
        for asset in 0..ASSETS {
            make("/v1/assets", json!({"key": format!("a-{k}-{asset}"), "type": "bench"})).await;
        }
    }
    let mut connection = PgConnection::connect(database).await.unwrap();
    sqlx::query(
        "create table narrow (asset int8, signal int4, ts timestamptz, value float8, primary key (asset, signal, ts))",
    )
    .execute(&mut connection)
    .await
    .unwrap();
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn stop(&mut self) {
        // In good order, so that the cluster ends with it.
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn start(data: &Path) -> Server {
    use std::os::unix::fs::PermissionsExt as _;
    // Root's PostgreSQL runs as another user, who must get in.
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_counterpart"))
        .arg("serve")
        .env_remove("DATABASE_URL")
        .env("COUNTERPART_DB_DATA_DIR", data)
        .env("COUNTERPART_SERVER_BIND", address.to_string())
        .env("COUNTERPART_FORECAST_EVERY_S", "1000000")
        .env("COUNTERPART_TRAINING_FIRST_FRAMES", "1000000000")
        .env("COUNTERPART_OBSERVE_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { child, address };
    let client = reqwest::Client::new();
    let began = Instant::now();
    loop {
        let answer = client.get(format!("http://{address}/readyz")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return server;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "the server does not get ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The address of the private database that the server runs.
async fn database_url(data: &Path) -> String {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_counterpart"))
        .args(["db", "url"])
        .env_remove("DATABASE_URL")
        .env("COUNTERPART_DB_DATA_DIR", data)
        .output()
        .await
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The first process of the cluster in a data directory.
fn postmaster(data: &Path) -> u32 {
    let mut directories = vec![data.to_owned()];
    while let Some(directory) = directories.pop() {
        if let Ok(text) = std::fs::read_to_string(directory.join("postmaster.pid")) {
            return text.lines().next().unwrap().parse().unwrap();
        }
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        directories.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    panic!("the cluster has no postmaster.pid");
}

/// CPU seconds of the cluster: its first process, the children that ended, and those that live.
fn cpu_of_postgres(postmaster: u32) -> f64 {
    let own = stat(postmaster).unwrap_or_default();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let live: u64 = pids.filter_map(stat).filter(|stat| stat.parent == postmaster).map(|stat| stat.own).sum();
    (own.own + own.ended_children + live) as f64 / TICKS
}

fn cpu_seconds(pid: u32) -> f64 {
    stat(pid).unwrap_or_default().own as f64 / TICKS
}

#[derive(Default)]
struct Stat {
    parent: u32,
    own: u64,
    ended_children: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold blanks.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: ticks(11)? + ticks(12)?,
        ended_children: ticks(13)? + ticks(14)?,
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
