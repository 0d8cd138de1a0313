//! What is answered: schedules, judged anew on samples that the search never saw.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::objective::Aim;
use super::problem::Problem;
use crate::forecast::{Answerer, Bands, Future, InputFuture, Lots, Skill, StateOf, bands, level_key, tidy};
use crate::model::Quantiles;
use crate::scenario::audit::ignored::Unresponsive;
use crate::scenario::constraint::ConstraintOutcome;
use crate::scenario::outcome::by_signal;
use crate::scenario::support::{Judge, Support};

/// The schedule that serves the aim best, as far as the search found.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct SeekOutcome {
    /// The asset's key.
    pub asset: String,
    /// Who answered.
    pub model: Answerer,
    /// What it starts from.
    pub state: StateOf,
    /// ISO 8601 duration of a step.
    pub frequency: String,
    /// Instant of each step.
    pub timestamps: Vec<DateTime<Utc>>,
    /// Whether the best schedule keeps every constraint with its probability, and stays within what the
    /// model has seen unless it may leave it.
    pub met: bool,
    /// The best schedule.
    pub best: Schedule,
    /// Other schedules that are sound too, and clearly different ones, best first.
    pub alternatives: Vec<Schedule>,
    /// What happens if nothing is changed, judged alike.
    pub baseline: Schedule,
    /// How the search went.
    pub search: SearchReport,
    /// UCUM units of inputs and outputs.
    pub units: BTreeMap<String, String>,
    /// How the serving version did when it was judged.
    pub skill: Option<Skill>,
}

/// How a search went.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct SearchReport {
    /// Schedules that were tried.
    pub evaluations: usize,
    /// How often it found nothing better nearby and began anew elsewhere.
    pub restarts: u64,
    /// Why it ended.
    pub ended: Ended,
    /// Seconds that it took.
    pub took_s: f64,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All evaluations were used.
    Evaluations,
    /// The deadline came first: the same request may find another schedule next time.
    Deadline,
}

/// A schedule and its consequences.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Schedule {
    /// What the inputs do.
    pub inputs: BTreeMap<String, InputFuture>,
    /// Quantiles of each output, in its unit.
    pub signals: BTreeMap<String, Bands>,
    /// The objective on the sample paths.
    pub objective: ObjectiveValue,
    /// How the constraints fare on the sample paths, in the order of the request.
    pub constraints: Vec<ConstraintOutcome>,
    /// Whether it keeps every constraint with its probability, and stays within what the model has seen
    /// unless it may leave it.
    pub met: bool,
    /// How far it lies inside the data that the serving model was trained on.
    pub support: Option<Support>,
    /// Free inputs that the schedule moves although the model ignores them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unresponsive: Vec<Unresponsive>,
}

/// A number on sample paths.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ObjectiveValue {
    /// Its mean: the KPI, or the mean squared deviation from the setpoint; null where it is not a
    /// number.
    pub mean: Option<f64>,
    /// Quantiles by level.
    pub quantiles: BTreeMap<String, Option<f64>>,
}

/// What judges a schedule once it was found.
pub(super) struct Court<'a> {
    pub(super) problem: &'a Problem,
    /// Fresh luck.
    pub(super) lots: &'a Lots,
    pub(super) judge: Option<&'a Judge>,
    pub(super) levels: &'a [f64],
}

impl Court<'_> {
    /// A schedule by the answers to its future. `unmodified` is the baseline's support.
    pub(super) fn schedule(&self, future: &Future, answers: &[Quantiles], unmodified: Option<&Support>) -> Schedule {
        let Self { problem, lots, levels, .. } = self;
        let situation = &problem.situation;
        let (steps, step_s) = (situation.horizon, situation.grid.step_s);
        let inputs: Vec<&[f64]> = future.rows.iter().map(|row| &row[..steps]).collect();
        let paths: Vec<Vec<Vec<f64>>> =
            answers.iter().enumerate().map(|(place, answer)| lots.of_target(situation, place, answer)).collect();
        let samples = paths.first().map_or(0, Vec::len);
        let values = (0..samples).map(|sample| {
            let rows: Vec<&[f64]> =
                inputs.iter().copied().chain(paths.iter().map(|of_target| of_target[sample].as_slice())).collect();
            problem.aim.value(problem.aim.cost(&rows, step_s))
        });
        let objective = ObjectiveValue::of(values.collect(), levels);
        let constraints: Vec<ConstraintOutcome> = problem
            .constraints
            .iter()
            .map(|(row, constraint, _)| match row.checked_sub(inputs.len()) {
                None => constraint.judge(std::iter::once(inputs[*row]), steps, step_s),
                Some(place) => constraint.judge(paths[place].iter().map(Vec::as_slice), steps, step_s),
            })
            .collect();
        let support = self.judge.map(|judge| judge.judge(future, answers, steps));
        let inside = problem.strict.is_none() || !leaves(support.as_ref(), unmodified);
        Schedule {
            met: inside && constraints.iter().all(|constraint| constraint.met) && objective.mean.is_some(),
            inputs: situation.inputs(future),
            signals: by_signal(situation, answers, |answer| bands(answer, levels, steps)),
            objective,
            constraints,
            support,
            unresponsive: Vec::new(),
        }
    }
}

impl Schedule {
    /// The cost that orders schedules; infinite where the objective is not a number.
    pub(super) fn cost(&self, aim: &Aim) -> f64 {
        // The sign of a KPI that is maximised undoes itself.
        self.objective.mean.map_or(f64::INFINITY, |mean| aim.value(mean))
    }

    /// By how much it falls short of what it must keep.
    pub(super) fn shortfall(&self) -> f64 {
        self.constraints.iter().map(ConstraintOutcome::shortfall).sum()
    }
}

impl ObjectiveValue {
    fn of(mut values: Vec<f64>, levels: &[f64]) -> Self {
        values.sort_by(f64::total_cmp);
        let shown = |value: f64| value.is_finite().then(|| tidy(value));
        let at = |level: f64| {
            let place = level * (values.len().max(1) - 1) as f64;
            let value = |at: f64| values.get(at as usize).copied().unwrap_or(f64::NAN);
            value(place.floor()) + place.fract() * (value(place.ceil()) - value(place.floor()))
        };
        Self {
            mean: shown(values.iter().sum::<f64>() / values.len() as f64),
            quantiles: levels.iter().map(|level| (level_key(*level), shown(at(*level)))).collect(),
        }
    }
}

/// Whether a schedule leaves what was seen where the baseline does not.
fn leaves(support: Option<&Support>, unmodified: Option<&Support>) -> bool {
    let excused = |outside: &crate::scenario::support::Outside| {
        unmodified.is_some_and(|unmodified| {
            unmodified.outside.iter().any(|known| known.signal == outside.signal && known.kind == outside.kind)
        })
    };
    support.is_some_and(|support| support.outside.iter().any(|outside| !excused(outside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_has_a_mean_and_quantiles_and_no_infinities() {
        let value = ObjectiveValue::of((0..=100).map(f64::from).collect(), &[0.1, 0.5]);
        assert_eq!((value.mean, value.quantiles["0.1"], value.quantiles["0.5"]), (Some(50.0), Some(10.0), Some(50.0)));
        assert_eq!(ObjectiveValue::of(vec![1.0, f64::INFINITY], &[0.5]).mean, None);
    }
}
