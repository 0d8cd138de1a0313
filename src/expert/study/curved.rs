//! The curved expert: all horizons by one regression on linear features, hinges and waves.
//!
//! Which of the groups are used, and the ridge, are chosen on the newest part of the past; only then
//! are the weights found on all of it. All of that comes from sums of outer products ([`Gram`]), one
//! for each part of the past, so that leaving a part out costs a sum, not another pass.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::algebra::Gram;
use super::super::history::Context;
use super::super::shared::{Columns, FADES, Row, Rows, fades, horizons};
use super::basis::{Basis, Uses};
use super::drive::{Drive, Held, Known};
use super::parts::{Fits, Parts, Sums, choosing, fits, places};

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
/// Rows collected before they are added to the sums in one go: the more, the more of them share origins.
const BLOCK: usize = 4_096;
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

/// Rows of one part that wait to be added to its sums.
#[derive(Clone, Default)]
struct Waiting {
    rows: Vec<Row>,
    /// Instant by instant, and when the newest of them was.
    instants: Vec<f64>,
    newest: Option<usize>,
    /// The waves of each row.
    waves: Vec<f64>,
}

impl Waiting {
    /// Adds what waits to the sums. `origins` are those of its segment, what is held at each.
    fn add_to(&mut self, gram: &mut Gram, columns: &Columns, fades: &[[f64; FADES.len()]], origins: &[Held]) {
        let first = self.rows.iter().map(|row| row.origin).min().unwrap_or_default();
        let last = self.rows.iter().map(|row| row.origin + 1).max().unwrap_or_default();
        self.rows.iter_mut().for_each(|row| row.origin -= first);
        let origins: Vec<f64> = origins[first..last].iter().flat_map(|held| &held.values).copied().collect();
        let (all, instants, own) = (&self.rows[..], &self.instants[..], &self.waves[..]);
        Rows { all, instants, origins: &origins, own, fades }.add_to(gram, columns);
        self.rows.clear();
        self.instants.clear();
        self.waves.clear();
        self.newest = None;
    }
}

/// The sums over the regression rows of each part. A row belongs to the part that holds its instant,
/// and counts only if its origin does not lie in an earlier part.
fn sums(basis: &Basis, context: &Context<'_>, parts: &Parts, horizon: usize) -> Sums {
    let (steps, columns) = (horizons(horizon), basis.row());
    let fades: Vec<_> = steps.iter().map(|h| fades(*h)).collect();
    let stride = (context.len() * steps.len()).div_ceil(ROWS).max(1);
    let mut sums = vec![Gram::new(basis.groups().width + 1); places(parts)];
    let mut waiting = vec![Waiting::default(); sums.len()];
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
                for (horizon, &h) in steps.iter().enumerate().take_while(|(_, h)| t >= first + **h) {
                    let origin = t - h;
                    let Some(place) = parts.place(origin, t).filter(|_| (origin - first).is_multiple_of(stride)) else {
                        continue;
                    };
                    let origin = (origin - first) / stride;
                    let waiting = &mut waiting[place];
                    if waiting.newest != Some(t) {
                        if waiting.rows.len() >= BLOCK {
                            waiting.add_to(&mut sums[place], &columns, &fades, &origins);
                        }
                        waiting.newest = Some(t);
                        drive.features(&mut waiting.instants);
                        waiting.instants.push(context.target[t]);
                    }
                    let instant = waiting.instants.len() / columns.instant.len() - 1;
                    waiting.rows.push(Row { instant, origin, horizon });
                    waiting.waves.extend(basis.waves(drive, &origins[origin], h));
                }
                if t >= first && (t - first).is_multiple_of(stride) {
                    origins.push(known.hold(basis, drive));
                }
            },
        );
        let all = waiting.iter_mut().zip(&mut sums);
        all.for_each(|(waiting, gram)| waiting.add_to(gram, &columns, &fades, &origins));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_rows_written_down() {
        // A part with more rows than are added in one go.
        let (within, _) = written_down((300, 1_250, 1_300), 600..640);
        assert!(within > BLOCK, "{within}");
        // A short past, where rows that reach over edges count.
        let (within, over) = written_down((200, 290, 380), 30..40);
        assert!(within > 0 && over > 0, "{within} {over}");
    }

    /// Compares them, and says how many rows the sums of a stretch hold at most, and those of an edge.
    fn written_down(bounds: (usize, usize, usize), aside: std::ops::Range<usize>) -> (usize, usize) {
        let length = bounds.2;
        let line = |seed: f64| -> Vec<f64> { (0..length).map(|t| (seed * t as f64).sin()).collect() };
        let (target, others, inputs) = (line(0.11), [line(0.07)], [line(0.31), line(0.23)]);
        let context = Context {
            target: &target,
            inputs: inputs.iter().map(Vec::as_slice).collect(),
            others: others.iter().map(Vec::as_slice).collect(),
            segments: vec![(0, 80), (90, length)],
        };
        let horizon = 32;
        let parts = Parts::new(bounds, horizon, vec![aside]);
        let basis = Basis::of(&context.until(bounds.0), horizon);
        let found = sums(&basis, &context, &parts, horizon);
        let (columns, width) = (basis.row(), basis.groups().width + 1);
        let mut written = vec![Gram::new(width); places(&parts)];
        for &(start, end) in &context.segments {
            let mut drive = Drive::begin(&basis, Uses::ALL, |input| context.inputs[input][start]);
            let mut known = Known::begin(context.target[start], context.others.iter().map(|row| row[start]));
            let mut origins = vec![known.hold(&basis, &drive)];
            let input = |input: usize, t: usize| context.inputs[input][t];
            drive.follow(&basis, start + 1..end, input, |t, drive| {
                known.step(&basis, context.target[t], context.others.iter().map(|row| row[t]));
                origins.push(known.hold(&basis, drive));
                for h in horizons(horizon).into_iter().filter(|h| t >= start + WARM_UP + h) {
                    let Some(place) = parts.place(t - h, t) else { continue };
                    let (held, mut row) = (&origins[t - h - start], vec![f64::NAN; width]);
                    let mut instant = Vec::new();
                    drive.features(&mut instant);
                    instant.push(context.target[t]);
                    columns.instant.iter().zip(instant).for_each(|(column, value)| row[*column] = value);
                    let faded = held.values.iter().flat_map(|value| fades(h).map(|fade| fade * value));
                    row[columns.held..].iter_mut().zip(faded).for_each(|(column, value)| *column = value);
                    row[columns.own..].iter_mut().zip(basis.waves(drive, held, h)).for_each(|(c, wave)| *c = wave);
                    // What the weights of a fit make of it is what the row times the weights is.
                    let weights: Vec<f64> = (0..width - 1).map(|k| (k as f64).cos()).collect();
                    let said = basis.weighted(&weights, Uses::ALL, drive, held, h);
                    let product: f64 = weights.iter().zip(&row).map(|(weight, value)| weight * value).sum();
                    assert!((said - product).abs() < 1e-9, "{said} {product}");
                    written[place].add(&row);
                }
            });
        }
        for (found, written) in found.iter().zip(&written) {
            assert_eq!(found.rows(), written.rows());
            assert!(found.apart(written) < 1e-8, "{}", found.apart(written));
        }
        let most = |sums: &[Gram]| sums.iter().map(Gram::rows).max().unwrap_or_default();
        let (within, over) = written.split_at(parts.count());
        (most(within), most(over))
    }
}
