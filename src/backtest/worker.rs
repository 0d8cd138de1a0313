//! The worker: takes one backtest, examines, and ends it.
//!
//! [`Worker::step`] does one unit of work and says what it did; tests drive it by hand. The examiner runs on an
//! operating-system thread of its own at low priority; its signs of life renew the lease here, so one that
//! hangs loses the backtest.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::examiner::{Assignment, ExamError, Examiner, Version};
use super::lease::{self, Claim, Lease};
use super::report::Report;
use super::{BacktestError, Backtests};
use crate::asset::Asset;
use crate::event::store::labels;
use crate::ids::BacktestId;
use crate::job::{self, Ended, Ending, Keeper, Status, Stopped, again, first_line, told};
use crate::model::BaseChoice;
use crate::model::registry::{self, without_version};
use crate::model::store::{self as models, WeightsError};

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// Worked on a backtest.
    Worked(BacktestId, Outcome),
}

/// How the work on a backtest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a result.
    Succeeded,
    /// A person had wanted it stopped in time: nothing was kept.
    Cancelled,
    /// The lease had run out: nothing was kept.
    Late,
    /// Without a result, for this reason.
    Gave(Ended, String),
}

/// Works on backtests, one at a time.
#[derive(Clone)]
pub struct Worker {
    backtests: Backtests,
    examiner: Arc<dyn Examiner>,
    keeper: Keeper,
}

impl Worker {
    /// A worker with the real examiner, or a scripted one. It stops at `shutdown`.
    #[must_use]
    pub fn new(backtests: Backtests, examiner: Arc<dyn Examiner>, shutdown: CancellationToken) -> Self {
        let Backtests { db, clock, .. } = &backtests;
        let (term, limits) = (backtests.term(), backtests.limits());
        let keeper = Keeper { db: db.clone(), clock: clock.clone(), term, limits, shutdown };
        Self { backtests, examiner, keeper }
    }

    /// Works until the shutdown. Errors are logged and tried again at the next look.
    pub async fn run(self) {
        let wake = self.backtests.wake();
        let poll = Duration::from_millis(self.backtests.config.backtest_poll_ms);
        while !self.keeper.shutdown.is_cancelled() {
            match self.step().await {
                Ok(Step::Idle) => {}
                Ok(Step::Worked(..)) => continue,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a backtest worker could not work");
                }
            }
            tokio::select! {
                () = sleep(poll) => {}
                () = wake.notified() => {}
                () = self.keeper.shutdown.cancelled() => {}
            }
        }
    }

    /// One unit of work: the backtest that has waited longest.
    pub async fn step(&self) -> Result<Step, BacktestError> {
        let Backtests { db, clock, .. } = &self.backtests;
        for backtest in lease::bury(db, clock.now()).await? {
            tracing::warn!(backtest.id = %backtest, "a backtest has ended because its worker fell silent");
        }
        let Some(claim) = lease::acquire(db, clock, self.keeper.term).await? else { return Ok(Step::Idle) };
        let (backtest, started) = (claim.lease.backtest, Instant::now());
        tracing::info!(backtest.id = %backtest, backtest.attempts = claim.lease.attempts, "backtesting");
        let outcome = self.work(claim).await;
        let took_ms = started.elapsed().as_millis() as u64;
        tracing::info!(backtest.id = %backtest, took_ms, outcome = ?outcome, "backtesting ended");
        Ok(Step::Worked(backtest, outcome))
    }

    async fn work(&self, claim: Claim) -> Outcome {
        let assignment = match self.assign(&claim).await {
            Ok(Ok(assignment)) => assignment,
            Ok(Err(reason)) => return self.end(claim.lease, Ending::Fail(reason)).await,
            Err(error) => {
                return self.end(claim.lease, Ending::Retry(told(&error, "the readings could not be read"))).await;
            }
        };
        let lease = claim.lease;
        let examiner = Arc::clone(&self.examiner);
        let running = match job::start("examiner", move |report| examiner.examine(assignment, report)) {
            Ok(running) => running,
            Err(error) => {
                return self.end(lease, Ending::Retry(told(&error, "the examiner could not be started"))).await;
            }
        };
        let (answer, stopped) = self.keeper.attend(&lease, running).await;
        let result: Result<Report, ExamError> =
            answer.unwrap_or_else(|| Err(ExamError::Other("the examiner panicked".to_owned())));
        let ending = match (result, stopped) {
            (_, Some(Stopped::Lost)) => return Outcome::Late,
            (_, Some(Stopped::Cancel)) => Ending::Cancel,
            (Ok(report), _) => return self.succeed(lease, &report).await,
            (Err(_), Some(Stopped::Shutdown)) => Ending::Release,
            (Err(_), Some(Stopped::Over(limit))) => Ending::beyond(limit),
            (Err(error @ (ExamError::TooShort(_) | ExamError::OtherBase { .. })), None) => {
                Ending::Fail(error.to_string())
            }
            (Err(error), None) => {
                tracing::warn!(error = &error as &dyn std::error::Error, backtest.id = %lease.backtest, "no report");
                Ending::Retry(first_line(&error.to_string()))
            }
        };
        self.end(lease, ending).await
    }

    /// What to examine, and on what; or why it never can be.
    async fn assign(&self, claim: &Claim) -> Result<Result<Assignment, String>, BacktestError> {
        let Backtests { db, assets, .. } = &self.backtests;
        let Some(asset) = assets.by_id(claim.lease.asset).await? else {
            return Ok(Err("the asset was deleted".to_owned()));
        };
        let version = match claim.model {
            None => None,
            Some(id) => {
                let (model, learned) = match (models::weights(db, id).await, models::learned_from(db, id).await?) {
                    (Ok(Some(model)), Some(learned)) => (model, learned),
                    (Ok(_), _) => return Ok(Err("the version was deleted".to_owned())),
                    (Err(error @ WeightsError::Damaged(_)), _) => {
                        return Ok(Err(told(&error, "the version's weights are damaged")));
                    }
                    (Err(WeightsError::Database(error)), _) => return Err(error.into()),
                };
                let (number, base) = (model.version, model.base);
                Some(Version { number, base, weights: model.weights, calibration: model.calibration, learned })
            }
        };
        let base = match self.base(&asset, version.as_ref()).await? {
            Some(base) => base,
            // The examiner says so of a version.
            None if version.is_some() => BaseChoice::default(),
            None => return Ok(Err("the base model of the asset's type is not there".to_owned())),
        };
        let frames = self.backtests.frames(&asset, Some(claim.cutoff), &claim.plan).await?;
        let labels = match frames.first() {
            Some(first) => labels(db, asset.id, first.observed_at).await?,
            None => Vec::new(),
        };
        Ok(Ok(Assignment { asset, frames, plan: claim.plan, version, labels, base }))
    }

    /// The base model that answers: the version's, or without one that of the asset's type.
    async fn base(&self, asset: &Asset, version: Option<&Version>) -> sqlx::Result<Option<BaseChoice>> {
        let wanted = asset.asset_type.document.base_model.as_deref();
        let name = version.map_or_else(|| without_version(wanted), |version| version.base.as_str());
        registry::find(&self.backtests.db, name).await
    }

    /// Ends a backtest with its result.
    async fn succeed(&self, mut lease: Lease, report: &Report) -> Outcome {
        let result = match serde_json::to_value(report) {
            Ok(result) => result,
            Err(error) => return self.end(lease, Ending::Fail(told(&error, "the result could not be written"))).await,
        };
        let Backtests { db, clock, .. } = &self.backtests;
        let deadline = self.keeper.deadline();
        loop {
            lease = match lease.succeed(db, &result, clock.now()).await {
                Ok(Some(Status::Succeeded)) => return Outcome::Succeeded,
                Ok(Some(_)) => return Outcome::Cancelled,
                Ok(None) => return Outcome::Late,
                Err(unspent) => match again(unspent, deadline).await {
                    Ok(lease) => lease,
                    Err(_) => return Outcome::Late,
                },
            };
        }
    }

    /// Ends an attempt without a result.
    async fn end(&self, lease: Lease, ending: Ending) -> Outcome {
        let ended = self.keeper.end(lease, &ending).await;
        match ending {
            Ending::Fail(reason) | Ending::Retry(reason) => Outcome::Gave(ended, reason),
            Ending::Cancel if ended == Ended::Closed => Outcome::Cancelled,
            Ending::Cancel => Outcome::Late,
            Ending::Release => Outcome::Gave(ended, "the server stopped".to_owned()),
        }
    }
}
