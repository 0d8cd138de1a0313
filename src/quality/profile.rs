//! What a signal usually does: where thresholds come from when its type says nothing.
//!
//! Everything is a quantile, so that a few bad values move nothing.

/// With fewer known values a signal has no history to be judged by.
pub(super) const FEWEST: usize = 64;
/// With fewer runs of equal values nothing is known of how long they last.
const FEWEST_RUNS: usize = 20;

/// The habits of one series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    /// Least and greatest value.
    pub(super) extremes: (f64, f64),
    /// 5th and 95th percentile.
    pub(super) central: (f64, f64),
    /// Between them.
    pub(super) range: f64,
    /// 95th percentile of the absolute differences between neighbours.
    pub(super) change: f64,
    /// 95th percentile of the lengths of runs of equal values; none where there are few runs.
    pub(super) run: Option<usize>,
}

impl Profile {
    /// Of a series in which NaN is a missing value; `None` with fewer than [`FEWEST`] others.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let mut known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        if known.len() < FEWEST {
            return None;
        }
        let mut changes: Vec<f64> =
            values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).filter(|change| change.is_finite()).collect();
        let mut runs: Vec<usize> = runs(values).into_iter().map(|run| run.length).collect();
        let central = (quantile(&mut known, 0.05), quantile(&mut known, 0.95));
        let extremes =
            known.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
        let run = (runs.len() >= FEWEST_RUNS).then(|| {
            let at = place(runs.len(), 0.95);
            *runs.select_nth_unstable(at).1
        });
        let change = if changes.is_empty() { 0.0 } else { quantile(&mut changes, 0.95) };
        Some(Self { extremes, central, range: central.1 - central.0, change, run })
    }

    /// A change between neighbours that is no habit.
    pub(super) fn unusual(&self) -> f64 {
        (4.0 * self.change).max(0.5 * self.range)
    }
}

/// A run of equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Place of its first value.
    pub(super) first: usize,
    /// Place of its last value.
    pub(super) last: usize,
    /// Values in it, those missing left out.
    pub(super) length: usize,
}

/// The runs of equal values; missing values do not break one.
pub(super) fn runs(values: &[f64]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, value) in values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        match runs.last_mut() {
            Some(run) if values[run.last] == *value => (run.last, run.length) = (at, run.length + 1),
            _ => runs.push(Run { first: at, last: at, length: 1 }),
        }
    }
    runs
}

/// The value below which a share lies, by the nearest rank. Reorders the values, of which there is one.
pub(super) fn quantile(values: &mut [f64], share: f64) -> f64 {
    let at = place(values.len(), share);
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}

fn place(count: usize, share: f64) -> usize {
    ((share * count as f64).ceil() as usize).clamp(1, count) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_bad_values_move_nothing() {
        let clean: Vec<f64> = (0..400).map(|k| f64::from(k % 40 - 20).abs()).collect();
        let mut bad = clean.clone();
        for at in [50, 150, 250] {
            bad[at] = 1e9;
        }
        let (clean, bad) = (Profile::of(&clean).unwrap(), Profile::of(&bad).unwrap());
        assert_eq!((clean.central, clean.change), (bad.central, bad.change));
        assert!(Profile::of(&[1.0; FEWEST - 1]).is_none());
    }

    #[test]
    fn runs_reach_over_missing_values() {
        let gap = f64::NAN;
        let found = runs(&[1.0, 1.0, gap, 1.0, 2.0, gap, 3.0]);
        let lengths: Vec<(usize, usize, usize)> = found.iter().map(|run| (run.first, run.last, run.length)).collect();
        assert_eq!(lengths, [(0, 3, 3), (4, 4, 1), (6, 6, 1)]);
    }
}
