//! Expert three: one ridge regression for all horizons, without feeding answers back.
//!
//! Features of the answer at `origin + h`: leaky averages of every input at that very instant
//! (known or assumed), averages of target and inputs held at the origin and fading with `h` at
//! five speeds, and an intercept. The strongest what-if expert. Oracle: `dbasis` in the prototype;
//! a truncated fit here uses the full fit's rows that were known by then, and, where that is most of
//! them, the ridge that [`SETTLED`] of the context chose: to choose one costs three times what it then takes to fit.

use super::algebra::{Gram, dot};
use super::filters::{Coefficients, HELD_EACH, InputMemory, Memory, PER_INPUT, TargetMemory};
use super::history::Context;

/// How fast the origin fades, in steps (prototype `TJ`).
const FADES: [f64; 5] = [2.0, 8.0, 32.0, 128.0, 1e6];
/// The ridges that the hold-out tail chooses from; the last one where there is no tail.
const RIDGES: [f64; 3] = [1e-2, 1.0, 30.0];
/// Ridge on the intercept: only there to keep the system regular.
const FREE: f64 = 1e-6;
/// Answers stay within this many deviations.
const LIMIT: f64 = 12.0;
/// Fewer rows teach nothing.
const LEAST_ROWS: usize = 40;
/// The hold-out tail decides only with more rows than this.
const LEAST_HELD_OUT: usize = 20;
/// The share of rows before the hold-out tail.
const TRAIN_SHARE: f64 = 0.7;
/// The share of a context from which on truncated fits share one choice of the ridge, made on that share.
const SETTLED: f64 = 0.75;
/// Origins per segment, about.
const ORIGINS: usize = 70;
/// Samples of a segment before its first origin.
const WARM_UP: usize = 3;
/// Horizons that are fitted, spread geometrically.
const HORIZONS: usize = 10;

/// A fitted regression; weights in the order of the features.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    weights: Vec<f64>,
    coefficients: Coefficients,
}

/// What a roll-out from the end of a context needs of it.
#[derive(Clone, Debug)]
pub(super) struct DirectState {
    memory: Memory,
    /// The held features, already weighted: one factor per fade.
    fading: [f64; FADES.len()],
}

impl Direct {
    /// Fits the regression on the context as known at each of `ends` (ascending), in one pass.
    pub(super) fn fit(context: &Context<'_>, ends: &[usize], horizon: usize) -> Vec<Option<Self>> {
        let coefficients = Coefficients::new();
        let rows = Rows::of(context, horizon, &coefficients);
        let spans: Vec<Span> = ends.iter().map(|&end| rows.span(end)).collect();
        let settled = (SETTLED * context.len() as f64) as usize;
        // Where the ridge of each fit is chosen.
        let chosen_at: Vec<usize> =
            ends.iter().map(|&end| if end < context.len() { end.min(settled) } else { end }).collect();
        let mut choices: Vec<(usize, Span, f64)> =
            chosen_at.iter().map(|&end| (end, rows.span(end), RIDGES[RIDGES.len() - 1])).collect();
        choices.dedup_by_key(|(end, ..)| *end);
        let mut cuts: Vec<usize> = spans.iter().map(|s| s.all).collect();
        cuts.extend(choices.iter().map(|(_, span, _)| span.train));
        cuts.sort_unstable();
        cuts.dedup();
        // The sums grow from cut to cut; who needs them there is served before they grow on.
        let (mut gram, mut done) = (Gram::new(rows.width), 0);
        let mut fitted: Vec<Option<Self>> = vec![None; spans.len()];
        for cut in cuts {
            gram.add(&rows.values[done * rows.width..cut * rows.width]);
            done = cut;
            for (_, span, ridge) in choices.iter_mut().filter(|(_, span, _)| span.train == cut) {
                *ridge = rows.best_ridge(span, &mut gram);
            }
            for ((span, at), fitted) in spans.iter().zip(&chosen_at).zip(&mut fitted) {
                if span.all == cut && span.all >= LEAST_ROWS {
                    let ridge = choices[choices.partition_point(|(end, ..)| end < at)].2;
                    let weights = gram.solve(ridge, FREE);
                    *fitted = weights.map(|weights| Self { weights, coefficients: coefficients.clone() });
                }
            }
        }
        fitted
    }

    /// What a roll-out from the end of `context` remembers of it; `None` in an empty context.
    pub(super) fn stand(&self, context: &Context<'_>) -> Option<DirectState> {
        let start = context.last_start();
        let (&first, rest) = context.target.get(start..)?.split_first()?;
        let others = others(context);
        let mut memory = Memory::begin(first, &context.inputs, others, start);
        for (k, &target) in rest.iter().enumerate() {
            memory.step(&self.coefficients, target, &context.inputs, others, start + 1 + k);
        }
        let weights = &self.weights[memory.inputs.len() * PER_INPUT..];
        let mut fading = [0.0; FADES.len()];
        for (value, weights) in held(&memory).zip(weights.chunks_exact(FADES.len())) {
            for (sum, weight) in fading.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
        Some(DirectState { memory, fading })
    }

    /// The answers for `steps` over `future` (one row per input, at least `steps` long).
    pub(super) fn answer(&self, state: &DirectState, future: &[Vec<f64>], steps: usize) -> Vec<f64> {
        let rates = FADES.map(|fade| (-1.0 / fade).exp());
        let intercept = self.weights[self.weights.len() - 1];
        let mut inputs = state.memory.inputs.clone();
        let mut fading = state.fading;
        (0..steps)
            .map(|t| {
                let mut value = intercept;
                for (part, rate) in fading.iter_mut().zip(rates) {
                    *part *= rate;
                    value += *part;
                }
                for ((memory, row), weights) in inputs.iter_mut().zip(future).zip(self.weights.chunks_exact(PER_INPUT))
                {
                    memory.step(&self.coefficients, row[t]);
                    value += memory.weighted(weights);
                }
                value.clamp(-LIMIT, LIMIT)
            })
            .collect()
    }
}

/// The other outputs that are looked at: those of a plant that is driven, whose states they show.
fn others<'c, 'a>(context: &'c Context<'a>) -> &'c [&'a [f64]] {
    if context.inputs.is_empty() { &[] } else { &context.others }
}

/// The features held at an origin: target first, then input by input, then the other outputs.
fn held(memory: &Memory) -> impl Iterator<Item = f64> {
    let inputs = memory.inputs.iter().flat_map(InputMemory::held);
    let others = memory.others.iter().flat_map(TargetMemory::held);
    memory.target.held().into_iter().chain(inputs).chain(others)
}

/// The horizons that are fitted: geometric from 1, rounded, without repeats.
fn horizons(horizon: usize) -> Vec<usize> {
    let last = (horizon.max(2) as f64).ln();
    let mut steps: Vec<usize> =
        (0..HORIZONS).map(|i| (last * i as f64 / (HORIZONS - 1) as f64).exp().round() as usize).collect();
    steps.dedup();
    steps
}

/// Which rows were known at an end, and where the hold-out tail begins.
struct Span {
    all: usize,
    train: usize,
    /// Held-out rows are those beyond `train` whose origin is not before this.
    origin: f64,
}

/// The regression rows `[features, 1, target]` in the order of the instant they explain.
struct Rows {
    width: usize,
    values: Vec<f64>,
    instants: Vec<usize>,
    origins: Vec<usize>,
}

impl Rows {
    fn of(context: &Context<'_>, horizon: usize, by: &Coefficients) -> Self {
        let (inputs, others) = (context.inputs.len(), others(context));
        let steps = horizons(horizon);
        let fades: Vec<[f64; FADES.len()]> =
            steps.iter().map(|&h| FADES.map(|fade| (-(h as f64) / fade).exp())).collect();
        let kept = HELD_EACH * (1 + inputs + others.len());
        let width = inputs * PER_INPUT + kept * FADES.len() + 2;
        let expected = context.segments.len() * 2 * ORIGINS * steps.len();
        let mut rows = Self {
            width,
            values: Vec::with_capacity(expected.min(context.len() * HORIZONS) * width),
            instants: Vec::new(),
            origins: Vec::new(),
        };
        for &(start, end) in &context.segments {
            let stride = ((end - start) / ORIGINS).max(1);
            let first = start + WARM_UP;
            let mut memory = Memory::begin(context.target[start], &context.inputs, others, start);
            // Held features of the origins met so far, `kept` for each.
            let mut past: Vec<f64> = Vec::with_capacity((end - start) / stride * kept + kept);
            for t in start..end {
                if t > start {
                    memory.step(by, context.target[t], &context.inputs, others, t);
                }
                for (&h, fade) in steps.iter().zip(&fades) {
                    if t < first + h {
                        break;
                    }
                    if (t - h - first).is_multiple_of(stride) {
                        let origin = (t - h - first) / stride;
                        let kept_there = &past[origin * kept..(origin + 1) * kept];
                        rows.push(&memory, kept_there, fade, context.target[t]);
                        rows.instants.push(t);
                        rows.origins.push(t - h);
                    }
                }
                if t >= first && (t - first).is_multiple_of(stride) {
                    past.extend(held(&memory));
                }
            }
        }
        rows
    }

    fn push(&mut self, memory: &Memory, held: &[f64], fade: &[f64; FADES.len()], target: f64) {
        for input in &memory.inputs {
            input.features(&mut self.values);
        }
        for value in held {
            self.values.extend(fade.map(|f| f * value));
        }
        self.values.extend([1.0, target]);
    }

    /// The rows known when the context ended at `end`, split at 70 % of their instants.
    fn span(&self, end: usize) -> Span {
        let all = self.instants.partition_point(|&t| t < end);
        if all == 0 {
            return Span { all, train: 0, origin: 0.0 };
        }
        // numpy's linear quantile
        let place = TRAIN_SHARE * (all - 1) as f64;
        let below = self.instants[place as usize] as f64;
        let above = self.instants[(place as usize + 1).min(all - 1)] as f64;
        let cut = below + place.fract() * (above - below);
        Span { all, train: self.instants[..all].partition_point(|&t| t as f64 <= cut), origin: cut - 1.0 }
    }

    /// The ridge with the least squared error on the hold-out tail.
    fn best_ridge(&self, span: &Span, train: &mut Gram) -> f64 {
        let held_out: Vec<usize> = (span.train..span.all).filter(|&i| self.origins[i] as f64 > span.origin).collect();
        let mut best = (f64::INFINITY, RIDGES[RIDGES.len() - 1]);
        if held_out.len() <= LEAST_HELD_OUT {
            return best.1;
        }
        for ridge in RIDGES {
            let Some(weights) = train.solve(ridge, FREE) else {
                continue;
            };
            let error: f64 = held_out
                .iter()
                .map(|&i| {
                    let row = &self.values[i * self.width..(i + 1) * self.width];
                    let (features, target) = row.split_at(self.width - 1);
                    (dot(&weights, features) - target[0]).powi(2)
                })
                .sum();
            if error < best.0 {
                best = (error, ridge);
            }
        }
        best.1
    }
}
