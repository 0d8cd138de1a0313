//! Plan against actual: what was said of the future, beside what was measured since.
//!
//! Serves predictions and scenarios alike. What came after an input had left what was assumed of it is
//! shown, but not scored: nobody asked about that future. Control inputs are checked, and whatever the
//! caller gave; a disturbance that was only held is part of the forecast. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::super::naive::persistence;
use super::super::truth::{step, truths};
use super::super::{Bands, InputFuture, InputSource, Prediction, quantile, tidy};
use super::applied::{Application, Applied, Departure, Plan, TOLERANCE, tolerance};
use super::tally::{OutcomeScores, Served, Tally, lead};
use crate::asset::{AssetType, Role};
use crate::features::Grid;
use crate::model::Quantiles;
use crate::reading::Frame;

/// Newest frames by the state from which the naive forecast is made.
const NAIVE_FRAMES: usize = 600;

/// What was said of the future.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Instant of the state.
    pub state_at: DateTime<Utc>,
    /// Instant of each step.
    pub timestamps: &'a [DateTime<Utc>],
    /// What was assumed, or planned, of the inputs.
    pub inputs: &'a BTreeMap<String, InputFuture>,
    /// Quantiles of each output.
    pub signals: &'a BTreeMap<String, Bands>,
}

/// The same, kept for later.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Instant of the state.
    pub state_at: DateTime<Utc>,
    /// Instant of each step.
    pub timestamps: Vec<DateTime<Utc>>,
    /// What was assumed, or planned, of the inputs.
    pub inputs: BTreeMap<String, InputFuture>,
    /// Quantiles of each output.
    pub signals: BTreeMap<String, Bands>,
}

/// What became of it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct PlanAndActual {
    /// Steps that have come to pass.
    pub passed: usize,
    /// Whether the inputs did what was assumed of them.
    pub inputs: InputsGone,
    /// What was measured of each output, and how well it was said.
    pub signals: BTreeMap<String, SignalActual>,
    /// When it was added to the ledger; null while it is not due or not scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scored_at: Option<DateTime<Utc>>,
}

/// Whether the inputs did what was assumed of them.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct InputsGone {
    /// In a word.
    pub applied: Application,
    /// Steps during which they did; later ones are not scored.
    pub steps: usize,
    /// Where they left it: the first step of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub departures: Vec<Departure>,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct SignalActual {
    /// What was measured, for each step that has come to pass; null where nothing was.
    pub measured: Vec<Option<f64>>,
    /// Median minus measured value.
    pub errors: Vec<Option<f64>>,
    /// Over the steps that can be compared.
    pub scores: OutcomeScores,
}

/// A comparison, step by step.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// How the inputs went.
    pub applied: Applied,
    /// Steps that have come to pass.
    pub passed: usize,
    outputs: Vec<Output<'a>>,
}

/// One output of a comparison.
#[derive(Debug)]
struct Output<'a> {
    name: &'a str,
    served: Served<'a>,
    measured: Vec<f64>,
    naive: Quantiles,
}

impl Kept {
    /// As it can be compared.
    #[must_use]
    pub fn said(&self) -> Said<'_> {
        let Self { state_at, timestamps, inputs, signals } = self;
        Said { state_at: *state_at, timestamps, inputs, signals }
    }
}

impl From<&Prediction> for Kept {
    fn from(prediction: &Prediction) -> Self {
        Self {
            state_at: prediction.state.observed_at,
            timestamps: prediction.timestamps.clone(),
            inputs: prediction.inputs.clone(),
            signals: prediction.signals.clone(),
        }
    }
}

impl<'a> From<&'a Prediction> for Said<'a> {
    fn from(prediction: &'a Prediction) -> Self {
        let Prediction { state, timestamps, inputs, signals, .. } = prediction;
        Self { state_at: state.observed_at, timestamps, inputs, signals }
    }
}

impl<'a> Said<'a> {
    /// Compares with ascending frames, which should reach some hundred steps back before the state for
    /// the naive forecast. `slack` is how many steps early or late inputs may have been applied.
    #[must_use]
    pub fn compare(&self, asset_type: &AssetType, frames: &[Frame], slack: usize) -> Comparison<'a> {
        let step = step(self.timestamps, self.state_at);
        let passed = frames
            .last()
            .map_or(0, |newest| self.timestamps.partition_point(|instant| *instant - step / 2 < newest.observed_at));
        let instants = &self.timestamps[..passed];
        let known = &frames[..frames.partition_point(|frame| frame.observed_at <= self.state_at)];
        let plans: Vec<Plan<'a>> = self
            .inputs
            .iter()
            .filter_map(|(name, future)| {
                let (index, signal) = asset_type.signal(name)?;
                let planned = signal.role == Role::ControlInput || future.source == InputSource::Given;
                planned.then(|| Plan {
                    name,
                    signal: index,
                    values: &future.values,
                    tolerance: tolerance(signal, index, frames, TOLERANCE),
                })
            })
            .collect();
        let applied = Applied::find(&plans, instants, step, frames, slack);
        let newest = &known[known.len().saturating_sub(NAIVE_FRAMES)..];
        let grid = Grid::new(asset_type, newest);
        let outputs = self
            .signals
            .iter()
            .filter_map(|(name, bands)| {
                let (index, signal) = asset_type.signal(name)?;
                let history: Vec<f64> = grid
                    .as_ref()
                    .map(|grid| grid.values[index].iter().copied().filter(|value| value.is_finite()).collect())
                    .unwrap_or_default();
                let last = history.last().copied().unwrap_or_default();
                let wide = signal.min.zip(signal.max).map_or(last.abs().max(1.0), |(min, max)| max - min) / 10.0;
                Some(Output {
                    name,
                    served: Served::new(bands)?,
                    measured: truths(instants, frames, index, step),
                    naive: persistence(&history, passed, wide),
                })
            })
            .collect();
        Comparison { applied, passed, outputs }
    }
}

impl Comparison<'_> {
    /// Sums by output and lead time.
    #[must_use]
    pub fn tallies(&self) -> BTreeMap<(String, usize), Tally> {
        let mut tallies: BTreeMap<(String, usize), Tally> = BTreeMap::new();
        for output in &self.outputs {
            for step in 0..self.passed {
                let truth = output.measured[step];
                if truth.is_finite() {
                    let tally = tallies.entry((output.name.to_owned(), lead(step))).or_default();
                    self.count(output, step, tally);
                    tally.vintages = i64::from(tally.truths > 0);
                }
            }
        }
        tallies
    }

    /// As it is shown; `horizon` is that of what was said.
    #[must_use]
    pub fn shown(&self, horizon: usize, scored_at: Option<DateTime<Utc>>) -> PlanAndActual {
        let signals = self.outputs.iter().map(|output| {
            let mut tally = Tally::default();
            let known = |value: f64| value.is_finite().then_some(value);
            (0..self.passed)
                .filter(|step| output.measured[*step].is_finite())
                .for_each(|step| self.count(output, step, &mut tally));
            let error = |(step, truth): (usize, &f64)| {
                output.served.median(step).and_then(|median| known(median - truth)).map(tidy)
            };
            let actual = SignalActual {
                measured: output.measured.iter().map(|value| known(*value)).collect(),
                errors: output.measured.iter().enumerate().map(error).collect(),
                scores: tally.scores(),
            };
            (output.name.to_owned(), actual)
        });
        PlanAndActual {
            passed: self.passed,
            inputs: InputsGone {
                applied: self.applied.application(horizon, self.passed),
                steps: self.applied.steps,
                departures: self.applied.departures.clone(),
            },
            signals: signals.collect(),
            scored_at,
        }
    }

    fn count(&self, output: &Output<'_>, step: usize, tally: &mut Tally) {
        if step >= self.applied.steps {
            tally.differed += 1;
            return;
        }
        let row = &output.naive[step];
        let naive: Vec<f64> = output.served.levels().iter().map(|level| quantile(row, *level)).collect();
        tally.count(&output.served, step, output.measured[step], (&naive, quantile(row, 0.5)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::testing::asset_type;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    /// Frames from second -99 to `last`.
    fn frames(last: i64, pump: impl Fn(i64) -> f64, level: impl Fn(i64) -> f64) -> Vec<Frame> {
        (-99..=last)
            .map(|second| Frame { observed_at: at(second), values: vec![pump(second), level(second)], quality: None })
            .collect()
    }

    struct Case {
        timestamps: Vec<DateTime<Utc>>,
        inputs: BTreeMap<String, InputFuture>,
        signals: BTreeMap<String, Bands>,
    }

    impl Case {
        /// From second 0: the pump at 5, the level between 1 and 3, over 8 steps.
        fn new(source: InputSource) -> Self {
            let bands = [("0.1", 1.0), ("0.5", 2.0), ("0.9", 3.0)]
                .map(|(level, value)| (level.to_owned(), vec![value; 8]))
                .into_iter()
                .collect();
            Self {
                timestamps: (1..=8).map(at).collect(),
                inputs: BTreeMap::from([("pump".to_owned(), InputFuture { source, values: vec![5.0; 8] })]),
                signals: BTreeMap::from([("level".to_owned(), bands)]),
            }
        }

        fn said(&self) -> Said<'_> {
            Said { state_at: at(0), timestamps: &self.timestamps, inputs: &self.inputs, signals: &self.signals }
        }
    }

    #[test]
    fn what_has_come_to_pass_is_scored_and_the_rest_is_open() {
        let case = Case::new(InputSource::Hold);
        let asset_type = asset_type(1.0, &["pump", "level"]);
        let level = |second: i64| if second <= 0 { 4.0 } else { 2.5 };
        let shown = case.said().compare(&asset_type, &frames(3, |_| 5.0, level), 0).shown(8, None);
        assert_eq!((shown.passed, shown.inputs.applied, shown.inputs.steps), (3, Application::Underway, 3));
        let level = &shown.signals["level"];
        assert_eq!(level.measured, [Some(2.5); 3]);
        assert_eq!(level.errors, [Some(-0.5); 3]);
        assert_eq!((level.scores.mae, level.scores.naive_mae), (Some(0.5), Some(1.5)));
        assert_eq!(level.scores.coverage_80, Some(1.0));
        assert!(level.scores.vs_naive.unwrap() > 0.3, "{level:?}");
    }

    #[test]
    fn after_an_input_left_what_was_assumed_nothing_is_scored() {
        let case = Case::new(InputSource::Hold);
        let asset_type = asset_type(1.0, &["pump", "level"]);
        let pump = |second: i64| if second < 5 { 5.0 } else { 7.0 };
        let comparison = case.said().compare(&asset_type, &frames(20, pump, |_| 2.0), 0);
        assert_eq!((comparison.passed, comparison.applied.steps), (8, 4));
        let tallies = comparison.tallies();
        let counts: Vec<(usize, i64, i64)> =
            tallies.iter().map(|((_, lead), tally)| (*lead, tally.truths, tally.differed)).collect();
        assert_eq!(counts, [(0, 1, 0), (1, 1, 0), (2, 2, 0), (3, 0, 4)]);
        assert_eq!(comparison.shown(8, None).inputs.applied, Application::Partly);
    }

    #[test]
    fn a_disturbance_that_was_held_is_part_of_the_forecast_and_one_that_was_given_is_not() {
        let mut asset_type = asset_type(1.0, &["pump", "level"]);
        asset_type.document.signals[0].role = Role::Disturbance;
        let moving = frames(20, |second| 5.0 + second as f64, |_| 2.0);
        let steps = |source| Case::new(source).said().compare(&asset_type, &moving, 0).applied.steps;
        // 2 % of what was seen of it is 2.4.
        assert_eq!((steps(InputSource::Hold), steps(InputSource::Given)), (8, 2));
    }

    #[test]
    fn before_the_first_step_nothing_has_come_to_pass() {
        let case = Case::new(InputSource::Hold);
        let asset_type = asset_type(1.0, &["pump", "level"]);
        for frames in [frames(0, |_| 5.0, |_| 2.0), Vec::new()] {
            let comparison = case.said().compare(&asset_type, &frames, 0);
            assert_eq!((comparison.passed, comparison.tallies().len()), (0, 0));
        }
    }
}
