//! Constraints: limits that a future should keep, with the probability that it does.
//!
//! Judged on joint sample paths, a whole path at a time: a limit that was broken once stays broken,
//! so the probability of a breach *by* each step never falls. Independent quantiles per step could
//! not say this. An input's future is known, so its probability is 0 or 1, unless paths of another asset feed it.

use serde::{Deserialize, Serialize};

use crate::forecast::{Breach, TimeToLimit, first_break};

/// Constraints of one what-if at most.
pub const MAX_CONSTRAINTS: usize = 32;
/// The probability that a limit is to be kept with when none is given.
const USUAL: f64 = 0.95;

/// A limit on an input or output, in its unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// Key of the asset whose signal it is: the one that is asked when left out, or one downstream of it in a
    /// what-if that goes on there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// An input or output.
    pub signal: String,
    /// It should not be below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// It should not be above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Probability with which the limit is to be kept over the whole horizon, above 0 and at most 1;
    /// 0.95 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// How a constraint fares in one future.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ConstraintOutcome {
    /// The input or output.
    pub signal: String,
    /// The lower limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The upper limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Probability with which it was to be kept.
    pub probability: f64,
    /// Probability that the limit has been broken by each step: it never falls.
    pub breach_probability: Vec<f64>,
    /// When the limit is first broken.
    pub time_to_limit: TimeToLimit,
    /// Whether the limit is kept over the whole horizon with the probability that was asked for.
    pub met: bool,
}

impl Constraint {
    /// What is wrong with it in itself: the field and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let finite = |limit: Option<f64>| limit.is_none_or(f64::is_finite);
        match (self.min, self.max) {
            (None, None) => return Err(("", "a constraint needs a min, a max or both".to_owned())),
            (min, _) if !finite(min) => return Err(("/min", "not a finite number".to_owned())),
            (_, max) if !finite(max) => return Err(("/max", "not a finite number".to_owned())),
            (Some(min), Some(max)) if min > max => {
                return Err(("/max", format!("the maximum {max} is below the minimum {min}")));
            }
            _ => {}
        }
        if self.probability.is_some_and(|probability| !(probability > 0.0 && probability <= 1.0)) {
            return Err(("/probability", "a probability is above 0 and at most 1".to_owned()));
        }
        Ok(())
    }

    /// Probability with which it is to be kept.
    #[must_use]
    pub fn wanted(&self) -> f64 {
        self.probability.unwrap_or(USUAL)
    }

    /// Whether a value breaks a limit.
    #[must_use]
    pub fn broken(&self, value: f64) -> bool {
        self.min.is_some_and(|min| value < min) || self.max.is_some_and(|max| value > max)
    }

    /// How it fares on sample paths of its signal, one row of `steps` values each, all equally
    /// likely.
    #[must_use]
    pub fn judge<'a>(&self, paths: impl Iterator<Item = &'a [f64]>, steps: usize, step_s: f64) -> ConstraintOutcome {
        let first = paths.map(|path| first_break(&path[..steps.min(path.len())], |value| self.broken(value)));
        let breach = Breach::of(first, steps, step_s);
        let (wanted, time_to_limit) = (self.wanted(), breach.time_to_limit());
        ConstraintOutcome {
            signal: self.signal.clone(),
            min: self.min,
            max: self.max,
            probability: wanted,
            time_to_limit,
            breach_probability: breach.by_step(),
            met: time_to_limit.not_within_horizon >= wanted - 1e-12,
        }
    }
}

impl ConstraintOutcome {
    /// By how much the probability of keeping it falls short; 0 when it is met.
    #[must_use]
    pub fn shortfall(&self) -> f64 {
        if self.met { 0.0 } else { self.probability - self.time_to_limit.not_within_horizon }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at_most(max: f64, probability: f64) -> Constraint {
        Constraint {
            asset: None,
            signal: "level".to_owned(),
            min: None,
            max: Some(max),
            probability: Some(probability),
        }
    }

    fn judged(constraint: &Constraint, paths: &[Vec<f64>]) -> ConstraintOutcome {
        constraint.judge(paths.iter().map(Vec::as_slice), paths[0].len(), 2.0)
    }

    #[test]
    fn a_limit_once_broken_stays_broken() {
        let paths =
            [vec![0.0, 9.0, 0.0, 0.0], vec![0.0, 0.0, 0.0, 9.0], vec![0.0, 0.0, 0.0, 0.0], vec![0.0, 0.0, 9.0, 9.0]];
        let found = judged(&at_most(5.0, 0.5), &paths);
        assert_eq!(found.breach_probability, [0.0, 0.25, 0.5, 0.75]);
        let expected = TimeToLimit { p10: Some(4.0), p50: Some(6.0), p90: None, not_within_horizon: 0.25 };
        assert_eq!(found.time_to_limit, expected);
        assert!(!found.met && (found.shortfall() - 0.25).abs() < 1e-12);
        let found = judged(&at_most(5.0, 0.25), &paths);
        assert!(found.met && found.shortfall() == 0.0);
    }

    #[test]
    fn a_limit_may_be_touched() {
        let found = judged(&at_most(5.0, 1.0), &[vec![5.0, 5.0]]);
        assert!(found.met && found.time_to_limit.p10.is_none());
        let both = Constraint { min: Some(1.0), ..at_most(5.0, 1.0) };
        assert_eq!(judged(&both, &[vec![1.0, 0.5]]).breach_probability, [0.0, 1.0]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let of = |min, max, probability| Constraint { asset: None, signal: "level".to_owned(), min, max, probability };
        for (wrong, field) in [
            (of(None, None, None), ""),
            (of(Some(f64::NAN), None, None), "/min"),
            (of(None, Some(f64::INFINITY), None), "/max"),
            (of(Some(2.0), Some(1.0), None), "/max"),
            (of(Some(2.0), None, Some(0.0)), "/probability"),
            (of(Some(2.0), None, Some(1.1)), "/probability"),
            (of(Some(2.0), None, Some(f64::NAN)), "/probability"),
        ] {
            assert_eq!(wrong.check().unwrap_err().0, field, "{wrong:?}");
        }
        of(Some(1.0), Some(1.0), Some(1.0)).check().unwrap();
    }

    proptest! {
        #[test]
        fn the_probability_of_a_breach_never_falls_and_ends_where_the_times_say(
            paths in prop::collection::vec(prop::collection::vec(-3.0..3.0_f64, 12), 1..40), max in -3.0..3.0_f64,
        ) {
            let found = judged(&at_most(max, 0.9), &paths);
            prop_assert!(found.breach_probability.windows(2).all(|pair| pair[0] <= pair[1]));
            let last = found.breach_probability[11];
            prop_assert!((last + found.time_to_limit.not_within_horizon - 1.0).abs() < 1e-12);
            let times = found.time_to_limit;
            let order = |early: Option<f64>, late: Option<f64>| late.is_none_or(|late| early.is_some_and(|early| early <= late));
            prop_assert!(order(times.p10, times.p50) && order(times.p50, times.p90));
            prop_assert_eq!(times.p50.is_some(), last >= 0.5 - 1e-9);
            prop_assert_eq!(found.met, found.shortfall() == 0.0);
        }

        #[test]
        fn a_wider_limit_is_broken_no_more_often(
            paths in prop::collection::vec(prop::collection::vec(-3.0..3.0_f64, 8), 1..30),
            max in -3.0..3.0_f64, more in 0.0..2.0_f64,
        ) {
            let (near, far) = (judged(&at_most(max, 0.9), &paths), judged(&at_most(max + more, 0.9), &paths));
            prop_assert!(near.breach_probability.iter().zip(&far.breach_probability).all(|(near, far)| far <= near));
        }
    }
}
