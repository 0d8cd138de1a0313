//! Group commit: whatever arrives while one transaction runs goes into the next; a lone request
//! never waits for others.
//!
//! Writers are tasks of their own, so that a client that leaves cannot tear a transaction. They start
//! with the first request, and end when the last [`Batcher`] is gone and the queue is empty.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use super::Config;
use super::commit::{Moved, Outcomes, commit};
use crate::clock::Clock;
use crate::ids::AssetId;
use crate::reading::{Block, Readings, Tally};

/// A transaction that takes longer is given up; what became of it is not known.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of one block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) tally: Tally,
    /// Of those stored and updated: older than the asset's newest frame.
    pub(super) late: u64,
}

/// Why a job was not stored, or may not have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The database did not answer.
    Away,
    /// It refused; logged.
    Broken,
}

/// One request's frames.
#[derive(Debug)]
pub(super) struct Job {
    /// Sorted blocks, one an asset.
    pub(super) blocks: Vec<(AssetId, Block)>,
    /// All blocks or none.
    pub(super) atomic: bool,
    reply: oneshot::Sender<Result<Vec<Option<Counts>>, Failure>>,
}

/// Where requests hand in their frames.
#[derive(Clone, Debug)]
pub(super) struct Batcher(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Bounded by the memory that each request holds until it is answered. Writers start with the
    /// first request, so that a room can be built where there is no runtime and nothing to write.
    queue: OnceLock<mpsc::UnboundedSender<Job>>,
    writer: Writer,
    config: Config,
}

impl Batcher {
    /// A batcher whose writers are not started yet.
    pub(super) fn new(readings: &Readings, clock: &Clock, config: &Config, stored: Option<Arc<Notify>>) -> Self {
        let (readings, clock) = (readings.clone(), clock.clone());
        let writer = Writer { connection: None, readings, clock, stored };
        Self(Arc::new(Shared { queue: OnceLock::new(), writer, config: config.clone() }))
    }

    fn queue(&self) -> &mpsc::UnboundedSender<Job> {
        let Shared { queue, writer, config } = &*self.0;
        queue.get_or_init(|| {
            let (queue, inbox) = mpsc::unbounded_channel();
            let inbox = Arc::new(Mutex::new(inbox));
            let most = config.ingest_batch as usize;
            for _ in 0..config.ingest_writers {
                let (writer, inbox) = (writer.again(), Arc::clone(&inbox));
                tokio::spawn(async move {
                    // A panic loses the requests in work, which are told that the outcome is
                    // unknown, but never the writer.
                    while tokio::spawn(writer.again().run(Arc::clone(&inbox), most)).await.is_err() {
                        tracing::error!("a writer of readings panicked and was started again");
                    }
                });
            }
            queue
        })
    }

    /// Hands in the frames of one request and waits for their commit. A caller that stops waiting
    /// changes nothing about it.
    pub(super) async fn submit(
        &self,
        blocks: Vec<(AssetId, Block)>,
        atomic: bool,
    ) -> Result<Vec<Option<Counts>>, Failure> {
        let (reply, answer) = oneshot::channel();
        self.queue().send(Job { blocks, atomic, reply }).map_err(|_| Failure::Away)?;
        answer.await.unwrap_or(Err(Failure::Away))
    }
}

#[derive(Debug)]
struct Writer {
    /// Its own, so that a commit needs neither the pool's check nor its clean-up.
    connection: Option<PgConnection>,
    readings: Readings,
    clock: Clock,
    stored: Option<Arc<Notify>>,
}

impl Writer {
    /// A writer like this one, with a connection of its own.
    fn again(&self) -> Self {
        Self {
            connection: None,
            readings: self.readings.clone(),
            clock: self.clock.clone(),
            stored: self.stored.clone(),
        }
    }

    async fn run(mut self, inbox: Arc<Mutex<mpsc::UnboundedReceiver<Job>>>, most: usize) {
        let mut jobs = Vec::new();
        loop {
            let received = inbox.lock().await.recv_many(&mut jobs, most).await;
            if received == 0 {
                return;
            }
            let batch: Vec<Job> = std::mem::take(&mut jobs);
            match self.write(&batch).await {
                Ok(outcomes) => answer(batch, outcomes),
                Err(failure @ Failure::Away) => refuse(batch, failure),
                Err(failure @ Failure::Broken) if batch.len() == 1 => refuse(batch, failure),
                // One of them is to blame; the others shall not suffer for it.
                Err(Failure::Broken) => {
                    for job in batch {
                        let one = [job];
                        let outcome = self.write(&one).await;
                        match outcome {
                            Ok(outcomes) => answer(one, outcomes),
                            Err(failure) => refuse(one, failure),
                        }
                    }
                }
            }
        }
    }

    async fn write(&mut self, jobs: &[Job]) -> Result<Outcomes, Failure> {
        match tokio::time::timeout(PATIENCE, self.attempts(jobs)).await {
            Ok(Ok((outcomes, moved))) => {
                self.tell(moved);
                Ok(outcomes)
            }
            Ok(Err(error)) => {
                self.connection = None;
                let error_shown = &error as &dyn std::error::Error;
                if crate::db::is_away(&error) {
                    tracing::warn!(
                        error = error_shown,
                        requests = jobs.len(),
                        "the database is away: readings were refused"
                    );
                    return Err(Failure::Away);
                }
                tracing::error!(error = error_shown, requests = jobs.len(), "a transaction of readings failed");
                Err(Failure::Broken)
            }
            Err(_) => {
                self.connection = None;
                tracing::warn!(limit_ms = PATIENCE.as_millis(), "a transaction of readings took too long");
                Err(Failure::Away)
            }
        }
    }

    async fn attempts(&mut self, jobs: &[Job]) -> Result<(Outcomes, Vec<Moved>), sqlx::Error> {
        let blocks = || jobs.iter().flat_map(|job| &job.blocks).map(|(_, block)| block);
        self.readings.make_room(blocks()).await?;
        let first = self.attempt(jobs, false).await;
        match first.as_ref().err().and_then(|error| error.as_database_error()?.code()).as_deref() {
            // No partition: somebody dropped it. The error left the connection amid a COPY.
            Some("23514") => {
                self.connection = None;
                self.readings.forget_partitions();
                self.readings.make_room(blocks()).await?;
                self.attempt(jobs, false).await
            }
            // A frame exists although its twin knows nothing of it: a table was restored by hand.
            Some("23505") => {
                self.connection = None;
                self.attempt(jobs, true).await
            }
            _ => first,
        }
    }

    async fn attempt(&mut self, jobs: &[Job], suspicious: bool) -> Result<(Outcomes, Vec<Moved>), sqlx::Error> {
        let now = self.clock.now();
        if let Some(connection) = &mut self.connection {
            match commit(connection, jobs, now, suspicious).await {
                // The connection broke; if that was in the commit itself, the second attempt finds
                // the frames there and calls them duplicates, which they are.
                Err(error) if crate::db::is_away(&error) => self.connection = None,
                outcome => return outcome,
            }
        }
        let connection = self.connection.insert(self.living().await?);
        commit(connection, jobs, now, suspicious).await
    }

    /// A connection that answers. What broke one has often broken those that rest in the pool too, and
    /// the pool trusts them for a moment; there are no more of them than it has room for.
    async fn living(&self) -> Result<PgConnection, sqlx::Error> {
        for _ in 0..self.readings.pool.options().get_max_connections() {
            let mut connection = self.readings.pool.acquire().await?.detach();
            if connection.ping().await.is_ok() {
                return Ok(connection);
            }
        }
        Ok(self.readings.pool.acquire().await?.detach())
    }

    /// After the commit: memory follows, and whoever waits for new readings looks at once.
    fn tell(&self, moved: Vec<Moved>) {
        let any = !moved.is_empty();
        for one in moved {
            if one.only_fresh {
                self.readings.appended(one.asset, one.seq, &one.fresh);
            } else {
                self.readings.changed(one.asset);
            }
        }
        if let Some(stored) = self.stored.as_ref().filter(|_| any) {
            stored.notify_one();
        }
    }
}

fn answer(jobs: impl IntoIterator<Item = Job>, outcomes: Outcomes) {
    for (job, outcome) in jobs.into_iter().zip(outcomes) {
        // Whoever left does not want to know.
        let _ = job.reply.send(Ok(outcome));
    }
}

fn refuse(jobs: impl IntoIterator<Item = Job>, failure: Failure) {
    for job in jobs {
        let _ = job.reply.send(Err(failure));
    }
}
