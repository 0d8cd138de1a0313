//! The curved expert: all horizons by one regression on linear features, hinges and waves.
//!
//! Which of the groups are used, and the ridge, are chosen on the newest part of the past; only then
//! are the weights found on all of it. All of that comes from sums of outer products ([`Gram`]), one
//! for each part of the past, so that leaving a part out costs a subtraction, not another pass.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::algebra::Gram;
use super::super::history::Context;
use super::basis::{Basis, Uses};
use super::drive::{Drive, Held, Known};
use super::parts::{Fits, Parts, Rows, Sums, choosing, fits};

/// The groups that compete beside the linear features.
const VARIANTS: [Uses; 4] = [
    Uses { hinges: false, waves: false },
    Uses { hinges: true, waves: false },
    Uses { hinges: false, waves: true },
    Uses { hinges: true, waves: true },
];
/// The ridges that compete.
const RIDGES: [f64; 5] = [1e-3, 1e-1, 3.0, 30.0, 300.0];
/// Rows at most, over all parts.
const ROWS: usize = 24_000;
/// Fewer rows in the part that teaches or in the part that chooses say too little.
const LEAST_ROWS: (usize, usize) = (400, 100);
/// Horizons that are fitted, spread geometrically.
const HORIZONS: usize = 10;
/// Samples of a segment before its first origin.
const WARM_UP: usize = 6;
/// Samples of the newest segment that the memory is built from: the slowest average has a time
/// constant of 128 steps.
const REMEMBERED: usize = 640;
/// Of these, those that the averages of hinges are built from: they forget within 16 steps.
const POOLED: usize = 256;
/// Answers stay within this many deviations.
const LIMIT: f64 = 12.0;

/// A fitted regression, in the units of the study.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Curved {
    basis: Arc<Basis>,
    uses: Uses,
    /// Rounded to `f32`, so that what is stored is what was judged.
    #[serde(with = "super::single")]
    weights: Vec<f64>,
}

/// What a roll-out from the end of a context needs of it.
#[derive(Clone, Debug)]
pub(super) struct CurvedState {
    drive: Drive,
    held: Held,
}

impl Curved {
    fn new(basis: Arc<Basis>, uses: Uses, weights: &[f64]) -> Self {
        Self { basis, uses, weights: weights.iter().map(|w| f64::from(*w as f32)).collect() }
    }

    /// Learns from a context whose `parts` are kept apart; `None` where there are no inputs or too
    /// few rows.
    pub(super) fn learn(context: &Context<'_>, parts: &Parts, horizon: usize) -> Option<Fits<Self>> {
        if context.inputs.is_empty() {
            return None;
        }
        let basis = Arc::new(Basis::of(&context.until(parts.validation()), horizon));
        let grams = sums(&basis, context, parts, horizon);
        let (taught, newest) = choosing(&grams, parts);
        if taught.rows() < LEAST_ROWS.0 || newest.rows() < LEAST_ROWS.1 {
            return None;
        }
        let free = basis.groups().intercept;
        let mut best: Option<(f64, Uses, f64, Vec<f64>)> = None;
        for uses in VARIANTS {
            let columns = basis.columns(uses);
            for ridge in RIDGES {
                let Some(weights) = taught.solve_with(&columns, free, ridge) else { continue };
                let error = newest.error(&weights);
                if error.is_finite() && best.as_ref().is_none_or(|(least, ..)| error < *least) {
                    best = Some((error, uses, ridge, weights));
                }
            }
        }
        let (_, uses, ridge, chosen) = best?;
        let columns = basis.columns(uses);
        let of = |weights: &[f64]| Curved::new(basis.clone(), uses, weights);
        let fit = |gram: &Gram| gram.solve_with(&columns, free, ridge).map(|weights| of(&weights));
        Some(fits(&grams, parts, LEAST_ROWS.0, of(&chosen), fit))
    }

    /// What roll-outs from each of the `ends` (ascending, in the newest segment) of a context remember of it;
    /// `None` where nothing lies before one.
    pub(super) fn stands(&self, context: &Context<'_>, ends: &[usize]) -> Vec<Option<CurvedState>> {
        let first = ends.first().copied().unwrap_or_default();
        let start = context.last_start().max(first.saturating_sub(REMEMBERED));
        if start >= first {
            return vec![None; ends.len()];
        }
        let (basis, uses) = (&*self.basis, self.uses);
        let input = |input: usize, t: usize| context.inputs[input][t];
        let mut drive = Drive::begin(basis, Uses::NONE, |i| input(i, start));
        let mut known = Known::begin(context.target[start], context.others.iter().map(|row| row[start]));
        let mut from = start + 1;
        let mut stands = Vec::with_capacity(ends.len());
        let mut go = |drive: &mut Drive, end: usize| {
            drive.follow(basis, from..end, input, |t, _| {
                known.step(basis, context.target[t], context.others.iter().map(|row| row[t]));
            });
            from = from.max(end);
            known.clone()
        };
        go(&mut drive, start.max(first.saturating_sub(POOLED)) + 1);
        drive.see(basis, Uses { waves: false, ..uses });
        for &end in ends {
            let known = go(&mut drive, end);
            let mut drive = drive.clone();
            drive.see(basis, Uses { hinges: false, ..uses });
            stands.push(Some(CurvedState { held: known.hold(basis, &drive), drive }));
        }
        stands
    }

    /// The answers for `steps` over `future` (one row per input, at least `steps` long).
    pub(super) fn answer(&self, state: &CurvedState, future: &[Vec<f64>], steps: usize) -> Vec<f64> {
        let mut answer = Vec::with_capacity(steps);
        let input = |input: usize, t: usize| future[input][t];
        state.drive.clone().follow(&self.basis, 0..steps, input, |t, drive| {
            let value = self.basis.weighted(&self.weights, self.uses, drive, &state.held, t + 1);
            answer.push(value.clamp(-LIMIT, LIMIT));
        });
        answer
    }
}

/// The horizons that are fitted: geometric from 1, rounded, without repeats.
fn horizons(horizon: usize) -> Vec<usize> {
    let last = (horizon.max(2) as f64).ln();
    let mut steps: Vec<usize> =
        (0..HORIZONS).map(|i| (last * i as f64 / (HORIZONS - 1) as f64).exp().round() as usize).collect();
    steps.dedup();
    steps
}

/// The sums over the regression rows of each part. A row belongs to the part that holds its instant,
/// and counts only if its origin does not lie in an earlier part.
fn sums(basis: &Basis, context: &Context<'_>, parts: &Parts, horizon: usize) -> Sums {
    let width = basis.groups().width + 1;
    let steps = horizons(horizon);
    let stride = (context.len() * steps.len()).div_ceil(ROWS).max(1);
    let mut rows = Rows::new(width, parts);
    for &(start, end) in &context.segments {
        let first = start + WARM_UP;
        let mut drive = Drive::begin(basis, Uses::ALL, |input| context.inputs[input][start]);
        let mut known = Known::begin(context.target[start], context.others.iter().map(|row| row[start]));
        let mut origins: Vec<Held> = Vec::new();
        // The first sample is where the memories begin; no row is about it.
        drive.follow(
            basis,
            start + 1..end,
            |input, t| context.inputs[input][t],
            |t, drive| {
                known.step(basis, context.target[t], context.others.iter().map(|row| row[t]));
                for &h in steps.iter().take_while(|&&h| t >= first + h) {
                    let origin = t - h;
                    let Some(place) = parts.place(origin, t).filter(|_| (origin - first).is_multiple_of(stride)) else {
                        continue;
                    };
                    rows.add(place, |row| {
                        basis.features(drive, &origins[(origin - first) / stride], h, row);
                        row.push(context.target[t]);
                    });
                }
                if t >= first && (t - first).is_multiple_of(stride) {
                    origins.push(known.hold(basis, drive));
                }
            },
        );
    }
    rows.into_sums()
}
