//! Frames on a regular grid: what the bank and the network compute on.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};

use crate::asset::AssetType;
use crate::event::Label;
use crate::quality::step_s;
use crate::reading::Frame;

/// A value is carried forward over at most this many missing steps; a longer silence starts a new
/// segment.
const CARRIED: i64 = 10;
/// Times by which a pause is longer than usual when it is a silence.
const UNUSUAL: usize = 2;

/// Equally spaced instants of one asset, ending at its newest frame.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Seconds between two steps.
    pub step_s: f64,
    /// Instant of the last step.
    pub end: DateTime<Utc>,
    /// Instant of each step; not equally spaced where a new segment starts.
    pub instants: Vec<DateTime<Utc>>,
    /// A row per signal of the type, with a value at every step: gaps are filled, and a signal
    /// that was never seen is NaN throughout.
    pub values: Vec<Vec<f64>>,
    /// A row per signal: whether the value was measured at that step rather than filled in.
    pub measured: Vec<Vec<bool>>,
    /// Where contiguous segments start; the first is 0.
    pub starts: Vec<usize>,
}

impl Grid {
    /// Lays ascending frames on a grid. `None` without frames.
    ///
    /// The step is the type's nominal interval, or a multiple of it where the asset reports less
    /// often. Within a step the newest value counts.
    #[must_use]
    pub fn new(asset_type: &AssetType, frames: &[Frame]) -> Option<Self> {
        let end = frames.last()?.observed_at;
        let step_s = step_s(asset_type.interval_s(), frames);
        let step_us = (step_s * 1e6).round().max(1.0) as i64;
        let end_us = end.timestamp_micros();
        let mut instants = Vec::with_capacity(frames.len());
        let mut starts = vec![0];
        // Which step each frame belongs to.
        let mut places = Vec::with_capacity(frames.len());
        let mut last: Option<i64> = None;
        for frame in frames {
            let back = end_us - frame.observed_at.timestamp_micros();
            let slot = -((back + step_us / 2) / step_us);
            let first = match last {
                Some(previous) if slot - previous > CARRIED + 1 => {
                    starts.push(instants.len());
                    slot
                }
                Some(previous) => previous + 1,
                None => slot,
            };
            let steps = (first..=slot).map(|step| end_us + step * step_us);
            instants.extend(steps.filter_map(DateTime::from_timestamp_micros));
            last = last.max(Some(slot));
            places.push(instants.len() - 1);
        }
        let signals = asset_type.document.signals.len();
        let mut values = vec![vec![f64::NAN; instants.len()]; signals];
        let mut measured = vec![vec![false; instants.len()]; signals];
        for (frame, place) in frames.iter().zip(places) {
            let rows = values.iter_mut().zip(&mut measured);
            for (signal, (value, (row, measured))) in frame.values.iter().zip(rows).enumerate() {
                if value.is_finite() && is_trusted(frame, signal) {
                    row[place] = *value;
                    measured[place] = true;
                }
            }
        }
        values.iter_mut().for_each(|row| carry(row));
        Some(Self { step_s, end, instants, values, measured, starts })
    }

    /// What was known of it when step `until - 1` was the newest: its last `reach` steps. A signal that had
    /// not been measured by then has no values, whatever it was later.
    #[must_use]
    pub fn known_before(&self, until: usize, reach: usize) -> Self {
        let from = until.saturating_sub(reach);
        let known = |(row, measured): (&Vec<f64>, &Vec<bool>)| {
            // Values stand before the first measurement too, which may have come later.
            let seen = measured[..until].contains(&true);
            if seen { row[from..until].to_vec() } else { vec![f64::NAN; until - from] }
        };
        let later = self.starts.iter().filter(|start| (from + 1..until).contains(start)).map(|start| start - from);
        Self {
            step_s: self.step_s,
            end: self.instants[until - 1],
            instants: self.instants[from..until].to_vec(),
            values: self.values.iter().zip(&self.measured).map(known).collect(),
            measured: self.measured.iter().map(|row| row[from..until].to_vec()).collect(),
            starts: std::iter::once(0).chain(later).collect(),
        }
    }

    /// The same steps with the values of these frames: those that they were laid on, without some of their
    /// values. Signals of which nothing is missing stay as they are.
    #[must_use]
    pub fn refilled(&self, frames: &[Frame]) -> Self {
        let half = TimeDelta::microseconds((self.step_s * 1e6).round().max(1.0) as i64 / 2);
        let mut refilled = self.clone();
        // Which step each frame belongs to; none where it is of a time before the first one or after the last.
        let begins = self.instants.first().map(|first| *first - half);
        let place = |frame: &Frame| {
            let place = self.instants.partition_point(|at| *at + half < frame.observed_at);
            Some(place).filter(|place| *place < self.len() && begins.is_some_and(|begins| frame.observed_at > begins))
        };
        let places: Vec<(usize, &Frame)> = frames.iter().filter_map(|frame| Some((place(frame)?, frame))).collect();
        let rows = refilled.values.iter_mut().zip(&mut refilled.measured).enumerate();
        for (signal, (kept, kept_measured)) in rows {
            let (mut row, mut measured) = (vec![f64::NAN; self.len()], vec![false; self.len()]);
            for (place, frame) in &places {
                let value = frame.values[signal];
                if value.is_finite() && is_trusted(frame, signal) {
                    row[*place] = value;
                    measured[*place] = true;
                }
            }
            let as_before = measured == *kept_measured
                && row.iter().zip(&*kept).zip(&measured).all(|((new, old), measured)| !measured || new == old);
            if as_before {
                continue;
            }
            // What was carried over from steps before the first one still is.
            if let (Some(first), [false, ..], [false, ..]) = (row.first_mut(), &measured[..], &kept_measured[..]) {
                *first = kept[0];
            }
            carry(&mut row);
            (*kept, *kept_measured) = (row, measured);
        }
        refilled
    }

    /// Whether a new segment begins between two steps of `from..to`.
    #[must_use]
    pub fn breaks_within(&self, from: usize, to: usize) -> bool {
        let next = self.starts.partition_point(|start| *start <= from);
        self.starts.get(next).is_some_and(|start| *start < to)
    }

    /// The class of each step that labels (in the order of their beginnings) name: of labels that overlap the
    /// one that began last.
    #[must_use]
    pub fn labelled<'a>(&self, labels: &'a [Label]) -> Vec<Option<&'a str>> {
        let mut classes = vec![None; self.len()];
        for label in labels {
            let first = self.instants.partition_point(|at| *at < label.start);
            let last = label.end.map_or(self.len(), |end| self.instants.partition_point(|at| *at < end));
            classes[first..last.max(first)].fill(Some(label.class.as_str()));
        }
        classes
    }

    /// Number of steps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instants.len()
    }

    /// Whether there is no step; never so for a grid that was made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instants.is_empty()
    }
}

/// Bad readings are stored, but nothing is learned from them.
fn is_trusted(frame: &Frame, signal: usize) -> bool {
    frame.quality.as_ref().and_then(|quality| quality.get(signal)).is_none_or(|quality| *quality != 2)
}

/// Stretches in which a signal was not measured for far longer than it usually is not: more than [`CARRIED`] steps, and
/// more than [`UNUSUAL`] times what 19 of 20 of its pauses last. What fills them is no reading, and to learn from it is to
/// learn that the signal stands still. A signal that is measured seldom, or told when it changes, has no such stretches.
pub(super) fn silences(measured: &[bool]) -> Vec<Range<usize>> {
    // The rule, and every prediction asks.
    if measured.iter().all(|measured| *measured) {
        return Vec::new();
    }
    let mut pauses: Vec<Range<usize>> = Vec::new();
    let mut next = 0;
    for (step, _) in measured.iter().enumerate().filter(|(_, measured)| **measured) {
        pauses.push(next..step);
        next = step + 1;
    }
    if pauses.is_empty() {
        return Vec::new();
    }
    pauses.push(next..measured.len());
    let mut lengths: Vec<usize> = pauses.iter().map(Range::len).collect();
    lengths.sort_unstable();
    let usual = lengths[(lengths.len() - 1) * 19 / 20];
    pauses.retain(|pause| pause.len() > (UNUSUAL * usual).max(CARRIED as usize));
    pauses
}

/// A value stands until the next one, and the first known one for the steps before it.
fn carry(row: &mut [f64]) {
    let mut last = row.iter().copied().find(|value| value.is_finite()).unwrap_or(f64::NAN);
    for value in row {
        if value.is_finite() {
            last = *value;
        } else {
            *value = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::testing::asset_type;

    fn frame(at_s: i64, values: &[f64]) -> Frame {
        let observed_at = DateTime::from_timestamp(1_000_000 + at_s, 0).unwrap();
        Frame { observed_at, values: values.to_vec(), quality: None }
    }

    #[test]
    fn a_pause_is_a_silence_where_it_is_longer_than_usual() {
        let row = |text: &str| text.chars().map(|c| c == 'x').collect::<Vec<_>>();
        let often = "x".repeat(40);
        assert_eq!(silences(&row(&format!("{often}{}{often}", ".".repeat(11)))), vec![40..51; 1]);
        assert!(silences(&row(&format!("{often}{}{often}", ".".repeat(10)))).is_empty(), "carried");
        assert_eq!(silences(&row(&format!("{}{often}{}", ".".repeat(12), ".".repeat(20)))), [0..12, 52..72]);
        let seldom = format!("x{}", ".".repeat(29)).repeat(30);
        assert!(silences(&row(&seldom)).is_empty(), "it is measured seldom");
        assert!(silences(&row(&".".repeat(99))).is_empty(), "it never was measured");
    }

    fn two_signals() -> AssetType {
        asset_type(1.0, &["pump", "level"])
    }

    #[test]
    fn what_is_left_out_is_filled_in_and_the_rest_stays() {
        // Two frames in a step, a step without any, and clocks that are a little off.
        let mut frames: Vec<Frame> = [0, 1000, 2050, 2400, 4980, 6000]
            .iter()
            .zip(1..)
            .map(|(at_ms, level)| {
                let observed_at = DateTime::from_timestamp_millis(1_000_000_000 + at_ms).unwrap();
                Frame { observed_at, values: vec![1.0, f64::from(level)], quality: None }
            })
            .collect();
        let grid = Grid::new(&two_signals(), &frames).unwrap();
        assert_eq!(grid.values[1], [1.0, 2.0, 4.0, 4.0, 4.0, 5.0, 6.0]);
        let same = grid.refilled(&frames);
        assert_eq!((&same.values, &same.measured, &same.starts), (&grid.values, &grid.measured, &grid.starts));
        let whole = frames.clone();
        // The newest value of the third step, and all of the sixth.
        frames[3].values[1] = f64::NAN;
        frames[4].values[1] = f64::NAN;
        let left = grid.refilled(&frames);
        assert_eq!((&left.values[0], &left.values[1]), (&grid.values[0], &vec![1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 6.0]));
        assert_eq!(left.measured[1], [true, true, true, false, false, false, true]);
        // Of a part that begins with a value carried over from before.
        let part = grid.known_before(7, 4);
        assert_eq!((&part.values[1], part.measured[1][0]), (&vec![4.0, 4.0, 5.0, 6.0], false));
        assert_eq!(part.refilled(&frames).values[1], [4.0, 4.0, 4.0, 6.0]);
        assert_eq!(part.refilled(&whole).values, part.values);
        let silent: Vec<Frame> =
            frames.iter().map(|frame| Frame { values: vec![1.0, f64::NAN], ..frame.clone() }).collect();
        assert!(grid.refilled(&silent).values[1].iter().all(|value| value.is_nan()));
    }

    #[test]
    fn short_gaps_are_carried_and_marked() {
        let frames = [frame(0, &[1.0, 5.0]), frame(1, &[1.0, 6.0]), frame(4, &[2.0, f64::NAN])];
        let grid = Grid::new(&two_signals(), &frames).unwrap();
        assert_eq!(grid.values[0], [1.0, 1.0, 1.0, 1.0, 2.0]);
        assert_eq!(grid.values[1], [5.0, 6.0, 6.0, 6.0, 6.0]);
        assert_eq!(grid.measured[1], [true, true, false, false, false]);
        assert_eq!(grid.starts, [0]);
    }

    #[test]
    fn a_long_silence_starts_a_segment() {
        let frames = [frame(0, &[1.0, 5.0]), frame(1, &[1.0, 6.0]), frame(100, &[2.0, 7.0])];
        let grid = Grid::new(&two_signals(), &frames).unwrap();
        assert_eq!(grid.len(), 3);
        assert_eq!(grid.starts, [0, 2]);
    }

    #[test]
    fn a_slower_asset_gets_a_longer_step() {
        let frames: Vec<Frame> = (0..50).map(|k| frame(k * 4, &[1.0, 5.0])).collect();
        let grid = Grid::new(&two_signals(), &frames).unwrap();
        assert!((grid.step_s - 4.0).abs() < 1e-9);
        assert_eq!(grid.len(), 50);
        assert_eq!(grid.starts, [0]);
    }

    #[test]
    fn what_was_known_at_a_step_holds_nothing_of_later_ones() {
        let frames = [
            frame(0, &[1.0, f64::NAN]),
            frame(1, &[2.0, f64::NAN]),
            frame(100, &[3.0, f64::NAN]),
            frame(101, &[4.0, 7.0]),
        ];
        let grid = Grid::new(&two_signals(), &frames).unwrap();
        assert_eq!(grid.values[1], [7.0; 4], "filled in from what came later");
        let known = grid.known_before(3, 2);
        assert_eq!((known.end, known.len(), &known.starts), (frames[2].observed_at, 2, &vec![0, 1]));
        assert_eq!(known.values[0], [2.0, 3.0]);
        assert!(known.values[1].iter().all(|value| value.is_nan()));
        assert_eq!(grid.known_before(4, 9).values, grid.values);
        assert!(grid.breaks_within(1, 3) && !grid.breaks_within(2, 4) && !grid.breaks_within(0, 2));
    }

    #[test]
    fn bad_readings_do_not_count() {
        let mut bad = frame(1, &[9.0, 9.0]);
        bad.quality = Some(vec![0, 2]);
        let grid = Grid::new(&two_signals(), &[frame(0, &[1.0, 5.0]), bad]).unwrap();
        assert_eq!(grid.values[1], [5.0, 5.0]);
        assert_eq!(grid.values[0], [1.0, 9.0]);
    }
}
