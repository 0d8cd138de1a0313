//! Control-response audit: how a model version answers each control input, measured by step probes
//! on its asset's own history, batched through the engine.
//!
//! Measured when somebody first asks, and stored with the version, which never changes. The base
//! model's answers depend on a bank that is fitted again and again, so they are measured every
//! time. The gate that promotion uses is [`Responses::gate`].

pub mod ignored;
mod routes;
mod store;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

pub use self::routes::router;
use crate::asset::Assets;
use crate::clock::Clock;
use crate::features::responses::Responses;
use crate::forecast::{ForecastError, Forecasts};
use crate::model::store as models;

/// Handle on audits; clones share everything.
#[derive(Clone, Debug)]
pub struct Audits {
    db: PgPool,
    clock: Clock,
    assets: Assets,
    forecasts: Forecasts,
}

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The asset has no such version.
    #[error("there is no version {0}")]
    NoVersion(i32),
    /// It could not be measured.
    #[error(transparent)]
    Forecast(#[from] ForecastError),
    /// What is stored cannot be read.
    #[error("the stored responses cannot be read")]
    Stored(#[from] serde_json::Error),
}

/// How a version answers its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Number of the version; 0 is the base model.
    pub version: i32,
    /// When it was measured.
    pub measured_at: DateTime<Utc>,
    /// What was found.
    pub responses: Responses,
    /// Where it answers otherwise than the asset's type declares; `None` where it agrees.
    pub contradiction: Option<String>,
}

impl Audits {
    /// Puts the room together.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock, assets: Assets, forecasts: Forecasts) -> Self {
        Self { db, clock, assets, forecasts }
    }

    /// How a version answers its inputs, measured now if it never was.
    pub async fn of(&self, asset: &str, version: i32) -> Result<Audit, AuditError> {
        let asset = self.assets.find(asset).await.map_err(ForecastError::from)?;
        let (measured_at, responses) = if version == 0 {
            (self.clock.now(), self.forecasts.probe(&asset, None).await?)
        } else {
            let model = models::numbered(&self.db, asset.id, version).await.map_err(ForecastError::from)?;
            let model = model.ok_or(AuditError::NoVersion(version))?;
            match store::kept(&self.db, model).await.map_err(ForecastError::from)? {
                Some((at, responses)) => (at, serde_json::from_value(responses)?),
                None => {
                    let (now, found) = (self.clock.now(), self.forecasts.probe(&asset, Some(model)).await?);
                    let value = serde_json::to_value(&found)?;
                    store::keep(&self.db, model, &value, now).await.map_err(ForecastError::from)?;
                    (now, found)
                }
            }
        };
        let contradiction = responses.gate(&asset.asset_type.document.responses).err();
        Ok(Audit { version, measured_at, responses, contradiction })
    }
}
