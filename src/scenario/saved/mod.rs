//! Scenarios that are kept: named, described, tagged, inherited from, and run again and again.
//!
//! A child has the overrides of its parents, the eldest's first, before its own; what it does not say
//! of horizon, limits, constraints and KPIs it has from the nearest parent that does. There are no
//! circles and at most [`MAX_DEPTH`] generations. An expired scenario is not shown; it goes for good
//! once no child needs it.

mod form;
pub mod run;
mod store;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

pub use self::form::ScenarioForm;
use super::Scenarios;
use super::constraint::Constraint;
use super::kpi::Kpi;
use super::plan::{Limits, Override};
use crate::asset::AssetError;
use crate::forecast::ForecastError;
use crate::ids::{AssetId, ScenarioId};
use crate::web::page::{self, Limit, Page};
use crate::web::problem::Problem;

/// Generations at most, the scenario itself included.
pub const MAX_DEPTH: usize = 8;
/// The list of an asset's scenarios, for its cursors.
const LIST: &str = "scenarios";

/// A scenario as it is kept and shown.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct SavedScenario {
    /// Its id.
    pub id: ScenarioId,
    /// Key of the asset that it is about.
    pub asset: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// For people, to find it again.
    pub tags: Vec<String>,
    /// The scenario that it inherits from.
    pub parent: Option<ScenarioId>,
    /// Its own overrides; those of its parents come before them.
    pub overrides: Vec<Override>,
    /// Steps ahead.
    pub horizon: Option<usize>,
    /// What to do with values that the asset cannot take.
    pub limits: Option<Limits>,
    /// Limits on inputs and outputs.
    pub constraints: Option<Vec<Constraint>>,
    /// Numbers that sum up the future.
    pub kpis: Option<Vec<Kpi>>,
    /// From then on it is not shown.
    pub expires_at: Option<DateTime<Utc>>,
    /// Counts changes, from 1.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Why a saved scenario could not be had, changed or run.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// No such scenario, or it has expired.
    #[error("there is no such scenario, or it has expired")]
    NotFound,
    /// No such run.
    #[error("there is no such run of this scenario")]
    NoRun,
    /// Somebody changed it meanwhile.
    #[error("somebody changed it meanwhile")]
    Changed,
    /// Others inherit from it.
    #[error("other scenarios inherit from it: delete them first, or give them another parent")]
    HasChildren,
    /// A run cannot be repeated.
    #[error("readings up to {0}, or the asset's type, have changed since, so the answer cannot be given again")]
    OtherState(DateTime<Utc>),
    /// Values that are wrong, or no answer.
    #[error(transparent)]
    Forecast(#[from] ForecastError),
    /// The asset is not there, or cannot be read.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// What was kept cannot be read.
    #[error("a stored scenario cannot be read")]
    Stored(#[from] serde_json::Error),
}

/// Which scenarios a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those with this tag.
    pub tag: Option<String>,
    /// Only the children of this one.
    pub parent: Option<ScenarioId>,
}

impl SavedScenario {
    /// Changes whenever the scenario does.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("{}-{}", self.id, self.revision)
    }
}

impl Scenarios {
    /// Keeps a scenario.
    pub async fn create(&self, asset: &str, form: ScenarioForm) -> Result<SavedScenario, SavedError> {
        let asset = self.forecasts.assets().find(asset).await?;
        let now = self.forecasts.clock().now();
        form.check(&asset.asset_type, now)?;
        let id = ScenarioId::mint(self.forecasts.clock());
        // Housekeeping where somebody is writing anyway.
        store::forget_expired(&self.db, asset.id, now).await?;
        let written = self.write(asset.id, id, form.clone(), None, now).await?;
        Ok(form.kept(id, &asset.key, written))
    }

    /// A scenario of an asset.
    pub async fn scenario(&self, asset: &str, id: ScenarioId) -> Result<SavedScenario, SavedError> {
        let asset = self.forecasts.assets().find(asset).await?;
        let row = store::find(&self.db, asset.id, id, self.forecasts.clock().now()).await?;
        row.ok_or(SavedError::NotFound)?.complete(&asset.key)
    }

    /// A page of an asset's scenarios, the newest first.
    pub async fn list(
        &self,
        asset: &str,
        filter: &Filter,
        limit: Limit,
        cursor: Option<&str>,
    ) -> Result<Page<SavedScenario>, Problem> {
        let asset = self.forecasts.assets().find(asset).await?;
        let before: Option<ScenarioId> = cursor.map(|cursor| page::position(LIST, cursor)).transpose()?;
        let now = self.forecasts.clock().now();
        let rows = store::list(&self.db, asset.id, filter, before, now, limit.rows()).await?;
        let rows: Result<Vec<SavedScenario>, SavedError> =
            rows.into_iter().map(|row| row.complete(&asset.key)).collect();
        Ok(Page::of(LIST, rows?, limit, |scenario| scenario.id))
    }

    /// Changes a scenario by a JSON merge patch, unless it is no longer the one that was read.
    pub async fn patch(&self, present: &SavedScenario, patch: &Value) -> Result<SavedScenario, SavedError> {
        let asset = self.forecasts.assets().find(&present.asset).await?;
        let form = ScenarioForm::patched(present, patch)?;
        let now = self.forecasts.clock().now();
        if form == ScenarioForm::of(present) {
            return Ok(present.clone());
        }
        form.check(&asset.asset_type, now)?;
        let written = self.write(asset.id, present.id, form.clone(), Some(present.revision), now).await?;
        Ok(form.kept(present.id, &asset.key, written))
    }

    /// Deletes a scenario with its runs, unless it is no longer the one that was read.
    pub async fn delete(&self, present: &SavedScenario) -> Result<(), SavedError> {
        let asset = self.forecasts.assets().find(&present.asset).await?;
        let deleted = store::delete(&self.db, asset.id, present.id, present.revision).await;
        match deleted {
            Ok(true) => Ok(()),
            Ok(false) => Err(SavedError::Changed),
            Err(error) if constraint(&error) == Some("scenario_parent") => Err(SavedError::HasChildren),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps another scenario that says the same, under a name of its own.
    pub async fn duplicate(
        &self,
        asset: &str,
        id: ScenarioId,
        name: Option<String>,
    ) -> Result<SavedScenario, SavedError> {
        let original = self.scenario(asset, id).await?;
        let mut form = ScenarioForm::of(&original);
        form.name = name.unwrap_or_else(|| form::copy_of(&original.name));
        self.create(asset, form).await
    }

    /// An asset's scenarios, the newest first, so many at most.
    pub(super) async fn newest(&self, asset: AssetId, key: &str, most: i64) -> Result<Vec<SavedScenario>, SavedError> {
        let now = self.forecasts.clock().now();
        let rows = store::list(&self.db, asset, &Filter::default(), None, now, most).await?;
        rows.into_iter().map(|row| row.complete(key)).collect()
    }

    /// A scenario and those that it inherits from, the eldest first.
    pub(super) async fn family(
        &self,
        asset: AssetId,
        key: &str,
        id: ScenarioId,
    ) -> Result<Vec<SavedScenario>, SavedError> {
        let now = self.forecasts.clock().now();
        store::find(&self.db, asset, id, now).await?.ok_or(SavedError::NotFound)?;
        let rows = store::family(&self.db, asset, id, MAX_DEPTH as i32).await?;
        rows.into_iter().map(|row| row.complete(key)).collect()
    }

    /// Writes a scenario, new or in place of a revision, if its parent fits.
    async fn write(
        &self,
        asset: AssetId,
        id: ScenarioId,
        form: ScenarioForm,
        revision: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<store::Written, SavedError> {
        let db = self.db.clone();
        // A task of its own, because a client that leaves must not leave half a transaction.
        let written = tokio::spawn(async move {
            let mut transaction = db.begin().await?;
            store::lock(&mut *transaction, asset).await?;
            if let Some(parent) = form.parent {
                let wrong = |detail: &str| {
                    SavedError::Forecast(ForecastError::Invalid(vec![("/parent".to_owned(), detail.to_owned())]))
                };
                let above = store::lineage(&mut *transaction, asset, parent, MAX_DEPTH as i32).await?;
                let below = store::height(&mut *transaction, asset, id, MAX_DEPTH as i32).await?;
                if above.is_empty() {
                    return Err(wrong("there is no such scenario of this asset"));
                }
                if above.contains(&id) {
                    return Err(wrong("a scenario cannot inherit from itself, or from one that inherits from it"));
                }
                if above.len() + below as usize > MAX_DEPTH {
                    return Err(wrong(&format!("scenarios inherit over at most {MAX_DEPTH} generations")));
                }
            }
            let written = match revision {
                None => Some(store::insert(&mut *transaction, asset, id, &form, now).await?),
                Some(revision) => store::update(&mut *transaction, asset, id, &form, revision, now).await?,
            };
            transaction.commit().await?;
            written.ok_or(SavedError::Changed)
        });
        written.await.map_err(|_| SavedError::Database(sqlx::Error::WorkerCrashed))?
    }
}

/// The constraint that a statement broke.
fn constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint)
}
