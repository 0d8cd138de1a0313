//! What is answered: the shapes of an outcome, and numbers made from the answers to two futures.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::ask::{Checked, WhatIf};
use super::audit::ignored::{Unresponsive, moved};
use super::constraint::ConstraintOutcome;
use super::downstream::FedBy;
use super::plan::Clamped;
use super::risk::{Found, KpiOutcome, Risk};
use super::settle::Settled;
use super::standing::{Standing, ranks};
use super::support::policy::check;
use super::support::{Judge, Support};
use super::when::InForce;
use crate::clock::Clock;
use crate::forecast::{
    Answerer, Bands, ForecastError, InputFuture, Sampling, Situation, Skill, StateOf, bands, frequency, level_key,
    quantile, tidy, units,
};
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
    /// Sample paths that constraints and KPIs were computed on; absent when there are none of either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk_samples: Option<usize>,
    /// Of an asset downstream: what feeds it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fed_by: Vec<FedBy>,
    /// The assets downstream, if they were asked for: each after all that feed it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub downstream: Vec<Outcome>,
}

/// The unmodified future.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Baseline {
    /// What was assumed of the inputs, and where it is from.
    pub inputs: BTreeMap<String, InputFuture>,
    /// Quantiles of each output, in its unit.
    pub signals: BTreeMap<String, Bands>,
    /// Joint sample paths of each output, if samples were asked for: a row per sample. Downstream, where
    /// constraints or KPIs are asked for, each is driven by that row of what feeds the asset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<BTreeMap<String, Vec<Vec<f64>>>>,
    /// How each constraint fares if nothing is changed, in the order of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<ConstraintOutcome>,
    /// The KPIs by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kpis: BTreeMap<String, KpiOutcome>,
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
    /// Where overrides with a condition were in force.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_force: Vec<InForce>,
    /// How each constraint fares, in the order of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<ConstraintOutcome>,
    /// The KPIs by name, with their differences to the baseline.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kpis: BTreeMap<String, KpiOutcome>,
    /// 1 for the best scenario, if there are constraints or `rank_by`; equal ones share a rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
}

/// What is known beside the answers: what to compute of them, what was seen, and what is ignored.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) risk: Option<Risk>,
    pub(super) judge: Option<Judge>,
    pub(super) ignored: Arc<Vec<Unresponsive>>,
}

/// Puts together what is answered, and how the scenarios stand by what they are ranked by. Costs milliseconds of CPU where there are sample paths.
pub(super) fn compose(
    situation: &Situation,
    ask: &WhatIf,
    checked: &Checked,
    known: &Known,
    settled: &Settled,
    clock: &Clock,
) -> Result<(Outcome, Vec<Standing>), ForecastError> {
    let Settled { futures, said, planned } = settled;
    let risk = known.risk.as_ref();
    let supports: Vec<Option<Support>> = futures
        .iter()
        .zip(&said.answers)
        .map(|(future, answers)| known.judge.as_ref().map(|judge| judge.judge(future, answers, situation.horizon)))
        .collect();
    check(ask.out_of_support, &supports)?;
    let Checked { levels, shown } = checked;
    let risk_samples = risk.map(|risk| risk.samples(ask.samples, situation.horizon, futures.len()));
    let shown = shown.map(|shown| shown.lots(situation));
    let judged: Vec<Found> = match (risk, risk_samples) {
        (Some(risk), Some(samples)) => {
            let lots = Sampling::within(ask.samples, ask.seed, samples)?.lots(situation);
            let pairs = futures.iter().zip(&said.answers);
            pairs.map(|(future, answers)| risk.judge(situation, &lots, samples, future, answers)).collect()
        }
        _ => Vec::new(),
    };
    let kpis = |place: usize| {
        let baseline = judged.first().filter(|_| place > 0);
        risk.zip(judged.get(place)).map(|(risk, found)| risk.kpis(found, baseline, levels)).unwrap_or_default()
    };
    let constraints = |place: usize| judged.get(place).map(|found| found.constraints.clone()).unwrap_or_default();
    let ranked = !ask.constraints.is_empty() || ask.rank_by.is_some();
    let standings = risk.map(|risk| risk.standings(&judged[1..], ask.rank_by.as_ref())).unwrap_or_default();
    let ranks = risk.filter(|_| ranked).map(|_| ranks(&standings));
    let paths = |answers: &[Quantiles]| shown.as_ref().map(|lots| lots.paths(situation, answers));
    let signals =
        |answers: &[Quantiles]| by_signal(situation, answers, |answer| bands(answer, levels, situation.horizon));
    let (unmodified, modified) = said.answers.split_first().ok_or(ForecastError::Ending)?;
    let scenarios = ask.scenarios.iter().zip(modified).zip(futures[1..].iter().zip(planned)).enumerate();
    let scenarios = scenarios
        .map(|(index, ((scenario, answers), (future, planned)))| ScenarioOutcome {
            name: scenario.called(index),
            inputs: situation.inputs(future),
            signals: signals(answers),
            delta: delta(situation, unmodified, answers, levels),
            paths: paths(answers),
            clamped: planned.clamped.clone(),
            unresponsive: moved(&known.ignored, situation, &futures[0], future),
            support: supports[index + 1].clone(),
            in_force: planned.in_force.clone(),
            constraints: constraints(index + 1),
            kpis: kpis(index + 1),
            rank: ranks.as_ref().map(|ranks| ranks[index]),
        })
        .collect();
    let outcome = Outcome {
        asset: situation.asset.key.clone(),
        state: situation.state(clock),
        frequency: frequency(situation.grid.step_s),
        timestamps: situation.timestamps(),
        baseline: Baseline {
            inputs: situation.inputs(&futures[0]),
            signals: signals(unmodified),
            paths: paths(unmodified),
            constraints: constraints(0),
            kpis: kpis(0),
            support: supports[0].clone(),
        },
        scenarios,
        units: units(&situation.asset, situation.layout.targets.iter().chain(&situation.layout.inputs)),
        model: said.model.clone(),
        skill: said.skill.clone(),
        risk_samples,
        fed_by: Vec::new(),
        downstream: Vec::new(),
    };
    Ok((outcome, standings))
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
