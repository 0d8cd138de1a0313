//! What a live answer would have started from at a window's start: what was known there, without the readings
//! that a live answer leaves out because they lie.
//!
//! Judged by the frames up to there alone: what comes later may clear a reading of suspicion or cast it on one,
//! and must not. The truths that forecasts are compared with stay as they were measured. Where nothing is left
//! out the steps are those of the field, bit for bit.

use chrono::{DateTime, TimeDelta, Utc};

use super::field::{Field, REACH};
use crate::asset::AssetType;
use crate::features::Grid;
use crate::quality::live::{Faults, Stretch};
use crate::reading::Frame;

/// Looks back from one window's start after the other.
#[derive(Debug)]
pub(super) struct LookBack<'a> {
    asset_type: &'a AssetType,
    frames: &'a [Frame],
    /// What was found last, and in what: windows that begin in one block see the same.
    found: Option<(u64, Faults)>,
}

impl<'a> LookBack<'a> {
    /// On the frames that a field was laid on.
    pub(super) fn on(asset_type: &'a AssetType, frames: &'a [Frame]) -> Self {
        Self { asset_type, frames, found: None }
    }

    /// What was known at a window's start.
    pub(super) fn known(&mut self, field: &Field, origin: usize) -> Grid {
        let grid = &field.grid;
        let known = grid.known_before(origin, REACH);
        let half = TimeDelta::microseconds((grid.step_s * 1e6).round().max(1.0) as i64 / 2);
        let until = |at: DateTime<Utc>| self.frames.partition_point(|frame| frame.observed_at <= at + half);
        let to = until(grid.instants[origin - 1]);
        // An asset may send several frames in a step: those of all steps that are looked back on.
        let within = origin.checked_sub(REACH + 1).map_or(0, |before| until(grid.instants[before]));
        let from = within.min(to.saturating_sub(REACH));
        let (frames, most) = (&self.frames[from..to], REACH.max(to - within));
        let stretch = Stretch::of(self.asset_type, frames, most);
        let asset_type = self.asset_type;
        let same = self.found.take().filter(|(hash, _)| *hash == stretch.hash);
        let (_, faults) =
            self.found.insert(same.unwrap_or_else(|| (stretch.hash, Faults::find(asset_type, frames, stretch))));
        match faults.leave_out(frames, stretch) {
            Some(left) => known.refilled(&left),
            None => known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ask::{Inputs, Plan};
    use super::super::origin::stands;
    use super::*;
    use crate::asset::testing::asset_type;
    use crate::features::Setups;
    use crate::model::MEDIAN;

    const ORIGIN: usize = 400;

    /// A tank whose level follows its pump, with a little noise.
    fn frames() -> Vec<Frame> {
        let mut level = 3.0;
        (0..460)
            .map(|step: usize| {
                let pump = 30.0 + 10.0 * ((step / 37 * 7919) % 5) as f64;
                level += 0.05 * (0.08 * pump - level);
                let noise = 0.01 * (step as f64 * 12.989).sin();
                let observed_at = DateTime::from_timestamp(1_790_000_000 + step as i64, 0).unwrap();
                Frame { observed_at, values: vec![pump, level + noise], quality: None }
            })
            .collect()
    }

    /// What was known at [`ORIGIN`], with and without what lies, and what a linear model says of each.
    fn looked(frames: &[Frame]) -> ([Grid; 2], [Vec<f64>; 2]) {
        let kind = asset_type(1.0, &["pump", "level"]);
        let plan = Plan { windows: 1, step_size: 1, horizon: 20, inputs: Inputs::Held };
        let field = Field::lay(&kind, frames, &plan).unwrap();
        let grids = [LookBack::on(&kind, frames).known(&field, ORIGIN), field.grid.known_before(ORIGIN, REACH)];
        let said = [&grids[0], &grids[1]].map(|known| {
            let stand = stands(&kind, &field, known, ORIGIN, &plan, &Setups::default()).pop().unwrap();
            stand.arx.iter().map(|row| row[MEDIAN]).collect()
        });
        (grids, said)
    }

    fn gap(one: &[f64], other: &[f64]) -> f64 {
        one.iter().zip(other).map(|(a, b)| (a - b).abs()).sum()
    }

    #[test]
    fn of_a_sound_record_nothing_changes() {
        let ([known, raw], _) = looked(&frames());
        assert_eq!((&known.values, &known.measured), (&raw.values, &raw.measured));
        assert_eq!((known.end, known.len()), (raw.end, ORIGIN));
    }

    #[test]
    fn a_spike_before_a_start_is_not_started_from() {
        let (_, [sound, _]) = looked(&frames());
        let mut lied = frames();
        lied[ORIGIN - 3].values[1] += 5.0;
        lied[150].values[1] += 5.0;
        let ([known, raw], [with, without]) = looked(&lied);
        for at in [150, ORIGIN - 3] {
            assert!((known.values[1][at] - known.values[1][at - 1]).abs() < 1e-9, "the value before it holds");
            assert!(!known.measured[1][at] && raw.values[1][at] > 6.0);
        }
        assert_eq!((&known.values[0], known.values[1][ORIGIN - 1]), (&raw.values[0], raw.values[1][ORIGIN - 1]));
        let (with, without) = (gap(&sound, &with), gap(&sound, &without));
        assert!(with < 1.0 && without > 2.0 * with, "{with} with the spikes left out, {without} with them");
    }

    #[test]
    fn what_comes_later_decides_nothing() {
        let mut lied = frames();
        lied[ORIGIN - 3].values[1] += 5.0;
        // As it is the newest one known, it may be the plant's own way.
        lied[ORIGIN - 1].values[1] += 5.0;
        let ([known, raw], _) = looked(&lied);
        assert_eq!(known.values[1][ORIGIN - 1], raw.values[1][ORIGIN - 1]);
        let mut other = lied.clone();
        other[ORIGIN..].iter_mut().for_each(|frame| frame.values[1] = -500.0);
        let ([again, _], _) = looked(&other);
        assert_eq!((again.values, again.measured), (known.values, known.measured));
    }
}
