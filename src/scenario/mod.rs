//! What-if: several hypotheses about the inputs, answered beside the unmodified future.
//!
//! Baseline and scenarios go through **one** forward pass and share their randomness: the delta is
//! the difference at equal probability, so a scenario equal to the baseline differs by exactly 0.
//! Only inputs can be overridden, within what the asset can do.

mod ask;
pub mod audit;
pub mod constraint;
mod formula;
pub mod kpi;
mod outcome;
pub mod plan;
mod routes;
pub mod seek;
pub mod support;

use std::sync::Arc;

pub use self::ask::{MAX_OVERRIDES, MAX_SCENARIOS, Scenario, WhatIf};
use self::audit::ignored::{Ignored, moved};
pub use self::constraint::{Constraint, ConstraintOutcome, TimeToLimit};
pub use self::kpi::{Aggregate, CompiledKpi, Kpi};
pub use self::outcome::{Baseline, Outcome, ScenarioOutcome};
use self::outcome::{by_signal, delta};
use self::plan::Clamped;
pub use self::routes::router;
use self::support::Judge;
use self::support::policy::{OutOfSupport, bring_inside};
use crate::forecast::{
    ForecastError, Forecasts, Future, Lots, Sampling, Situation, bands, checked_levels, frequency, units,
};
use crate::model::Quantiles;

/// Values in one answer at most: horizon x outputs x scenarios x levels.
pub const MAX_VALUES: usize = 1_000_000;

/// Handle on what-ifs; clones share everything.
#[derive(Clone, Debug)]
pub struct Scenarios {
    forecasts: Forecasts,
    ignored: Ignored,
}

impl Scenarios {
    /// Puts the room together.
    #[must_use]
    pub fn new(forecasts: Forecasts) -> Self {
        Self { forecasts, ignored: Ignored::default() }
    }

    /// Answers a what-if.
    pub async fn what_if(&self, asset: &str, ask: &WhatIf) -> Result<Outcome, ForecastError> {
        ask.check_size()?;
        let levels = checked_levels(ask.quantiles.as_deref())?;
        let sampling = Sampling::checked(ask.samples, ask.seed)?;
        let situation = Arc::new(self.forecasts.situation(asset, ask.as_of, ask.horizon).await?);
        let values = situation.horizon * situation.layout.targets.len() * ask.scenarios.len() * levels.len();
        if values > MAX_VALUES {
            let detail = format!("the answer would hold {values} values; at most {MAX_VALUES} are given");
            return Err(ForecastError::Invalid(vec![("/scenarios".into(), detail)]));
        }
        let baseline = situation.baseline(&ask.inputs)?;
        let judge = support::futures::judge(&situation).await?;
        let (futures, clamps) = plan_all(&situation, &baseline, ask, judge.as_ref())?;
        let lots = sampling.map(|sampling| sampling.draw(&situation, futures.len())).transpose()?;
        let paths = |answers: &[Quantiles]| lots.as_ref().map(|lots: &Lots| lots.paths(&situation, answers));
        let said = self.forecasts.answer(&situation, &futures).await?;
        let supports = support::futures::supports(judge.as_ref(), &futures, &said.answers, situation.horizon).await?;
        support::futures::check(ask.out_of_support, &supports)?;
        let ignored = self.ignored.of(&self.forecasts, &situation, &said).await?;
        let names = input_names(&situation);
        let mut supports = supports.into_iter();
        let unmodified_support = supports.next().flatten();
        let (unmodified, modified) = said.answers.split_first().ok_or(ForecastError::Ending)?;
        let scenarios = ask
            .scenarios
            .iter()
            .zip(modified)
            .zip(futures[1..].iter().zip(clamps).zip(supports))
            .enumerate()
            .map(|(index, ((scenario, answers), ((future, clamped), support)))| ScenarioOutcome {
                name: scenario.name.clone().unwrap_or_else(|| format!("scenario {}", index + 1)),
                inputs: situation.inputs(future),
                signals: by_signal(&situation, answers, |answer| bands(answer, &levels, situation.horizon)),
                delta: delta(&situation, unmodified, answers, &levels),
                paths: paths(answers),
                clamped,
                unresponsive: moved(&ignored, &names, &baseline, future, situation.horizon),
                support,
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
                support: unmodified_support,
            },
            scenarios,
            units: units(&situation.asset, situation.layout.targets.iter().chain(&situation.layout.inputs)),
            model: said.model,
            skill: said.skill,
        })
    }
}

/// Names of the inputs, in the order of the layout.
fn input_names(situation: &Situation) -> Vec<&str> {
    situation.layout.inputs.iter().map(|input| situation.signal(*input).name.as_str()).collect()
}

/// The baseline, then the future of each scenario; and what was clamped in each.
fn plan_all(
    situation: &Situation,
    baseline: &Future,
    ask: &WhatIf,
    judge: Option<&Judge>,
) -> Result<(Vec<Future>, Vec<Vec<Clamped>>), ForecastError> {
    let names = input_names(situation);
    let (mut futures, mut clamps, mut wrong) = (vec![baseline.clone()], Vec::new(), Vec::new());
    for (index, scenario) in ask.scenarios.iter().enumerate() {
        match plan::apply(situation, baseline, &scenario.overrides, ask.limits, &format!("/scenarios/{index}")) {
            Ok((mut future, mut clamped)) => {
                if let Some(judge) = judge.filter(|_| ask.out_of_support == OutOfSupport::Clamp) {
                    clamped.extend(bring_inside(judge, &names, baseline, &mut future, situation.horizon));
                }
                futures.push(future);
                clamps.push(clamped);
            }
            Err(more) => wrong.extend(more),
        }
    }
    if wrong.is_empty() { Ok((futures, clamps)) } else { Err(ForecastError::Invalid(wrong)) }
}
