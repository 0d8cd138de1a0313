//! Hot tails: the newest frames of active assets in memory, so that the state, a model's context
//! and a dashboard need no SQL.
//!
//! A tail is true for one `seq` of its twin. It begins when somebody asks for it, grows by what this
//! server commits right at its end, and is dropped when anything else happened to the asset: late or
//! changed readings, or commits of another server. Bounded in bytes; the tail unused for longest goes
//! first.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::AssetId;
use crate::reading::{Block, Frame};

/// Frames that a tail keeps; a model's context is shorter.
pub const TAIL_FRAMES: usize = 2048;
/// A tail is cut when it is this much too long, not at every frame.
const SLACK: usize = TAIL_FRAMES / 4;
/// What a frame costs beside its values: two vectors, the instant, the allocator.
const FRAME_OVERHEAD: usize = 96;

/// The newest frames of an asset, oldest first; shared with the tail that keeps them.
#[derive(Clone, Default)]
pub struct Recent {
    frames: Arc<Vec<Frame>>,
    /// Place of the first one that was asked for.
    from: usize,
}

impl Recent {
    /// The last `count` of `frames`, or all of them.
    pub(super) fn newest(frames: Arc<Vec<Frame>>, count: usize) -> Self {
        let from = frames.len().saturating_sub(count);
        Self { frames, from }
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_list().entries(self.iter()).finish()
    }
}

impl From<Vec<Frame>> for Recent {
    fn from(frames: Vec<Frame>) -> Self {
        Self { frames: Arc::new(frames), from: 0 }
    }
}

impl Deref for Recent {
    type Target = [Frame];

    fn deref(&self) -> &[Frame] {
        &self.frames[self.from..]
    }
}

#[derive(Clone, Debug)]
pub(super) struct Tails(Arc<Mutex<Held>>);

#[derive(Debug)]
struct Held {
    tails: HashMap<AssetId, Tail>,
    bytes: usize,
    at_most: usize,
    /// Counts uses, as the clock of "unused for longest".
    uses: u64,
}

#[derive(Debug)]
struct Tail {
    seq: i64,
    frames: Arc<Vec<Frame>>,
    /// Whether these are all frames of the asset.
    complete: bool,
    bytes: usize,
    used: u64,
}

impl Tails {
    pub(super) fn new(at_most: usize) -> Self {
        Self(Arc::new(Mutex::new(Held { tails: HashMap::new(), bytes: 0, at_most, uses: 0 })))
    }

    /// The newest frames, if the tail is at least as new as `seq` and long enough.
    pub(super) fn recent(&self, asset: AssetId, seq: i64, count: usize) -> Option<Recent> {
        let mut held = self.lock();
        held.uses += 1;
        let uses = held.uses;
        let tail = held.tails.get_mut(&asset)?;
        if tail.seq < seq || (tail.frames.len() < count && !tail.complete) {
            return None;
        }
        tail.used = uses;
        Some(Recent::newest(tail.frames.clone(), count))
    }

    /// Keeps what was read from the table in the snapshot of `seq`.
    pub(super) fn keep(&self, asset: AssetId, seq: i64, frames: Arc<Vec<Frame>>, complete: bool) {
        let mut held = self.lock();
        held.remove(asset);
        held.uses += 1;
        let bytes = frames.iter().map(cost).sum();
        let tail = Tail { seq, frames, complete, bytes, used: held.uses };
        held.bytes += bytes;
        held.tails.insert(asset, tail);
        held.shrink();
    }

    /// Adds frames that a commit put right at the end, moving the twin from `seq - 1` to `seq`.
    pub(super) fn append(&self, asset: AssetId, seq: i64, block: &Block) {
        let mut held = self.lock();
        let Some(tail) = held.tails.get_mut(&asset) else { return };
        let first = block.instants().first().copied();
        let newer = tail.frames.last().map(|frame| frame.observed_at.timestamp_micros()) < first;
        if tail.seq + 1 != seq || !newer {
            held.remove(asset);
            return;
        }
        // Copies only when somebody still reads the old frames.
        let frames = Arc::make_mut(&mut tail.frames);
        let skipped = block.len().saturating_sub(TAIL_FRAMES);
        frames.extend((skipped..block.len()).map(|row| block.frame(row)));
        if frames.len() > TAIL_FRAMES + SLACK {
            let surplus = frames.len() - TAIL_FRAMES;
            frames.drain(..surplus);
            frames.shrink_to(TAIL_FRAMES + SLACK);
            tail.complete = false;
        }
        tail.complete &= skipped == 0;
        tail.seq = seq;
        let before = tail.bytes;
        tail.bytes = frames.len() * frames.last().map_or(0, cost);
        let after = tail.bytes;
        held.bytes = held.bytes + after - before;
        held.shrink();
    }

    /// Forgets the tail of an asset to which something else happened.
    pub(super) fn drop_one(&self, asset: AssetId) {
        self.lock().remove(asset);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn remove(&mut self, asset: AssetId) {
        if let Some(tail) = self.tails.remove(&asset) {
            self.bytes -= tail.bytes;
        }
    }

    fn shrink(&mut self) {
        while self.bytes > self.at_most {
            let Some(oldest) = self.tails.iter().min_by_key(|(_, tail)| tail.used).map(|(asset, _)| *asset) else {
                return;
            };
            self.remove(oldest);
        }
    }
}

fn cost(frame: &Frame) -> usize {
    FRAME_OVERHEAD
        + frame.values.len() * size_of::<f64>()
        + frame.quality.as_ref().map_or(0, |quality| quality.len() * size_of::<i16>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUMP: AssetId = AssetId(1);

    fn block(instants: std::ops::Range<i64>) -> Block {
        let mut block = Block::new(1);
        for at in instants {
            let row = block.push_empty(at);
            block.set(row, 0, at as f64, 0);
        }
        block
    }

    fn frames(instants: std::ops::Range<i64>) -> Arc<Vec<Frame>> {
        let block = block(instants);
        Arc::new((0..block.len()).map(|row| block.frame(row)).collect())
    }

    fn values(frames: Option<Recent>) -> Option<Vec<f64>> {
        frames.map(|frames| frames.iter().map(|frame| frame.values[0]).collect())
    }

    #[test]
    fn a_tail_follows_the_commits_right_at_its_end() {
        let tails = Tails::new(1 << 20);
        assert!(tails.recent(PUMP, 1, 3).is_none());
        tails.append(PUMP, 1, &block(0..3));
        assert!(tails.recent(PUMP, 1, 3).is_none(), "nobody asked for it yet");
        tails.keep(PUMP, 5, frames(0..3), true);
        tails.append(PUMP, 6, &block(3..5));
        assert_eq!(values(tails.recent(PUMP, 6, 3)), Some(vec![2.0, 3.0, 4.0]));
        assert_eq!(values(tails.recent(PUMP, 6, 100)).map(|all| all.len()), Some(5), "there are no more");
        assert!(tails.recent(PUMP, 7, 3).is_none(), "another server was faster");
    }

    #[test]
    fn a_gap_or_an_older_frame_drops_it() {
        let tails = Tails::new(1 << 20);
        tails.keep(PUMP, 5, frames(0..3), true);
        tails.append(PUMP, 7, &block(3..4));
        assert!(tails.recent(PUMP, 5, 1).is_none());
        tails.keep(PUMP, 5, frames(0..3), true);
        tails.append(PUMP, 6, &block(2..4));
        assert!(tails.recent(PUMP, 5, 1).is_none());
    }

    #[test]
    fn long_tails_are_cut_and_say_that_they_are_not_all() {
        let tails = Tails::new(usize::MAX);
        tails.keep(PUMP, 1, frames(0..10), true);
        let end = (TAIL_FRAMES + SLACK + 10) as i64;
        tails.append(PUMP, 2, &block(10..end));
        let kept = values(tails.recent(PUMP, 2, TAIL_FRAMES)).expect("long enough");
        assert_eq!((kept.len(), kept[0]), (TAIL_FRAMES, (end - TAIL_FRAMES as i64) as f64));
        assert!(tails.recent(PUMP, 2, TAIL_FRAMES + SLACK).is_none());
    }

    #[test]
    fn the_tail_unused_for_longest_makes_room() {
        let one = cost(&frames(0..1)[0]) * 10;
        let tails = Tails::new(2 * one);
        for id in 1..=2 {
            tails.keep(AssetId(id), 1, frames(0..10), true);
        }
        assert!(tails.recent(AssetId(1), 1, 1).is_some());
        tails.keep(AssetId(3), 1, frames(0..10), true);
        assert!(tails.recent(AssetId(2), 1, 1).is_none());
        assert!(tails.recent(AssetId(1), 1, 1).is_some() && tails.recent(AssetId(3), 1, 1).is_some());
    }
}
