//! The stepwise expert: a ridge regression of its own for every step ahead, on lags of all outputs and
//! on the inputs from the lags to that step.
//!
//! Nothing is shared between the steps, so nothing is assumed of how the plant answers; it takes many
//! samples to pay. A window is centred on its last value. Ridge and lags are those with the least error on
//! the part that chooses. It answers no further than it was learned for.

use serde::{Deserialize, Serialize};

use super::super::algebra::{Gram, dot};
use super::super::history::Context;
use super::parts::{Fits, Parts, Rows, Sums, choosing, fits};

/// Lags of outputs and inputs that compete.
const LAGS: [usize; 2] = [32, 8];
/// Ridges that compete.
const RIDGES: [f64; 5] = [1e-1, 1.0, 10.0, 100.0, 1e3];
/// Windows at most, over all parts.
const WINDOWS: usize = 8_000;
/// Fewer windows in the part that teaches, and in the part that chooses, say too little.
const LEAST: (usize, usize) = (80, 16);
/// With more columns than this the sums cost more than they can bring.
const MOST_COLUMNS: usize = 900;
/// Answers stay within this many deviations.
const LIMIT: f64 = 12.0;

/// Fitted regressions, in the units of the study.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stepwise {
    shape: Shape,
    /// For each step as many as its features.
    #[serde(with = "super::single")]
    weights: Vec<f64>,
}

/// What a row looks like: lags of outputs, lags of inputs, 1, then the inputs step by step.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Shape {
    outputs: usize,
    inputs: usize,
    lags: usize,
    steps: usize,
}

impl Shape {
    /// Features that need no future; the last one is the intercept.
    fn known(&self) -> usize {
        (self.outputs + self.inputs) * self.lags + 1
    }

    /// Features of the answer to a step, the first being 0.
    fn features(&self, step: usize) -> usize {
        self.known() + self.inputs * (step + 1)
    }

    fn width(&self) -> usize {
        self.features(self.steps) - self.inputs + self.steps
    }

    /// For each step, its features and the column of what came.
    fn leading(&self) -> Vec<(usize, usize)> {
        let first = self.width() - self.steps;
        (0..self.steps).map(|step| (self.features(step), first + step)).collect()
    }

    /// Writes the features that need no future, as known before step `end`.
    fn push_known(&self, row: &mut Vec<f64>, context: &Context<'_>, start: usize, end: usize) {
        // before its segment the first value stands
        let lagged = |line: &[f64], lag: usize| line[end.saturating_sub(lag).max(start)];
        // The first difference is 0: in its place stands the level itself, towards whose usual one a plant goes back.
        let last = context.target[end - 1];
        row.push(last);
        row.extend((2..=self.lags).map(|lag| lagged(context.target, lag) - last));
        for line in context.others.iter().chain(&context.inputs) {
            row.extend((1..=self.lags).map(|lag| lagged(line, lag)));
        }
        row.push(1.0);
    }
}

/// What needs no future, and the last value of the target.
#[derive(Clone, Debug)]
pub(super) struct StepwiseState {
    known: Vec<f64>,
    last: f64,
}

impl Stepwise {
    /// Learns from a context whose `parts` are kept apart; `None` without inputs or with too little to learn from.
    pub(super) fn learn(context: &Context<'_>, parts: &Parts, steps: usize) -> Option<Fits<Self>> {
        if context.inputs.is_empty() || steps == 0 {
            return None;
        }
        let mut best: Option<(f64, f64, Shape, Sums)> = None;
        for lags in LAGS {
            let shape = Shape { outputs: 1 + context.others.len(), inputs: context.inputs.len(), lags, steps };
            if shape.width() > MOST_COLUMNS {
                continue;
            }
            let grams = sums(context, parts, shape);
            let (taught, newest) = choosing(&grams, parts);
            if taught.rows() < LEAST.0 || newest.rows() < LEAST.1 {
                continue;
            }
            let leading = shape.leading();
            for ridge in RIDGES {
                let Some(fitted) = taught.cascade(&leading, shape.known() - 1, ridge) else { continue };
                let steps = leading.iter().zip(&fitted);
                let error: f64 = steps
                    .map(|((count, target), weights)| {
                        let columns: Vec<usize> = (0..*count).collect();
                        newest.error_of(&columns, *target, weights)
                    })
                    .sum();
                if error.is_finite() && best.as_ref().is_none_or(|(least, ..)| error < *least) {
                    best = Some((error, ridge, shape, grams.clone()));
                }
            }
        }
        let (_, ridge, shape, sums) = best?;
        let fit = |gram: &Gram| -> Option<Self> {
            let fitted = gram.cascade(&shape.leading(), shape.known() - 1, ridge)?;
            let weights = fitted.into_iter().flatten().map(|w| f64::from(w as f32)).collect();
            Some(Self { shape, weights })
        };
        let chosen = fit(&choosing(&sums, parts).0)?;
        Some(fits(&sums, parts, LEAST.0, chosen, fit))
    }

    /// What an answer from the end of `context` remembers of it; `None` in an empty context.
    pub(super) fn stand(&self, context: &Context<'_>) -> Option<StepwiseState> {
        let start = context.last_start();
        let last = *context.target.get(start..)?.last()?;
        let mut known = Vec::with_capacity(self.shape.known());
        self.shape.push_known(&mut known, context, start, context.len());
        Some(StepwiseState { known, last })
    }

    /// The answers for `steps` over `future` (one row per input, at least `steps` long), no more than
    /// were learned.
    pub(super) fn answer(&self, state: &StepwiseState, future: &[Vec<f64>], steps: usize) -> Vec<f64> {
        let mut row = state.known.clone();
        let mut weights = self.weights.as_slice();
        (0..steps.min(self.shape.steps))
            .map(|step| {
                row.extend(future.iter().map(|input| input[step]));
                let (own, rest) = weights.split_at(row.len());
                weights = rest;
                (dot(own, &row) + state.last).clamp(-LIMIT, LIMIT)
            })
            .collect()
    }
}

/// The sums over the windows of each part: features, and what followed from the last value on.
fn sums(context: &Context<'_>, parts: &Parts, shape: Shape) -> Sums {
    let stride = context.len().div_ceil(WINDOWS);
    let mut rows = Rows::new(shape.width(), parts);
    for &(start, end) in &context.segments {
        let Some(last) = end.checked_sub(shape.steps) else { continue };
        for origin in (start + shape.lags..=last).step_by(stride) {
            let ahead = origin..origin + shape.steps;
            let Some(place) = parts.place(origin, ahead.end - 1) else { continue };
            rows.add(place, |row| {
                shape.push_known(row, context, start, origin);
                for step in ahead.clone() {
                    row.extend(context.inputs.iter().map(|input| input[step]));
                }
                let last = context.target[origin - 1];
                row.extend(context.target[ahead].iter().map(|value| value - last));
            });
        }
    }
    rows.into_sums()
}
