//! Expert three: one ridge regression for all horizons, without feeding answers back.
//!
//! Features of the answer at `origin + h`: leaky averages of every input at that very instant
//! (known or assumed), averages of target and inputs held at the origin and fading with `h` at
//! five speeds, and an intercept. The strongest what-if expert. Oracle: `dbasis` in the prototype;
//! a truncated fit here uses the full fit's rows that were known by then.

mod rows;

use rows::{Rows, Span};

use super::algebra::Gram;
use super::filters::{Coefficients, InputMemory, Memory, PER_INPUT, TargetMemory};
use super::history::Context;
use super::shared::{FADES, fades};

/// The ridges that the hold-out tail chooses from; the last one where there is no tail.
const RIDGES: [f64; 3] = [1e-2, 1.0, 30.0];
/// Ridge on the intercept: only there to keep the system regular.
const FREE: f64 = 1e-6;
/// Answers stay within this many deviations.
const LIMIT: f64 = 12.0;
/// Fewer rows teach nothing.
const LEAST_ROWS: usize = 40;
/// Origins per segment, about.
const ORIGINS: usize = 70;
/// Samples of a segment before its first origin.
const WARM_UP: usize = 3;

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
        let mut cuts: Vec<usize> = spans.iter().flat_map(|s| [s.train, s.all]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        // The sums grow from cut to cut; who needs them there is served before they grow on.
        let (mut gram, mut done) = (Gram::new(rows.width()), 0);
        let mut ridges = vec![RIDGES[RIDGES.len() - 1]; spans.len()];
        let mut fitted: Vec<Option<Self>> = vec![None; spans.len()];
        for cut in cuts {
            rows.add(done..cut, &mut gram);
            done = cut;
            for ((span, ridge), fitted) in spans.iter().zip(&mut ridges).zip(&mut fitted) {
                if span.all < LEAST_ROWS {
                    continue;
                }
                if span.train == cut {
                    *ridge = rows.best_ridge(span, &mut gram);
                }
                if span.all == cut {
                    let weights = ridged(&mut gram, *ridge);
                    *fitted = weights.map(|weights| Self { weights, coefficients: coefficients.clone() });
                }
            }
        }
        fitted
    }

    /// What a roll-out remembers where a context has come to stand as `memory` says.
    pub(super) fn stand(&self, memory: Memory) -> DirectState {
        let weights = &self.weights[memory.inputs.len() * PER_INPUT..];
        let mut fading = [0.0; FADES.len()];
        for (value, weights) in held(&memory).zip(weights.chunks_exact(FADES.len())) {
            for (sum, weight) in fading.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
        DirectState { memory, fading }
    }

    /// The answers for `steps` over `future` (one row per input, at least `steps` long).
    pub(super) fn answer(&self, state: &DirectState, future: &[Vec<f64>], steps: usize) -> Vec<f64> {
        let rates = fades(1);
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

/// How a context has come to stand at each of the `ends` (ascending) of its newest segment; `None` where nothing lies
/// before one.
pub(super) fn memories(context: &Context<'_>, ends: &[usize]) -> Vec<Option<Memory>> {
    let (by, start, others) = (Coefficients::new(), context.last_start(), others(context));
    let mut memory = context.target.get(start).map(|first| Memory::begin(*first, &context.inputs, others, start));
    let mut next = start + 1;
    let at = |&end: &usize| {
        let memory = memory.as_mut().filter(|_| end > start)?;
        for t in next..end {
            memory.step(&by, context.target[t], &context.inputs, others, t);
        }
        next = next.max(end);
        Some(memory.clone())
    };
    ends.iter().map(at).collect()
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

/// Weights with a ridge on all features but the intercept.
fn ridged(gram: &mut Gram, ridge: f64) -> Option<Vec<f64>> {
    gram.solve(ridge, FREE)
}
