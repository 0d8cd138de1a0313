//! How often, and when, sample paths break a limit. Pure.
//!
//! Judged a whole path at a time: a limit that was broken once stays broken, so the probability of a
//! breach *by* each step never falls. Independent quantiles per step could not say this.

use serde::Serialize;

/// Quantiles of the time until a limit is first broken, in seconds after the state. Null: later than
/// the horizon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TimeToLimit {
    /// With a probability of 10 % it has been broken by then.
    #[serde(rename = "0.1")]
    pub p10: Option<f64>,
    /// With a probability of 50 %.
    #[serde(rename = "0.5")]
    pub p50: Option<f64>,
    /// With a probability of 90 %.
    #[serde(rename = "0.9")]
    pub p90: Option<f64>,
    /// Probability that it is not broken within the horizon.
    pub not_within_horizon: f64,
}

/// Paths that break a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Breach {
    /// Paths that have broken it by each step.
    broken: Vec<usize>,
    /// All paths, which are equally likely.
    all: usize,
    step_s: f64,
}

/// The step at which a path first breaks a limit.
pub fn first_break(path: &[f64], broken: impl Fn(f64) -> bool) -> Option<usize> {
    path.iter().position(|value| broken(*value))
}

impl Breach {
    /// From the first break of each path; `steps` of `step_s` seconds each.
    #[must_use]
    pub fn of(first: impl Iterator<Item = Option<usize>>, steps: usize, step_s: f64) -> Self {
        let (mut at, mut all) = (vec![0_usize; steps], 0);
        for first in first {
            all += 1;
            if let Some(count) = first.and_then(|step| at.get_mut(step)) {
                *count += 1;
            }
        }
        let mut sum = 0;
        let broken = at.into_iter().map(|count| {
            sum += count;
            sum
        });
        Self { broken: broken.collect(), all, step_s }
    }

    /// Probability that the limit is broken within the horizon.
    #[must_use]
    pub fn probability(&self) -> f64 {
        self.share(self.count())
    }

    /// Probability that the limit has been broken by each step: it never falls.
    #[must_use]
    pub fn by_step(&self) -> Vec<f64> {
        self.broken.iter().map(|count| self.share(*count)).collect()
    }

    /// When the limit is first broken.
    #[must_use]
    pub fn time_to_limit(&self) -> TimeToLimit {
        let time = |level: f64| self.time(level * self.all as f64);
        let kept = self.share(self.all - self.count());
        TimeToLimit { p10: time(0.1), p50: time(0.5), p90: time(0.9), not_within_horizon: kept }
    }

    /// Seconds until half of the paths that break the limit have done so; `None` where none does.
    #[must_use]
    pub fn median_s(&self) -> Option<f64> {
        self.time(0.5 * self.count() as f64)
    }

    fn count(&self) -> usize {
        self.broken.last().copied().unwrap_or_default()
    }

    fn share(&self, count: usize) -> f64 {
        count as f64 / self.all.max(1) as f64
    }

    /// Seconds until so many paths have broken it. Counts, not shares, so that a quantile is not missed
    /// by a rounding.
    fn time(&self, enough: f64) -> Option<f64> {
        let step = self.broken.iter().position(|count| *count > 0 && *count as f64 >= enough - 1e-9)?;
        Some((step + 1) as f64 * self.step_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_time_is_that_of_the_paths_that_break_it() {
        let breach = Breach::of([Some(1), None, Some(3), None, Some(2), None].into_iter(), 4, 2.0);
        assert_eq!(breach.by_step(), [0.0, 1.0 / 6.0, 1.0 / 3.0, 0.5]);
        assert_eq!((breach.probability(), breach.median_s()), (0.5, Some(6.0)));
        assert_eq!(breach.time_to_limit().p50, Some(8.0));
        let never = Breach::of([None, None].into_iter(), 4, 2.0);
        assert_eq!((never.probability(), never.median_s(), never.time_to_limit().p10), (0.0, None, None));
    }
}
