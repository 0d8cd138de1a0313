//! Ingest: readings come in, whatever their form, and are answered for after the commit.
//!
//! One way for all: a body is parsed into items, [`accept`] decides what may be stored, the batcher
//! stores it together with what others sent meanwhile, and the receipt tells what became of every
//! reading. Nothing is kept in memory between the answer and the commit; a retry changes nothing.

mod accept;
mod anything;
mod batcher;
mod body;
pub mod command;
mod commit;
mod fields;
pub mod import;
mod item;
mod json;
mod receipt;
pub mod routes;
mod text;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError};

pub use body::{BodyError, Coding};
pub use receipt::{ItemError, Receipt};
pub use text::CsvOptions;

use crate::asset::{Asset, AssetError, Assets, Key};
use crate::clock::Clock;
use crate::reading::Readings;
use crate::web::problem;
use accept::{Known, Part, accept};
use batcher::{Batcher, Failure};
use item::{Parsed, Refusal, Scalar};

/// Readings of one request.
pub const MAX_READINGS: usize = 100_000;

/// Limits of the ingest path.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Requests joined into one transaction at most.
    #[arg(long, env = "COUNTERPART_INGEST_BATCH", default_value_t = 1024, value_name = "REQUESTS", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub ingest_batch: u32,

    /// Transactions at a time; each has a connection of its own.
    #[arg(long, env = "COUNTERPART_INGEST_WRITERS", default_value_t = 2, value_name = "WRITERS", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub ingest_writers: u32,

    /// MiB of request bodies that are read or wait at a time; more are told to come back.
    #[arg(long, env = "COUNTERPART_INGEST_MEMORY_MIB", default_value_t = 64, value_name = "MIB", value_parser = clap::value_parser!(u32).range(16..=2048))]
    pub ingest_memory_mib: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { ingest_batch: 1024, ingest_writers: 2, ingest_memory_mib: 64 }
    }
}

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON document.
    Json,
    /// NDJSON: a JSON document a line.
    Lines,
    /// CSV with names in its first line.
    Csv,
}

/// What a caller may choose.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Store all or nothing.
    pub atomic: bool,
    /// How CSV is to be read.
    pub csv: CsvOptions,
}

/// Why a request as a whole was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The body is not of its format.
    #[error("{0}")]
    Syntax(String),
    /// The body is not what is taken here.
    #[error("{pointer}: {detail}")]
    Form {
        /// Where.
        pointer: String,
        /// What is wrong.
        detail: String,
    },
    /// More readings than one request may bring.
    #[error("there are more than {MAX_READINGS} readings")]
    TooMany,
    /// The frames would not fit into the memory for requests.
    #[error("the readings take too much memory at once")]
    TooLarge,
    /// Too much is in work.
    #[error("too much is in work")]
    Busy,
    /// The database is away; whether anything was stored is not known if this came late.
    #[error("the database is away")]
    Away,
    /// Storing failed for a reason that was logged.
    #[error("storing failed")]
    Failed,
    /// The assets could not be read.
    #[error(transparent)]
    Asset(#[from] AssetError),
}

impl From<Refusal> for IngestError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Syntax(detail) => Self::Syntax(detail),
            Refusal::Form { pointer, detail } => Self::Form { pointer, detail },
            Refusal::TooMany => Self::TooMany,
        }
    }
}

impl From<Failure> for IngestError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Away => Self::Away,
            Failure::Broken => Self::Failed,
        }
    }
}

/// A share of the memory for requests; given back when dropped.
#[derive(Debug)]
pub struct Hold {
    permit: OwnedSemaphorePermit,
    all: Arc<Semaphore>,
}

impl Hold {
    /// Makes it this large.
    pub fn resize(&mut self, bytes: usize) -> Result<(), IngestError> {
        let held = self.permit.num_permits();
        if bytes < held {
            drop(self.permit.split(held - bytes));
        } else if bytes > held {
            self.permit.merge(take(&self.all, bytes - held)?);
        }
        Ok(())
    }
}

fn take(all: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, IngestError> {
    let bytes = u32::try_from(bytes).map_err(|_| IngestError::TooLarge)?;
    Arc::clone(all).try_acquire_many_owned(bytes).map_err(|error| match error {
        TryAcquireError::NoPermits => IngestError::Busy,
        TryAcquireError::Closed => IngestError::Away,
    })
}

/// The way in for readings. Cheap to clone; its writers end when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Ingest {
    assets: Assets,
    readings: Readings,
    clock: Clock,
    batcher: Batcher,
    memory: Arc<Semaphore>,
    memory_bytes: usize,
}

impl Ingest {
    /// The way into a database. `stored` is notified after commits.
    #[must_use]
    pub fn new(assets: Assets, readings: Readings, clock: Clock, config: &Config, stored: Option<Arc<Notify>>) -> Self {
        let memory_bytes = (config.ingest_memory_mib as usize) << 20;
        Self {
            batcher: Batcher::new(&readings, &clock, config, stored),
            memory: Arc::new(Semaphore::new(memory_bytes)),
            memory_bytes,
            assets,
            readings,
            clock,
        }
    }

    /// The assets that readings belong to.
    #[must_use]
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// Reserves memory for a body, before any of it is read.
    pub fn admit(&self, bytes: usize) -> Result<Hold, IngestError> {
        Ok(Hold { permit: take(&self.memory, bytes)?, all: Arc::clone(&self.memory) })
    }

    /// As [`Self::admit`], but waits for its turn.
    async fn admit_patiently(&self, bytes: usize) -> Result<Hold, IngestError> {
        let bytes = u32::try_from(bytes.min(self.memory_bytes)).map_err(|_| IngestError::TooLarge)?;
        let permit = Arc::clone(&self.memory).acquire_many_owned(bytes).await.map_err(|_| IngestError::Away)?;
        Ok(Hold { permit, all: Arc::clone(&self.memory) })
    }

    /// Takes in a body of one asset (`scope`) or of those that its items name.
    pub async fn take(
        &self,
        scope: Option<Arc<Asset>>,
        form: Form,
        body: &[u8],
        options: &Options,
        hold: &mut Hold,
    ) -> Result<Receipt, IngestError> {
        match form {
            Form::Json => self.store(&json::document(body, MAX_READINGS)?, scope, options.atomic, hold).await,
            Form::Lines => self.store(&json::lines(body, 0, MAX_READINGS)?, scope, options.atomic, hold).await,
            Form::Csv => {
                let header = text::Header::read(body, &options.csv, scope.is_some())?;
                let (rows, _) = header.rows(&body[header.length..], 0, MAX_READINGS)?;
                self.store(&rows, scope, options.atomic, hold).await
            }
        }
    }

    /// Stores what may be stored of the items.
    async fn store(
        &self,
        parsed: &Parsed<'_>,
        scope: Option<Arc<Asset>>,
        atomic: bool,
        hold: &mut Hold,
    ) -> Result<Receipt, IngestError> {
        let known = self.known(parsed, scope).await?;
        let now = self.clock.now().timestamp_micros();
        let (parts, mut receipt) = accept(parsed, &known, self.readings.window(), now);
        if atomic && receipt.rejected > 0 {
            let others = parts.iter().map(Part::received).sum();
            receipt.withdraw(others);
            return Ok(receipt);
        }
        if parts.is_empty() {
            return Ok(receipt);
        }
        self.commit(parts, atomic, &mut receipt, hold).await?;
        Ok(receipt)
    }

    async fn commit(
        &self,
        parts: Vec<Part>,
        atomic: bool,
        receipt: &mut Receipt,
        hold: &mut Hold,
    ) -> Result<(), IngestError> {
        let bytes: usize = parts.iter().map(|part| part.block.bytes()).sum();
        if bytes > self.memory_bytes {
            return Err(IngestError::TooLarge);
        }
        if bytes > hold.permit.num_permits() {
            hold.resize(bytes)?;
        }
        let mut blocks = Vec::with_capacity(parts.len());
        let mut shares = Vec::with_capacity(parts.len());
        for part in parts {
            shares.push((part.received(), part.swallowed, part.first, part.asset.key.clone()));
            blocks.push((part.asset.id, part.block));
        }
        let outcomes = self.batcher.submit(blocks, atomic).await?;
        for ((received, swallowed, first, key), outcome) in shares.into_iter().zip(outcomes) {
            match outcome {
                Some(counts) => {
                    receipt.received += received;
                    receipt.stored += counts.tally.stored;
                    receipt.updated += counts.tally.updated + swallowed.updated;
                    receipt.duplicates += counts.tally.duplicates + swallowed.duplicates;
                    receipt.late += counts.late;
                }
                None => receipt.reject(received, first, problem::UNKNOWN_ASSET, || {
                    let detail =
                        format!("the asset {key:?} was deleted meanwhile, or this request was atomic and another was");
                    (String::new(), detail)
                }),
            }
        }
        Ok(())
    }

    /// Finds the assets that items name: one question for all of them.
    async fn known(&self, parsed: &Parsed<'_>, scope: Option<Arc<Asset>>) -> Result<Known, IngestError> {
        if scope.is_some() {
            return Ok(Known { scope, by_key: HashMap::new() });
        }
        let mut keys: Vec<&str> = Vec::new();
        for item in &parsed.items {
            // Text that cannot be a key must not reach the database.
            if let Some(Scalar::Text(key)) = &item.asset
                && keys.last() != Some(&&**key)
                && Key::fits(key)
            {
                keys.push(key);
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(Known { scope: None, by_key: self.assets.find_many(&keys).await? })
    }
}
