//! The twin: an asset's live state.
//!
//! `reported` holds the newest value of each signal. Event time decides what is newest, signal by
//! signal, never arrival; equal instants go to the later arrival. `seq` counts the commits that
//! changed readings, so that caches know when they are behind. `desired` is what people want; it
//! changes nothing that was measured.

pub mod desired;
mod fleet;
pub mod judged;
mod outlook;
pub mod routes;
mod state;
pub mod store;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

pub use desired::{Desired, Setpoint};
pub use fleet::Standing;
pub use judged::{Judged, LimitRisk, Risk};
pub use outlook::{AheadBy, ClassAhead, HealthOutlook, ReachedBy, TimeToClass};
pub use state::{Freshness, Health, Remaining, State};

use crate::asset::{Asset, AssetError, Assets};
use crate::clock::Clock;
use crate::ids::{AssetId, ModelId};
use crate::reading::{ReadingError, Readings, TAIL_FRAMES};

/// Live state of one asset, as its row has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Twin {
    /// Commits that changed readings.
    pub seq: i64,
    /// Instant of the newest frame.
    pub observed_at: Option<DateTime<Utc>>,
    /// When the newest frame arrived.
    pub received_at: Option<DateTime<Utc>>,
    /// Newest value of each signal, in the order of the type's signals; NaN where there is none.
    pub reported: Vec<f64>,
    /// Instant of each value in `reported`.
    pub reported_at: Vec<Option<DateTime<Utc>>>,
    /// Readings stored so far.
    pub readings: i64,
    /// What people want, by signal.
    pub desired: BTreeMap<String, Desired>,
    /// The `seq` that the newest refreshed forecast was made from.
    pub forecast_seq: i64,
    /// Last change of any of this.
    pub updated_at: DateTime<Utc>,
}

/// How far the newest step of an asset lies from normal operation, as `forecast/` found it.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// Instant of the step.
    pub observed_at: DateTime<Utc>,
    /// In units of the threshold.
    pub score: f64,
    /// What each signal has to do with it: their sum is the score.
    pub contributions: BTreeMap<String, f64>,
}

/// What the version that serves says of an asset's newest step.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The version.
    pub model: ModelId,
    /// Instant of the step.
    pub at: DateTime<Utc>,
    /// The likeliest class and the probabilities of all, where it has a classifier.
    pub class: Option<(String, BTreeMap<String, f64>)>,
    /// What will become of its class, where the classifier was taught it.
    pub outlook: Option<HealthOutlook>,
    /// The time that remains, where it knows it.
    pub remaining: Option<Remaining>,
}

/// A twin that changed, or of which something else is judged, for the stream.
#[derive(Clone, Debug)]
pub struct Change {
    /// When; the stream resumes by it.
    pub changed_at: DateTime<Utc>,
    /// When something was last judged of it.
    pub judged_at: Option<DateTime<Utc>>,
    /// Whose.
    pub asset: AssetId,
    /// Its name.
    pub key: String,
    /// What it became.
    pub twin: Twin,
    /// What is judged of it.
    pub judged: Judged,
}

/// Why a twin cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The asset is not there, or cannot be read.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// Its readings cannot be read.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// A desired value that cannot be.
    #[error("a desired value cannot be")]
    Invalid(Vec<desired::Refusal>),
}

/// The twins of all assets.
#[derive(Clone, Debug)]
pub struct Twins {
    pool: PgPool,
    clock: Clock,
    assets: Assets,
    readings: Readings,
}

impl Twins {
    /// The twins in a database.
    #[must_use]
    pub fn new(pool: PgPool, clock: Clock, assets: Assets, readings: Readings) -> Self {
        Self { pool, clock, assets, readings }
    }

    /// The twin of an asset; none before its first reading or desired value.
    pub async fn get(&self, asset: AssetId) -> Result<Option<Twin>, TwinError> {
        Ok(store::find(&self.pool, asset).await?)
    }

    /// The live state of an asset, or how it was at an instant.
    ///
    /// At an instant in the past a signal counts as reported when one of the 2,048 frames before
    /// it has a value.
    pub async fn state(&self, asset: &Asset, as_of: Option<DateTime<Utc>>) -> Result<State, TwinError> {
        let twin = store::find(&self.pool, asset.id).await?;
        let Some(as_of) = as_of else {
            let judged = judged::store::of(&self.pool, &[asset.id]).await?.remove(&asset.id).unwrap_or_default();
            return Ok(State::of(asset, twin.as_ref(), self.clock.now()).with_judged(judged));
        };
        let frames = self.readings.until(asset.id, as_of, TAIL_FRAMES).await?;
        let mut past = state::Reported::empty(asset.asset_type.document.signals.len());
        for frame in &frames {
            past.observe(frame.observed_at.timestamp_micros(), &frame.values);
        }
        Ok(State::past(asset, &past, twin.map_or(0, |twin| twin.seq), as_of))
    }

    /// Replaces what people want of an asset. Values must be of control inputs and within their
    /// limits. The next forecast follows them.
    pub async fn set_desired(
        &self,
        asset: &Asset,
        wanted: BTreeMap<String, Desired>,
    ) -> Result<BTreeMap<String, Desired>, TwinError> {
        let refusals = desired::refusals(&asset.asset_type.document, &wanted);
        if !refusals.is_empty() {
            return Err(TwinError::Invalid(refusals));
        }
        let mut transaction = self.pool.begin().await?;
        store::ensure(&mut *transaction, &[asset.id.0], self.clock.now()).await?;
        let found = store::set_desired(&mut *transaction, asset.id, &wanted, self.clock.now()).await?;
        transaction.commit().await?;
        if found { Ok(wanted) } else { Err(AssetError::NotFound(asset.key.clone()).into()) }
    }

    /// Twins that changed, or of which something else is judged, after an instant, in the order of their
    /// change, at most `limit`.
    ///
    /// Commits may become visible a little out of the order of `changed_at`: a reader that must not
    /// miss any asks again from a few seconds before the last one and drops what it has seen
    /// (asset, `changed_at`).
    pub async fn changed_since(&self, at: DateTime<Utc>, limit: usize) -> Result<Vec<Change>, TwinError> {
        let mut changes = judged::store::changed_since(&self.pool, at, limit as i64).await?;
        let assets: Vec<AssetId> = changes.iter().map(|change| change.asset).collect();
        if !assets.is_empty() {
            let mut judged = judged::store::of(&self.pool, &assets).await?;
            changes.iter_mut().for_each(|one| one.judged = judged.remove(&one.asset).unwrap_or_default());
        }
        Ok(changes)
    }

    fn assets(&self) -> &Assets {
        &self.assets
    }
}
