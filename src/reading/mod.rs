//! Readings: what was measured, as frames of one asset at one instant.
//!
//! A frame's values lie in the order of the signals of the asset's type; NaN stands for a missing
//! value here and becomes null in SQL and JSON. Values are finite. A frame is identified by asset and
//! instant, so storing the same thing again changes nothing. Readings come in through `ingest/`;
//! deleting single readings is deliberately absent.

mod block;
mod copy;
pub mod history;
pub mod instant;
mod lttb;
mod partition;
pub mod routes;
pub mod store;
mod tail;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, TimeDelta, Utc};
use sqlx::PgPool;

pub use block::{Block, Tally};
pub use tail::{Recent, TAIL_FRAMES};

use crate::clock::Clock;
use crate::ids::AssetId;
use partition::Partitions;
use tail::Tails;

/// A reading that its source vouches for.
pub const QUALITY_GOOD: i16 = 0;
/// A reading that may be wrong: out of its limits, or marked so by its source.
pub const QUALITY_UNCERTAIN: i16 = 1;
/// A reading that its source says is wrong.
pub const QUALITY_BAD: i16 = 2;

/// Beyond this a value is infinite to the model, which computes in 32 bits.
pub const LARGEST_VALUE: f64 = 3.4e38;

const MAINTENANCE_EVERY: Duration = Duration::from_hours(1);
const MAINTENANCE_RETRY: Duration = Duration::from_secs(30);

/// How long readings are kept, and how many in memory.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Days that readings are kept; without it for ever. Whole days (or months of imported history)
    /// are dropped.
    #[arg(long, env = "COUNTERPART_READING_RETENTION_DAYS", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub reading_retention_days: Option<u32>,

    /// MiB of memory for the newest frames of active assets.
    #[arg(long, env = "COUNTERPART_READING_TAIL_MIB", default_value_t = 256, value_name = "MIB")]
    pub reading_tail_mib: usize,

    /// Seconds that a reading may lie in the future before it is refused.
    #[arg(long, env = "COUNTERPART_READING_CLOCK_SKEW_S", default_value_t = 600, value_name = "SECONDS")]
    pub reading_clock_skew_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { reading_retention_days: None, reading_tail_mib: 256, reading_clock_skew_s: 600 }
    }
}

/// The readings of one asset at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Event time: when it was so at the asset.
    pub observed_at: DateTime<Utc>,
    /// In the order of the type's signals; NaN is missing. Booleans are 0 and 1, enum values the
    /// position of their label.
    pub values: Vec<f64>,
    /// In the order of `values`: 0 good, 1 uncertain, 2 bad; absent when all are good.
    pub quality: Option<Vec<i16>>,
}

/// Why readings cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A parameter of a question makes no sense.
    #[error("{parameter}: {detail}")]
    Invalid {
        /// Which.
        parameter: &'static str,
        /// What is wrong with it.
        detail: String,
    },
}

/// Instants that readings may have, in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The oldest that is kept.
    pub oldest: i64,
    /// Now and the clock skew that is allowed.
    pub newest: i64,
}

/// What maintenance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Partitions that retention dropped.
    pub dropped: usize,
}

/// The readings of all assets.
#[derive(Clone, Debug)]
pub struct Readings {
    pub(crate) pool: PgPool,
    pub(crate) clock: Clock,
    config: Config,
    partitions: Partitions,
    tails: Tails,
}

impl Readings {
    /// The readings in a database.
    #[must_use]
    pub fn new(pool: PgPool, clock: Clock, config: &Config) -> Self {
        Self {
            partitions: Partitions::new(pool.clone()),
            tails: Tails::new(config.reading_tail_mib << 20),
            config: config.clone(),
            pool,
            clock,
        }
    }

    /// The newest `count` frames (or all, if there are fewer), oldest first, at least as new as the
    /// twin's `seq`. From memory when this server has them.
    pub async fn recent(&self, asset: AssetId, seq: i64, count: usize) -> Result<Recent, ReadingError> {
        if let Some(frames) = self.tails.recent(asset, seq, count) {
            return Ok(frames);
        }
        let wanted = count.max(TAIL_FRAMES);
        let (seen, mut frames) = store::newest_with_seq(&self.pool, asset, wanted as i64).await?;
        frames.reverse();
        let frames = Arc::new(frames);
        if !frames.is_empty() {
            self.tails.keep(asset, seen, frames.clone(), frames.len() < wanted);
        }
        Ok(Recent::newest(frames, count))
    }

    /// The newest `count` frames at or before an instant, oldest first.
    pub async fn until(&self, asset: AssetId, until: DateTime<Utc>, count: usize) -> Result<Vec<Frame>, ReadingError> {
        let mut frames = store::until(&self.pool, asset, until, count as i64).await?;
        frames.reverse();
        Ok(frames)
    }

    /// The newest `count` frames, oldest first, from the table.
    pub async fn newest(&self, asset: AssetId, count: usize) -> Result<Vec<Frame>, ReadingError> {
        let (_, mut frames) = store::newest_with_seq(&self.pool, asset, count as i64).await?;
        frames.reverse();
        Ok(frames)
    }

    /// All frames from one instant up to but not including another, oldest first.
    pub async fn range(
        &self,
        asset: AssetId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<Frame>, ReadingError> {
        Ok(store::range(&self.pool, asset, from, to, i64::MAX).await?)
    }

    /// The first `count` frames from one instant up to but not including another, oldest first.
    pub async fn oldest_of(
        &self,
        asset: AssetId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        count: usize,
    ) -> Result<Vec<Frame>, ReadingError> {
        Ok(store::range(&self.pool, asset, from, to, count as i64).await?)
    }

    /// The instants that readings may have now.
    #[must_use]
    pub fn window(&self) -> Window {
        let now = self.clock.now();
        let oldest = self.keep_from(now).unwrap_or(DateTime::UNIX_EPOCH).max(DateTime::UNIX_EPOCH);
        let newest = now + TimeDelta::seconds(i64::from(self.config.reading_clock_skew_s));
        Window { oldest: oldest.timestamp_micros(), newest: newest.timestamp_micros() }
    }

    /// Makes the partitions that frames of these blocks need. Not part of the transaction that
    /// writes them: a partition without frames harms nobody.
    pub async fn make_room<'a>(&self, blocks: impl Iterator<Item = &'a Block>) -> Result<(), sqlx::Error> {
        let mut days = BTreeSet::new();
        let mut last = None;
        for micros in blocks.flat_map(Block::instants) {
            let day = partition::day_of(*micros);
            if last.replace(day) != Some(day) {
                days.insert(day);
            }
        }
        self.partitions.ensure(&days).await
    }

    /// Forgets which partitions there are: one turned out to be gone.
    pub fn forget_partitions(&self) {
        self.partitions.forget();
    }

    /// Tells the hot tail of a commit that put nothing but these frames, newer than all others, and
    /// moved the twin to `seq`.
    pub fn appended(&self, asset: AssetId, seq: i64, block: &Block) {
        self.tails.append(asset, seq, block);
    }

    /// Tells the hot tail of a commit that changed older frames, or of the asset's end.
    pub fn changed(&self, asset: AssetId) {
        self.tails.drop_one(asset);
    }

    /// One round of maintenance: partitions of the coming days, and retention.
    pub async fn maintain(&self) -> Result<Maintained, ReadingError> {
        let now = self.clock.now();
        self.partitions.ahead(now).await?;
        let dropped = match self.keep_from(now) {
            Some(day) => self.partitions.drop_before(day.date_naive()).await?,
            None => 0,
        };
        Ok(Maintained { dropped })
    }

    /// Maintains for ever; to be spawned and dropped with the server.
    pub async fn keep_maintained(self) {
        loop {
            let pause = match self.maintain().await {
                Ok(_) => MAINTENANCE_EVERY,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "maintenance of readings failed, will retry"
                    );
                    MAINTENANCE_RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn keep_from(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let days = Days::new(u64::from(self.config.reading_retention_days?));
        Some(now.date_naive().checked_sub_days(days)?.and_time(chrono::NaiveTime::MIN).and_utc())
    }
}
