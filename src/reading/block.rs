//! Frames of one asset side by side: what parsing fills and what COPY empties, without an
//! allocation per frame.

use crate::reading::instant::instant;
use crate::reading::{Frame, QUALITY_GOOD};

/// What became of readings that were put where others may lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Were not there before.
    pub stored: u64,
    /// Replaced another value of the same signal and instant.
    pub updated: u64,
    /// Were there already, value and quality.
    pub duplicates: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.stored += other.stored;
        self.updated += other.updated;
        self.duplicates += other.duplicates;
    }
}

impl Tally {
    /// Readings that changed something.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.stored + self.updated
    }
}

/// Frames of one asset. `values` and `quality` hold `width` entries a frame, in the order of the
/// type's signals; NaN is a missing value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    width: usize,
    instants: Vec<i64>,
    values: Vec<f64>,
    /// Absent as long as every reading is good.
    quality: Option<Vec<i16>>,
}

impl Block {
    /// An empty block for an asset of `width` signals.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// Signals a frame.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Frames.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instants.len()
    }

    /// Whether there is no frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instants.is_empty()
    }

    /// Microseconds since 1970 of each frame.
    #[must_use]
    pub fn instants(&self) -> &[i64] {
        &self.instants
    }

    /// The newest instant of a sorted block.
    #[must_use]
    pub fn last(&self) -> Option<i64> {
        self.instants.last().copied()
    }

    /// Values of one frame.
    #[must_use]
    pub fn values(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// Qualities of one frame; absent when all frames are good.
    #[must_use]
    pub fn quality(&self, row: usize) -> Option<&[i16]> {
        self.quality.as_ref().map(|quality| &quality[row * self.width..(row + 1) * self.width])
    }

    /// Bytes that the block holds, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let quality = self.quality.as_ref().map_or(0, Vec::len) * size_of::<i16>();
        (self.instants.len() + self.values.len()) * size_of::<f64>() + quality
    }

    /// Values that are not missing.
    #[must_use]
    pub fn readings(&self) -> u64 {
        self.values.iter().filter(|value| !value.is_nan()).count() as u64
    }

    /// Adds an empty frame and returns its row.
    pub fn push_empty(&mut self, at: i64) -> usize {
        self.instants.push(at);
        self.values.resize(self.values.len() + self.width, f64::NAN);
        if let Some(quality) = &mut self.quality {
            quality.resize(self.values.len(), QUALITY_GOOD);
        }
        self.instants.len() - 1
    }

    /// Adds a copy of another block's frame at the end.
    pub fn push_from(&mut self, other: &Self, row: usize) {
        self.insert_from(self.len(), other, row);
    }

    /// Puts a copy of another block's frame before `place`.
    pub fn insert_from(&mut self, place: usize, other: &Self, row: usize) {
        let start = place * self.width;
        self.instants.insert(place, other.instants[row]);
        self.values.splice(start..start, other.values(row).iter().copied());
        let foreign = other.quality(row).filter(|quality| quality.iter().any(|&one| one != QUALITY_GOOD));
        match (&mut self.quality, foreign) {
            (None, None) => {}
            (Some(quality), None) => {
                quality.splice(start..start, std::iter::repeat_n(QUALITY_GOOD, self.width));
            }
            (quality, Some(foreign)) => {
                let quality = quality.get_or_insert_with(|| vec![QUALITY_GOOD; self.values.len() - self.width]);
                quality.splice(start..start, foreign.iter().copied());
            }
        }
    }

    /// Adds all frames of another block at the end.
    pub fn append(&mut self, other: &Self) {
        self.instants.extend_from_slice(&other.instants);
        if self.quality.is_some() || other.quality.is_some() {
            let quality = self.quality.get_or_insert_with(|| vec![QUALITY_GOOD; self.values.len()]);
            match &other.quality {
                Some(foreign) => quality.extend_from_slice(foreign),
                None => quality.resize(quality.len() + other.values.len(), QUALITY_GOOD),
            }
        }
        self.values.extend_from_slice(&other.values);
    }

    /// Sets one reading, whatever was there.
    pub fn set(&mut self, row: usize, signal: usize, value: f64, quality: i16) {
        let at = row * self.width + signal;
        // Minus zero equals zero; stored as one of them a repeated reading stays a duplicate.
        self.values[at] = value + 0.0;
        if quality != QUALITY_GOOD || self.quality.is_some() {
            let all = self.quality.get_or_insert_with(|| vec![QUALITY_GOOD; self.values.len()]);
            all[at] = quality;
        }
    }

    /// Puts one reading where another may lie; the later one wins.
    pub fn merge(&mut self, row: usize, signal: usize, value: f64, quality: i16) -> Tally {
        let at = row * self.width + signal;
        let old_quality = self.quality.as_ref().map_or(QUALITY_GOOD, |all| all[at]);
        let tally = compare(self.values[at], old_quality, value, quality);
        if tally.duplicates == 0 {
            self.set(row, signal, value, quality);
        }
        tally
    }

    /// Puts the readings of another block's frame over those of `row`.
    pub fn merge_from(&mut self, row: usize, other: &Self, from: usize) -> Tally {
        let mut tally = Tally::default();
        for signal in 0..self.width {
            let value = other.values(from)[signal];
            if !value.is_nan() {
                let quality = other.quality(from).map_or(QUALITY_GOOD, |quality| quality[signal]);
                tally += self.merge(row, signal, value, quality);
            }
        }
        tally
    }

    /// Sorts by instant and joins frames of one instant, in the order in which they came. Returns
    /// what the joining swallowed: `updated` and `duplicates` (`stored` counts readings that moved
    /// into another frame's gaps and are still to be stored).
    pub fn tidy(&mut self) -> Tally {
        let mut swallowed = Tally::default();
        if self.instants.is_sorted_by(|a, b| a < b) {
            return swallowed;
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&row| self.instants[row]);
        let mut tidy = Self::new(self.width);
        for row in order {
            if tidy.last() == Some(self.instants[row]) {
                swallowed += tidy.merge_from(tidy.len() - 1, self, row);
            } else {
                tidy.push_from(self, row);
            }
        }
        *self = tidy;
        swallowed
    }

    /// Removes frames without any value, from row `start` on.
    pub fn drop_empty(&mut self, start: usize) {
        let empty = |block: &Self, row: usize| block.values(row).iter().all(|value| value.is_nan());
        let Some(first) = (start..self.len()).find(|&row| empty(self, row)) else { return };
        let mut kept = Self::new(self.width);
        for row in (0..first).chain((first..self.len()).filter(|&row| !empty(self, row))) {
            kept.push_from(self, row);
        }
        *self = kept;
    }

    /// The row of an instant in a sorted block, or where it belongs.
    pub fn find(&self, at: i64) -> Result<usize, usize> {
        self.instants.binary_search(&at)
    }

    /// One frame by itself.
    #[must_use]
    pub fn frame(&self, row: usize) -> Frame {
        Frame {
            observed_at: instant(self.instants[row]),
            values: self.values(row).to_vec(),
            quality: self
                .quality(row)
                .filter(|quality| quality.iter().any(|&one| one != QUALITY_GOOD))
                .map(<[i16]>::to_vec),
        }
    }
}

fn compare(old: f64, old_quality: i16, new: f64, quality: i16) -> Tally {
    if old.is_nan() {
        Tally { stored: 1, ..Tally::default() }
    } else if old.total_cmp(&(new + 0.0)).is_eq() && old_quality == quality {
        Tally { duplicates: 1, ..Tally::default() }
    } else {
        Tally { updated: 1, ..Tally::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(rows: &[(i64, [f64; 2])]) -> Block {
        let mut block = Block::new(2);
        for (at, values) in rows {
            let row = block.push_empty(*at);
            for (signal, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                block.set(row, signal, *value, QUALITY_GOOD);
            }
        }
        block
    }

    #[test]
    fn frames_of_one_instant_become_one_and_the_later_value_wins() {
        let gap = f64::NAN;
        let mut given = block(&[(2, [1.0, gap]), (1, [5.0, 6.0]), (2, [3.0, 4.0]), (1, [5.0, gap])]);
        let swallowed = given.tidy();
        assert_eq!(given, block(&[(1, [5.0, 6.0]), (2, [3.0, 4.0])]));
        assert_eq!(swallowed, Tally { stored: 1, updated: 1, duplicates: 1 });
    }

    #[test]
    fn quality_appears_when_it_is_needed_and_stays_in_line() {
        let mut given = block(&[(1, [1.0, 2.0]), (3, [1.0, 2.0])]);
        let mut other = block(&[(2, [7.0, 8.0])]);
        other.set(0, 1, 8.0, 2);
        given.insert_from(1, &other, 0);
        assert_eq!(given.quality(0), Some(&[0, 0][..]));
        assert_eq!(given.quality(1), Some(&[0, 2][..]));
        assert_eq!(given.frame(2).quality, None);
        given.append(&other);
        assert_eq!(given.quality(3), Some(&[0, 2][..]));
        assert_eq!(given.merge(3, 1, 8.0, 2).duplicates, 1);
        assert_eq!(given.merge(3, 1, 8.0, 0).updated, 1);
    }

    #[test]
    fn minus_zero_is_zero() {
        let mut given = block(&[(1, [-0.0, 1.0])]);
        assert!(given.values(0)[0].is_sign_positive());
        assert_eq!(given.merge(0, 0, -0.0, QUALITY_GOOD).duplicates, 1);
    }
}
