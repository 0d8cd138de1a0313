//! Seasons, trends and coloured noise: plants that mostly move by themselves.

use std::f64::consts::TAU;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::signals::{coloured, exponential, input, lag, log_uniform, normal, standardise};
use super::{Family, Record};

pub(super) fn record(draw: &mut ChaCha8Rng, steps: usize) -> Record {
    let mut target = vec![0.0; steps];
    for _ in 0..draw.random_range(1..4) {
        season(draw, &mut target);
    }
    let add = |target: &mut [f64], row: &[f64], size: f64| {
        for (value, more) in target.iter_mut().zip(row) {
            *value += size * more;
        }
    };
    let noise = coloured(draw, steps);
    let size = log_uniform(draw, 0.05, 1.5);
    add(&mut target, &noise, size);
    if draw.random_bool(0.4) {
        let mut sum = 0.0;
        let mut walk: Vec<f64> = (0..steps)
            .map(|_| {
                sum += normal(draw);
                sum
            })
            .collect();
        standardise(&mut walk);
        let size = log_uniform(draw, 0.1, 2.0);
        add(&mut target, &walk, size);
    }
    if draw.random_bool(0.3) {
        let slope = normal(draw) * log_uniform(draw, 0.1, 4.0);
        for (step, value) in target.iter_mut().enumerate() {
            *value += slope * step as f64 / steps as f64;
        }
    }
    if draw.random_bool(0.2) {
        let (from, shift) = (draw.random_range(0..steps), normal(draw) * 1.5);
        target[from..].iter_mut().for_each(|value| *value += shift);
    }
    if draw.random_bool(0.15) {
        for _ in 0..draw.random_range(1..12) {
            let (from, length, size) = (draw.random_range(0..steps), draw.random_range(1..12), normal(draw) * 3.0);
            target[from..(from + length).min(steps)].iter_mut().for_each(|value| *value += size);
        }
    }
    standardise(&mut target);
    if draw.random_bool(0.2) {
        target.iter_mut().for_each(|value| *value = (*value * 0.6).clamp(-3.0, 3.0).exp());
        standardise(&mut target);
    }
    let inputs: Vec<Vec<f64>> = (0..[0, 0, 0, 1, 2][draw.random_range(0..5)]).map(|_| input(draw, steps)).collect();
    for row in &inputs {
        let mut effect = row.clone();
        lag(&mut effect, log_uniform(draw, 1.0, 30.0));
        let size = normal(draw) * 0.7;
        add(&mut target, &effect, size);
    }
    let narrow = |row: Vec<f64>| row.into_iter().map(|value| value as f32).collect();
    Record {
        family: Family::Seasonal,
        target: narrow(target),
        inputs: inputs.into_iter().map(narrow).collect(),
        restart: None,
    }
}

/// Adds a periodic profile, perhaps with a changing size, perhaps resting at weekends.
fn season(draw: &mut ChaCha8Rng, target: &mut [f64]) {
    let steps = target.len();
    let period = match draw.random_range(0..12) {
        0..3 => 24.0,
        3 => 168.0,
        4 => 12.0,
        5 => 48.0,
        6 => 96.0,
        7 => 144.0,
        8 => 288.0,
        9 => 7.0,
        10 => 30.0,
        _ => log_uniform(draw, 8.0, 500.0).round(),
    };
    let decay = draw.random_range(0.3..1.5);
    let waves: Vec<(f64, f64)> = (1..=draw.random_range(1..7))
        .map(|harmonic: u32| (exponential(draw) / f64::from(harmonic).powf(decay), draw.random_range(0.0..TAU)))
        .collect();
    let size = log_uniform(draw, 0.2, 2.0);
    let floor = draw.random_bool(0.3).then(|| normal(draw) * 0.5);
    let swing: Option<Vec<f64>> = draw.random_bool(0.5).then(|| {
        let share = draw.random_range(0.0..0.6);
        coloured(draw, steps).into_iter().map(|value| 1.0 + share * value).collect()
    });
    let rest = (period == 24.0 && draw.random_bool(0.4)).then(|| draw.random_range(0.2..1.0));
    for (step, value) in target.iter_mut().enumerate() {
        let mut wave: f64 = waves
            .iter()
            .enumerate()
            .map(|(index, (size, phase))| size * (TAU * (index + 1) as f64 * step as f64 / period + phase).sin())
            .sum();
        if let Some(floor) = floor {
            wave = wave.max(floor);
        }
        if let Some(swing) = &swing {
            wave *= swing[step];
        }
        if rest.is_some_and(|_| (step / 24) % 7 >= 5) {
            wave *= 1.0 - rest.unwrap_or_default();
        }
        *value += size * wave;
    }
}
