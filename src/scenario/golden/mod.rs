//! What another version would say: an asset's saved scenarios, answered by two versions from the same frozen
//! situation with the same seed, and how far the answers lie apart.
//!
//! A score on a holdout says which version is better on the whole; this says what changes for the questions that
//! people keep. Compared are medians, of the baseline and of the difference that the scenario makes, and what
//! becomes of its limits. Bands are those of the versions' own calibration, without what their served bands
//! turned out to be. A version that serves is compared with what served before it.

mod gap;
mod store;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use self::gap::{Gap, LimitGap, OutputGap};
use super::saved::run::RunForm;
use super::saved::{SavedError, SavedScenario};
use super::{Answered, Checked, Outcome, Scenarios, WhatIf};
use crate::asset::{Asset, AssetType};
use crate::forecast::{ForecastError, Frozen, Situation, Source};
use crate::ids::{AssetId, ModelId, ScenarioId};

/// Scenarios that are answered at most, the newest.
pub const MAX_GOLDEN: usize = 20;

/// How far two versions lie apart on what people ask.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ModelDiff {
    /// Key of the asset.
    pub asset: String,
    /// Number of the version; 0 is the base model.
    pub version: i32,
    /// Number of the version that it is compared with.
    pub against: i32,
    /// Instant of the state that both answered from.
    pub as_of: DateTime<Utc>,
    /// Of all scenarios together, by output: the largest difference, and the mean of the means.
    pub outputs: BTreeMap<String, OutputGap>,
    /// The saved scenarios, the newest first.
    pub scenarios: Vec<ScenarioDiff>,
    /// Whether there are more scenarios than were answered.
    pub more: bool,
}

/// One saved scenario, answered by both.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ScenarioDiff {
    /// Its id.
    pub id: ScenarioId,
    /// Its name.
    pub name: String,
    /// Steps ahead.
    pub horizon: usize,
    /// By output.
    pub outputs: BTreeMap<String, OutputGap>,
    /// Its limits in their order, as both see them.
    pub constraints: Vec<LimitGap>,
    /// Why it was not answered; null where it was.
    pub problem: Option<String>,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// The asset has no such version.
    #[error("the asset has no model version {0}")]
    NoVersion(i32),
    /// A version lies nowhere apart from itself.
    #[error("is the version itself")]
    Same,
    /// It could not be answered.
    #[error(transparent)]
    Saved(#[from] SavedError),
}

impl From<ForecastError> for GoldenError {
    fn from(error: ForecastError) -> Self {
        Self::Saved(error.into())
    }
}

impl From<sqlx::Error> for GoldenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Saved(error.into())
    }
}

/// One of the two, with its situations by horizon: fitting them takes longest.
struct Side<'f> {
    frozen: &'f Frozen,
    situations: BTreeMap<usize, Situation>,
}

impl Scenarios {
    /// Answers the saved scenarios of an asset with a version and with another one: by default the one that serves
    /// or, where that is the version itself, the one that served before.
    pub async fn diff(&self, asset: &str, version: i32, against: Option<i32>) -> Result<ModelDiff, GoldenError> {
        let found = self.forecasts.assets().find(asset).await.map_err(SavedError::from)?;
        let own = self.model(found.id, version).await?;
        let against = match against {
            Some(against) => against,
            None => match store::serving(&self.db, found.id).await? {
                Some((serving, former)) if serving == version => former,
                Some((serving, _)) => serving,
                None => 0,
            },
        };
        let other = self.model(found.id, against).await?;
        if own == other {
            return Err(GoldenError::Same);
        }
        let held = self.forecasts.freeze(asset, None).await?;
        let (own, other) = (held.answered_by(own), held.answered_by(other));
        let mut sides = (Side::of(&own), Side::of(&other));
        let mut saved = self.newest(found.id, asset, MAX_GOLDEN as i64 + 1).await?;
        let more = saved.len() > MAX_GOLDEN;
        saved.truncate(MAX_GOLDEN);
        let ranges = ranges(&found.asset_type);
        let mut scenarios = Vec::with_capacity(saved.len());
        for saved in saved {
            scenarios.push(self.of_both(&found, &saved, &mut sides, &ranges).await?);
        }
        let outputs = gap::together(scenarios.iter().map(|scenario| &scenario.outputs));
        Ok(ModelDiff { asset: asset.to_owned(), version, against, as_of: held.as_of, outputs, scenarios, more })
    }

    /// Id of a version by its number; none for the base model.
    async fn model(&self, asset: AssetId, version: i32) -> Result<Option<ModelId>, GoldenError> {
        if version == 0 {
            return Ok(None);
        }
        let found = store::version(&self.db, asset, version).await?;
        found.map(Some).ok_or(GoldenError::NoVersion(version))
    }

    async fn of_both(
        &self,
        asset: &Asset,
        saved: &SavedScenario,
        (own, other): &mut (Side<'_>, Side<'_>),
        ranges: &BTreeMap<String, f64>,
    ) -> Result<ScenarioDiff, GoldenError> {
        let (asset, id) = (asset.key.as_str(), asset.id);
        let family = self.family(id, asset, saved.id).await?;
        let form = RunForm { seed: Some(0), quantiles: Some(vec![0.5]), ..RunForm::default() };
        let ask = self.put_together(&family, &form)?;
        let horizon = self.forecasts.checked_horizon(ask.horizon)?;
        let (outputs, constraints) = (BTreeMap::new(), Vec::new());
        let mut diff =
            ScenarioDiff { id: saved.id, name: saved.name.clone(), horizon, outputs, constraints, problem: None };
        let answers = async {
            let checked = ask.check(horizon)?;
            let first = own.answer(self, asset, &ask, &checked, horizon).await?;
            Ok::<_, ForecastError>((first, other.answer(self, asset, &ask, &checked, horizon).await?))
        };
        match answers.await {
            Ok((first, second)) => {
                diff.outputs = gap::between(&first, &second, ranges);
                diff.constraints = gap::limits(&first, &second);
            }
            // The asset's type, or what was measured, has changed since it was saved: others can still be asked.
            Err(ForecastError::Invalid(wrong)) => {
                let wrong: Vec<String> = wrong.into_iter().map(|(at, detail)| format!("{at}: {detail}")).collect();
                diff.problem = Some(wrong.join("; "));
            }
            Err(ForecastError::Beyond { detail, .. }) => diff.problem = Some(detail),
            Err(error) => return Err(error.into()),
        }
        Ok(diff)
    }
}

impl<'f> Side<'f> {
    fn of(frozen: &'f Frozen) -> Self {
        Self { frozen, situations: BTreeMap::new() }
    }

    async fn answer(
        &mut self,
        scenarios: &Scenarios,
        asset: &str,
        ask: &WhatIf,
        checked: &Checked,
        horizon: usize,
    ) -> Result<Outcome, ForecastError> {
        let situation = match self.situations.remove(&horizon) {
            Some(situation) => situation,
            None => scenarios.forecasts.frozen_situation(asset, self.frozen, Some(horizon)).await?,
        };
        let Answered { outcome, situation, .. } = scenarios.of_situation(situation, ask, checked).await?;
        if outcome.model.source == Source::Fallback {
            // Two naive forecasts are equal, which would say nothing about the versions.
            let (have, need) = (situation.grid.len(), crate::features::FEWEST);
            return Err(ForecastError::TooShort { have, need });
        }
        self.situations.insert(horizon, situation);
        Ok(outcome)
    }
}

/// How far the limits of the signals that have both lie apart.
fn ranges(asset_type: &AssetType) -> BTreeMap<String, f64> {
    let signals = asset_type.document.signals.iter();
    let range = |min: Option<f64>, max: Option<f64>| Some(max? - min?).filter(|range| *range > 0.0);
    signals.filter_map(|signal| Some((signal.name.clone(), range(signal.min, signal.max)?))).collect()
}
