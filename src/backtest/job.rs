//! A backtest as people see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::ask::Inputs;
use super::report::Report;
use crate::ids::BacktestId;
use crate::job::Status;

/// A backtest: what was asked, how far it is, and what came of it.
#[derive(Clone, Debug, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Backtest {
    /// Its id.
    pub id: BacktestId,
    /// Key of the asset.
    pub asset: String,
    /// Number of the model version that is examined; 0 is the base model.
    pub version: i32,
    /// Windows that are forecast.
    pub windows: i32,
    /// Steps between the starts of two windows.
    pub step_size: i32,
    /// Steps of a window.
    pub horizon: i32,
    /// Instant of the newest frame that counts: the last window ends there.
    pub cutoff: DateTime<Utc>,
    /// What is assumed of the inputs within a window.
    pub inputs: Inputs,
    /// How far it is in its life.
    pub status: Status,
    /// Share of the work that is done, 0..1.
    pub progress: f64,
    /// Seconds until it is done, as far as that can be told.
    pub eta_s: Option<f64>,
    /// Attempts so far; at most five.
    pub attempts: i32,
    /// Whether a person wants it stopped.
    pub cancel_requested: bool,
    /// The scores, when it has succeeded. In lists and on the stream without `origins`.
    #[schema(value_type = Option<Report>)]
    pub result: Option<Value>,
    /// Why it failed, or why the attempt before did.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When any of this last changed; the stream resumes by it.
    #[serde(skip)]
    pub updated_at: DateTime<Utc>,
}
