//! What a goal seek is worth where the truth is known: on three simulated plants a version is
//! fine-tuned on operating data and promoted, asked for schedules from many states, and the *true*
//! plant runs each of them. Printed: how often the true plant kept all constraints, and the regret
//! against the true optimum, which the same search finds with the true plant in its loop and fifteen
//! times the budget.
//!
//! The optimum knows the noise to come and needs no margin, so no honest schedule reaches it.
//! `cargo bench --bench goal_seek`; with `-- SEED PROBLEMS` for another seed and count.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints its result")]

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::clock::Clock;
use counterpart::db::fixture;
use counterpart::evaluate::truth::{Running, TruePlant};
use counterpart::scenario::seek::schedule::{Freedom, Shape};
use counterpart::scenario::seek::search::{Search, Worth};
use counterpart::server::{self, Config, Rooms, RoomsConfig};
use counterpart::training::Worker;
use counterpart::training::teacher::Teacher;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

const STEPS: usize = 48;
const TAUGHT: usize = 2_400;
/// Evaluations of the goal seek, and of the search for the true optimum.
const BUDGET: usize = 400;
const TRUE_BUDGET: usize = 6_000;
/// Knots of each control: twelve for the demo plant's three.
const KNOTS: usize = 4;

/// A problem: what is asked, and the same as a function of the true rows.
struct Problem {
    body: Value,
    judge: TrueJudge,
}

/// Cost and the worst excess over a limit of rows of the type's signals.
type TrueJudge = Box<dyn Fn(&[Vec<f64>]) -> Worth>;

fn main() {
    counterpart::model::use_one_thread();
    let words: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let (seed, problems) = (words.first().copied().unwrap_or(21), words.get(1).copied().unwrap_or(34) as usize);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!(
        "{problems} problems a plant, seed {seed}, {STEPS} steps, {BUDGET} evaluations; the optimum: {TRUE_BUDGET}"
    );
    println!(
        "| plant | said to be met | of these kept by the true plant | regret, share of the gain: median, p90 | regret, share of the optimum: median | s a search: median, worst |"
    );
    println!("|---|---|---|---|---|---|");
    for plant in TruePlant::all() {
        runtime.block_on(run(plant, seed, problems));
    }
}

async fn run(plant: TruePlant, seed: u64, problems: usize) {
    let db = fixture::fresh().await;
    let begin: DateTime<Utc> = "2026-11-24T00:00:00Z".parse().unwrap();
    let (clock, end) = (Clock::manual(begin), CancellationToken::new());
    let rooms = Rooms::new(db.pool.clone(), clock.clone(), end.clone(), &RoomsConfig::default()).unwrap();
    let config = Config::default();
    let listener = server::bind(&config).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn({
        let (router, end) = (server::router(&rooms, &config), end.clone());
        async move { server::serve(listener, router, &config, end).await }
    });
    let client = reqwest::Client::new();
    let post = async |path: &str, body: &Value| -> Value {
        let answer = client.post(format!("{url}{path}")).json(body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path} {status}: {text}");
        serde_json::from_str(&text).unwrap()
    };
    let mut kind = plant.document();
    kind["key"] = json!("plant");
    let names: Vec<String> =
        kind["signals"].as_array().unwrap().iter().map(|signal| signal["name"].as_str().unwrap().to_owned()).collect();
    post("/v1/asset-types", &kind).await;
    post("/v1/assets", &json!({"key": "plant", "type": "plant"})).await;

    let mut running = plant.start(seed);
    let mut now = begin;
    let mut rows: Vec<Vec<f64>> = Vec::new();
    let mut operate = |steps: usize, rows: &mut Vec<Vec<f64>>, running: &mut Running| -> Vec<Value> {
        let frames = (0..steps).map(|_| {
            now += TimeDelta::seconds(1);
            let row = running.operate();
            let known = names.iter().zip(&row).filter(|(_, value)| value.is_finite());
            let values: Map<String, Value> = known.map(|(name, value)| (name.clone(), json!(value))).collect();
            rows.push(row);
            json!({"ts": now, "values": values})
        });
        let frames = frames.collect();
        clock.advance(now - clock.now());
        frames
    };
    for chunk in operate(TAUGHT, &mut rows, &mut running).chunks(600) {
        post("/v1/assets/plant/telemetry", &json!(chunk)).await;
    }
    post("/v1/fine-tune-jobs", &json!({"asset": "plant"})).await;
    Worker::new(rooms.training.clone(), Arc::new(Teacher::default()), end.clone()).step().await.unwrap();
    post("/v1/assets/plant/models/1/promote", &json!({})).await;

    let taught = rows.clone();
    let (mut met, mut kept, mut gains, mut shares, mut times) = (0, 0, Vec::new(), Vec::new(), Vec::new());
    for number in 0..problems {
        for chunk in operate(30 + number % 7 * 5, &mut rows, &mut running).chunks(600) {
            post("/v1/assets/plant/telemetry", &json!(chunk)).await;
        }
        let problem = problem(plant, number, &rows[rows.len() - 1], &taught);
        let began = Instant::now();
        let answer = post("/v1/assets/plant/goal-seek", &problem.body).await;
        times.push(began.elapsed().as_secs_f64());
        let controls: Vec<Vec<f64>> = plant
            .controls()
            .iter()
            .map(|name| {
                let values = answer["best"]["inputs"][name]["values"].as_array().unwrap();
                values.iter().map(|value| value.as_f64().unwrap()).collect()
            })
            .collect();
        let ours = (problem.judge)(&simulate(&running, &controls));
        let (optimum, usual) = best(plant, &running, &rows[rows.len() - 1], &taught, &problem);
        if answer["met"] == true && optimum.is_sound() {
            met += 1;
            kept += usize::from(ours.is_sound());
            gains.push((ours.cost - optimum.cost) / (usual - optimum.cost).max(1e-9));
            shares.push((ours.cost - optimum.cost) / optimum.cost.abs().max(1e-9));
        }
    }
    let at = |values: &mut Vec<f64>, share: f64| {
        values.sort_by(f64::total_cmp);
        values.get((share * values.len().saturating_sub(1) as f64) as usize).copied().unwrap_or(f64::NAN)
    };
    println!(
        "| {} | {met} of {problems} | {kept} ({:.0} %) | {:.3}, {:.3} | {:.3} | {:.2}, {:.2} |",
        plant.name(),
        100.0 * f64::from(kept as u32) / f64::from(met.max(1) as u32),
        at(&mut gains, 0.5),
        at(&mut gains, 0.9),
        at(&mut shares, 0.5),
        at(&mut times, 0.5),
        at(&mut times, 1.0),
    );
    end.cancel();
    served.await.unwrap();
}

/// The rows that the true plant makes of controls; what a sensor leaves out stays where it was.
fn simulate(running: &Running, controls: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut copy = running.clone();
    let mut last: Vec<f64> = Vec::new();
    (0..STEPS)
        .map(|step| {
            let mut row = copy.step(&controls.iter().map(|row| row[step]).collect::<Vec<f64>>());
            for (value, before) in row.iter_mut().zip(&last) {
                *value = if value.is_finite() { *value } else { *before };
            }
            last.clone_from(&row);
            row
        })
        .collect()
}

/// The true optimum within what was seen, and the median cost of constant schedules.
fn best(plant: TruePlant, running: &Running, now: &[f64], taught: &[Vec<f64>], problem: &Problem) -> (Worth, f64) {
    let freedoms: Vec<Freedom> = (0..plant.controls().len())
        .map(|control| {
            let values: Vec<f64> = taught.iter().map(|row| row[control]).collect();
            let moves = values.windows(2).map(|pair| pair[1] - pair[0]);
            let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
            let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
            Freedom {
                row: control,
                last: now[control],
                range: [least(&mut values.iter().copied()), most(&mut values.iter().copied())],
                change: [least(&mut moves.clone()), most(&mut moves.clone())],
                knots: KNOTS,
                shape: Shape::Linear,
            }
        })
        .collect();
    let mut search = Search::new(freedoms, STEPS, 5);
    let mut usual = f64::NAN;
    while search.count() < TRUE_BUDGET {
        let asked = search.ask().to_vec();
        let worths: Vec<Worth> =
            asked.iter().map(|knots| (problem.judge)(&simulate(running, &search.rows(knots)))).collect();
        if usual.is_nan() {
            let mut costs: Vec<f64> = worths.iter().map(|worth| worth.cost).collect();
            costs.sort_by(f64::total_cmp);
            usual = costs[costs.len() / 2];
        }
        search.tell(&worths);
    }
    (search.best(1)[0].worth, usual)
}

/// A problem of each plant's own, different from state to state.
fn problem(plant: TruePlant, number: usize, now: &[f64], taught: &[Vec<f64>]) -> Problem {
    let quantile = |signal: usize, share: f64| {
        let mut values: Vec<f64> = taught.iter().map(|row| row[signal]).filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values[(share * (values.len() - 1) as f64) as usize]
    };
    let share = 0.2 + 0.6 * ((number * 37 % 100) as f64 / 100.0);
    let mean =
        |rows: &[Vec<f64>], of: &dyn Fn(&[f64]) -> f64| rows.iter().map(|row| of(row)).sum::<f64>() / rows.len() as f64;
    let worst = |rows: &[Vec<f64>], of: &dyn Fn(&[f64]) -> f64| {
        rows.iter().map(|row| of(row)).fold(f64::NEG_INFINITY, f64::max)
    };
    let common = |objective: Value, constraints: Value| {
        json!({
            "horizon": STEPS, "knots": KNOTS, "evaluations": BUDGET, "seed": number, "alternatives": 0, "deadline_s": 25,
            "objective": objective, "constraints": constraints,
        })
    };
    match plant {
        TruePlant::Demo => {
            // The least power that lets temperature and level stay where they are wanted.
            let warm = (now[6] - 1.0).min(quantile(6, 0.6));
            let (low, high) = (quantile(5, 0.02) - 0.1, quantile(5, 0.98) + 0.3);
            let body = common(
                json!({"goal": "minimise", "kpi": {"name": "power", "expression": "heater + 2 * pump", "agg": "mean"}}),
                json!([{"signal": "temperature", "min": warm}, {"signal": "level_2", "min": low, "max": high}]),
            );
            let judge = move |rows: &[Vec<f64>]| Worth {
                cost: mean(rows, &|row| row[2] + 2.0 * row[0]),
                broken: worst(rows, &|row| (warm - row[6]).max(low - row[5]).max(row[5] - high)).max(0.0),
            };
            Problem { body, judge: Box::new(judge) }
        }
        TruePlant::DeadTime => {
            let wanted = quantile(2, share);
            let most = wanted.max(now[2]) + 3.0;
            let body = common(
                json!({"goal": "track", "signal": "output", "setpoint": wanted, "terminal": 0}),
                json!([{"signal": "output", "max": most}]),
            );
            let judge = move |rows: &[Vec<f64>]| Worth {
                cost: mean(rows, &|row| (row[2] - wanted).powi(2)),
                broken: worst(rows, &|row| row[2] - most).max(0.0),
            };
            Problem { body, judge: Box::new(judge) }
        }
        TruePlant::SignChange => {
            // The most output for the load, without a peak.
            let most = quantile(2, 0.5 + 0.5 * share).max(now[2]) + 0.05;
            let body = common(
                json!({"goal": "maximise", "kpi": {"name": "yield", "expression": "output - 0.4 * load", "agg": "mean"}}),
                json!([{"signal": "output", "max": most}]),
            );
            let judge = move |rows: &[Vec<f64>]| Worth {
                cost: -mean(rows, &|row| row[2] - 0.4 * row[1]),
                broken: worst(rows, &|row| row[2] - most).max(0.0),
            };
            Problem { body, judge: Box::new(judge) }
        }
    }
}
