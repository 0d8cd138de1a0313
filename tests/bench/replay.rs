//! Real input, end to end: two tanks in a laboratory (Cascaded Tanks, nonlinearbenchmark.org).
//!
//! Imports the first record, fine-tunes on it, then posts the second record as telemetry and stops
//! at origins spread over it to predict 60 steps: once with the recorded pump voltage as the known
//! future, once with the voltage held. Prints the errors in volts beside persistence.
//!
//! `cargo bench --bench replay -- PATH/dataBenchmark.csv`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints its result")]

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::clock::Clock;
use counterpart::db::fixture;
use counterpart::server::{self, Config, Rooms, RoomsConfig};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const HORIZON: usize = 60;
const ORIGINS: usize = 20;
const STEP_S: i64 = 4;
/// The second record begins this long after the first ended: another day in the laboratory.
const BREAK_S: i64 = 3_600;

struct Records {
    first: Vec<(f64, f64)>,
    second: Vec<(f64, f64)>,
}

#[tokio::main]
async fn main() {
    counterpart::model::use_one_thread();
    let path = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let Some(path) = path else {
        println!("no data: give the path of dataBenchmark.csv (nonlinearbenchmark.org, Cascaded Tanks)");
        return;
    };
    let records = read(&path);
    let db = fixture::fresh().await;
    let end = CancellationToken::new();
    // Long past, so that all of it lies before now.
    let start = DateTime::from_timestamp(1_760_000_000, 0).unwrap();
    let rooms = Rooms::new(db.pool.clone(), Clock::system(), end.clone(), &RoomsConfig::default()).unwrap();
    let work = rooms.start_training();
    let config = Config::default();
    let listener = server::bind(&config).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn({
        let (router, end) = (server::router(&rooms, &config), end.clone());
        async move { server::serve(listener, router, &config, end).await }
    });
    let client = reqwest::Client::new();
    let post = async |path: &str, body: Value| -> Value {
        let response = client.post(format!("{url}{path}")).json(&body).send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert!(status.is_success(), "{path}: {body}");
        body
    };
    let get =
        async |path: &str| -> Value { client.get(format!("{url}{path}")).send().await.unwrap().json().await.unwrap() };

    post(
        "/v1/asset-types",
        json!({"key": "cascaded-tanks", "interval": "PT4S", "signals": [
        {"name": "pump", "unit": "V", "role": "control_input", "min": 0, "max": 10},
        {"name": "level", "unit": "V", "role": "output", "min": 0, "max": 10.1}]}),
    )
    .await;
    post("/v1/assets", json!({"key": "tanks", "type": "cascaded-tanks"})).await;
    let frames = |from: DateTime<Utc>, record: &[(f64, f64)]| -> Value {
        let frame = |(index, (pump, level)): (usize, &(f64, f64))| {
            let at = from + TimeDelta::seconds(STEP_S * index as i64);
            json!({"ts": at, "values": {"pump": pump, "level": level}})
        };
        record.iter().enumerate().map(frame).collect()
    };
    post("/v1/assets/tanks/telemetry", frames(start, &records.first)).await;

    // On an asset of its own, so that the job below never sees the second record.
    post("/v1/assets", json!({"key": "untrained", "type": "cascaded-tanks"})).await;
    post("/v1/assets/untrained/telemetry", frames(start, &records.first)).await;
    let zero_shot = replay(&records, "untrained", &post, &frames, start).await;
    let began = Instant::now();
    let job = post("/v1/fine-tune-jobs", json!({"asset": "tanks"})).await;
    let path = format!("/v1/fine-tune-jobs/{}", job["id"].as_str().unwrap());
    let job = loop {
        let job = get(&path).await;
        if job["finished_at"].is_string() {
            break job;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    println!("fine-tune: {} after {:.1} s: {}", job["status"], began.elapsed().as_secs_f64(), job["verdict"]["reason"]);
    let served_by = |errors: &Errors| format!("{} {}", errors.source, errors.version);
    let tuned = replay(&records, "tanks", &post, &frames, start).await;
    println!("origins {ORIGINS}, horizon {HORIZON} steps of {STEP_S} s, RMSE in V");
    println!("| forecast | served by | RMSE | 80 % band holds |");
    println!("|---|---|---|---|");
    println!("| persistence | - | {:.3} | - |", tuned.persistence);
    for (name, errors) in [("before fine-tuning", &zero_shot), ("after fine-tuning", &tuned)] {
        println!("| {name}, voltage known | {} | {:.3} | {:.2} |", served_by(errors), errors.known, errors.coverage);
        println!("| {name}, voltage held | {} | {:.3} | |", served_by(errors), errors.held);
    }
    end.cancel();
    served.await.unwrap();
    work.join_all().await;
    assert!(tuned.known <= 0.75, "the target is 0.75 V");
    assert!(tuned.held > 1.5 * tuned.known, "knowing the input must matter");
}

struct Errors {
    known: f64,
    held: f64,
    persistence: f64,
    coverage: f64,
    source: String,
    version: i64,
}

/// Posts the second record up to each origin and predicts from there.
async fn replay(
    records: &Records,
    asset: &str,
    post: &impl AsyncFn(&str, Value) -> Value,
    frames: &impl Fn(DateTime<Utc>, &[(f64, f64)]) -> Value,
    start: DateTime<Utc>,
) -> Errors {
    let telemetry = format!("/v1/assets/{asset}/telemetry");
    let predict = format!("/v1/assets/{asset}/predict");
    let second_start = start + TimeDelta::seconds(STEP_S * records.first.len() as i64 + BREAK_S);
    let (first_origin, last_origin) = (64, records.second.len() - HORIZON);
    let mut sums = [0.0; 3];
    let (mut count, mut inside) = (0.0, 0.0);
    let (mut source, mut version) = (String::new(), 0);
    let mut posted = 0;
    for index in 0..ORIGINS {
        let origin = first_origin + index * (last_origin - first_origin) / (ORIGINS - 1);
        let from = second_start + TimeDelta::seconds(STEP_S * posted as i64);
        post(&telemetry, frames(from, &records.second[posted..origin])).await;
        posted = origin;
        let truth = &records.second[origin..origin + HORIZON];
        let voltage: Vec<f64> = truth.iter().map(|(pump, _)| *pump).collect();
        let known = post(&predict, json!({"horizon": HORIZON, "inputs": {"pump": voltage}})).await;
        let held = post(&predict, json!({"horizon": HORIZON})).await;
        source = known["model"]["source"].as_str().unwrap().to_owned();
        version = known["model"]["version"].as_i64().unwrap();
        let last = records.second[origin - 1].1;
        for (step, (_, level)) in truth.iter().enumerate() {
            let at = |answer: &Value, quantile: &str| answer["signals"]["level"][quantile][step].as_f64().unwrap();
            sums[0] += (at(&known, "0.5") - level).powi(2);
            sums[1] += (at(&held, "0.5") - level).powi(2);
            sums[2] += (last - level).powi(2);
            inside += f64::from(at(&known, "0.1") <= *level && *level <= at(&known, "0.9"));
            count += 1.0;
        }
    }
    let [known, held, persistence] = sums.map(|sum| f64::sqrt(sum / count));
    Errors { known, held, persistence, coverage: inside / count, source, version }
}

fn read(path: &str) -> Records {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|other| other == name).unwrap();
    let (u1, u2, y1, y2) = (column("uEst"), column("uVal"), column("yEst"), column("yVal"));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for row in reader.records() {
        let row = row.unwrap();
        let number = |index: usize| row[index].parse::<f64>().unwrap();
        first.push((number(u1), number(y1)));
        second.push((number(u2), number(y2)));
    }
    Records { first, second }
}
