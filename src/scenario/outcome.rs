//! What is answered: the shapes of an outcome, and numbers made from the answers to two futures.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::audit::ignored::Unresponsive;
use super::plan::Clamped;
use super::support::Support;
use crate::forecast::{Answerer, Bands, InputFuture, Situation, Skill, StateOf, level_key, quantile, tidy};
use crate::model::{LEVELS, Quantiles};

/// What would be.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Outcome {
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
    /// The unmodified future.
    pub baseline: Baseline,
    /// The hypotheses, in the order of the request.
    pub scenarios: Vec<ScenarioOutcome>,
    /// UCUM units of inputs and outputs.
    pub units: BTreeMap<String, String>,
    /// How the serving version did when it was judged.
    pub skill: Option<Skill>,
}

/// The unmodified future.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Baseline {
    /// What was assumed of the inputs, and where it is from.
    pub inputs: BTreeMap<String, InputFuture>,
    /// Quantiles of each output, in its unit.
    pub signals: BTreeMap<String, Bands>,
    /// Joint sample paths of each output, if samples were asked for: a row per sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<BTreeMap<String, Vec<Vec<f64>>>>,
    /// How far it lies inside the data that the serving model was trained on; null while there is too
    /// little history to compare with.
    pub support: Option<Support>,
}

/// A hypothesis and its consequences.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ScenarioOutcome {
    /// Its name.
    pub name: String,
    /// What was assumed of the inputs.
    pub inputs: BTreeMap<String, InputFuture>,
    /// Quantiles of each output, in its unit.
    pub signals: BTreeMap<String, Bands>,
    /// Quantiles of the paired difference to the baseline.
    pub delta: BTreeMap<String, Bands>,
    /// Joint sample paths of each output, if samples were asked for: a row per sample, which has
    /// the same luck as that row of the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<BTreeMap<String, Vec<Vec<f64>>>>,
    /// Where overrides were brought within limits, or into what the model has seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clamped: Vec<Clamped>,
    /// Inputs that the scenario moves although the model ignores them: their flat line is no knowledge.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unresponsive: Vec<Unresponsive>,
    /// How far it lies inside the data that the serving model was trained on; null while there is too
    /// little history to compare with.
    pub support: Option<Support>,
}

/// Something of each output, by its name.
pub(super) fn by_signal<T>(
    situation: &Situation,
    answers: &[Quantiles],
    make: impl Fn(&Quantiles) -> T,
) -> BTreeMap<String, T> {
    let targets = &situation.layout.targets;
    targets.iter().zip(answers).map(|(target, answer)| (situation.signal(*target).name.clone(), make(answer))).collect()
}

/// Quantiles of the difference when both futures meet the same luck: at each step, of the
/// differences at equal probability.
pub(super) fn delta(
    situation: &Situation,
    baseline: &[Quantiles],
    scenario: &[Quantiles],
    levels: &[f64],
) -> BTreeMap<String, Bands> {
    let steps = situation.horizon;
    let rows: Vec<Bands> = baseline
        .iter()
        .zip(scenario)
        .map(|(before, after)| {
            let sorted: Vec<[f64; LEVELS.len()]> = (0..steps)
                .map(|step| {
                    let mut gaps: [f64; LEVELS.len()] =
                        std::array::from_fn(|level| after[step][level] - before[step][level]);
                    gaps.sort_by(f64::total_cmp);
                    gaps
                })
                .collect();
            levels
                .iter()
                .map(|level| (level_key(*level), sorted.iter().map(|row| tidy(quantile(row, *level))).collect()))
                .collect()
        })
        .collect();
    situation
        .layout
        .targets
        .iter()
        .zip(rows)
        .map(|(target, row)| (situation.signal(*target).name.clone(), row))
        .collect()
}
