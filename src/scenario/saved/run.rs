//! Runs of saved scenarios: kept with everything that they followed from, so that a run which is
//! repeated later says the same, byte for byte.
//!
//! A run always starts from a frozen situation, never from warm fits: see [`Frozen`]. What it started
//! from is hashed; a repetition whose hash differs, because somebody sent late readings or changed
//! the asset's type, is refused rather than answered otherwise.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{SavedError, SavedScenario, store};
use crate::forecast::ledger::actual::PlanAndActual;
use crate::forecast::{ForecastError, Frozen};
use crate::ids::{ModelId, RunId, ScenarioId};
use crate::scenario::support::policy::OutOfSupport;
use crate::scenario::{Outcome, Scenario, Scenarios, WhatIf};
use crate::web::page::{self, Limit, Page};
use crate::web::problem::Problem;

/// The list of a scenario's runs, for its cursors.
const LIST: &str = "scenario-runs";

/// How to run a scenario.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RunForm {
    /// Steps ahead, in place of the scenario's.
    #[serde(default)]
    pub horizon: Option<usize>,
    /// From a past instant instead of now.
    #[serde(default)]
    pub as_of: Option<DateTime<Utc>>,
    /// Quantile levels.
    #[serde(default)]
    pub quantiles: Option<Vec<f64>>,
    /// Joint sample paths, as in a what-if.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000)]
    pub samples: Option<usize>,
    /// Decides the samples. 0 when left out.
    #[serde(default)]
    pub seed: Option<u64>,
    /// What to do where it leaves the data that the serving model was trained on.
    #[serde(default)]
    pub out_of_support: OutOfSupport,
    /// Give the answer of an earlier run of this scenario again: from the same state, by the same
    /// version, whatever has changed since. Goes with nothing else.
    #[serde(default)]
    pub repeat_of: Option<RunId>,
}

/// A run without what was answered.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// The scenario that was run.
    pub scenario: ScenarioId,
    /// The run that it repeats.
    pub repeat_of: Option<RunId>,
    /// When it was run.
    pub created_at: DateTime<Utc>,
    /// Instant of the newest frame that it started from.
    pub as_of: DateTime<Utc>,
    /// The model version that answered; null for the base model or the fallback.
    pub model_id: Option<ModelId>,
    /// Decided its sample paths.
    pub seed: i64,
    /// SHA-256 of everything that it followed from, in hexadecimal digits.
    pub input_hash: String,
}

/// A run and what was answered.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Run)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// The scenario that was run.
    pub scenario: ScenarioId,
    /// The run that it repeats.
    pub repeat_of: Option<RunId>,
    /// When it was run.
    pub created_at: DateTime<Utc>,
    /// Instant of the newest frame that it started from.
    pub as_of: DateTime<Utc>,
    /// The model version that answered; null for the base model or the fallback.
    pub model_id: Option<ModelId>,
    /// Decided its sample paths.
    pub seed: i64,
    /// SHA-256 of everything that it followed from, in hexadecimal digits.
    pub input_hash: String,
    /// The what-if as it was put together from the scenario and its parents.
    #[schema(value_type = WhatIf)]
    pub request: Box<RawValue>,
    /// The answer. That of a run which is repeated has the same bytes.
    #[schema(value_type = Outcome)]
    pub outcome: Box<RawValue>,
    /// Whether its inputs were really applied since, and how well it was answered then; absent until
    /// its first step has come to pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<PlanAndActual>,
}

/// A run as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) summary: RunSummary,
    pub(super) hash: Vec<u8>,
    pub(super) request: String,
    pub(super) frozen: String,
    pub(super) outcome: String,
}

impl RunSummary {
    #[expect(clippy::too_many_arguments, reason = "the columns of a row")]
    pub(super) fn new(
        id: RunId,
        scenario: ScenarioId,
        repeat_of: Option<RunId>,
        created_at: DateTime<Utc>,
        as_of: DateTime<Utc>,
        model_id: Option<ModelId>,
        seed: i64,
        hash: &[u8],
    ) -> Self {
        let input_hash = crate::model::hex(hash);
        Self { id, scenario, repeat_of, created_at, as_of, model_id, seed, input_hash }
    }
}

impl Run {
    fn view(self) -> Result<RunView, SavedError> {
        let RunSummary { id, scenario, repeat_of, created_at, as_of, model_id, seed, input_hash } = self.summary;
        let request = RawValue::from_string(self.request)?;
        let outcome = RawValue::from_string(self.outcome)?;
        Ok(RunView {
            id,
            scenario,
            repeat_of,
            created_at,
            as_of,
            model_id,
            seed,
            input_hash,
            request,
            outcome,
            actual: None,
        })
    }
}

impl Scenarios {
    /// Runs a scenario, or repeats an earlier run of it, and keeps the answer.
    pub async fn run(&self, asset: &str, scenario: ScenarioId, form: RunForm) -> Result<RunView, SavedError> {
        let found = self.forecasts.assets().find(asset).await?;
        let original = match form.repeat_of {
            Some(id) => {
                if (RunForm { repeat_of: None, ..form.clone() }) != RunForm::default() {
                    let detail = "a run that is repeated has the settings of the first: leave out everything else";
                    return Err(ForecastError::Invalid(vec![("/repeat_of".to_owned(), detail.to_owned())]).into());
                }
                let original = store::find_run(&self.db, found.id, scenario, id).await?;
                Some(original.ok_or(SavedError::NoRun)?)
            }
            None => None,
        };
        let (request, frozen) = match &original {
            Some(original) => (original.request.clone(), original.frozen.clone()),
            None => {
                let family = self.family(found.id, asset, scenario).await?;
                let ask = self.put_together(&family, &form)?;
                (serde_json::to_string(&ask)?, serde_json::to_string(&self.forecasts.freeze(asset, form.as_of).await?)?)
            }
        };
        // Read back even the first time: a number that is written and read may lose its last bit.
        let (ask, held): (WhatIf, Frozen) = (serde_json::from_str(&request)?, serde_json::from_str(&frozen)?);
        let checked = ask.check(self.forecasts.checked_horizon(ask.horizon)?)?;
        let situation = self.forecasts.frozen_situation(asset, &held, ask.horizon).await?;
        let hash: Vec<u8> = Sha256::new()
            .chain_update(&request)
            .chain_update([0])
            .chain_update(&frozen)
            .chain_update([0])
            .chain_update(situation.digest())
            .finalize()
            .to_vec();
        if original.as_ref().is_some_and(|original| original.hash != hash) {
            return Err(SavedError::OtherState(held.as_of));
        }
        let mut outcome = self.of_situation(situation, &ask, &checked).await?.outcome;
        // Asked at the instant of its state, however late.
        outcome.state.age_s = 0.0;
        let clock = self.forecasts.clock();
        let (id, created_at) = (RunId::mint(clock), clock.now());
        let seed = i64::try_from(ask.seed.unwrap_or(0)).unwrap_or_default();
        let repeat_of = form.repeat_of;
        let summary = RunSummary::new(id, scenario, repeat_of, created_at, held.as_of, held.model, seed, &hash);
        let run = Run { summary, hash, request, frozen, outcome: serde_json::to_string(&outcome)? };
        store::insert_run(&self.db, found.id, &run, held.model).await.map_err(|error| {
            // The scenario went while it was run.
            if super::constraint(&error) == Some("scenario_run_of") { SavedError::NotFound } else { error.into() }
        })?;
        run.view()
    }

    /// A run of a scenario, with what was answered.
    pub async fn find_run(&self, asset: &str, scenario: ScenarioId, id: RunId) -> Result<RunView, SavedError> {
        let asset = self.forecasts.assets().find(asset).await?;
        let mut run = store::find_run(&self.db, asset.id, scenario, id).await?.ok_or(SavedError::NoRun)?.view()?;
        run.actual = self.applied(&asset, run.outcome.get()).await?.pop();
        Ok(run)
    }

    /// A page of a scenario's runs, the newest first.
    pub async fn runs(
        &self,
        asset: &str,
        scenario: ScenarioId,
        limit: Limit,
        cursor: Option<&str>,
    ) -> Result<Page<RunSummary>, Problem> {
        let before: Option<RunId> = cursor.map(|cursor| page::position(LIST, cursor)).transpose()?;
        self.scenario(asset, scenario).await?;
        let asset = self.forecasts.assets().find(asset).await?;
        let rows = store::runs(&self.db, asset.id, scenario, before, limit.rows()).await?;
        Ok(Page::of(LIST, rows, limit, |run| run.id))
    }

    /// The what-if that a scenario and those it inherits from make, the eldest first.
    pub(in crate::scenario) fn put_together(
        &self,
        family: &[SavedScenario],
        form: &RunForm,
    ) -> Result<WhatIf, SavedError> {
        let youngest = family.last().ok_or(SavedError::NotFound)?;
        let nearest = family.iter().rev();
        let horizon = form.horizon.or_else(|| nearest.clone().find_map(|scenario| scenario.horizon));
        let overrides = family.iter().flat_map(|scenario| scenario.overrides.clone()).collect();
        Ok(WhatIf {
            horizon: Some(self.forecasts.checked_horizon(horizon)?),
            as_of: None,
            quantiles: form.quantiles.clone(),
            inputs: std::collections::BTreeMap::new(),
            samples: form.samples,
            seed: form.seed,
            scenarios: vec![Scenario { name: Some(youngest.name.clone()), overrides }],
            constraints: nearest.clone().find_map(|scenario| scenario.constraints.clone()).unwrap_or_default(),
            kpis: nearest.clone().find_map(|scenario| scenario.kpis.clone()).unwrap_or_default(),
            rank_by: None,
            limits: nearest.clone().find_map(|scenario| scenario.limits).unwrap_or_default(),
            out_of_support: form.out_of_support,
            downstream: false,
        })
    }
}
