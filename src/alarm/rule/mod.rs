//! Rules: which limits are watched. A rule belongs to one asset.
//!
//! Source, condition, signal and class never change, so that a rule's memory and its alarms always speak of
//! the same thing; everything else can. Whoever changes a rule has the newest value looked at again.

mod form;
mod store;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::form::RuleForm;
use super::{AlarmError, Alarms};
use crate::asset::{AssetError, Interval};
use crate::ids::{AlarmRuleId, AssetId};
use crate::twin;
use crate::web::page::{self, Limit, Page};
use crate::web::problem::Problem;

/// Rules of one asset at most.
pub const MAX_RULES: i64 = 500;
/// The list of an asset's rules, for its cursors.
const LIST: &str = "alarm-rules";

/// What is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = AlarmSource)]
pub enum Source {
    /// Readings.
    #[default]
    Measured,
    /// The twin's own newest forecast.
    Predicted,
    /// The asset's anomaly score, in units of the threshold.
    Anomaly,
    /// The probability of a health class, as the version that serves names it.
    Health,
}

/// What is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = AlarmCondition)]
pub enum Condition {
    /// The value is above the limit.
    Above,
    /// The value is below the limit.
    Below,
    /// The change per second from one reading to the next is above the limit.
    RateAbove,
    /// The change per second from one reading to the next is below the limit.
    RateBelow,
    /// No reading arrives.
    Missing,
}

/// How bad an alarm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = AlarmSeverity)]
pub enum Severity {
    /// The asset has failed, or will at once.
    Critical,
    /// It cannot do what it is for.
    Major,
    /// It does it badly.
    Minor,
    /// It may become one of those.
    Warning,
}

/// A rule as it is kept and shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its id.
    pub id: AlarmRuleId,
    /// Key of the asset that it watches.
    pub asset: String,
    /// What it says.
    pub form: RuleForm,
    /// UCUM unit of the signal.
    pub unit: Option<String>,
    /// Counts changes, from 1.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Rule {
    /// Changes whenever the rule does.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("{}-{}", self.id, self.revision)
    }
}

impl Source {
    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Predicted => "predicted",
            Self::Anomaly => "anomaly",
            Self::Health => "health",
        }
    }
}

impl Severity {
    /// All of them, the worst first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::Major, Self::Minor, Self::Warning];

    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Warning => "warning",
        }
    }
}

impl Alarms {
    /// Makes a rule. The next look evaluates it on what is newest then.
    pub async fn create_rule(&self, asset: &str, mut form: RuleForm) -> Result<Rule, AlarmError> {
        let asset = self.assets.find(asset).await?;
        let place = form.check(&asset.asset_type, self.horizon)?;
        form.probability = form.within.map(|_| form.least_probability());
        let (id, now) = (AlarmRuleId::mint(&self.clock), self.clock.now());
        let rule = Rule {
            id,
            asset: asset.key.clone(),
            form,
            unit: place.unit,
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        let made = store::insert(&self.db, asset.id, &rule, place.position, MAX_RULES).await;
        match made {
            Ok(true) => {
                self.assess_again(&rule.form, asset.id).await?;
                Ok(rule)
            }
            Ok(false) => Err(AlarmError::TooManyRules),
            // The asset was deleted meanwhile.
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                Err(AssetError::NotFound(asset.key.clone()).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A page of an asset's rules, the newest first.
    pub async fn rules(&self, asset: &str, limit: Limit, cursor: Option<&str>) -> Result<Page<Rule>, Problem> {
        let asset = self.assets.find(asset).await?;
        let before: Option<AlarmRuleId> = cursor.map(|cursor| page::position(LIST, cursor)).transpose()?;
        let rows = store::list(&self.db, asset.id, before, limit.rows()).await?;
        let rules = rows.into_iter().map(|row| row.complete(&asset.key)).collect();
        Ok(Page::of(LIST, rules, limit, |rule: &Rule| rule.id))
    }

    /// A rule of an asset.
    pub async fn rule(&self, asset: &str, id: AlarmRuleId) -> Result<Rule, AlarmError> {
        let asset = self.assets.find(asset).await?;
        let row = store::find(&self.db, asset.id, id).await?;
        Ok(row.ok_or(AlarmError::NoRule)?.complete(&asset.key))
    }

    /// Changes a rule by a JSON merge patch, unless it is no longer the one that was read.
    pub async fn patch_rule(&self, present: &Rule, patch: &Value) -> Result<Rule, AlarmError> {
        let asset = self.assets.find(&present.asset).await?;
        let form = present.form.patched(patch)?;
        if form == present.form {
            return Ok(present.clone());
        }
        form.check(&asset.asset_type, self.horizon)?;
        let row = store::update(&self.db, present, &form, self.clock.now()).await?;
        let rule = row.ok_or(AlarmError::Changed)?.complete(&asset.key);
        self.assess_again(&rule.form, asset.id).await?;
        Ok(rule)
    }

    /// Deletes a rule, unless it is no longer the one that was read. Its active alarm clears; its
    /// alarms stay.
    pub async fn delete_rule(&self, present: &Rule) -> Result<(), AlarmError> {
        let (db, id, revision, now) = (self.db.clone(), present.id, present.revision, self.clock.now());
        // A task of its own, because a client that leaves must not leave half a transaction.
        let deleted = tokio::spawn(async move {
            let mut transaction = db.begin().await?;
            let deleted = store::delete(&mut transaction, id, revision, now).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(deleted)
        });
        let deleted = deleted.await.map_err(|_| AlarmError::Database(sqlx::Error::WorkerCrashed))?;
        if !deleted? {
            return Err(AlarmError::Changed);
        }
        if let Ok(asset) = self.assets.find(&present.asset).await {
            self.assess_again(&present.form, asset.id).await?;
        }
        Ok(())
    }

    /// The risk of an asset goes by the limits of its rules, and is computed with its forecast.
    async fn assess_again(&self, form: &RuleForm, asset: AssetId) -> Result<(), AlarmError> {
        let of_signal = matches!(form.source, Source::Measured | Source::Predicted) && form.signal.is_some();
        if of_signal && matches!(form.condition, Condition::Above | Condition::Below) {
            twin::store::forecast_again(&self.db, asset).await?;
        }
        Ok(())
    }
}

/// A duration that is kept in microseconds; none for zero.
fn interval(micros: i64) -> Option<Interval> {
    Interval::from_micros(micros)
}
