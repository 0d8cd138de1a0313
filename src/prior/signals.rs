//! Input signals as they occur in plants: random steps, multisines, coloured noise, schedules,
//! ramps, binary noise, chirps and rare steps. Formulas and odds come from the numpy prototype.
//!
//! Always true: a signal has mean 0 and deviation 1 before it is perhaps clipped or quantised;
//! a signal is finite.

use std::f64::consts::TAU;

use super::draw::Draw;

/// Periods of schedules and seasons, in steps: days, weeks and shifts of hourly to 5-minute data.
const SCHEDULE_PERIODS: [usize; 5] = [24, 48, 96, 144, 168];

/// One input signal of `steps` samples.
pub(super) fn signal(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let mut x = match draw.whole(0, 9) {
        0 | 8 => random_steps(draw, steps),
        1 => multisine(draw, steps),
        2 => {
            let memory = draw.log_uniform(1.0, 200.0);
            coloured(draw, steps, memory)
        }
        3 => bounded_walk(draw, steps),
        4 => schedule(draw, steps),
        5 => ramps(draw, steps),
        6 => white(draw, steps),
        _ if draw.chance(0.5) => chirp(draw, steps),
        _ => rare_steps(draw, steps),
    };
    standardise(&mut x);
    if draw.chance(0.3) {
        if draw.chance(0.3) {
            let (low, high) = draw.interval(1.2);
            for v in &mut x {
                *v = v.clamp(low, high);
            }
        } else {
            let (fine, scale) = (draw.log_uniform(1.0, 8.0), draw.log_uniform(1.0, 8.0));
            for v in &mut x {
                *v = (*v * fine).round() / scale;
            }
        }
    }
    x
}

/// First-order noise of deviation 1 that forgets within `memory` steps.
pub(super) fn coloured(draw: &mut Draw, steps: usize, memory: f64) -> Vec<f64> {
    let keep = (-1.0 / memory).exp();
    let fresh = (1.0 - keep * keep).sqrt();
    let mut state = draw.normal();
    let mut x: Vec<f64> = (0..steps)
        .map(|_| {
            state = keep * state + fresh * draw.normal();
            state
        })
        .collect();
    standardise(&mut x);
    x
}

/// Shifts and scales to mean 0 and deviation 1; a constant becomes 0.
pub(super) fn standardise(x: &mut [f64]) {
    let (mean, deviation) = moments(x);
    let scale = 1.0 / (deviation + 1e-6);
    for v in x {
        *v = (*v - mean) * scale;
    }
}

/// Mean and deviation; (0, 0) of nothing.
pub(super) fn moments(x: &[f64]) -> (f64, f64) {
    if x.is_empty() {
        return (0.0, 0.0);
    }
    let count = x.len() as f64;
    let mean = x.iter().sum::<f64>() / count;
    let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// Adds `amplitude` * sin(2 pi (`frequency` t + `phase`)) to every sample, by turning a vector
/// instead of calling the sine: inputs with 30 tones would otherwise dominate the cost of a record.
pub(super) fn add_tone(x: &mut [f64], frequency: f64, phase: f64, amplitude: f64) {
    let (turn_sin, turn_cos) = (TAU * frequency).sin_cos();
    let (sin, cos) = (TAU * phase).sin_cos();
    let (mut sin, mut cos) = (amplitude * sin, amplitude * cos);
    for v in x {
        *v += sin;
        (sin, cos) = (sin * turn_cos + cos * turn_sin, cos * turn_cos - sin * turn_sin);
    }
}

/// First-order low pass in place: each sample keeps the share `keep` of the one before it.
fn smooth(x: &mut [f64], keep: f64) {
    let mut state = 0.0;
    for v in x {
        state = keep * state + (1.0 - keep) * *v;
        *v = state;
    }
}

/// Levels that are held for random times, drawn freely or from a few set-points.
fn random_steps(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let hold = draw.log_uniform(4.0, 250.0);
    let set_points: Vec<f64> =
        if draw.chance(0.6) { Vec::new() } else { (0..draw.whole(2, 5)).map(|_| draw.normal()).collect() };
    let mut x = Vec::with_capacity(steps);
    while x.len() < steps {
        let length = (draw.exponential(hold) as usize).max(1);
        let level = if set_points.is_empty() { draw.normal() } else { draw.pick(&set_points) };
        x.resize((x.len() + length).min(steps), level);
    }
    if draw.chance(0.3) {
        smooth(&mut x, 0.7);
    }
    x
}

fn multisine(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let mut x = vec![0.0; steps];
    let slowest = 1.0 / steps.max(2) as f64;
    let fastest = draw.log_uniform(0.005, 0.25).max(slowest);
    for _ in 0..draw.whole(2, 30) {
        let frequency = draw.log_uniform(slowest, fastest);
        let (phase, amplitude) = (draw.uniform(0.0, 1.0), draw.exponential(1.0));
        add_tone(&mut x, frequency, phase, amplitude);
    }
    x
}

/// A random walk folded into [-1, 1] by a sine.
fn bounded_walk(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let width = draw.log_uniform(3.0, 60.0);
    let mut walk = 0.0;
    (0..steps)
        .map(|_| {
            walk += draw.normal();
            (walk / width).sin()
        })
        .collect()
}

/// On and off with a period, perhaps only on weekdays.
fn schedule(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let period = match draw.whole(0, SCHEDULE_PERIODS.len() + 1) {
        slot if slot < SCHEDULE_PERIODS.len() => SCHEDULE_PERIODS[slot],
        _ => draw.log_uniform(16.0, 400.0) as usize,
    };
    let phase = draw.whole(0, period);
    let on = (draw.uniform(0.1, 0.8) * period as f64) as usize;
    let weekdays_only = period == 24 && draw.chance(0.6);
    let mut x: Vec<f64> = (phase..phase + steps)
        .map(|t| {
            let works = !weekdays_only || (t / 24) % 7 < 5;
            f64::from(u8::from(t % period < on && works))
        })
        .collect();
    if draw.chance(0.5) {
        smooth(&mut x, 0.5);
    }
    x
}

/// Straight lines between random levels.
fn ramps(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let mean_length = draw.log_uniform(10.0, 200.0);
    let mut x = Vec::with_capacity(steps);
    let mut from = draw.normal();
    while x.len() < steps {
        let length = (draw.exponential(mean_length) as usize).max(1);
        let to = draw.normal();
        let slope = (to - from) / length as f64;
        let rest = length.min(steps - x.len());
        x.extend((0..rest).map(|k| from + slope * k as f64));
        from = to;
    }
    x
}

/// White noise, or its sign.
fn white(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let binary = draw.chance(0.5);
    (0..steps)
        .map(|_| {
            let v = draw.normal();
            if binary { v.signum() } else { v }
        })
        .collect()
}

/// A sine whose frequency rises linearly.
fn chirp(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let (first, last) = (draw.log_uniform(0.001, 0.02), draw.log_uniform(0.02, 0.4));
    let mut turns = 0.0;
    (0..steps)
        .map(|t| {
            turns += first + (last - first) * t as f64 / steps as f64;
            (TAU * turns).sin()
        })
        .collect()
}

/// A few level changes in the whole record.
fn rare_steps(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let mut x = vec![0.0; steps];
    for _ in 0..draw.whole(1, 8) {
        // Later calls overwrite the tail, so the order of the change points does not matter.
        let from = draw.whole(0, steps);
        let level = draw.normal();
        x[from..].fill(level);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::super::draw::Purpose;
    use super::*;

    #[test]
    fn signals_are_finite_and_have_the_asked_length() {
        for index in 0..300 {
            let mut draw = Draw::new(1, index, 0, Purpose::Inputs);
            for steps in [1, 2, 37, 512] {
                let x = signal(&mut draw, steps);
                assert_eq!(x.len(), steps);
                assert!(x.iter().all(|v| v.is_finite()), "signal {index}");
            }
        }
    }

    #[test]
    fn a_tone_is_the_sine_it_stands_for() {
        let mut x = vec![0.0; 4_096];
        add_tone(&mut x, 0.013, 0.2, 1.5);
        let last = 1.5 * (TAU * (0.013 * 4_095.0 + 0.2)).sin();
        assert!((x[4_095] - last).abs() < 1e-9);
    }
}
