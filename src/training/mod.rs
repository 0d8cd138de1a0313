//! Fine-tuning: a job is due or asked for, leased by one worker, learned, judged, and its result
//! kept; the better head serves.
//!
//! Always: at most one unfinished job per asset; only the holder of an unexpired lease can end a
//! job; a version, the champion pointer and the job's end are one transaction; a version that is
//! not better by more than luck is kept but does not serve; one that serves and turns out worse than what
//! served before is rolled back ([`probation`]). Serving meets a new champion by itself, because it reads
//! which version serves.
//!
//! Absent on purpose: tensors. Learning comes in through [`Learner`].

mod backing;
mod bases;
pub mod card;
mod companions;
mod contradiction;
pub mod data_health;
mod dataset;
pub mod due;
pub mod health;
mod heard;
mod job;
pub mod learner;
pub mod probation;
pub mod readiness;
pub mod remaining;
pub mod routes;
pub mod lease;
mod marks;
pub mod spread;
mod start;
pub mod store;
pub mod teacher;
mod trail;
pub mod verdict;
pub mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::PgPool;
use tokio::sync::Notify;

pub use bases::{Bases, Tried};
pub use card::DataCard;
pub use companions::Companions;
pub use health::{AheadScore, AheadVerdict, HealthVerdict, LeadVerdict, TimeVerdict};
pub use job::{Cause, Job, Promotion, Served, Status};
pub use learner::{
    Assignment, Candidate, Champion, CurvePoint, Evaluation, Holdout, Kin, LearnError, Learner, Progress, Stage,
};
pub use probation::{Probation, Warden};
pub use remaining::RemainingVerdict;
pub use start::Ancestry;
pub use verdict::{Gate, Verdict, judge};
pub use worker::{Step, Worker};

use crate::asset::{Asset, AssetError, Assets};
use crate::clock::Clock;
use crate::forecast::ForecastError;
use crate::ids::{AssetId, JobId, ModelId};
use crate::job::{Limit, Limits};
use crate::model::registry::without_version;
use crate::model::store::{self as models, ChampionRow, ListedModel, WeightsError};
use crate::model::{Invalid, Recipe};
use crate::reading::{ReadingError, Readings};
use due::OffPeak;
use store::{Filter, NewJob};

/// The setting that limits the time of an attempt.
const TIME_LIMIT: &str = "COUNTERPART_TRAINING_TIME_LIMIT_S";
/// The setting that limits its memory.
const MEMORY_LIMIT: &str = "COUNTERPART_TRAINING_MEMORY_LIMIT_MIB";

/// Fine-tuning.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)] // clap names a group after the struct; ours are all called Config
pub struct Config {
    /// Frames after which an asset that never learned gets its first fine-tune job.
    #[arg(long, env = "COUNTERPART_TRAINING_FIRST_FRAMES", default_value_t = 1000)]
    pub training_first_frames: u32,
    /// New frames after which an asset gets its next fine-tune job; 0 turns automatic jobs off. A job for
    /// drift, for errors or by the clock wants a quarter of them to be new.
    #[arg(long, env = "COUNTERPART_TRAINING_FRESH_FRAMES", default_value_t = 2000)]
    pub training_fresh_frames: u32,
    /// Hours after its newest job at which an asset gets its next one; 0 leaves that to the frames.
    #[arg(long, env = "COUNTERPART_TRAINING_EVERY_H", default_value_t = 24, value_parser = clap::value_parser!(u64).range(0..=8760))]
    pub training_every_h: u64,
    /// Times of day (UTC) at which jobs for fresh readings and by the clock may begin, such as 22:00-06:00,
    /// separated by commas; without them at any time. Drift, errors and people do not wait for them.
    #[arg(long, env = "COUNTERPART_TRAINING_OFF_PEAK", value_delimiter = ',', value_name = "TIMES")]
    pub training_off_peak: Vec<OffPeak>,
    /// Newest frames that a job learns from at most.
    #[arg(long, env = "COUNTERPART_TRAINING_FRAMES", default_value_t = 20_000)]
    pub training_frames: usize,
    /// Where a server works on jobs, and on backtests.
    #[arg(long, env = "COUNTERPART_TRAINING_IN", default_value = "thread")]
    pub training_in: LearnsIn,
    /// Jobs worked on at the same time by this process, or by the one that learns for it; 0 leaves them to others.
    #[arg(long, env = "COUNTERPART_TRAINING_WORKERS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=64))]
    pub training_workers: u32,
    /// Seconds without a sign of life after which another worker takes a job over.
    #[arg(long, env = "COUNTERPART_TRAINING_LEASE_S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3600))]
    pub training_lease_s: u64,
    /// Seconds that an attempt at a job may take, the time in which it waits for a processor not counted; then
    /// the job has failed. 0 sets no limit.
    #[arg(long, env = TIME_LIMIT, default_value_t = 21_600, value_parser = clap::value_parser!(u64).range(0..=2_592_000))]
    pub training_time_limit_s: u64,
    /// MiB by which the memory of the process that works on a job may grow meanwhile, whatever else it does (where
    /// training is in a process of its own, nothing but that); beyond it the attempt ends, and the job waits for
    /// the next. 0 sets no limit.
    #[arg(long, env = MEMORY_LIMIT, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=16_777_216))]
    pub training_memory_limit_mib: u64,
    /// Milliseconds between two looks for work.
    #[arg(long, env = "COUNTERPART_TRAINING_POLL_MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub training_poll_ms: u64,
    /// Windows over which a promoted version is compared with what served before it, and rolled back where
    /// it is worse; 0 leaves that to people.
    #[arg(long, env = "COUNTERPART_TRAINING_PROBATION_WINDOWS", default_value_t = 48, value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub training_probation_windows: u64,
}

/// Where a server learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LearnsIn {
    /// On threads of its own process.
    Thread,
    /// In a process of their own that it starts, and starts again where it ends: memory that runs out or a crash
    /// there cost an attempt and leave what serves alone. The base model is then in memory twice.
    Process,
}

/// Why a verb did not do what it says.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The asset is not there, or could not be read.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The readings could not be read.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// A version could not be asked.
    #[error(transparent)]
    Forecast(#[from] ForecastError),
    /// The settings cannot be used.
    #[error("the recipe cannot be used")]
    Recipe(Vec<Invalid>),
    /// The asset learns already.
    #[error("the asset has an unfinished job, {0}")]
    Unfinished(JobId),
    /// There is no such job.
    #[error("there is no job {0}")]
    NoJob(JobId),
    /// The job has ended, so it cannot be stopped.
    #[error("the job has ended already")]
    Ended,
    /// The asset has no such version.
    #[error("the asset has no model version {0}")]
    NoVersion(i32),
    /// Nothing but the base model ever served the asset.
    #[error("nothing but the base model ever served this asset")]
    NothingBefore,
    /// The version's weights are not what was stored.
    #[error("the weights of model version {0} are damaged")]
    Damaged(i32),
    /// The database said no.
    #[error("the database did not do it")]
    Database(#[from] sqlx::Error),
}

/// The handle: asks for jobs, shows them, and decides by hand what serves. Cheap to clone.
#[derive(Clone)]
pub struct Training {
    db: PgPool,
    clock: Clock,
    assets: Assets,
    readings: Readings,
    config: Config,
    wake: Arc<Notify>,
}

impl Training {
    /// The room on a pool, a clock and the rooms below.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock, assets: Assets, readings: Readings, config: Config) -> Self {
        Self { db, clock, assets, readings, config, wake: Arc::new(Notify::new()) }
    }

    /// Where a server works on them.
    #[must_use]
    pub fn learns_in(&self) -> LearnsIn {
        self.config.training_in
    }

    /// Jobs that one process works on at the same time.
    #[must_use]
    pub fn workers(&self) -> u32 {
        self.config.training_workers
    }

    /// Shortens a worker's wait. Nothing depends on it: workers poll.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Asks for a job on an asset's data. `recipe` holds the settings that differ from the
    /// defaults.
    pub async fn request(
        &self,
        asset: &str,
        recipe: &Map<String, Value>,
        promotion: Promotion,
    ) -> Result<Job, TrainingError> {
        let asset = self.assets.find(asset).await?;
        let recipe = Recipe::parse(recipe).map_err(TrainingError::Recipe)?;
        let recipe = serde_json::to_value(&recipe).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let id = JobId::mint(&self.clock);
        let job = NewJob { id, asset: asset.id, cause: Cause::Request, why: None, recipe, promotion };
        loop {
            if store::insert(&self.db, &job, self.clock.now()).await.map_err(|error| gone(&asset, error))? {
                self.wake.notify_one();
                return self.job(id).await;
            }
            if let Some(unfinished) = store::unfinished(&self.db, asset.id).await? {
                return Err(TrainingError::Unfinished(unfinished));
            }
            // It ended between the two statements: there is room for ours now.
        }
    }

    /// One job.
    pub async fn job(&self, id: JobId) -> Result<Job, TrainingError> {
        store::job(&self.db, id).await?.ok_or(TrainingError::NoJob(id))
    }

    /// Jobs, newest first: of one asset or of all, in one status or in any, made before one.
    pub async fn jobs(
        &self,
        asset: Option<&str>,
        status: Option<Status>,
        before: Option<JobId>,
        limit: i64,
    ) -> Result<Vec<Job>, TrainingError> {
        let asset = match asset {
            Some(key) => Some(self.assets.find(key).await?.id),
            None => None,
        };
        Ok(store::jobs(&self.db, Filter { asset, status, before }, limit).await?)
    }

    /// Jobs that changed after an instant, in the order of their changes, for the stream.
    pub async fn changed_since(
        &self,
        at: DateTime<Utc>,
        asset: Option<AssetId>,
        limit: i64,
    ) -> Result<Vec<Job>, TrainingError> {
        Ok(store::changed_since(&self.db, at, asset, limit).await?)
    }

    /// Asks for a job to be stopped. A waiting one is cancelled at once, a running one at its
    /// next sign of life; one that was cancelled already stays so.
    pub async fn cancel(&self, id: JobId) -> Result<Job, TrainingError> {
        let asked = store::request_cancel(&self.db, id, self.clock.now()).await?;
        let job = self.job(id).await?;
        if asked.is_some() || job.status == Status::Cancelled { Ok(job) } else { Err(TrainingError::Ended) }
    }

    /// Makes the jobs that are due.
    pub async fn schedule(&self) -> Result<Vec<JobId>, TrainingError> {
        let made = due::reconcile(self).await?;
        if !made.is_empty() {
            self.wake.notify_one();
        }
        Ok(made)
    }

    /// An asset's versions, newest first, and which serves (`None`: the base model).
    pub async fn models(
        &self,
        asset: &str,
        before: Option<i32>,
        limit: i64,
    ) -> Result<(Option<ChampionRow>, Vec<ListedModel>), TrainingError> {
        let asset = self.assets.find(asset).await?;
        let champion = models::champion(&self.db, asset.id).await?;
        Ok((champion, models::list(&self.db, asset.id, before, limit).await?))
    }

    /// Name of the base model that answers for an asset where no version serves.
    pub async fn base(&self, asset: &str) -> Result<String, TrainingError> {
        let asset = self.assets.find(asset).await?;
        Ok(without_version(asset.asset_type.document.base_model.as_deref()).to_owned())
    }

    /// One version of an asset with all that is kept of it, and whether it serves.
    pub async fn model(&self, asset: &str, number: i32) -> Result<(bool, ListedModel), TrainingError> {
        let asset = self.assets.find(asset).await?;
        let model = models::version(&self.db, asset.id, number).await?.ok_or(TrainingError::NoVersion(number))?;
        let champion = models::champion(&self.db, asset.id).await?;
        Ok((champion.is_some_and(|champion| champion.version == number), model))
    }

    /// What serves an asset, since when and why; `None` when nothing but the base model ever did.
    pub async fn served(&self, asset: &str) -> Result<Option<Served>, TrainingError> {
        let asset = self.assets.find(asset).await?;
        Ok(store::served_since(&self.db, DateTime::UNIX_EPOCH, Some(asset.id), 1).await?.pop())
    }

    /// What serves since an instant or later, in the order of the changes, for the stream.
    pub async fn served_since(&self, at: DateTime<Utc>, limit: i64) -> Result<Vec<Served>, TrainingError> {
        Ok(store::served_since(&self.db, at, None, limit).await?)
    }

    /// Makes a version serve by hand; 0 is the base model. Its number.
    pub async fn promote(&self, asset: &str, number: i32) -> Result<i32, TrainingError> {
        let asset = self.assets.find(asset).await?;
        let model = self.sound_version(&asset, number).await?;
        let promoted = store::crown(&self.db, asset.id, model, "promoted by hand", self.clock.now()).await;
        promoted.map_err(|error| gone(&asset, error))?;
        Ok(number)
    }

    /// Lets what served before serve again. The number that serves then, 0 for the base model.
    pub async fn roll_back(&self, asset: &str) -> Result<i32, TrainingError> {
        let asset = self.assets.find(asset).await?;
        if !store::roll_back(&self.db, asset.id, self.clock.now()).await? {
            return Err(TrainingError::NothingBefore);
        }
        Ok(models::champion(&self.db, asset.id).await?.map_or(0, |champion| champion.version))
    }

    /// The version's id, once its bytes have been seen to be whole; `None` for the base.
    async fn sound_version(&self, asset: &Asset, number: i32) -> Result<Option<ModelId>, TrainingError> {
        if number == 0 {
            return Ok(None);
        }
        let version = models::numbered(&self.db, asset.id, number).await?;
        let id = version.ok_or(TrainingError::NoVersion(number))?;
        match models::weights(&self.db, id).await {
            Ok(Some(_)) => Ok(Some(id)),
            Ok(None) => Err(TrainingError::NoVersion(number)),
            Err(WeightsError::Damaged(_)) => Err(TrainingError::Damaged(number)),
            Err(WeightsError::Database(error)) => Err(error.into()),
        }
    }

    fn term(&self) -> Duration {
        Duration::from_secs(self.config.training_lease_s)
    }

    /// What an attempt may take.
    fn limits(&self) -> Limits {
        Limits {
            time_s: Limit { most: self.config.training_time_limit_s, setting: TIME_LIMIT },
            memory_mib: Limit { most: self.config.training_memory_limit_mib, setting: MEMORY_LIMIT },
        }
    }
}

/// An asset that was found may be deleted before something is written about it.
fn gone(asset: &Asset, error: sqlx::Error) -> TrainingError {
    match error {
        sqlx::Error::Database(error) if error.is_foreign_key_violation() => {
            AssetError::NotFound(asset.key.clone()).into()
        }
        error => error.into(),
    }
}
