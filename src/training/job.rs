//! A fine-tune job as people see it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::card::DataCard;
use super::learner::Stage;
use super::verdict::Verdict;
use crate::ids::JobId;
pub use crate::job::Status;
use crate::model::Recipe;
use crate::model::trainee::CurvePoint;

/// Why a job was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Cause {
    /// A person asked.
    Request,
    /// Enough new readings had come.
    FreshReadings,
    /// Signals were no longer spread as in what the serving version learned from.
    Drift,
    /// The serving version's forecasts had become worse than was to be expected of them.
    Errors,
    /// It was time, and something new had come.
    Schedule,
}

/// Who decides whether a candidate that passes the gate serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Promotion {
    /// The server, at once.
    #[default]
    Managed,
    /// A person, by `POST /v1/assets/{asset}/models/{n}/promote`.
    Manual,
}

/// What serves an asset, since when, and why.
#[derive(Clone, Debug, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Served {
    /// Key of the asset.
    pub asset: String,
    /// Number of the version; 0 is the base model.
    pub version: i32,
    /// When it took over.
    pub changed_at: DateTime<Utc>,
    /// Why, in words: the verdict, who promoted it, or why the one before it was rolled back.
    pub reason: String,
}

/// A fine-tune job.
#[derive(Clone, Debug, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Key of the asset.
    pub asset: String,
    /// How far it is in its life.
    pub status: Status,
    /// Why it was made.
    pub cause: Cause,
    /// The same in words with numbers; null where the cause says all.
    pub why: Option<String>,
    /// What its worker does.
    pub stage: Stage,
    /// Share of the work that is done, 0..1.
    pub progress: f64,
    /// Seconds until it is done, as far as that can be told.
    pub eta_s: Option<f64>,
    /// Losses while it learns, as they were told; of the newest attempt. The version keeps the whole curve.
    #[schema(value_type = Vec<CurvePoint>)]
    pub curve: Value,
    /// Rung of the search for settings that the newest attempt is in, or was in last, the first is 0; null
    /// without a search.
    pub rung: Option<i32>,
    /// Attempts so far; at most five.
    pub attempts: i32,
    /// Whether a person wants it stopped.
    pub cancel_requested: bool,
    /// Settings that it learns with.
    #[schema(value_type = Recipe)]
    pub recipe: Value,
    /// Who decides about promotion.
    #[serde(rename = "promote")]
    pub promotion: Promotion,
    /// Promoted or not, and why; when it has succeeded.
    #[schema(value_type = Option<Verdict>)]
    pub verdict: Option<Value>,
    /// Number of the version that came of it, within the asset.
    pub model_version: Option<i32>,
    /// Why the server rolled that version back after it had been promoted; null if it did not.
    pub rolled_back: Option<String>,
    /// What that version learned from, and what was left out.
    #[schema(value_type = Option<DataCard>)]
    pub data: Option<Value>,
    /// Why it failed, or why the attempt before did.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When any of this last changed; the stream resumes by it.
    #[serde(skip)]
    pub updated_at: DateTime<Utc>,
}
