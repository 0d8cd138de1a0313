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
use super::lease::{self, Claim, Lease, Unspent};
use super::start::MOST_POOLED;
use super::store::{self, Finish};
use super::verdict::{Gate, Verdict, judge};
use super::{Assignment, Candidate, Champion, Kin, LearnError, Learner, Progress, Promotion, Training, TrainingError};
use crate::event::store::labels;
use crate::ids::{JobId, ModelId};
use crate::job::{self, Ended, Over, Renewal, Running, Stopped, Told};
use crate::model::store::{self as models, KinRow, WeightsError};
use crate::model::{Recipe, StartFrom};

/// A database that is away is asked again after this.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Characters of a learner's error that a job keeps.
const MAX_REASON: usize = 300;

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
    shutdown: CancellationToken,
}

/// How an attempt without a result ends.
#[derive(Clone, Debug)]
enum Ending {
    /// The job has failed.
    Fail(String),
    /// Another attempt may help.
    Retry(String),
    /// A person stopped it.
    Cancel,
    /// This worker goes home.
    Release,
}

impl Worker {
    /// A worker with the real learner, or a scripted one. It stops at `shutdown`.
    #[must_use]
    pub fn new(training: Training, learner: Arc<dyn Learner>, shutdown: CancellationToken) -> Self {
        Self { training, learner, gate: Gate::default(), shutdown }
    }

    /// Works until the shutdown. Errors are logged and tried again at the next look.
    pub async fn run(self) {
        let wake = self.training.wake();
        let poll = Duration::from_millis(self.training.config.training_poll_ms);
        while !self.shutdown.is_cancelled() {
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
                () = self.shutdown.cancelled() => {}
            }
        }
    }

    /// One unit of work: a job that waits or, when none does, making those that are due.
    pub async fn step(&self) -> Result<Step, TrainingError> {
        let Training { db, clock, .. } = &self.training;
        for job in lease::bury(db, clock.now()).await? {
            tracing::warn!(job.id = %job, "a fine-tune job has ended because its worker fell silent");
        }
        if let Some(claim) = lease::acquire(db, clock, self.training.term()).await? {
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
        let deadline = Instant::now() + self.training.term();
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

    /// Waits for the learner, renewing the lease at its signs of life, and stops it where it must or has taken
    /// more than it may.
    pub(super) async fn attend(
        &self,
        lease: &Lease,
        mut running: Running<Progress, Result<Candidate, LearnError>>,
    ) -> (Result<Candidate, LearnError>, Option<Stopped>) {
        let started = Instant::now();
        let mut meter = self.training.limits().meter();
        let mut stopped = None;
        let answer = loop {
            tokio::select! {
                () = self.shutdown.cancelled(), if stopped.is_none() => stopped = Some(Stopped::Shutdown),
                told = running.next() => match told {
                    Told::Answer(answer) => break answer,
                    Told::Alive(progress) => stopped = stopped.or(self.renew(lease, &progress, started).await),
                    Told::Starved(silent) => stopped = stopped.or(self.hold(lease, silent).await),
                },
            }
            stopped = stopped.or_else(|| meter.over(running.spent()).map(Stopped::Over));
            if stopped.is_some() {
                running.stop();
            }
        };
        (answer.unwrap_or_else(|| Err(LearnError::Other("the learner panicked".to_owned()))), stopped)
    }

    async fn renew(&self, lease: &Lease, progress: &Progress, started: Instant) -> Option<Stopped> {
        let fraction = if progress.fraction.is_finite() { progress.fraction.clamp(0.0, 1.0) } else { 0.0 };
        let told = (progress.stage, fraction, job::eta_s(started.elapsed(), fraction), progress.point());
        let Training { db, clock, .. } = &self.training;
        if let Some(rung) = progress.rung
            && let Err(error) = lease.climb(db, rung.cast_signed(), clock.now()).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, job.id = %lease.job, "a rung was not told");
        }
        met(lease, lease.renew(db, self.training.term(), told, clock.now()).await)
    }

    /// Holds the lease for a learner that waits for a processor, until it has been silent for a whole term by
    /// its own time.
    async fn hold(&self, lease: &Lease, silent: Duration) -> Option<Stopped> {
        let left = job::held_for(self.training.term(), silent)?;
        met(lease, lease.hold(&self.training.db, left).await)
    }

    /// Ends an attempt without a result.
    async fn end(&self, mut lease: Lease, ending: Ending) -> Outcome {
        let Training { db, clock, .. } = &self.training;
        let deadline = Instant::now() + self.training.term();
        loop {
            let tried = match &ending {
                Ending::Fail(reason) => lease.fail(db, reason, clock.now()).await,
                Ending::Retry(reason) => lease.retry(db, reason, clock.now()).await,
                Ending::Cancel => lease.cancel(db, clock.now()).await,
                Ending::Release => lease.release(db, clock.now()).await,
            };
            let ended = match tried {
                Ok(ended) => ended,
                // The server is going home: the lease may as well run out by itself.
                Err(_) if matches!(ending, Ending::Release) => Ended::Late,
                Err(unspent) => match again(unspent, deadline).await {
                    Ok(unspent) => {
                        lease = unspent;
                        continue;
                    }
                    Err(_) => Ended::Late,
                },
            };
            return match ending {
                Ending::Fail(reason) | Ending::Retry(reason) => Outcome::Gave(ended, reason),
                Ending::Cancel if ended == Ended::Closed => Outcome::Finished(Finish::Cancelled),
                Ending::Cancel => Outcome::Finished(Finish::Late),
                Ending::Release => Outcome::Gave(ended, "the server stopped".to_owned()),
            };
        }
    }
}

impl Ending {
    /// Of an attempt that went beyond a limit.
    fn beyond(limit: Over) -> Self {
        if limit.comes_again() { Self::Fail(limit.to_string()) } else { Self::Retry(limit.to_string()) }
    }
}

/// What a renewal says to the work.
fn met(lease: &Lease, renewal: sqlx::Result<Renewal>) -> Option<Stopped> {
    match renewal {
        Ok(Renewal::Held) => None,
        Ok(Renewal::CancelRequested) => Some(Stopped::Cancel),
        Ok(Renewal::Lost) => Some(Stopped::Lost),
        // Away for a moment: the lease outlives it, or the next renewal finds it lost.
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, job.id = %lease.job, "lease not renewed");
            None
        }
    }
}

/// Waits a moment for a database that is away, and says whether the lease may be spent once more.
async fn again(unspent: Unspent, deadline: Instant) -> Result<Lease, Unspent> {
    tracing::warn!(error = &unspent.source as &dyn std::error::Error, job.id = %unspent.lease.job, "a fine-tune job could not be closed");
    if !crate::db::is_away(&unspent.source) || Instant::now() >= deadline {
        return Err(unspent);
    }
    sleep(ASK_AGAIN).await;
    Ok(unspent.lease)
}

/// Logs an error with its causes, and says of it what people may see in the job.
fn told(error: &(dyn std::error::Error + 'static), phrase: &str) -> String {
    tracing::warn!(error, "{phrase}");
    phrase.to_owned()
}

/// What people may see of a learner's error: libtorch adds a C++ stack below its first line.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(MAX_REASON).collect()
}
