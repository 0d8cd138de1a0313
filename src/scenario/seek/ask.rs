//! What is asked of a goal seek, and what its parts become once they are checked against the asset.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::objective::Objective;
use super::schedule::{Freedom, Shape};
use crate::asset::{Kind, Role};
use crate::forecast::{ForecastError, Situation};
use crate::scenario::constraint::{Constraint, MAX_CONSTRAINTS};
use crate::scenario::support::Judge;

/// Knots of all controls together at most.
pub const MAX_KNOTS: usize = 64;
/// Schedules tried at most.
pub const MAX_EVALUATIONS: usize = 5_000;
/// Values of all schedules tried at most: schedules x horizon x outputs.
pub const MAX_WORK: usize = 4_000_000;
/// Seconds that a search may take at most: less than a request may.
pub const MAX_DEADLINE_S: f64 = 25.0;
/// Alternatives at most.
pub const MAX_ALTERNATIVES: usize = 3;

const USUAL_KNOTS: usize = 6;
const USUAL_EVALUATIONS: usize = 400;
const USUAL_DEADLINE_S: f64 = 10.0;
const USUAL_SAMPLES: usize = 200;
/// Larger seeds are not whole numbers to every reader of JSON.
const MAX_SEED: u64 = (1 << 53) - 2;

/// Asks for the control schedule that serves an aim best.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct GoalSeek {
    /// Steps ahead.
    #[serde(default)]
    pub horizon: Option<usize>,
    /// From a past instant instead of now.
    #[serde(default)]
    pub as_of: Option<DateTime<Utc>>,
    /// Known futures of inputs that are not free, by signal.
    #[serde(default)]
    pub inputs: BTreeMap<String, Vec<f64>>,
    /// What is to be achieved.
    pub objective: Objective,
    /// Control inputs that are free; all of them when left out.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub controls: Vec<Control>,
    /// Limits that must be kept, with their probabilities.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub constraints: Vec<Constraint>,
    /// Cost of moving, in the unit of the objective: for each step the square of the move as a share of
    /// the input's range. 0 when left out.
    #[serde(default)]
    pub move_penalty: Option<f64>,
    /// Knots of each control that does not say; 6 when left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 64)]
    pub knots: Option<usize>,
    /// What lies between knots.
    #[serde(default)]
    pub shape: Shape,
    /// Schedules that may be tried; 400 when left out.
    #[serde(default)]
    #[schema(minimum = 24, maximum = 5000)]
    pub evaluations: Option<usize>,
    /// Seconds after which the best that was found is answered; 10 when left out.
    #[serde(default)]
    pub deadline_s: Option<f64>,
    /// Sample paths that the result is judged on, 20 to 1,000; 200 when left out.
    #[serde(default)]
    #[schema(minimum = 20, maximum = 1000)]
    pub samples: Option<usize>,
    /// Decides the search and the samples. 0 when left out.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Quantile levels.
    #[serde(default)]
    pub quantiles: Option<Vec<f64>>,
    /// Other good schedules, 0 to 3; 3 when left out.
    #[serde(default)]
    #[schema(maximum = 3)]
    pub alternatives: Option<usize>,
    /// Whether a schedule may leave the data that the serving model was trained on.
    #[serde(default)]
    pub allow_outside_support: bool,
}

/// A control input that is free.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Control {
    /// A signal with the role `control_input`.
    pub signal: String,
    /// Least value, within the signal's own limits.
    #[serde(default)]
    pub min: Option<f64>,
    /// Greatest value.
    #[serde(default)]
    pub max: Option<f64>,
    /// Fastest change in its unit per second.
    #[serde(default)]
    pub max_rate: Option<f64>,
    /// Knots.
    #[serde(default)]
    pub knots: Option<usize>,
}

/// How much may be spent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Budget {
    pub(super) evaluations: usize,
    pub(super) deadline_s: f64,
    pub(super) samples: usize,
    pub(super) seed: u64,
    pub(super) alternatives: usize,
    pub(super) move_penalty: f64,
}

type Wrong = Vec<(String, String)>;

impl GoalSeek {
    /// Refuses what is too much or not a number, before anything is looked up.
    pub(super) fn budget(&self) -> Result<Budget, ForecastError> {
        let mut wrong: Wrong = Vec::new();
        let mut count = |field: &str, asked: Option<usize>, usual: usize, low: usize, high: usize| {
            let count = asked.unwrap_or(usual);
            if !(low..=high).contains(&count) {
                wrong.push((format!("/{field}"), format!("give {low} to {high}, or leave it out")));
            }
            count
        };
        let evaluations = count("evaluations", self.evaluations, USUAL_EVALUATIONS, 24, MAX_EVALUATIONS);
        let samples = count("samples", self.samples, USUAL_SAMPLES, 20, 1_000);
        let alternatives = count("alternatives", self.alternatives, MAX_ALTERNATIVES, 0, MAX_ALTERNATIVES);
        count("knots", self.knots, USUAL_KNOTS, 1, MAX_KNOTS);
        let mut most = |field: &str, have: usize, most: usize| {
            if have > most {
                wrong.push((format!("/{field}"), format!("has {have} entries; at most {most} are taken")));
            }
        };
        most("constraints", self.constraints.len(), MAX_CONSTRAINTS);
        most("controls", self.controls.len(), MAX_KNOTS);
        let deadline_s = self.deadline_s.unwrap_or(USUAL_DEADLINE_S);
        if !(deadline_s > 0.0 && deadline_s <= MAX_DEADLINE_S) {
            wrong.push(("/deadline_s".into(), format!("give more than 0 and at most {MAX_DEADLINE_S} seconds")));
        }
        let move_penalty = self.move_penalty.unwrap_or(0.0);
        if !(move_penalty >= 0.0 && move_penalty.is_finite()) {
            wrong.push(("/move_penalty".into(), "must be 0 or more".into()));
        }
        let seed = self.seed.unwrap_or(0);
        if seed > MAX_SEED {
            wrong.push(("/seed".into(), format!("a seed is at most {MAX_SEED}")));
        }
        for (index, constraint) in self.constraints.iter().take(MAX_CONSTRAINTS).enumerate() {
            if let Err((field, detail)) = constraint.check() {
                wrong.push((format!("/constraints/{index}{field}"), detail));
            }
            if constraint.asset.is_some() {
                let detail = "a goal seek is about one asset: leave this out".to_owned();
                wrong.push((format!("/constraints/{index}/asset"), detail));
            }
        }
        let budget = Budget { evaluations, deadline_s, samples, seed, alternatives, move_penalty };
        if wrong.is_empty() { Ok(budget) } else { Err(ForecastError::Invalid(wrong)) }
    }

    /// The rows that constraints are about.
    pub(super) fn constrained(&self, names: &[String]) -> Result<Vec<(usize, Constraint)>, ForecastError> {
        let mut wrong: Wrong = Vec::new();
        let mut found = Vec::with_capacity(self.constraints.len());
        for (index, constraint) in self.constraints.iter().enumerate() {
            match names.iter().position(|name| *name == constraint.signal) {
                Some(row) => found.push((row, constraint.clone())),
                None => wrong.push((
                    format!("/constraints/{index}/signal"),
                    format!("{} is no input or output that was measured", constraint.signal),
                )),
            }
        }
        if wrong.is_empty() { Ok(found) } else { Err(ForecastError::Invalid(wrong)) }
    }

    /// What each control may do: within the signal's limits, those of the request, and, unless it may
    /// leave it, what the model has seen.
    pub(super) fn freedoms(&self, situation: &Situation, judge: Option<&Judge>) -> Result<Vec<Freedom>, ForecastError> {
        let of_type = |row: &usize| situation.signal(situation.layout.inputs[*row]);
        let steerable = |row: &usize| of_type(row).role == Role::ControlInput && of_type(row).kind == Kind::Number;
        let all: Vec<Control> = (0..situation.layout.inputs.len())
            .filter(steerable)
            .map(|row| Control {
                signal: of_type(&row).name.clone(),
                min: None,
                max: None,
                max_rate: None,
                knots: None,
            })
            .collect();
        let (asked, named) = if self.controls.is_empty() { (&all, false) } else { (&self.controls, true) };
        let (mut wrong, mut freedoms): (Wrong, Vec<Freedom>) = (Vec::new(), Vec::new());
        for (index, control) in asked.iter().enumerate() {
            let pointer = format!("/controls/{index}");
            let row = (0..situation.layout.inputs.len()).find(|row| of_type(row).name == control.signal);
            let fault = match situation.asset.asset_type.signal(&control.signal) {
                None => Some(format!("the asset has no signal {}", control.signal)),
                Some((_, signal)) if signal.role != Role::ControlInput => Some(format!(
                    "{} has the role {}; only a control_input can be set",
                    signal.name,
                    signal.role.name()
                )),
                Some((_, signal)) if signal.kind != Kind::Number => Some(format!("{} is not a number", signal.name)),
                Some(_) if asked[..index].iter().any(|other| other.signal == control.signal) => {
                    Some(format!("{} is there already", control.signal))
                }
                Some(_) => None,
            };
            let Some(row) = row.filter(|_| fault.is_none()) else {
                let unknown = || format!("{} was never measured, so nothing is known of what it does", control.signal);
                wrong.push((format!("{pointer}/signal"), fault.unwrap_or_else(unknown)));
                continue;
            };
            match self.freedom(situation, judge, control, row) {
                Ok(freedom) => freedoms.push(freedom),
                Err((field, detail)) if named => wrong.push((format!("{pointer}{field}"), detail)),
                // One that cannot move is not free; the others may do.
                Err(_) => {}
            }
        }
        let knots: usize = freedoms.iter().map(|freedom| freedom.knots).sum();
        if wrong.is_empty() && freedoms.is_empty() {
            wrong.push((
                "/controls".into(),
                "no control input is free to move within its limits and what the model has seen".into(),
            ));
        }
        if knots > MAX_KNOTS {
            wrong.push((
                "/knots".into(),
                format!("the controls have {knots} knots together; at most {MAX_KNOTS} are searched"),
            ));
        }
        if wrong.is_empty() { Ok(freedoms) } else { Err(ForecastError::Invalid(wrong)) }
    }

    fn freedom(
        &self,
        situation: &Situation,
        judge: Option<&Judge>,
        control: &Control,
        row: usize,
    ) -> Result<Freedom, (&'static str, String)> {
        let signal = situation.signal(situation.layout.inputs[row]);
        let name = &signal.name;
        for (field, value) in [("/min", control.min), ("/max", control.max), ("/max_rate", control.max_rate)] {
            if value.is_some_and(|value| !value.is_finite()) {
                return Err((field, "not a finite number".into()));
            }
        }
        if control.max_rate.is_some_and(|rate| rate <= 0.0) {
            return Err(("/max_rate", "must be positive".into()));
        }
        let knots = control.knots.or(self.knots).unwrap_or(USUAL_KNOTS).min(situation.horizon);
        if control.knots.is_some_and(|knots| !(1..=MAX_KNOTS).contains(&knots)) {
            return Err(("/knots", format!("give 1 to {MAX_KNOTS}")));
        }
        let seen = judge.filter(|_| !self.allow_outside_support).map(|judge| judge.seen().signal(row));
        let least = [signal.min, control.min, seen.map(|seen| seen.range[0])];
        let most = [signal.max, control.max, seen.map(|seen| seen.range[1])];
        let low = least.into_iter().flatten().fold(f64::NEG_INFINITY, f64::max);
        let high = most.into_iter().flatten().fold(f64::INFINITY, f64::min);
        if !low.is_finite() {
            return Err(("/min", format!("{name} has no lower limit: give one")));
        }
        if !high.is_finite() {
            return Err(("/max", format!("{name} has no upper limit: give one")));
        }
        if low >= high {
            let why = match seen {
                Some(seen) => format!(
                    "{name} has no room between {low} and {high}: the model has seen {} to {}; \"allow_outside_support\": true \
                     goes beyond",
                    seen.range[0], seen.range[1]
                ),
                None => format!("{name} has no room between {low} and {high}"),
            };
            return Err(("/max", why));
        }
        let rates = [signal.max_rate, control.max_rate].into_iter().flatten();
        let reach = rates.fold(f64::INFINITY, f64::min) * situation.grid.step_s;
        let change = [
            seen.map_or(-reach, |seen| seen.change[0].max(-reach)),
            seen.map_or(reach, |seen| seen.change[1].min(reach)),
        ];
        let last = situation.grid.values[situation.layout.inputs[row]].last().copied().unwrap_or_default();
        Ok(Freedom { row, last, range: [low, high], change, knots, shape: self.shape })
    }
}
