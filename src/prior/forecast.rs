//! Series to forecast rather than plants to steer: seasons with harmonics, trends, coloured noise,
//! random walks, level shifts, events; perhaps with covariates that act through a lag.
//!
//! Always true: without covariates there is nothing to intervene on, and no restart.

use super::draw::Draw;
use super::filters::Filter;
use super::run::{Row, Step, System};
use super::signals::{add_tone, coloured, standardise};
use super::wear::Condition;

/// Periods in steps; the day of hourly data is the most frequent one (prototype `fam_fore`).
const PERIODS: [usize; 11] = [24, 24, 24, 168, 12, 48, 96, 144, 288, 7, 30];

/// A series that was written beforehand, plus what its covariates do.
#[derive(Clone, Debug)]
pub(super) struct Series {
    written: Vec<f64>,
    effects: Vec<(f64, Filter)>,
    time: usize,
    effect: f64,
}

impl Series {
    /// A random series of `steps` samples with `inputs` covariates.
    pub(super) fn draw(draw: &mut Draw, signals: &mut Draw, inputs: usize, steps: usize) -> (Self, Vec<Row>) {
        let mut series =
            Self { written: write(draw, steps), effects: Vec::with_capacity(inputs), time: 0, effect: 0.0 };
        for _ in 0..inputs {
            let filter = Filter::lag(draw.log_uniform(1.0, 30.0));
            series.effects.push((0.7 * draw.normal(), filter));
        }
        let rows = (0..inputs).map(|_| Row::free(signals, steps)).collect();
        (series, rows)
    }
}

impl System for Series {
    const SLOWS: bool = false;

    fn restart(&mut self, _: &mut Draw) {}

    fn output(&self) -> f64 {
        let last = self.written.len().saturating_sub(1);
        let written = self.written.get(self.time.min(last)).copied();
        written.unwrap_or(0.0) + self.effect
    }

    fn advance(&mut self, inputs: &Step, _: Condition, _: &mut Draw) {
        self.time += 1;
        self.effect =
            self.effects.iter_mut().zip(inputs).map(|((gain, filter), input)| *gain * filter.step(*input)).sum();
    }
}

fn write(draw: &mut Draw, steps: usize) -> Vec<f64> {
    let mut y = vec![0.0; steps];
    let mut used = Vec::new();
    for _ in 0..draw.whole(1, 4) {
        let period = match draw.whole(0, PERIODS.len() + 1) {
            slot if slot < PERIODS.len() => PERIODS[slot],
            _ => draw.log_uniform(8.0, 500.0) as usize,
        };
        if !used.contains(&period) {
            used.push(period);
            let season = season(draw, steps, period);
            let size = draw.log_uniform(0.2, 2.0);
            add(&mut y, &season, size);
        }
    }
    let memory = draw.log_uniform(1.0, 80.0);
    let noise = coloured(draw, steps, memory);
    add(&mut y, &noise, draw.log_uniform(0.05, 1.5));
    if draw.chance(0.4) {
        let mut level = 0.0;
        let mut walk: Vec<f64> = (0..steps)
            .map(|_| {
                level += draw.normal();
                level
            })
            .collect();
        standardise(&mut walk);
        add(&mut y, &walk, draw.log_uniform(0.1, 2.0));
    }
    if draw.chance(0.3) {
        let slope = draw.normal() * draw.log_uniform(0.1, 4.0) / steps.max(1) as f64;
        for (t, v) in y.iter_mut().enumerate() {
            *v += slope * t as f64;
        }
    }
    if draw.chance(0.2) {
        let (from, shift) = (draw.whole(0, steps), 1.5 * draw.normal());
        for v in &mut y[from..] {
            *v += shift;
        }
    }
    if draw.chance(0.15) {
        for _ in 0..draw.whole(1, 12) {
            let (from, length) = (draw.whole(0, steps), draw.whole(1, 12));
            let size = 3.0 * draw.normal();
            for v in y.iter_mut().skip(from).take(length) {
                *v += size;
            }
        }
    }
    if draw.chance(0.2) {
        standardise(&mut y);
        for v in &mut y {
            *v = (0.6 * *v).clamp(-3.0, 3.0).exp();
        }
    }
    standardise(&mut y);
    y
}

/// One season of some harmonics, perhaps cut off below, of changing size, or quiet at weekends.
fn season(draw: &mut Draw, steps: usize, period: usize) -> Vec<f64> {
    let mut s = vec![0.0; steps];
    let decay = draw.uniform(0.3, 1.5);
    for harmonic in 1..=draw.whole(1, 7) {
        let h = harmonic as f64;
        let amplitude = draw.exponential(1.0) / h.powf(decay);
        let phase = draw.uniform(0.0, 1.0);
        add_tone(&mut s, h / period as f64, phase, amplitude);
    }
    if draw.chance(0.3) {
        let floor = 0.5 * draw.normal();
        for v in &mut s {
            *v = v.max(floor);
        }
    }
    if draw.chance(0.5) {
        let mut size = vec![0.0; steps];
        if draw.chance(0.5) {
            let (depth, memory) = (draw.uniform(0.0, 0.6), draw.log_uniform(1.0, 80.0));
            add(&mut size, &coloured(draw, steps, memory), depth);
            for v in &mut size {
                *v += 1.0;
            }
        } else {
            let (period, phase) = (draw.log_uniform(500.0, 4_000.0), draw.uniform(0.0, 1.0));
            add_tone(&mut size, 1.0 / period, phase, 0.3);
            for v in &mut size {
                *v = v.exp();
            }
        }
        for (v, k) in s.iter_mut().zip(size) {
            *v *= k;
        }
    }
    if period == 24 && draw.chance(0.4) {
        let quiet = draw.uniform(0.2, 1.0);
        for (t, v) in s.iter_mut().enumerate() {
            if (t / 24) % 7 >= 5 {
                *v *= 1.0 - quiet;
            }
        }
    }
    s
}

fn add(y: &mut [f64], other: &[f64], size: f64) {
    for (v, o) in y.iter_mut().zip(other) {
        *v += size * o;
    }
}
