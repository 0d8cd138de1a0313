//! What is the same of all leases, whatever table their jobs stand in: how one is kept while work goes on, and
//! how an attempt is ended although the database may be away for a moment.
//!
//! The statements are the rooms': each names its own table, so that it is read, and prepared by a test, as it
//! stands.

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use sqlx::postgres::PgQueryResult;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Ended, Limits, Over, Renewal, Running, Status, Stopped, Told, held_for};
use crate::clock::Clock;
use crate::db::{is_away, touched_one};

/// A database that is away is asked again after this.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The right to work on a job and to end it, held by one worker for a while.
pub trait Lease: Sized + Send + Sync {
    /// What the log calls such a job.
    const WHAT: &'static str;
    /// What the work on it tells.
    type Progress: Clone + Send + Sync;

    /// The job, for the log.
    fn id(&self) -> impl Display;

    /// Extends the lease by a term and tells how far the work is, which has gone on for so long.
    fn tell(
        &self,
        db: &PgPool,
        term: Duration,
        progress: &Self::Progress,
        took: Duration,
        now: DateTime<Utc>,
    ) -> impl Future<Output = sqlx::Result<Renewal>> + Send;

    /// Holds the lease for so long at least, without a sign of life: the work waits for a processor.
    fn hold(&self, db: &PgPool, least: Duration) -> impl Future<Output = sqlx::Result<Renewal>> + Send;

    /// Ends an attempt without a result.
    fn end(
        self,
        db: &PgPool,
        ending: &Ending,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<Ended, Unspent<Self>>> + Send;

    /// What became of the job by what ending it touched.
    fn ended(self, done: sqlx::Result<PgQueryResult>) -> Result<Ended, Unspent<Self>> {
        match done {
            Ok(done) if touched_one(&done) => Ok(Ended::Closed),
            Ok(_) => Ok(Ended::Late),
            Err(source) => Err(Unspent { lease: self, source }),
        }
    }

    /// What became of the job by the status that giving it back left it in; none where the lease had run out.
    fn given_back(self, status: sqlx::Result<Option<Status>>) -> Result<Ended, Unspent<Self>> {
        match status {
            Ok(Some(Status::Pending)) => Ok(Ended::Again),
            Ok(Some(_)) => Ok(Ended::Closed),
            Ok(None) => Ok(Ended::Late),
            Err(source) => Err(Unspent { lease: self, source }),
        }
    }
}

/// How an attempt without a result ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The job has failed.
    Fail(String),
    /// Another attempt may help.
    Retry(String),
    /// A person stopped it.
    Cancel,
    /// This worker goes home.
    Release,
}

/// A lease that could not be spent because the database did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the job could not be closed")]
pub struct Unspent<L> {
    /// Still good, until it expires.
    pub lease: L,
    /// What the database said.
    pub source: sqlx::Error,
}

/// Keeps the leases of a worker while it works.
#[derive(Clone)]
pub struct Keeper {
    /// Where the jobs stand.
    pub db: PgPool,
    /// The time that they are told.
    pub clock: Clock,
    /// How long a lease lasts.
    pub term: Duration,
    /// What an attempt may take.
    pub limits: Limits,
    /// When the worker goes home.
    pub shutdown: CancellationToken,
}

impl Ending {
    /// Of an attempt that went beyond a limit.
    #[must_use]
    pub fn beyond(limit: Over) -> Self {
        if limit.comes_again() { Self::Fail(limit.to_string()) } else { Self::Retry(limit.to_string()) }
    }
}

impl Keeper {
    /// Waits for work, renewing the lease at its signs of life, and stops it where it must or has taken more than
    /// it may. Its answer, `None` when it panicked, and why it was stopped, where it was.
    pub async fn attend<L: Lease, T>(
        &self,
        lease: &L,
        mut running: Running<L::Progress, T>,
    ) -> (Option<T>, Option<Stopped>) {
        let started = Instant::now();
        let mut meter = self.limits.meter();
        let mut stopped = None;
        loop {
            tokio::select! {
                () = self.shutdown.cancelled(), if stopped.is_none() => stopped = Some(Stopped::Shutdown),
                told = running.next() => match told {
                    Told::Answer(answer) => return (answer, stopped),
                    Told::Alive(progress) => stopped = stopped.or(self.renew(lease, &progress, started).await),
                    Told::Starved(silent) => stopped = stopped.or(self.hold(lease, silent).await),
                    Told::Nothing => {}
                },
            }
            stopped = stopped.or_else(|| meter.over(running.spent()).map(Stopped::Over));
            if stopped.is_some() {
                running.stop();
            }
        }
    }

    async fn renew<L: Lease>(&self, lease: &L, progress: &L::Progress, started: Instant) -> Option<Stopped> {
        met(lease, lease.tell(&self.db, self.term, progress, started.elapsed(), self.clock.now()).await)
    }

    /// Holds the lease for work that waits for a processor, until it has been silent for a whole term by its own
    /// time.
    async fn hold<L: Lease>(&self, lease: &L, silent: Duration) -> Option<Stopped> {
        let left = held_for(self.term, silent)?;
        met(lease, lease.hold(&self.db, left).await)
    }

    /// Ends an attempt without a result, asking a database that is away again for the term of a lease.
    pub async fn end<L: Lease>(&self, mut lease: L, ending: &Ending) -> Ended {
        let deadline = self.deadline();
        loop {
            lease = match lease.end(&self.db, ending, self.clock.now()).await {
                Ok(ended) => return ended,
                // The server is going home: the lease may as well run out by itself.
                Err(_) if *ending == Ending::Release => return Ended::Late,
                Err(unspent) => match again(unspent, deadline).await {
                    Ok(lease) => lease,
                    Err(_) => return Ended::Late,
                },
            };
        }
    }

    /// Until when it is worth asking a database that is away: later every lease of now has run out.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.term
    }
}

/// Waits a moment for a database that is away, and says whether the lease may be spent once more.
pub async fn again<L: Lease>(unspent: Unspent<L>, deadline: Instant) -> Result<L, Unspent<L>> {
    let Unspent { lease, source } = &unspent;
    tracing::warn!(error = source as &dyn Error, job.id = %lease.id(), "{} could not be closed", L::WHAT);
    if !is_away(&unspent.source) || Instant::now() >= deadline {
        return Err(unspent);
    }
    sleep(ASK_AGAIN).await;
    Ok(unspent.lease)
}

/// What a renewal says to the work.
fn met<L: Lease>(lease: &L, renewal: sqlx::Result<Renewal>) -> Option<Stopped> {
    match renewal {
        Ok(Renewal::Held) => None,
        Ok(Renewal::CancelRequested) => Some(Stopped::Cancel),
        Ok(Renewal::Lost) => Some(Stopped::Lost),
        // Away for a moment: the lease outlives it, or the next renewal finds it lost.
        Err(error) => {
            tracing::warn!(error = &error as &dyn Error, job.id = %lease.id(), "lease not renewed");
            None
        }
    }
}
