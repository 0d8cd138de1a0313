//! What-if: several hypotheses about the inputs, answered beside the unmodified future.
//!
//! Baseline and scenarios go through **one** forward pass and share their randomness: the delta is
//! the difference at equal probability, so a scenario equal to the baseline differs by exactly 0.
//! Only inputs can be overridden, within what the asset can do.

pub mod plan;
mod routes;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use self::plan::{Clamped, Limits, Override};
pub use self::routes::router;
use crate::forecast::{
    Answerer, Bands, ForecastError, Forecasts, Future, InputFuture, Lots, Sampling, Situation, Skill, StateOf, bands,
    checked_levels, frequency, level_key, quantile, tidy, units,
};
use crate::model::{LEVELS, Quantiles};

/// Scenarios in one request at most.
pub const MAX_SCENARIOS: usize = 64;
/// Overrides in one scenario at most.
pub const MAX_OVERRIDES: usize = 256;
/// Values in one answer at most: horizon x outputs x scenarios x levels.
pub const MAX_VALUES: usize = 1_000_000;

/// A what-if.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    /// Steps ahead.
    #[serde(default)]
    pub horizon: Option<usize>,
    /// From a past instant instead of now.
    #[serde(default)]
    pub as_of: Option<DateTime<Utc>>,
    /// Quantile levels.
    #[serde(default)]
    pub quantiles: Option<Vec<f64>>,
    /// Known futures of inputs, for the baseline and all scenarios.
    #[serde(default)]
    pub inputs: BTreeMap<String, Vec<f64>>,
    /// Joint sample paths of each output in the baseline and in each scenario, 1 to 1,000; none when
    /// left out. At most 1,000,000 values in all.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000)]
    pub samples: Option<usize>,
    /// Decides the samples: the same seed gives the same paths. 0 when left out.
    #[serde(default)]
    pub seed: Option<u64>,
    /// The hypotheses.
    pub scenarios: Vec<Scenario>,
    /// What to do with values that the asset cannot take.
    #[serde(default)]
    pub limits: Limits,
}

/// A hypothesis.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name in the answer.
    #[serde(default)]
    pub name: Option<String>,
    /// What it changes; nothing gives the baseline again.
    #[serde(default)]
    pub overrides: Vec<Override>,
}

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
    /// Where overrides were brought within limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clamped: Vec<Clamped>,
}

/// Handle on what-ifs; clones share everything.
#[derive(Clone, Debug)]
pub struct Scenarios {
    forecasts: Forecasts,
}

impl Scenarios {
    /// Puts the room together.
    #[must_use]
    pub fn new(forecasts: Forecasts) -> Self {
        Self { forecasts }
    }

    /// Answers a what-if.
    pub async fn what_if(&self, asset: &str, ask: &WhatIf) -> Result<Outcome, ForecastError> {
        check_size(ask)?;
        let levels = checked_levels(ask.quantiles.as_deref())?;
        let sampling = Sampling::checked(ask.samples, ask.seed)?;
        let situation = self.forecasts.situation(asset, ask.as_of, ask.horizon).await?;
        let values = situation.horizon * situation.layout.targets.len() * ask.scenarios.len() * levels.len();
        if values > MAX_VALUES {
            let detail = format!("the answer would hold {values} values; at most {MAX_VALUES} are given");
            return Err(ForecastError::Invalid(vec![("/scenarios".into(), detail)]));
        }
        let baseline = situation.baseline(&ask.inputs)?;
        let (futures, clamps) = plan_all(&situation, &baseline, ask)?;
        let lots = sampling.map(|sampling| sampling.draw(&situation, futures.len())).transpose()?;
        let paths = |answers: &[Quantiles]| lots.as_ref().map(|lots: &Lots| lots.paths(&situation, answers));
        let said = self.forecasts.answer(&situation, &futures).await?;
        let (unmodified, modified) = said.answers.split_first().ok_or(ForecastError::Ending)?;
        let scenarios = ask
            .scenarios
            .iter()
            .zip(modified)
            .zip(futures[1..].iter().zip(clamps))
            .enumerate()
            .map(|(index, ((scenario, answers), (future, clamped)))| ScenarioOutcome {
                name: scenario.name.clone().unwrap_or_else(|| format!("scenario {}", index + 1)),
                inputs: situation.inputs(future),
                signals: by_signal(&situation, answers, |answer| bands(answer, &levels, situation.horizon)),
                delta: delta(&situation, unmodified, answers, &levels),
                paths: paths(answers),
                clamped,
            })
            .collect();
        Ok(Outcome {
            asset: situation.asset.key.clone(),
            state: situation.state(self.forecasts.clock()),
            frequency: frequency(situation.grid.step_s),
            timestamps: situation.timestamps(),
            baseline: Baseline {
                inputs: situation.inputs(&baseline),
                signals: by_signal(&situation, unmodified, |answer| bands(answer, &levels, situation.horizon)),
                paths: paths(unmodified),
            },
            scenarios,
            units: units(&situation.asset, situation.layout.targets.iter().chain(&situation.layout.inputs)),
            model: said.model,
            skill: said.skill,
        })
    }
}

fn check_size(ask: &WhatIf) -> Result<(), ForecastError> {
    let refuse = |pointer: String, detail: String| Err(ForecastError::Invalid(vec![(pointer, detail)]));
    if ask.scenarios.is_empty() || ask.scenarios.len() > MAX_SCENARIOS {
        return refuse("/scenarios".into(), format!("give 1 to {MAX_SCENARIOS} scenarios"));
    }
    for (index, scenario) in ask.scenarios.iter().enumerate() {
        if scenario.overrides.len() > MAX_OVERRIDES {
            let detail = format!("a scenario has at most {MAX_OVERRIDES} overrides");
            return refuse(format!("/scenarios/{index}/overrides"), detail);
        }
        if scenario.name.as_ref().is_some_and(|name| name.is_empty() || name.chars().count() > 200) {
            return refuse(format!("/scenarios/{index}/name"), "a name has 1 to 200 characters".into());
        }
    }
    Ok(())
}

/// The baseline, then the future of each scenario; and what was clamped in each.
fn plan_all(
    situation: &Situation,
    baseline: &Future,
    ask: &WhatIf,
) -> Result<(Vec<Future>, Vec<Vec<Clamped>>), ForecastError> {
    let (mut futures, mut clamps, mut wrong) = (vec![baseline.clone()], Vec::new(), Vec::new());
    for (index, scenario) in ask.scenarios.iter().enumerate() {
        match plan::apply(situation, baseline, &scenario.overrides, ask.limits, &format!("/scenarios/{index}")) {
            Ok((future, clamped)) => {
                futures.push(future);
                clamps.push(clamped);
            }
            Err(more) => wrong.extend(more),
        }
    }
    if wrong.is_empty() { Ok((futures, clamps)) } else { Err(ForecastError::Invalid(wrong)) }
}

fn by_signal<T>(situation: &Situation, answers: &[Quantiles], make: impl Fn(&Quantiles) -> T) -> BTreeMap<String, T> {
    let targets = &situation.layout.targets;
    targets.iter().zip(answers).map(|(target, answer)| (situation.signal(*target).name.clone(), make(answer))).collect()
}

/// Quantiles of the difference when both futures meet the same luck: at each step, of the
/// differences at equal probability.
fn delta(
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
