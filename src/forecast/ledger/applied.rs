//! Whether inputs that were assumed or planned were really applied.
//!
//! A prediction holds for the inputs that it assumed, a scenario for those that it planned; either can
//! be compared with what happened only as long as the inputs did that. Pure: plans and frames in, a
//! finding out.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::super::truth::truths;
use crate::asset::Signal;
use crate::reading::Frame;

/// Share of an input's range by which it may differ from what was planned, unless somebody says
/// otherwise.
pub const TOLERANCE: f64 = 0.02;

/// What was planned of one input.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its place in a frame.
    pub signal: usize,
    /// A value for each step, in its unit.
    pub values: &'a [f64],
    /// How far it may be off, in its unit.
    pub tolerance: f64,
}

/// Where an input left its plan.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Departure {
    /// The input.
    pub signal: String,
    /// First step at which it differed, from 0.
    pub step: usize,
    /// Instant of that step.
    pub at: DateTime<Utc>,
    /// What was planned or assumed, in the input's unit.
    pub planned: f64,
    /// What was measured.
    pub measured: f64,
}

/// How plans went.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Steps, from the first, during which all inputs went as planned as far as they were measured.
    pub steps: usize,
    /// Steps at which at least one planned input was measured.
    pub measured: usize,
    /// The first departure of each input that left its plan.
    pub departures: Vec<Departure>,
}

/// Whether a plan was really applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Application {
    /// All inputs went as planned to the end.
    Applied,
    /// They did for a while, then one left its plan.
    Partly,
    /// One differed from the first step on.
    NotApplied,
    /// As planned so far, and the end has not come.
    Underway,
    /// Too little was measured to tell.
    Unknown,
}

impl Applied {
    /// Compares plans with what was measured at `instants`, `step` apart. A plan may be followed up to
    /// `slack` steps early or late: a value counts as planned when it lies within the tolerance of what
    /// was planned for any step that near.
    #[must_use]
    pub fn find(
        plans: &[Plan<'_>],
        instants: &[DateTime<Utc>],
        step: TimeDelta,
        frames: &[Frame],
        slack: usize,
    ) -> Self {
        let mut found = Self { steps: instants.len(), measured: 0, departures: Vec::new() };
        let mut seen = vec![false; instants.len()];
        for plan in plans {
            let measured = truths(instants, frames, plan.signal, step);
            seen.iter_mut().zip(&measured).for_each(|(seen, value)| *seen |= value.is_finite());
            let Some(first) =
                (0..measured.len().min(plan.values.len())).find(|step| plan.left(*step, &measured, slack))
            else {
                continue;
            };
            found.steps = found.steps.min(first);
            found.departures.push(Departure {
                signal: plan.name.to_owned(),
                step: first,
                at: instants[first],
                planned: plan.values[first],
                measured: measured[first],
            });
        }
        found.measured = seen.into_iter().filter(|seen| *seen).count();
        found
    }

    /// What that says of a plan over `horizon` steps of which `passed` have come to pass. At least half
    /// of those must have been measured to call it applied.
    #[must_use]
    pub fn application(&self, horizon: usize, passed: usize) -> Application {
        match self.steps {
            0 if !self.departures.is_empty() => Application::NotApplied,
            _ if !self.departures.is_empty() => Application::Partly,
            _ if self.measured == 0 || 2 * self.measured < passed => Application::Unknown,
            _ if passed < horizon => Application::Underway,
            _ => Application::Applied,
        }
    }
}

impl Plan<'_> {
    /// Whether a measured value differs from what was planned near its step.
    fn left(&self, step: usize, measured: &[f64], slack: usize) -> bool {
        let near = &self.values[step.saturating_sub(slack)..(step + slack + 1).min(self.values.len())];
        let low = near.iter().copied().fold(f64::INFINITY, f64::min);
        let high = near.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let value = measured[step];
        value.is_finite() && (value < low - self.tolerance || value > high + self.tolerance)
    }
}

/// The tolerance of an input: a share of its declared range, or of what was seen of it where none is
/// declared.
#[must_use]
pub fn tolerance(signal: &Signal, index: usize, frames: &[Frame], share: f64) -> f64 {
    let seen = frames.iter().map(|frame| frame.values.get(index).copied().unwrap_or(f64::NAN));
    let (low, high) = seen.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let range = signal.min.zip(signal.max).map_or(high - low, |(min, max)| max - min);
    if range.is_finite() { share * range.abs() + 1e-9 } else { 1e-9 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    /// Frames of two inputs at the seconds 1, 2...
    fn frames(rows: &[(f64, f64)]) -> Vec<Frame> {
        let frame = |(place, (a, b)): (usize, &(f64, f64))| Frame {
            observed_at: at(place as i64 + 1),
            values: vec![*a, *b],
            quality: None,
        };
        rows.iter().enumerate().map(frame).collect()
    }

    fn find(pump: &[f64], valve: &[f64], frames: &[Frame], slack: usize) -> Applied {
        let instants: Vec<DateTime<Utc>> = (1..=pump.len() as i64).map(at).collect();
        let plan = |name, signal, values| Plan { name, signal, values, tolerance: 0.1 };
        let plans = [plan("pump", 0, pump), plan("valve", 1, valve)];
        Applied::find(&plans, &instants, TimeDelta::seconds(1), frames, slack)
    }

    #[test]
    fn inputs_within_the_tolerance_were_applied() {
        let frames = frames(&[(1.05, 3.0), (0.95, 3.0), (1.0, 2.95)]);
        let found = find(&[1.0; 3], &[3.0; 3], &frames, 0);
        assert_eq!((found.steps, found.measured), (3, 3));
        assert_eq!(found.application(3, 3), Application::Applied);
        assert_eq!(found.application(10, 3), Application::Underway);
    }

    #[test]
    fn the_first_departure_ends_what_was_applied() {
        let frames = frames(&[(1.0, 3.0), (1.0, 3.0), (1.0, 9.0), (5.0, 9.0)]);
        let found = find(&[1.0; 4], &[3.0; 4], &frames, 0);
        assert_eq!(found.steps, 2);
        assert_eq!(
            found.departures.iter().map(|d| (d.signal.as_str(), d.step)).collect::<Vec<_>>(),
            [("pump", 3), ("valve", 2)]
        );
        assert_eq!(found.application(4, 4), Application::Partly);
        assert_eq!(find(&[7.0; 4], &[3.0; 4], &frames, 0).application(4, 4), Application::NotApplied);
    }

    #[test]
    fn a_step_that_came_one_sample_late_was_applied_if_there_is_slack() {
        let frames = frames(&[(1.0, 0.0), (1.0, 0.0), (2.0, 0.0), (2.0, 0.0)]);
        let planned = [1.0, 2.0, 2.0, 2.0];
        assert_eq!(find(&planned, &[0.0; 4], &frames, 0).steps, 1);
        assert_eq!(find(&planned, &[0.0; 4], &frames, 1).application(4, 4), Application::Applied);
        let later = [2.0, 2.0, 2.0, 2.0];
        assert_eq!(find(&later, &[0.0; 4], &frames, 1).application(4, 4), Application::NotApplied);
    }

    #[test]
    fn what_was_not_measured_is_neither_applied_nor_not() {
        let unseen = frames(&[(f64::NAN, f64::NAN), (f64::NAN, f64::NAN), (1.0, f64::NAN), (f64::NAN, f64::NAN)]);
        let found = find(&[1.0; 4], &[3.0; 4], &unseen, 0);
        assert_eq!((found.steps, found.measured), (4, 1));
        assert_eq!(found.application(4, 4), Application::Unknown);
        assert_eq!(find(&[1.0; 4], &[3.0; 4], &[], 0).application(4, 0), Application::Unknown);
    }

    #[test]
    fn the_tolerance_is_a_share_of_the_range() {
        let mut signal = crate::asset::testing::asset_type(1.0, &["pump"]).document.signals.remove(0);
        let seen = frames(&[(2.0, 0.0), (6.0, 0.0)]);
        assert!((tolerance(&signal, 0, &seen, 0.02) - 0.08).abs() < 1e-6);
        (signal.min, signal.max) = (Some(0.0), Some(100.0));
        assert!((tolerance(&signal, 0, &seen, 0.02) - 2.0).abs() < 1e-6);
        signal.max = None;
        assert!(tolerance(&signal, 0, &[], 0.02) < 1e-8);
    }
}
