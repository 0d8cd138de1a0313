//! The worker: takes one job, learns, and ends it.
//!
//! [`Worker::step`] does one unit of work and says what it did; tests drive it by hand. The
//! learner runs on an operating-system thread of its own at low priority; its signs of life renew
//! the lease here, so a learner that hangs loses the job, and one that only waits for a processor
//! does not.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::bases::Bases;
use super::lease::{self, Claim, Lease};
use super::start::MOST_POOLED;
use super::store::{self, Finish};
use super::verdict::{Gate, Verdict, judge};
use super::{Assignment, Candidate, Champion, Kin, LearnError, Learner, Progress, Promotion, Training, TrainingError};
use crate::event::store::labels;
use crate::ids::{JobId, ModelId};
use crate::job::{self, Ended, Ending, Keeper, Running, Stopped, again, first_line, told};
use crate::model::store::{self as models, KinRow, WeightsError};
use crate::model::{Recipe, StartFrom};

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// There was nothing to do.
    Idle,
    /// Made these jobs because they were due.
    Scheduled(Vec<JobId>),
    /// Worked on a job.
    Worked(JobId, Outcome),
}

/// How the work on a job ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With a verdict, or without trace because the lease had run out or a person stopped it.
    Finished(Finish),
    /// Without a result, for this reason.
    Gave(Ended, String),
}

/// Works on jobs, one at a time.
#[derive(Clone)]
pub struct Worker {
    training: Training,
    learner: Arc<dyn Learner>,
    gate: Gate,
    keeper: Keeper,
}

impl Worker {
    /// A worker with the real learner, or a scripted one. It stops at `shutdown`.
    #[must_use]
    pub fn new(training: Training, learner: Arc<dyn Learner>, shutdown: CancellationToken) -> Self {
        let Training { db, clock, .. } = &training;
        let (term, limits) = (training.term(), training.limits());
        let keeper = Keeper { db: db.clone(), clock: clock.clone(), term, limits, shutdown };
        Self { training, learner, gate: Gate::default(), keeper }
    }

    /// Works until the shutdown. Errors are logged and tried again at the next look.
    pub async fn run(self) {
        let wake = self.training.wake();
        let poll = Duration::from_millis(self.training.config.training_poll_ms);
        while !self.keeper.shutdown.is_cancelled() {
            match self.step().await {
                Ok(Step::Idle) => {}
                Ok(Step::Scheduled(jobs)) => {
                    tracing::info!(jobs = jobs.len(), "fine-tune jobs are due");
                    continue;
                }
                Ok(Step::Worked(..)) => continue,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a training worker could not work");
                }
            }
            tokio::select! {
                () = sleep(poll) => {}
                () = wake.notified() => {}
                () = self.keeper.shutdown.cancelled() => {}
            }
        }
    }

    /// One unit of work: a job that waits or, when none does, making those that are due.
    pub async fn step(&self) -> Result<Step, TrainingError> {
        let Training { db, clock, .. } = &self.training;
        for job in lease::bury(db, clock.now()).await? {
            tracing::warn!(job.id = %job, "a fine-tune job has ended because its worker fell silent");
        }
        if let Some(claim) = lease::acquire(db, clock, self.keeper.term).await? {
            let job = claim.lease.job;
            let started = Instant::now();
            tracing::info!(job.id = %job, job.attempts = claim.lease.attempts, "fine-tuning");
            let outcome = self.work(claim).await;
            let took_ms = started.elapsed().as_millis() as u64;
            match &outcome {
                Outcome::Finished(Finish::Succeeded { version, verdict }) => {
                    let reason = &verdict.reason;
                    tracing::info!(job.id = %job, took_ms, model.version = version, reason, "fine-tuned");
                }
                other => tracing::info!(job.id = %job, took_ms, outcome = ?other, "fine-tuning ended"),
            }
            return Ok(Step::Worked(job, outcome));
        }
        let made = self.training.schedule().await?;
        Ok(if made.is_empty() { Step::Idle } else { Step::Scheduled(made) })
    }

    async fn work(&self, claim: Claim) -> Outcome {
        let Claim { lease, recipe, promotion } = claim;
        let (assignment, against) = match self.assign(&lease, &recipe).await {
            Ok(Ok(assigned)) => assigned,
            Ok(Err(reason)) => return self.end(lease, Ending::Fail(reason)).await,
            Err(error) => return self.end(lease, Ending::Retry(told(&error, "the readings could not be read"))).await,
        };
        let seed = assignment.recipe.seed;
        let incumbent =
            assignment.champion.as_ref().map_or("the base model".to_owned(), |c| format!("version {}", c.version));
        let running = match self.start(assignment) {
            Ok(running) => running,
            Err(error) => {
                return self.end(lease, Ending::Retry(told(&error, "the learner could not be started"))).await;
            }
        };
        let (result, stopped) = self.attend(&lease, running).await;
        let mut candidate = match (result, stopped) {
            (_, Some(Stopped::Lost)) => return Outcome::Finished(Finish::Late),
            (_, Some(Stopped::Cancel)) => return self.end(lease, Ending::Cancel).await,
            (Ok(candidate), _) => candidate,
            (Err(_), Some(Stopped::Shutdown)) => return self.end(lease, Ending::Release).await,
            (Err(_), Some(Stopped::Over(limit))) => return self.end(lease, Ending::beyond(limit)).await,
            (Err(error @ (LearnError::InsufficientData { .. } | LearnError::NonFinite(_))), None) => {
                return self.end(lease, Ending::Fail(error.to_string())).await;
            }
            (Err(error), None) => {
                tracing::warn!(error = &error as &dyn std::error::Error, job.id = %lease.job, "learning failed");
                return self.end(lease, Ending::Retry(first_line(&error.to_string()))).await;
            }
        };
        let mut verdict = judge(&candidate.holdout, &incumbent, &self.gate, seed);
        if let Some(words) = candidate.note.clone().or_else(|| candidate.ancestry.as_ref().map(ToString::to_string)) {
            verdict.explain(&words);
        }
        if let Some(choice) = candidate.data.choice_in_words(&candidate.base) {
            verdict.explain(&choice);
        }
        if let Some(objection) = &candidate.objection {
            verdict.fail(objection);
        }
        candidate.compose(&mut verdict);
        if verdict.promoted && promotion == Promotion::Manual {
            verdict.withhold("promotion is manual, so it waits for a person");
        }
        self.finish(lease, &candidate, &verdict, against).await
    }

    async fn finish(
        &self,
        mut lease: Lease,
        candidate: &Candidate,
        verdict: &Verdict,
        against: Option<ModelId>,
    ) -> Outcome {
        let Training { db, clock, .. } = &self.training;
        let deadline = self.keeper.deadline();
        loop {
            match store::succeed(db, clock, lease, candidate, verdict, against).await {
                Ok(finish) => return Outcome::Finished(finish),
                Err(unspent) => match again(unspent, deadline).await {
                    Ok(unspent) => lease = unspent,
                    Err(unspent) => {
                        let reason = told(&unspent.source, "the result could not be kept");
                        return self.end(unspent.lease, Ending::Retry(reason)).await;
                    }
                },
            }
        }
    }

    /// What to learn from, and the version that the candidate will be compared with; or why it never can be.
    async fn assign(
        &self,
        lease: &Lease,
        recipe: &Value,
    ) -> Result<Result<(Assignment, Option<ModelId>), String>, TrainingError> {
        let Training { db, assets, readings, config, .. } = &self.training;
        let Some(asset) = assets.by_id(lease.asset).await? else {
            return Ok(Err("the asset was deleted".to_owned()));
        };
        let recipe =
            serde_json::from_value::<Recipe>(recipe.clone()).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let serving = models::champion(db, asset.id).await?;
        let champion = match serving {
            None => None,
            Some(row) => match models::weights(db, row.model_id).await {
                Ok(model) => model.map(|model| Champion {
                    id: model.id,
                    version: model.version,
                    base: model.base,
                    weights: model.weights,
                    calibration: model.calibration,
                }),
                // It cannot serve either: the base does, and is what must be beaten.
                Err(error @ WeightsError::Damaged(_)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the champion cannot be loaded");
                    None
                }
                Err(WeightsError::Database(error)) => return Err(error.into()),
            },
        };
        let bases = match Bases::of(db, &asset.asset_type, champion.as_ref()).await? {
            Ok(bases) => bases,
            Err(reason) => return Ok(Err(reason)),
        };
        let frames = readings.newest(asset.id, config.training_frames).await?;
        let labels = match frames.first() {
            Some(first) => labels(db, asset.id, first.observed_at).await?,
            None => Vec::new(),
        };
        let fleet = if recipe.start == StartFrom::Base { Vec::new() } else { self.fleet(lease).await? };
        let assignment = Assignment { asset, frames, recipe, champion, labels, bases, fleet };
        Ok(Ok((assignment, serving.map(|row| row.model_id))))
    }

    /// What serves the other assets of the type.
    async fn fleet(&self, lease: &Lease) -> Result<Vec<Kin>, TrainingError> {
        let rows = models::kin(&self.training.db, lease.asset, MOST_POOLED).await?;
        Ok(rows.into_iter().map(|KinRow { id, base, weights }| Kin { id, base, weights }).collect())
    }

    fn start(
        &self,
        assignment: Assignment,
    ) -> Result<Running<Progress, Result<Candidate, LearnError>>, std::io::Error> {
        let learner = Arc::clone(&self.learner);
        job::start("learner", move |report| {
            learner.learn(assignment, &mut |progress: Progress| {
                tracing::debug!(?progress, "learning");
                report(progress)
            })
        })
    }

    /// Waits for the learner with the lease held, and stops it where it must.
    pub(super) async fn attend(
        &self,
        lease: &Lease,
        running: Running<Progress, Result<Candidate, LearnError>>,
    ) -> (Result<Candidate, LearnError>, Option<Stopped>) {
        let (answer, stopped) = self.keeper.attend(lease, running).await;
        (answer.unwrap_or_else(|| Err(LearnError::Other("the learner panicked".to_owned()))), stopped)
    }

    /// Ends an attempt without a result.
    async fn end(&self, lease: Lease, ending: Ending) -> Outcome {
        let ended = self.keeper.end(lease, &ending).await;
        match ending {
            Ending::Fail(reason) | Ending::Retry(reason) => Outcome::Gave(ended, reason),
            Ending::Cancel if ended == Ended::Closed => Outcome::Finished(Finish::Cancelled),
            Ending::Cancel => Outcome::Finished(Finish::Late),
            Ending::Release => Outcome::Gave(ended, "the server stopped".to_owned()),
        }
    }
}
