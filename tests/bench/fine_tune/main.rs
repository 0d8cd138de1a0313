//! What fine-tuning costs.
//!
//! An optimiser step of every freeze policy on the same windows: CPU time as the slope between a short and a longer
//! attempt, so that what is computed once per window drops out (goal: a step of the whole network is 80 of the
//! head's). A job on 10,000 frames of eight signals, evaluation included (goal: 5 CPU-seconds): of a heater with one
//! output and seven inputs, in this thread, as by default and where the head alone learns; and of two tanks with three outputs and five inputs, by the server's own
//! worker, once alone and once beside a client that asks for predictions of another asset without a pause (goal: their
//! 99th percentile is at most 1.5 of what it was before). CPU time is that of the whole process.
//!
//! `cargo bench --bench fine_tune`; with `-- SEED` for another heater.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints its result")]

mod heater;
mod steps;

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::clock::Clock;
use counterpart::db::fixture;
use counterpart::model::Freeze;
use counterpart::server::{self, Config, Rooms, RoomsConfig};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const FRAMES: usize = 10_000;
/// What a job may cost, in CPU-seconds.
const GOAL_S: f64 = 5.0;
const REQUEST: usize = 1_000;
const SIGNALS: [(&str, &str, f64); 8] = [
    ("pump", "control_input", 1.0),
    ("valve", "control_input", 1.0),
    ("heater", "control_input", 10.0),
    ("ambient", "disturbance", 60.0),
    ("supply", "disturbance", 60.0),
    ("level_1", "output", 5.0),
    ("level_2", "output", 5.0),
    ("temperature", "output", 120.0),
];
/// Predictions asked for before a job.
const IDLE: usize = 2_000;

fn main() {
    counterpart::model::use_one_thread();
    let seed = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(11);
    steps::compare();
    println!();
    for freeze in [Freeze::default(), Freeze::Head] {
        heater::job(seed, freeze);
        println!();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure());
}

struct Api {
    client: reqwest::Client,
    url: String,
}

impl Api {
    async fn post(&self, path: &str, body: &Value) -> Value {
        let response = self.client.post(format!("{}{path}", self.url)).json(body).send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert!(status.is_success(), "{path}: {body}");
        body
    }

    async fn get(&self, path: &str) -> Value {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap().json().await.unwrap()
    }

    /// Seconds that one prediction takes.
    async fn predict(&self) -> f64 {
        let began = Instant::now();
        self.post("/v1/assets/asked/predict", &json!({ "horizon": 60 })).await;
        began.elapsed().as_secs_f64()
    }
}

async fn measure() {
    let db = fixture::fresh().await;
    let end = CancellationToken::new();
    let mut config = RoomsConfig::default();
    config.training.training_fresh_frames = 0;
    let rooms = Rooms::new(db.pool.clone(), Clock::system(), end.clone(), &config).unwrap();
    let work = rooms.start_training();
    let config = Config::default();
    let listener = server::bind(&config).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn({
        let (router, end) = (server::router(&rooms, &config), end.clone());
        async move { server::serve(listener, router, &config, end).await }
    });
    let api = Api { client: reqwest::Client::new(), url };
    fill(&api).await;
    alone(&api).await;
    beside(&api).await;
    end.cancel();
    served.await.unwrap();
    work.join_all().await;
}

/// A job alone: CPU time by stage.
async fn alone(api: &Api) {
    let mut stages: Vec<(String, f64)> = Vec::new();
    let mut last = cpu();
    let began = last;
    let job = api.post("/v1/fine-tune-jobs", &json!({ "asset": "alone" })).await;
    let path = format!("/v1/fine-tune-jobs/{}", job["id"].as_str().unwrap());
    let job = loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let job = api.get(&path).await;
        let (stage, now) = (job["stage"].as_str().unwrap_or("waiting").to_owned(), cpu());
        match stages.last_mut() {
            Some((known, spent)) if *known == stage => *spent += now - last,
            _ => stages.push((stage, now - last)),
        }
        last = now;
        if job["finished_at"].is_string() {
            break job;
        }
    };
    println!("Three outputs, five inputs: {}, {}", job["status"], job["verdict"]["reason"]);
    println!("| stage | CPU-seconds |");
    println!("|---|--:|");
    for (stage, spent) in stages {
        println!("| {stage} | {spent:.2} |");
    }
    println!("| all (goal {GOAL_S}) | {:.2} |", last - began);
}

/// A job beside predictions: how much longer the slowest take.
async fn beside(api: &Api) {
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        idle.push(api.predict().await);
    }
    let job = api.post("/v1/fine-tune-jobs", &json!({ "asset": "beside" })).await;
    let path = format!("/v1/fine-tune-jobs/{}", job["id"].as_str().unwrap());
    let mut busy = Vec::new();
    while !api.get(&path).await["finished_at"].is_string() {
        for _ in 0..20 {
            busy.push(api.predict().await);
        }
    }
    let ms = |times: &mut Vec<f64>, share: f64| {
        times.sort_unstable_by(f64::total_cmp);
        times[(share * (times.len() - 1) as f64) as usize] * 1e3
    };
    println!("| predictions | count | p50, ms | p99, ms |");
    println!("|---|--:|--:|--:|");
    for (name, times) in [("idle", &mut idle), ("while a job learns", &mut busy)] {
        println!("| {name} | {} | {:.2} | {:.2} |", times.len(), ms(times, 0.5), ms(times, 0.99));
    }
    println!("p99 while a job learns: {:.2} of idle (goal 1.5)", ms(&mut busy, 0.99) / ms(&mut idle, 0.99));
}

/// CPU-seconds of this process so far.
fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds() as f64 / 1e6).iter().sum()
}

/// Three assets of one type with the same readings; none learns by itself.
async fn fill(api: &Api) {
    let signal = |(name, role, most): &(&str, &str, f64)| json!({ "name": name, "unit": "1", "role": role, "min": -most, "max": most });
    let signals: Vec<Value> = SIGNALS.iter().map(signal).collect();
    api.post("/v1/asset-types", &json!({ "key": "plant", "interval": "PT4S", "signals": signals })).await;
    let frames = frames();
    for asset in ["alone", "beside", "asked"] {
        api.post("/v1/assets", &json!({ "key": asset, "type": "plant" })).await;
        for part in frames.chunks(REQUEST) {
            api.post(&format!("/v1/assets/{asset}/telemetry"), &json!(part)).await;
        }
    }
}

/// Two tanks in series with a heater: square-root outflow, a bilinear exchange of heat, an operator who moves
/// one control at a time, and noise on what is measured.
fn frames() -> Vec<Value> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let start: DateTime<Utc> = DateTime::from_timestamp(1_760_000_000, 0).unwrap();
    let (mut pump, mut valve, mut heater) = (0.5, 0.5, 3.0);
    let (mut ambient, mut supply) = (15.0, 12.0);
    let (mut first, mut second, mut temperature) = (1.5_f64, 1.2_f64, 30.0);
    let mut frames = Vec::with_capacity(FRAMES);
    for step in 0..FRAMES {
        match rng.random_range(0..240) {
            0 => pump = rng.random_range(0.2..0.9),
            1 => valve = rng.random_range(0.2..0.9),
            2 => heater = rng.random_range(0.0..8.0),
            _ => {}
        }
        ambient += 0.02 * (15.0 + 5.0 * (step as f64 / 3_000.0).sin() - ambient) + rng.random_range(-0.1..0.1);
        supply += 0.01 * (12.0 - supply) + rng.random_range(-0.05..0.05);
        let (inflow, between, out) = (0.05 * pump, 0.03 * valve * first.sqrt(), 0.018 * second.sqrt());
        temperature +=
            (0.04 * heater - 0.02 * (temperature - ambient) / 4.0) + inflow * (supply - temperature) / (1.0 + first);
        first = (first + inflow - between).clamp(0.01, 4.0);
        second = (second + between - out).clamp(0.01, 4.0);
        let mut noisy = |value: f64, noise: f64| value + noise * rng.random_range(-1.0..1.0);
        let values = json!({
            "pump": pump, "valve": valve, "heater": heater, "ambient": ambient, "supply": supply,
            "level_1": noisy(first, 0.01), "level_2": noisy(second, 0.01), "temperature": noisy(temperature, 0.1),
        });
        frames.push(json!({ "ts": start + TimeDelta::seconds(4 * step as i64), "values": values }));
    }
    frames
}
