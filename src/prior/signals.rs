//! Random signals: what operators, schedules and the weather do to inputs.

use std::f64::consts::TAU;

use rand::{Rng as _, RngExt as _};
use rand_chacha::ChaCha8Rng;

/// Log-uniform between two positive numbers.
pub(super) fn log_uniform(draw: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    draw.random_range(low.ln()..high.ln()).exp()
}

/// Standard normal (Box and Muller 1958).
pub(super) fn normal(draw: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - draw.random_range(0.0..1.0_f64)).ln()).sqrt();
    radius * (TAU * draw.random_range(0.0..1.0_f64)).cos()
}

/// Exponential with mean 1.
pub(super) fn exponential(draw: &mut ChaCha8Rng) -> f64 {
    -(1.0 - draw.random_range(0.0..1.0_f64)).ln()
}

pub(super) fn sign(draw: &mut ChaCha8Rng) -> f64 {
    if draw.next_u32().is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// First-order lag of gain 1 in place.
pub(super) fn lag(row: &mut [f64], tau: f64) {
    let keep = (-1.0 / tau).exp();
    let mut state = row.first().copied().unwrap_or(0.0);
    for value in row {
        state = keep * state + (1.0 - keep) * *value;
        *value = state;
    }
}

/// Mean and deviation; then makes them 0 and 1.
pub(super) fn standardise(row: &mut [f64]) -> (f64, f64) {
    let count = row.len().max(1) as f64;
    let mean = row.iter().sum::<f64>() / count;
    let deviation = (row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    for value in row.iter_mut() {
        *value = (*value - mean) / (deviation + 1e-6);
    }
    (mean, deviation)
}

/// A row in another row's units.
pub(super) fn standardised_by(mut row: Vec<f64>, (mean, deviation): (f64, f64)) -> Vec<f64> {
    for value in &mut row {
        *value = (*value - mean) / (deviation + 1e-6);
    }
    row
}

/// Coloured noise of deviation 1 with a random memory.
pub(super) fn coloured(draw: &mut ChaCha8Rng, steps: usize) -> Vec<f64> {
    let tau = log_uniform(draw, 1.0, 80.0);
    let keep = (-1.0 / tau).exp();
    let kick = (1.0 - keep * keep).sqrt();
    let mut state = normal(draw);
    (0..steps)
        .map(|_| {
            state = keep * state + kick * normal(draw);
            state
        })
        .collect()
}

/// An input of mean 0 and deviation 1, of a random kind.
pub(super) fn input(draw: &mut ChaCha8Rng, steps: usize) -> Vec<f64> {
    let mut row = match draw.random_range(0..9) {
        0 | 8 => levels(draw, steps),
        1 => multisine(draw, steps),
        2 => {
            let tau = log_uniform(draw, 1.0, 200.0);
            let mut row: Vec<f64> = (0..steps).map(|_| normal(draw)).collect();
            lag(&mut row, tau);
            row
        }
        3 => {
            let pace = log_uniform(draw, 3.0, 60.0);
            let mut sum = 0.0;
            (0..steps)
                .map(|_| {
                    sum += normal(draw);
                    (sum / pace).sin()
                })
                .collect()
        }
        4 => schedule(draw, steps),
        5 => ramps(draw, steps),
        6 => {
            let binary = draw.random_bool(0.5);
            (0..steps).map(|_| normal(draw)).map(|value| if binary { value.signum() } else { value }).collect()
        }
        _ => rare(draw, steps),
    };
    standardise(&mut row);
    if draw.random_bool(0.09) {
        let (one, other) = (normal(draw) * 1.2, normal(draw) * 1.2);
        for value in &mut row {
            *value = value.clamp(one.min(other), one.max(other) + 1e-3);
        }
    } else if draw.random_bool(0.2) {
        let grid = log_uniform(draw, 1.0, 8.0);
        for value in &mut row {
            *value = (*value * grid).round() / grid;
        }
    }
    row
}

/// A day's course with weather on it.
pub(super) fn ambient(draw: &mut ChaCha8Rng, steps: usize) -> Vec<f64> {
    let period = [24.0, 48.0, 96.0, 144.0, 288.0][draw.random_range(0..5)];
    let (phase, weather) = (draw.random_range(0.0..1.0), draw.random_range(0.0..0.7));
    let noise = input(draw, steps);
    noise
        .iter()
        .enumerate()
        .map(|(step, noise)| (TAU * (step as f64 / period + phase)).sin() + weather * noise)
        .collect()
}

fn levels(draw: &mut ChaCha8Rng, steps: usize) -> Vec<f64> {
    let mean = log_uniform(draw, 4.0, 250.0);
    let choice: Option<Vec<f64>> =
        draw.random_bool(0.4).then(|| (0..draw.random_range(2..5)).map(|_| normal(draw)).collect());
    let mut row = Vec::with_capacity(steps);
    while row.len() < steps {
        let length = (exponential(draw) * mean).ceil() as usize;
        let level = match &choice {
            Some(levels) => levels[draw.random_range(0..levels.len())],
            None => normal(draw),
        };
        row.extend(std::iter::repeat_n(level, length.min(steps - row.len())));
    }
    if draw.random_bool(0.3) {
        lag(&mut row, 2.8);
    }
    row
}

fn multisine(draw: &mut ChaCha8Rng, steps: usize) -> Vec<f64> {
    let highest = log_uniform(draw, 0.005, 0.25);
    let waves: Vec<(f64, f64, f64)> = (0..draw.random_range(2..20))
        .map(|_| {
            let frequency = log_uniform(draw, (1.0 / steps as f64).min(0.004), highest);
            (frequency, draw.random_range(0.0..TAU), exponential(draw))
        })
        .collect();
    (0..steps)
        .map(|step| waves.iter().map(|(f, phase, size)| size * (TAU * f * step as f64 + phase).sin()).sum())
        .collect()
}

fn schedule(draw: &mut ChaCha8Rng, steps: usize) -> Vec<f64> {
    let period = match draw.random_range(0..6) {
        0 => 24,
        1 => 48,
        2 => 96,
        3 => 144,
        4 => 168,
        _ => log_uniform(draw, 16.0, 400.0) as usize,
    };
    let (phase, on) = (draw.random_range(0..period), draw.random_range(0.1..0.8) * period as f64);
    let weekends = period == 24 && draw.random_bool(0.6);
    let mut row: Vec<f64> = (0..steps)
        .map(|step| {
            let rests = weekends && ((step + phase) / 24) % 7 >= 5;
            if !rests && (((step + phase) % period) as f64) < on { 1.0 } else { 0.0 }
        })
        .collect();
    if draw.random_bool(0.5) {
        lag(&mut row, 1.5);
    }
    row
}

fn ramps(draw: &mut ChaCha8Rng, steps: usize) -> Vec<f64> {
    let mean = log_uniform(draw, 10.0, 200.0);
    let mut row = Vec::with_capacity(steps);
    let mut from = normal(draw);
    while row.len() < steps {
        let length = (exponential(draw) * mean).ceil().max(1.0) as usize;
        let to = normal(draw);
        row.extend((0..length.min(steps - row.len())).map(|step| from + (to - from) * step as f64 / length as f64));
        from = to;
    }
    row
}

fn rare(draw: &mut ChaCha8Rng, steps: usize) -> Vec<f64> {
    if draw.random_bool(0.5) {
        let (low, high) = (log_uniform(draw, 0.001, 0.02), log_uniform(draw, 0.02, 0.4));
        let mut phase = 0.0;
        return (0..steps)
            .map(|step| {
                phase += TAU * (low + (high - low) * step as f64 / steps as f64);
                f64::sin(phase)
            })
            .collect();
    }
    let mut row = vec![0.0; steps];
    for _ in 0..draw.random_range(1..8) {
        let (from, level) = (draw.random_range(0..steps), normal(draw));
        row[from..].fill(level);
    }
    row
}
