//! A record as the search reads it: cleaned, cut into runs, with its statistics.
//!
//! Always true: inputs are finite and as long as the target, missing targets are NaN and nothing
//! else is; every run has enough measured samples to say something.

use super::Record;

/// Samples that are looked at, the newest ones.
const NEWEST: usize = 3_000;
/// Longest stretch that is simulated from one initial state.
const RUN: usize = 1_200;
/// Runs that are looked at, the newest ones: each brings its own initial state.
const RUNS: usize = 24;
/// A run with fewer measured samples teaches nothing.
const LEAST_MEASURED: usize = 8;
/// Values beyond this are taken for missing: products of a few of them would overflow.
const HUGE: f64 = 1e30;
/// A signal that moves less than this share of its mean, or than this, stands still.
const ROUNDING: f64 = 1e-9;
const TINY: f64 = 1e-30;
/// Share of its span within which a reading counts as pinned to an end.
const PINNED: f64 = 2e-3;
/// Share of the readings, and their least number, at an end that make it a limit of the sensor.
const PINNED_SHARE: f64 = 0.01;
const PINNED_LEAST: usize = 10;

/// What a signal did in the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statistics {
    pub(super) mean: f64,
    /// Always positive.
    pub(super) deviation: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Statistics {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let count = values.clone().count() as f64;
        if count < 1.0 {
            return None;
        }
        let mean = values.clone().sum::<f64>() / count;
        let deviation = (values.clone().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt();
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        let still = deviation <= (ROUNDING * mean.abs()).max(TINY);
        Some(Self { mean, deviation: if still { mean.abs().max(1.0) } else { deviation }, low, high })
    }

    /// Whether the signal moved at all.
    pub(super) fn moves(&self) -> bool {
        self.high - self.low > (ROUNDING * self.mean.abs()).max(TINY)
    }
}

/// A cleaned record.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) target: Vec<f64>,
    pub(super) inputs: Vec<Vec<f64>>,
    /// Stretches `start..end` that are simulated each from its own initial state.
    pub(super) runs: Vec<(usize, usize)>,
    target_statistics: Statistics,
    input_statistics: Vec<Statistics>,
}

impl Evidence {
    /// The newest samples of a record; `None` where the target was not measured or never moved.
    pub(super) fn of(record: &Record<'_>) -> Option<Self> {
        Self::newest(record, NEWEST)
    }

    /// The newest `limit` samples.
    pub(super) fn newest(record: &Record<'_>, limit: usize) -> Option<Self> {
        let end = record.target.len();
        let from = end.saturating_sub(limit);
        let target: Vec<f64> = record.target[from..].iter().map(|&v| if known(v) { v } else { f64::NAN }).collect();
        let inputs: Vec<Vec<f64>> = record.inputs.iter().map(|row| held(&row[from..end], None)).collect();
        let runs = runs(&target, record.starts, from);
        let measured = |v: &f64| !v.is_nan();
        let target_statistics = Statistics::of(target.iter().copied().filter(|v| measured(v)))?;
        if !target_statistics.moves() || runs.is_empty() {
            return None;
        }
        let input_statistics =
            inputs.iter().map(|row| Statistics::of(row.iter().copied())).collect::<Option<Vec<_>>>()?;
        Some(Self { target, inputs, runs, target_statistics, input_statistics })
    }

    pub(super) fn target_statistics(&self) -> &Statistics {
        &self.target_statistics
    }

    pub(super) fn input_statistics(&self) -> &[Statistics] {
        &self.input_statistics
    }

    /// How many target values were measured within the runs.
    pub(super) fn measured(&self) -> usize {
        self.runs.iter().map(|&(a, b)| self.target[a..b].iter().filter(|v| !v.is_nan()).count()).sum()
    }

    /// The same evidence with its newest runs only, cut to `samples` in all: for a first look.
    pub(super) fn recent(&self, samples: usize) -> Self {
        let mut left = samples;
        let mut runs = Vec::new();
        for &(a, b) in self.runs.iter().rev() {
            if left == 0 {
                break;
            }
            let kept = (b - a).min(left);
            runs.push((a, a + kept));
            left -= kept;
        }
        runs.reverse();
        Self {
            target: self.target.clone(),
            inputs: self.inputs.clone(),
            runs,
            input_statistics: self.input_statistics.clone(),
            ..*self
        }
    }

    /// The ends of the sensor: where readings pile up at the lowest or the highest value.
    pub(super) fn limits(&self) -> (Option<f64>, Option<f64>) {
        let Statistics { low, high, .. } = self.target_statistics;
        let near = PINNED * (high - low);
        let measured = self.target.iter().filter(|v| !v.is_nan());
        let many =
            |count: usize| count >= PINNED_LEAST && count as f64 >= PINNED_SHARE * measured.clone().count() as f64;
        let at_low = measured.clone().filter(|v| **v <= low + near).count();
        let at_high = measured.clone().filter(|v| **v >= high - near).count();
        (many(at_low).then_some(low), many(at_high).then_some(high))
    }
}

pub(super) fn known(value: f64) -> bool {
    value.abs() < HUGE
}

/// A row without gaps: a missing value holds the one before, the first ones `first` (or 0).
pub(super) fn held(row: &[f64], first: Option<f64>) -> Vec<f64> {
    let mut last = first.unwrap_or_else(|| row.iter().copied().find(|&v| known(v)).unwrap_or(0.0));
    row.iter()
        .map(|&value| {
            if known(value) {
                last = value;
            }
            last
        })
        .collect()
}

/// Segments from their first measured sample on, cut where they are long.
fn runs(target: &[f64], starts: &[usize], from: usize) -> Vec<(usize, usize)> {
    let mut borders: Vec<usize> = starts.iter().filter_map(|s| s.checked_sub(from)).collect();
    borders.retain(|&b| b < target.len());
    borders.push(0);
    borders.push(target.len());
    borders.sort_unstable();
    borders.dedup();
    let mut runs = Vec::new();
    for pair in borders.windows(2) {
        let pieces = (pair[1] - pair[0]).div_ceil(RUN).max(1);
        let length = (pair[1] - pair[0]).div_ceil(pieces).max(1);
        let mut start = pair[0];
        while start < pair[1] {
            let end = (start + length).min(pair[1]);
            let first = (start..end).find(|&t| !target[t].is_nan()).unwrap_or(end);
            let count = target[first..end].iter().filter(|v| !v.is_nan()).count();
            if count >= LEAST_MEASURED {
                runs.push((first, end));
            }
            start = end;
        }
    }
    runs.split_off(runs.len().saturating_sub(RUNS))
}
