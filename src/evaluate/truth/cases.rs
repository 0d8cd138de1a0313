//! Random overrides, and what they truly do.

use std::ops::Range;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::plant::{Running, TruePlant};

/// Steps ahead.
pub(super) const STEPS: usize = 64;
/// A new value lies within what was seen or beyond it by at most this share of its width.
const BEYOND: f64 = 0.4;
/// A span starts within so many steps.
const STARTS: usize = 16;

/// A state of the plant and what several futures of its controls do from there.
pub(super) struct Origin {
    /// Step of the record, the first that is asked for.
    pub(super) step: usize,
    /// Held first, then the scenarios: for each control a value per step.
    pub(super) controls: Vec<Vec<Vec<f64>>>,
    /// For each future the rows of the type's signals.
    pub(super) truths: Vec<Vec<Vec<f64>>>,
}

/// The record of a plant in operation, and origins in its newest part.
pub(super) struct Operation {
    /// Rows of the type's signals.
    pub(super) rows: Vec<Vec<f64>>,
    pub(super) origins: Vec<Origin>,
}

/// Runs a plant for `taught` steps, and on through so many origins of so many scenarios each.
pub(super) fn operate(kind: TruePlant, seed: u64, taught: usize, origins: usize, scenarios: usize) -> Operation {
    let mut running = kind.start(seed);
    let mut draw = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9).wrapping_add(11));
    let mut rows: Vec<Vec<f64>> = (0..taught).map(|_| running.operate()).collect();
    let controls = kind.controls().len();
    let seen: Vec<Range<f64>> = (0..controls)
        .map(|control| {
            let values = rows.iter().map(|row| row[control]);
            values.clone().fold(f64::INFINITY, f64::min)..values.fold(f64::NEG_INFINITY, f64::max)
        })
        .collect();
    let origins = (0..origins)
        .map(|_| {
            for _ in 0..draw.random_range(40..80) {
                rows.push(running.operate());
            }
            let last: Vec<f64> = rows[rows.len() - 1][..controls].to_vec();
            let held: Vec<Vec<f64>> = last.iter().map(|value| vec![*value; STEPS]).collect();
            let mut futures = vec![held.clone()];
            futures.extend((0..scenarios).map(|_| overridden(&held, &seen, kind.limits(), &mut draw)));
            let truths = futures.iter().map(|future| run(running.clone(), future)).collect();
            Origin { step: rows.len(), controls: futures, truths }
        })
        .collect();
    Operation { rows, origins }
}

/// What a plant does under a future of its controls.
pub(super) fn run(mut running: Running, future: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let at = |step: usize| future.iter().map(|row| row[step]).collect::<Vec<f64>>();
    (0..future[0].len()).map(|step| running.step(&at(step))).collect()
}

/// A step or a ramp of one control, or of several at once.
fn overridden(held: &[Vec<f64>], seen: &[Range<f64>], limits: &[(f64, f64)], draw: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let mut future = held.to_vec();
    let only = if draw.random::<f64>() < 0.6 { Some(draw.random_range(0..held.len())) } else { None };
    for (control, row) in future.iter_mut().enumerate() {
        if only.is_some_and(|only| only != control) {
            continue;
        }
        let (range, (low, high)) = (&seen[control], limits[control]);
        let width = (range.end - range.start) * BEYOND;
        let (least, most) = ((range.start - width).max(low), (range.end + width).min(high));
        let value = least + (most - least) * draw.random::<f64>();
        let from = draw.random_range(0..STARTS);
        let steps = if draw.random::<f64>() < 0.5 { 1 } else { draw.random_range(4..32) };
        let start = row[0];
        for (step, cell) in row.iter_mut().enumerate().skip(from) {
            *cell = start + (value - start) * ((step - from + 1) as f64 / f64::from(steps)).min(1.0);
        }
    }
    future
}
