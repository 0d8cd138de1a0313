//! One transaction: the frames of many requests, and the twins they move.
//!
//! The lock on an asset's twin row orders all writers of that asset, on this server and others.
//! Frames newer than the asset's newest cannot exist yet and go straight into the table by COPY; for
//! all others the rows that exist are read and merged. What changes nothing writes nothing, so a
//! repeated request leaves no trace.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::batcher::{Counts, Job};
use crate::ids::AssetId;
use crate::reading::{Block, QUALITY_GOOD, Tally, store as frames};
use crate::twin::store::{self as twins, Locked, Move};

/// What a commit did to one asset, for the hot tails.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) asset: AssetId,
    pub(super) seq: i64,
    /// Frames newer than all others.
    pub(super) fresh: Block,
    /// Whether nothing but `fresh` changed.
    pub(super) only_fresh: bool,
}

/// For each job and each of its blocks what became of it; none where the asset is gone.
pub(super) type Outcomes = Vec<Vec<Option<Counts>>>;

/// Stores all jobs in one transaction. `suspicious`: take no frame for new without looking.
pub(super) async fn commit(
    db: &mut PgConnection,
    jobs: &[Job],
    now: DateTime<Utc>,
    suspicious: bool,
) -> Result<(Outcomes, Vec<Moved>), sqlx::Error> {
    let mut assets: Vec<i64> = jobs.iter().flat_map(|job| &job.blocks).map(|(asset, _)| asset.0).collect();
    assets.sort_unstable();
    assets.dedup();

    let mut transaction = db.begin().await?;
    let mut locked = twins::lock(&mut *transaction, &assets).await?;
    if locked.len() < assets.len() {
        twins::ensure(&mut *transaction, &assets, now).await?;
        locked = twins::lock(&mut *transaction, &assets).await?;
    }
    let mut work: HashMap<AssetId, Work> =
        locked.into_iter().map(|locked| (locked.asset, Work::new(locked, suspicious))).collect();
    look_up(&mut transaction, jobs, &mut work).await?;

    let outcomes = jobs.iter().map(|job| apply(job, &mut work)).collect();
    let mut work: Vec<Work> = work.into_values().filter(Work::is_changed).collect();
    work.sort_unstable_by_key(|work| work.locked.asset);
    write(&mut transaction, &mut work, now).await?;
    transaction.commit().await?;
    Ok((outcomes, work.into_iter().map(Work::moved).collect()))
}

/// An asset within the transaction.
struct Work {
    locked: Locked,
    /// Frames newer than this cannot exist.
    end: i64,
    fresh: Block,
    /// The other frames of the jobs, merged with what exists.
    older: BTreeMap<i64, Older>,
    stored: u64,
}

struct Older {
    /// One frame.
    block: Block,
    exists: bool,
    changed: bool,
}

impl Work {
    fn new(locked: Locked, suspicious: bool) -> Self {
        let end = if suspicious { i64::MAX } else { locked.reported.newest.unwrap_or(i64::MIN) };
        Self { locked, end, fresh: Block::default(), older: BTreeMap::new(), stored: 0 }
    }

    /// Takes the number of signals from the first block: a new twin does not know it.
    fn fit(&mut self, width: usize) {
        if self.fresh.width() == 0 {
            self.fresh = Block::new(width);
            self.locked.reported.values.resize(width, f64::NAN);
            self.locked.reported.at.resize(width, i64::MIN);
        }
    }

    fn is_changed(&self) -> bool {
        !self.fresh.is_empty() || self.older.values().any(|older| older.changed)
    }

    fn take(&mut self, block: &Block) -> Counts {
        // Late is what was older than the newest frame when the request came.
        let newest = self.fresh.last().max(self.locked.reported.newest);
        let mut counts = Counts::default();
        let behind_all =
            block.instants().first().is_some_and(|first| *first > self.end && Some(*first) > self.fresh.last());
        if behind_all {
            self.fresh.append(block);
            counts.tally.stored = block.readings();
        } else {
            for row in 0..block.len() {
                let tally = self.take_row(block, row);
                if Some(block.instants()[row]) < newest {
                    counts.late += tally.changes();
                }
                counts.tally += tally;
            }
        }
        self.stored += counts.tally.stored;
        counts
    }

    fn take_row(&mut self, block: &Block, row: usize) -> Tally {
        let at = block.instants()[row];
        let width = block.width();
        let stored = || Tally {
            stored: block.values(row).iter().filter(|value| !value.is_nan()).count() as u64,
            ..Tally::default()
        };
        if at > self.end {
            return match self.fresh.find(at) {
                Ok(place) => self.fresh.merge_from(place, block, row),
                Err(place) => {
                    self.fresh.insert_from(place, block, row);
                    stored()
                }
            };
        }
        let older = self.older.entry(at).or_insert_with(|| {
            let mut one = Block::new(width);
            one.push_empty(at);
            Older { block: one, exists: false, changed: false }
        });
        let tally = older.block.merge_from(0, block, row);
        older.changed |= tally.changes() > 0;
        tally
    }

    fn moved(self) -> Moved {
        Moved {
            asset: self.locked.asset,
            seq: self.locked.seq + 1,
            only_fresh: !self.older.values().any(|older| older.changed),
            fresh: self.fresh,
        }
    }
}

/// Reads the frames that exist among those that may.
async fn look_up(db: &mut PgConnection, jobs: &[Job], work: &mut HashMap<AssetId, Work>) -> Result<(), sqlx::Error> {
    let (mut assets, mut instants) = (Vec::new(), Vec::new());
    for (asset, block) in jobs.iter().flat_map(|job| &job.blocks) {
        let Some(work) = work.get_mut(asset) else { continue };
        work.fit(block.width());
        let older = block.instants().partition_point(|at| *at <= work.end);
        instants.extend_from_slice(&block.instants()[..older]);
        assets.resize(instants.len(), asset.0);
    }
    if assets.is_empty() {
        return Ok(());
    }
    for existing in frames::existing(db, &assets, &frames::instants(&instants)).await? {
        let Some(work) = work.get_mut(&existing.asset) else { continue };
        let width = work.fresh.width();
        let mut block = Block::new(width);
        let row = block.push_empty(existing.at);
        let values = existing.values.iter().enumerate().take(width);
        for (signal, value) in values.filter(|(_, value)| !value.is_nan()) {
            let quality = existing.quality.as_ref().and_then(|quality| quality.get(signal));
            block.set(row, signal, *value, quality.copied().unwrap_or(QUALITY_GOOD));
        }
        work.older.insert(existing.at, Older { block, exists: true, changed: false });
    }
    Ok(())
}

fn apply(job: &Job, work: &mut HashMap<AssetId, Work>) -> Vec<Option<Counts>> {
    // Versions of a type that an asset may change between have the same signals; should another
    // width come all the same, it must not be mixed in.
    let fits = |work: &HashMap<AssetId, Work>, asset: &AssetId, block: &Block| {
        work.get(asset).is_some_and(|work| work.fresh.width() == block.width())
    };
    // All or nothing: one asset that is gone takes the others along.
    if job.atomic && !job.blocks.iter().all(|(asset, block)| fits(work, asset, block)) {
        return vec![None; job.blocks.len()];
    }
    let take = |(asset, block): &(AssetId, Block)| {
        if fits(work, asset, block) { work.get_mut(asset).map(|work| work.take(block)) } else { None }
    };
    job.blocks.iter().map(take).collect()
}

async fn write(db: &mut PgConnection, work: &mut [Work], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    if work.is_empty() {
        return Ok(());
    }
    // Frames older than the newest that do not exist yet: they can be copied too.
    let mut added = Vec::with_capacity(work.len());
    let mut changed = Changed::default();
    for work in work.iter_mut() {
        let mut block = Block::new(work.fresh.width());
        for (at, older) in work.older.iter().filter(|(_, older)| older.changed) {
            work.locked.reported.observe(*at, older.block.values(0));
            if older.exists {
                changed.push(work.locked.asset, *at, &older.block);
            } else {
                block.push_from(&older.block, 0);
            }
        }
        work.locked.reported.observe_block(&work.fresh);
        added.push(block);
    }
    let mut blocks: Vec<(AssetId, &Block)> = Vec::with_capacity(2 * work.len());
    for (work, added) in work.iter().zip(&added) {
        blocks.extend([added, &work.fresh].map(|block| (work.locked.asset, block)));
    }
    blocks.retain(|(_, block)| !block.is_empty());
    if !blocks.is_empty() {
        frames::append(&mut *db, &blocks, now).await?;
    }
    if !changed.assets.is_empty() {
        let instants = frames::instants(&changed.instants);
        frames::overwrite(&mut *db, &changed.assets, &instants, &changed.values, &changed.quality, now).await?;
    }
    let moves: Vec<Move<'_>> = work
        .iter()
        .map(|work| Move { asset: work.locked.asset, reported: &work.locked.reported, stored: work.stored })
        .collect();
    twins::advance(&mut *db, &moves, now).await
}

/// Rows to overwrite, as columns.
#[derive(Default)]
struct Changed {
    assets: Vec<i64>,
    instants: Vec<i64>,
    values: Vec<String>,
    quality: Vec<Option<String>>,
}

impl Changed {
    fn push(&mut self, asset: AssetId, at: i64, block: &Block) {
        self.assets.push(asset.0);
        self.instants.push(at);
        self.values.push(frames::float_text(block.values(0)));
        self.quality.push(frames::quality_text(block.quality(0)));
    }
}
