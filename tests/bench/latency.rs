//! How long a whole answer takes without HTTP and database: from frames in memory to quantiles in
//! the signal's unit, on one thread, with the fit of the bank at hand.
//!
//! One asset alone (goal: p50 of at most 8 ms), then 64 assets whose windows share a batch (goal: at
//! most 1.5 ms each); 2,048 frames, two inputs, 64 steps ahead. `cargo bench --bench latency`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints its result")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use counterpart::asset::{AssetType, Interval, Kind, Role, Signal, TypeDocument};
use counterpart::expert::{History, Scale};
use counterpart::features::{Fit, Grid, Layout, Setup, Subject};
use counterpart::forecast::{DEFAULT_QUANTILES, bands};
use counterpart::model::window::Window;
use counterpart::model::{Base, Quantiles, trainee};
use counterpart::reading::Frame;

const FRAMES: usize = 2_048;
const STEPS: usize = 64;
const TARGET: usize = 2;
const ASSETS: usize = 64;
const ROUNDS: usize = 200;
const ROUNDS_TOGETHER: usize = 12;

/// What an answer is made of, in order; the preparation of the bank is a part of the windows, timed
/// once more by itself.
const PARTS: [&str; 5] =
    ["grid and layout", "windows (bank, prepared and rolled out)", "forward", "units and bands", "whole answer"];

fn main() {
    counterpart::model::use_one_thread();
    let base = Base::shipped().unwrap();
    let asset_type = asset_type();
    let assets: Vec<Vec<Frame>> = (0..ASSETS).map(frames).collect();
    let fits: Vec<Fit> = assets
        .iter()
        .map(|frames| {
            let grid = Grid::new(&asset_type, frames).unwrap();
            let layout = Layout::new(&asset_type, &grid);
            let subject = Subject { asset_type: &asset_type, grid: &grid, layout: &layout };
            Fit::new(subject, TARGET, grid.len(), STEPS, &Setup::default())
        })
        .collect();

    let mut times = vec![Vec::new(); PARTS.len()];
    for round in 0..ROUNDS + 20 {
        let which = round % ASSETS;
        let split = answer(&base, &asset_type, &assets[which..=which], &fits[which..=which]);
        if round >= 20 {
            times.iter_mut().zip(split).for_each(|(times, time)| times.push(time));
        }
    }
    print("one asset alone", &mut times, 1);
    let prepared = prepare(&asset_type, &assets[0], &fits[0]);
    println!("| preparing the bank alone | {:.3} | |", prepared.as_secs_f64() * 1e3);

    let mut times = vec![Vec::new(); PARTS.len()];
    for _ in 0..ROUNDS_TOGETHER {
        let split = answer(&base, &asset_type, &assets, &fits);
        times.iter_mut().zip(split).for_each(|(times, time)| times.push(time));
    }
    print("64 assets in one batch, each", &mut times, ASSETS);
}

/// Answers assets in one forward pass; says how long each part took.
fn answer(base: &Base, asset_type: &AssetType, assets: &[Vec<Frame>], fits: &[Fit]) -> [Duration; PARTS.len()] {
    let began = Instant::now();
    let grids: Vec<Grid> = assets.iter().map(|frames| Grid::new(asset_type, frames).unwrap()).collect();
    grids.iter().for_each(|grid| drop(black_box(Layout::new(asset_type, grid))));
    let laid = began.elapsed();
    let windows: Vec<Window> = grids
        .iter()
        .zip(fits)
        .flat_map(|(grid, fit)| {
            let held = (0..TARGET).map(|input| vec![*grid.values[input].last().unwrap(); STEPS]).collect();
            fit.windows(grid, grid.len(), &[held], STEPS)
        })
        .collect();
    let windowed = began.elapsed();
    let answers = trainee::answer(base, None, &windows.iter().collect::<Vec<_>>()).unwrap();
    let computed = began.elapsed();
    for (answer, fit) in answers.into_iter().zip(fits) {
        let answer: Quantiles = answer.into_iter().map(|row| row.map(|value| fit.scale().undo(value))).collect();
        black_box(bands(&answer, &DEFAULT_QUANTILES, STEPS));
    }
    let whole = began.elapsed();
    let between = Duration::saturating_sub;
    [laid, between(windowed, laid), between(computed, windowed), between(whole, computed), whole]
}

/// Median time of `Bank::prepare` over the newest samples.
fn prepare(asset_type: &AssetType, frames: &[Frame], fit: &Fit) -> Duration {
    let grid = Grid::new(asset_type, frames).unwrap();
    let scaled = |signal: usize| {
        let scale = Scale::of(&grid.values[signal], None);
        grid.values[signal].iter().map(|value| scale.target(*value)).collect::<Vec<_>>()
    };
    let (target, inputs) = (scaled(TARGET), [scaled(0), scaled(1)]);
    let history = History { target: &target, inputs: &inputs, others: &[], starts: &[0], silent: &[] };
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            black_box(fit.bank().prepare(&history));
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

fn print(title: &str, times: &mut [Vec<Duration>], share: usize) {
    println!("| {title} | ms p50 | p95 |");
    println!("|---|---|---|");
    for (part, times) in PARTS.iter().zip(times) {
        times.sort_unstable();
        let ms = |rank: f64| times[(rank * (times.len() - 1) as f64) as usize].as_secs_f64() * 1e3 / share as f64;
        println!("| {part} | {:.3} | {:.3} |", ms(0.5), ms(0.95));
    }
}

fn asset_type() -> AssetType {
    let signal = |name: &str, role: Role| Signal {
        name: name.to_owned(),
        unit: "1".to_owned(),
        kind: Kind::Number,
        role,
        min: None,
        max: None,
        max_rate: None,
        interval: None,
        description: None,
    };
    let signals = vec![signal("u0", Role::ControlInput), signal("u1", Role::ControlInput), signal("y", Role::Output)];
    let interval = Interval::from_micros(1_000_000).unwrap();
    let document = TypeDocument { interval, signals, ..TypeDocument::default() };
    AssetType { id: 1, key: "plant".to_owned(), version: 1, document, created_at: DateTime::UNIX_EPOCH }
}

/// Frames of a lag that answers two inputs.
fn frames(seed: usize) -> Vec<Frame> {
    let mut level = 0.0;
    (0..FRAMES)
        .map(|step| {
            let input = |pace: usize| f64::from(u8::from(((step + 31 * seed) / pace).is_multiple_of(2)));
            level += 0.07 * (input(17) + 0.5 * input(41) - level);
            let values = vec![input(17), input(41), level + 0.01 * (step as f64 * 1.7).sin()];
            Frame { observed_at: DateTime::UNIX_EPOCH + TimeDelta::seconds(step as i64), values, quality: None }
        })
        .collect()
}
