//! Backtests: how good a model version, the naive forecasts and a linear ARX would have been on the last
//! windows of an asset's own history (rolling origin; Tashman 2000).
//!
//! Always: a forecast knows the readings up to its window's start and no later one, without those that a live
//! answer would leave out there, its bank is fitted there,
//! and all forecasters are scored on the same windows; the answer says which windows the version had learned
//! from. A backtest is a job with a lease of database time, so a crash costs an attempt and nothing else. The
//! same history, version and windows give the same numbers.
//!
//! Absent on purpose: any decision. Which version serves is the business of `training`.

mod ask;
mod board;
mod classes;
pub mod examiner;
mod field;
mod job;
mod known;
pub mod lease;
mod origin;
mod report;
pub mod routes;
mod store;
pub mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::Notify;

pub use ask::{Inputs, MAX_PREDICTED, MAX_SPAN, MAX_WINDOWS, NewBacktest, Plan, Wrong};
pub use examiner::{Bench, Examiner};
pub use field::Shortage;
pub use job::Backtest;
pub use report::{Forecaster, HealthReport, Judged, Learned, Origin, Part, Report};
pub use worker::{Outcome, Step, Worker};

use crate::asset::{Asset, AssetError, Assets};
use crate::clock::Clock;
use crate::features::Grid;
use crate::ids::{BacktestId, ModelId};
use crate::job::{Limit, Limits, Status};
use crate::model::store as models;
use crate::reading::{Frame, ReadingError, Readings};
use field::{Field, REACH};
use store::New;

/// Unfinished backtests that an asset has at most.
const UNFINISHED: i64 = 16;
/// Frames that are read at most, where an asset sends several in a step.
const MAX_FRAMES: usize = 200_000;

/// The setting that limits the time of an attempt.
const TIME_LIMIT: &str = "COUNTERPART_BACKTEST_TIME_LIMIT_S";
/// The setting that limits its memory.
const MEMORY_LIMIT: &str = "COUNTERPART_BACKTEST_MEMORY_LIMIT_MIB";

/// Backtests.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)] // clap names a group after the struct; ours are all called Config
pub struct Config {
    /// Backtests worked on at the same time by this process, or by the one that learns for it; 0 leaves them to
    /// others.
    #[arg(long, env = "COUNTERPART_BACKTEST_WORKERS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=64))]
    pub backtest_workers: u32,
    /// Seconds without a sign of life after which another worker takes a backtest over.
    #[arg(long, env = "COUNTERPART_BACKTEST_LEASE_S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub backtest_lease_s: u64,
    /// Seconds that an attempt at a backtest may take, the time in which it waits for a processor not counted; then
    /// the backtest has failed. 0 sets no limit.
    #[arg(long, env = TIME_LIMIT, default_value_t = 21_600, value_parser = clap::value_parser!(u64).range(0..=2_592_000))]
    pub backtest_time_limit_s: u64,
    /// MiB by which the memory of the process that works on a backtest may grow meanwhile, whatever else it does
    /// (where training is in a process of its own, nothing but that); beyond it the attempt ends, and the backtest
    /// waits for the next. 0 sets no limit.
    #[arg(long, env = MEMORY_LIMIT, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=16_777_216))]
    pub backtest_memory_limit_mib: u64,
    /// Milliseconds between two looks for a backtest.
    #[arg(long, env = "COUNTERPART_BACKTEST_POLL_MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub backtest_poll_ms: u64,
}

/// Why a verb did not do what it says.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The asset is not there, or could not be read.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The readings could not be read.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// What is asked for cannot be done.
    #[error("the request was understood but cannot be carried out")]
    Invalid(Vec<Wrong>),
    /// There are too few readings.
    #[error(transparent)]
    TooShort(#[from] Shortage),
    /// The asset has no such version.
    #[error("the asset has no model version {0}")]
    NoVersion(i32),
    /// The asset has no such backtest.
    #[error("the asset has no backtest {0}")]
    NoBacktest(BacktestId),
    /// So many wait already.
    #[error("the asset has {UNFINISHED} unfinished backtests: wait for one of them, or cancel one")]
    TooMany,
    /// The backtest has ended, so it cannot be stopped.
    #[error("the backtest has ended already")]
    Ended,
    /// The computation was given up because the server ends.
    #[error("the server is ending")]
    Ending,
    /// The database said no.
    #[error("the database did not do it")]
    Database(#[from] sqlx::Error),
}

/// The handle: asks for backtests and shows them. Cheap to clone.
#[derive(Clone)]
pub struct Backtests {
    db: PgPool,
    clock: Clock,
    assets: Assets,
    readings: Readings,
    config: Config,
    /// Steps of a window when a request does not say.
    horizon: usize,
    wake: Arc<Notify>,
}

impl Backtests {
    /// The room on a pool, a clock and the rooms below. `horizon` is that of a window when a request does not
    /// say.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock, assets: Assets, readings: Readings, config: Config, horizon: usize) -> Self {
        Self { db, clock, assets, readings, config, horizon, wake: Arc::new(Notify::new()) }
    }

    /// Backtests that this process works on at the same time.
    #[must_use]
    pub fn workers(&self) -> u32 {
        self.config.backtest_workers
    }

    /// Shortens a worker's wait. Nothing depends on it: workers poll.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Asks for a backtest on an asset's history.
    pub async fn request(&self, asset: &str, ask: &NewBacktest) -> Result<Backtest, BacktestError> {
        let asset = self.assets.find(asset).await?;
        let (plan, until) = ask.checked(self.horizon).map_err(BacktestError::Invalid)?;
        let version = self.version(&asset, ask.version).await?;
        let frames = self.frames(&asset, until, &plan).await?;
        let of = Arc::clone(&asset);
        let cutoff = tokio::task::spawn_blocking(move || {
            Field::lay(&of.asset_type, &frames, &plan)?;
            // A field has a newest frame; the next one must not change what was asked.
            Ok::<_, BacktestError>(frames.last().map(|frame| frame.observed_at))
        });
        let cutoff = cutoff.await.map_err(|_| BacktestError::Ending)??.unwrap_or_else(|| self.clock.now());
        let new = New { id: BacktestId::mint(&self.clock), asset: asset.id, version, plan, cutoff };
        let made = store::insert(&self.db, &new, UNFINISHED, self.clock.now()).await;
        if !made.map_err(|error| gone(&asset, error))? {
            return Err(BacktestError::TooMany);
        }
        self.wake.notify_one();
        store::find(&self.db, asset.id, new.id).await?.ok_or(BacktestError::NoBacktest(new.id))
    }

    /// One backtest.
    pub async fn backtest(&self, asset: &str, id: BacktestId) -> Result<Backtest, BacktestError> {
        let asset = self.assets.find(asset).await?;
        store::find(&self.db, asset.id, id).await?.ok_or(BacktestError::NoBacktest(id))
    }

    /// An asset's backtests, newest first: in one status or in any, made before one.
    pub async fn list(
        &self,
        asset: &str,
        status: Option<Status>,
        before: Option<BacktestId>,
        limit: i64,
    ) -> Result<Vec<Backtest>, BacktestError> {
        let asset = self.assets.find(asset).await?;
        Ok(store::list(&self.db, asset.id, status, before, limit).await?)
    }

    /// Backtests that changed after an instant, in the order of their changes, for the stream.
    pub async fn changed_since(&self, at: DateTime<Utc>, limit: i64) -> Result<Vec<Backtest>, BacktestError> {
        Ok(store::changed_since(&self.db, at, limit).await?)
    }

    /// Asks for a backtest to be stopped. A waiting one is cancelled at once, a running one at its next sign of
    /// life; one that was cancelled already stays so.
    pub async fn cancel(&self, asset: &str, id: BacktestId) -> Result<Backtest, BacktestError> {
        let asset = self.assets.find(asset).await?;
        let asked = store::request_cancel(&self.db, asset.id, id, self.clock.now()).await?;
        let backtest = store::find(&self.db, asset.id, id).await?.ok_or(BacktestError::NoBacktest(id))?;
        let stops = asked.is_some() || backtest.status == Status::Cancelled;
        if stops { Ok(backtest) } else { Err(BacktestError::Ended) }
    }

    /// Number and id of a version; what serves when none is named.
    async fn version(&self, asset: &Asset, number: Option<i32>) -> Result<(i32, Option<ModelId>), BacktestError> {
        Ok(match number {
            None => match models::champion(&self.db, asset.id).await? {
                Some(champion) => (champion.version, Some(champion.model_id)),
                None => (0, None),
            },
            Some(0) => (0, None),
            Some(number) => {
                let model = models::numbered(&self.db, asset.id, number).await?;
                (number, Some(model.ok_or(BacktestError::NoVersion(number))?))
            }
        })
    }

    /// The newest frames up to an instant, as many as a plan looks at, oldest first.
    async fn frames(
        &self,
        asset: &Arc<Asset>,
        until: Option<DateTime<Utc>>,
        plan: &Plan,
    ) -> Result<Vec<Frame>, BacktestError> {
        let wanted = REACH + plan.span();
        let mut count = wanted;
        loop {
            let frames = match until {
                Some(until) => self.readings.until(asset.id, until, count).await?,
                None => self.readings.newest(asset.id, count).await?,
            };
            if frames.len() < count || count >= MAX_FRAMES {
                return Ok(frames);
            }
            // An asset may send its signals one by one: then a step takes several frames.
            let of = Arc::clone(asset);
            let steps = tokio::task::spawn_blocking(move || {
                let steps = Grid::new(&of.asset_type, &frames).map_or(0, |grid| grid.len());
                (steps, frames)
            });
            let (steps, frames) = steps.await.map_err(|_| BacktestError::Ending)?;
            if steps >= wanted {
                return Ok(frames);
            }
            count = (2 * count).min(MAX_FRAMES);
        }
    }

    fn term(&self) -> Duration {
        Duration::from_secs(self.config.backtest_lease_s)
    }

    /// What an attempt may take.
    fn limits(&self) -> Limits {
        Limits {
            time_s: Limit { most: self.config.backtest_time_limit_s, setting: TIME_LIMIT },
            memory_mib: Limit { most: self.config.backtest_memory_limit_mib, setting: MEMORY_LIMIT },
        }
    }
}

/// An asset that was found may be deleted before something is written about it.
fn gone(asset: &Asset, error: sqlx::Error) -> BacktestError {
    match error {
        sqlx::Error::Database(error) if error.is_foreign_key_violation() => {
            AssetError::NotFound(asset.key.clone()).into()
        }
        error => error.into(),
    }
}
