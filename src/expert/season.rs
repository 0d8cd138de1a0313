//! Expert four: the mean profile of the last cycles, around the level of the last one.
//!
//! The period is the strongest peak of the autocorrelation that reaches 0.3. Only the period is
//! fitted; profile and level are read from the samples that the forecast starts from, so the
//! phase is right however late that is. Oracle: `season` in the prototype.

use super::algebra::add_lagged;
use super::history::{Context, History};

/// Fewer samples show no season.
const LEAST: usize = 48;
/// Cycles that the profile is averaged over.
const CYCLES: usize = 7;
/// Shortest lag looked at; peaks start one beyond.
const FIRST_LAG: usize = 4;
/// A period must repeat at least this often in the samples.
const REPEATS: f64 = 2.2;
/// What one more step of period costs in autocorrelation: the base period wins over its multiples.
const LAG_COST: f64 = 4e-4;
/// The least autocorrelation that counts as a season.
const LEAST_PEAK: f64 = 0.3;
/// Answers stay within this many deviations, as targets do.
const LIMIT: f64 = 12.0;

/// A period found in the target, in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Season {
    period: usize,
}

/// The period of the newest segment of a target, in steps of the history; `None` where it has no season.
#[must_use]
pub fn period(history: &History<'_>) -> Option<usize> {
    let context = Context::newest(history, super::CONTEXT);
    Season::fit(&context, &[context.len()]).pop().flatten().map(|season| season.period)
}

/// One cycle as expected next, beginning with the step after the context.
#[derive(Clone, Debug)]
pub(super) struct SeasonState {
    cycle: Vec<f64>,
}

impl Season {
    /// Looks for a period in the newest segment as known at each of `ends` (ascending, all within
    /// that segment or before it).
    pub(super) fn fit(context: &Context<'_>, ends: &[usize]) -> Vec<Option<Self>> {
        let start = context.last_start();
        let segment = &context.target[start..];
        let mut sums = LagSums::new(longest_lag(segment.len()));
        ends.iter()
            .map(|&end| {
                let known = &segment[..end.saturating_sub(start).min(segment.len())];
                if known.len() < LEAST {
                    return None;
                }
                sums.extend(known);
                strongest(&sums.autocorrelation(known)).map(|period| Self { period })
            })
            .collect()
    }

    /// The cycle that the end of `context` leads to; `None` when its segment is shorter than one.
    pub(super) fn stand(self, context: &Context<'_>) -> Option<SeasonState> {
        let segment = &context.target[context.last_start()..];
        let period = self.period;
        let cycles = (segment.len() / period).min(CYCLES);
        if cycles == 0 {
            return None;
        }
        let level = segment[segment.len() - period..].iter().sum::<f64>() / period as f64;
        let mut cycle = vec![0.0; period];
        for past in segment[segment.len() - cycles * period..].chunks(period) {
            for (sum, value) in cycle.iter_mut().zip(past) {
                *sum += value;
            }
        }
        let mean = cycle.iter().sum::<f64>() / period as f64;
        for value in &mut cycle {
            *value = ((*value - mean) / cycles as f64 + level).clamp(-LIMIT, LIMIT);
        }
        Some(SeasonState { cycle })
    }
}

impl SeasonState {
    /// The cycle, repeated for `steps`.
    pub(super) fn answer(&self, steps: usize) -> Vec<f64> {
        self.cycle.iter().copied().cycle().take(steps).collect()
    }
}

fn longest_lag(samples: usize) -> usize {
    (samples as f64 / REPEATS) as usize
}

/// Running sums `sum x(t) x(t-lag)` over the samples seen so far.
struct LagSums {
    sums: Vec<f64>,
    seen: usize,
}

impl LagSums {
    fn new(lags: usize) -> Self {
        Self { sums: vec![0.0; lags], seen: 0 }
    }

    /// Takes the samples of `known` that were not seen yet.
    fn extend(&mut self, known: &[f64]) {
        add_lagged(known, self.seen, &mut self.sums);
        self.seen = known.len();
    }

    /// The unbiased autocorrelation of `known`, up to its longest lag.
    fn autocorrelation(&self, known: &[f64]) -> Vec<f64> {
        let n = known.len();
        let total: f64 = known.iter().sum();
        let mean = total / n as f64;
        let mut early = total;
        let mut late = total;
        let mut out = Vec::with_capacity(longest_lag(n));
        for (lag, sum) in self.sums.iter().take(longest_lag(n)).enumerate() {
            if lag > 0 {
                early -= known[n - lag];
                late -= known[lag - 1];
            }
            let count = (n - lag) as f64;
            out.push((sum - mean * (early + late)) / count + mean * mean);
        }
        let variance = out.first().copied().unwrap_or(0.0) + 1e-9;
        for value in &mut out {
            *value /= variance;
        }
        out
    }
}

/// The lag of the strongest local peak, longer ones at a cost; `None` when no peak is a season.
fn strongest(autocorrelation: &[f64]) -> Option<usize> {
    let cost = |lag: usize| autocorrelation[lag] - LAG_COST * lag as f64;
    let mut best: Option<usize> = None;
    for lag in FIRST_LAG + 1..autocorrelation.len().saturating_sub(1) {
        let [before, here, after] = [autocorrelation[lag - 1], autocorrelation[lag], autocorrelation[lag + 1]];
        if here > before && here >= after && best.is_none_or(|b| cost(lag) > cost(b)) {
            best = Some(lag);
        }
    }
    best.filter(|&lag| autocorrelation[lag] >= LEAST_PEAK)
}
