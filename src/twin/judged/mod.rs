//! What is judged of an asset's newest steps, as `forecast/` found it: how far they lie from normal
//! operation, its health, and the risk that a limit is broken.

pub mod store;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Anomaly, Health};
use crate::ids::PredictionId;
use crate::reading::instant;

/// All that is judged of one asset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// How far its newest step lies from normal operation.
    pub anomaly: Option<Anomaly>,
    /// What the version that serves says of its health.
    pub health: Option<Health>,
    /// How likely it breaks a limit.
    pub risk: Option<Risk>,
}

/// How likely an asset breaks a limit within the horizon of a forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AssetRisk)]
pub struct Risk {
    /// Probability that any of its limits is broken: the share of joint sample paths that do.
    pub probability: f64,
    /// Instant of the state that the forecast starts from.
    pub at: String,
    /// Instant of the forecast's last step.
    pub until: String,
    /// The forecast.
    pub prediction: PredictionId,
    /// Each limit, the most probable first.
    pub limits: Vec<LimitRisk>,
}

/// One limit and how likely it is broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LimitRisk {
    /// The output.
    pub signal: String,
    /// The lower limit, in the signal's unit; absent of an upper one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The upper limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Name of the alarm rule that has the limit; absent where it is the signal's own, which counts as
    /// broken when it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Probability that it is broken within the horizon; what is left to 1 is that it is kept until then.
    pub probability: f64,
    /// Seconds after the state by which it is broken with a probability of 10 %; null where that lies
    /// beyond the horizon, and of a risk that was assessed before this was.
    #[serde(default)]
    pub p10_s: Option<f64>,
    /// The same with a probability of 50 %.
    pub p50_s: Option<f64>,
    /// The same with a probability of 90 %.
    #[serde(default)]
    pub p90_s: Option<f64>,
    /// Seconds after the state by which half of the sample paths that break it have done so; null where
    /// none does.
    pub median_s: Option<f64>,
}

/// A risk as it is written.
#[derive(Clone, Debug)]
pub struct Assessed {
    /// The forecast.
    pub prediction: PredictionId,
    /// Instant of the state that it starts from.
    pub state_at: DateTime<Utc>,
    /// Instant of its last step.
    pub until: DateTime<Utc>,
    /// Probability that any limit is broken.
    pub probability: f64,
    /// Each limit, the most probable first.
    pub limits: Vec<LimitRisk>,
}

impl From<Assessed> for Risk {
    fn from(assessed: Assessed) -> Self {
        let Assessed { prediction, state_at, until, probability, limits } = assessed;
        Self { probability, at: instant::text(state_at), until: instant::text(until), prediction, limits }
    }
}
