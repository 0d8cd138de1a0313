//! What-if: several hypotheses about the inputs, answered beside the unmodified future.
//!
//! Baseline and scenarios go through **one** forward pass and share their randomness: the delta is
//! the difference at equal probability, so a scenario equal to the baseline differs by exactly 0.
//! Only inputs can be overridden, within what the asset can do.

pub mod applied;
mod ask;
pub mod audit;
pub mod command;
pub mod constraint;
mod downstream;
mod driven;
mod formula;
pub mod golden;
pub mod kpi;
mod outcome;
pub mod plan;
pub mod retro;
mod risk;
mod routes;
pub mod saved;
pub mod seek;
mod settle;
mod standing;
pub mod support;
mod when;

use sqlx::PgPool;

use self::ask::Checked;
pub use self::ask::{MAX_OVERRIDES, MAX_SCENARIOS, MAX_VALUES, Scenario, WhatIf};
use self::audit::ignored::Ignored;
pub use self::constraint::{Constraint, ConstraintOutcome};
use self::downstream::Medians;
pub use self::downstream::{FedBy, MAX_CHAIN};
pub use self::kpi::{Aggregate, CompiledKpi, Kpi};
use self::outcome::Known;
pub use self::outcome::{Baseline, Outcome, ScenarioOutcome};
use self::risk::Risk;
pub use self::risk::{Goal, KpiOutcome, KpiSummary, RankBy};
pub use self::routes::router;
use self::settle::Settled;
use self::standing::Standing;
pub use self::when::{InForce, When};
use crate::forecast::{ForecastError, Forecasts, Situation};
use crate::model::Quantiles;

/// A what-if that was answered, and what it was answered from.
#[derive(Debug)]
struct Answered {
    outcome: Outcome,
    situation: Situation,
    medians: Medians,
    /// For each future, for each target.
    answers: Vec<Vec<Quantiles>>,
    /// How the scenarios stand, where there is something to rank them by.
    standings: Vec<Standing>,
}

/// Handle on what-ifs; clones share everything.
#[derive(Clone, Debug)]
pub struct Scenarios {
    db: PgPool,
    forecasts: Forecasts,
    ignored: Ignored,
}

impl Scenarios {
    /// Puts the room together.
    #[must_use]
    pub fn new(db: PgPool, forecasts: Forecasts) -> Self {
        Self { db, forecasts, ignored: Ignored::default() }
    }

    /// Answers a what-if.
    pub async fn what_if(&self, asset: &str, ask: &WhatIf) -> Result<Outcome, ForecastError> {
        let checked = ask.check(self.forecasts.checked_horizon(ask.horizon)?)?;
        let situation = self.forecasts.situation(asset, ask.as_of, ask.horizon).await?;
        if ask.downstream {
            return Box::pin(self.of_chain(situation, ask, &checked)).await;
        }
        ask.names_only(&situation.asset.key, &[])?;
        Ok(self.of_situation(situation, ask, &checked).await?.outcome)
    }

    /// Answers a what-if of a situation.
    async fn of_situation(
        &self,
        situation: Situation,
        ask: &WhatIf,
        checked: &Checked,
    ) -> Result<Answered, ForecastError> {
        let targets = situation.layout.targets.len();
        ask::fits(situation.horizon, targets, ask.scenarios.len(), checked.levels.len())?;
        if let Some(shown) = checked.shown {
            shown.fits(situation.horizon, targets, ask.scenarios.len() + 1)?;
        }
        let risk = Risk::prepare(&situation, ask, &situation.asset.key).map_err(ForecastError::Invalid)?;
        let baseline = situation.baseline(&ask.inputs)?;
        let (situation, judge) = support::judge_of(situation).await?;
        let settled = settle::settle(&self.forecasts, &situation, &baseline, ask, judge.as_ref()).await?;
        let ignored = self.ignored.of(&self.forecasts, &situation, &settled.said).await?;
        let known = Known { risk, judge, ignored };
        self.compose(situation, ask, checked, known, settled).await
    }

    /// Puts an answer together. Hundreds of paths of each future: not on a thread that others wait for.
    async fn compose(
        &self,
        situation: Situation,
        ask: &WhatIf,
        checked: &Checked,
        known: Known,
        settled: Settled,
    ) -> Result<Answered, ForecastError> {
        let (ask, checked, clock) = (ask.clone(), checked.clone(), self.forecasts.clock().clone());
        let composed = tokio::task::spawn_blocking(move || {
            let (outcome, standings) = outcome::compose(&situation, &ask, &checked, &known, &settled, &clock)?;
            let answers = settled.said.answers;
            let medians = Medians::of(&situation, &answers);
            Ok(Answered { outcome, situation, medians, answers, standings })
        });
        composed.await.map_err(|_| ForecastError::Ending)?
    }
}
