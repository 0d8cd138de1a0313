//! What a live answer leaves out of the readings that it starts from: what learning left out, too.
//!
//! A sensor that lied for ten minutes would otherwise spoil the scale and the experts of every answer for as
//! long as it is looked back on. All tests are too dear for every answer, so they look at blocks: what came
//! before the newest block of steps is assessed once and the findings hold until the next block begins;
//! the few frames on either side are only looked at for spikes, and the oldest for values far from all
//! others. What is found depends on the frames alone, so an answer from a past state is the answer of then.
//!
//! Two things are believed here that are not learned from: a value that stands still to the end of what
//! was assessed, which may be the plant at rest, and whole frames: their instants are the answer's.

use std::hash::{BuildHasher as _, Hasher as _};

use super::profile::Profile;
use super::qartod::{self, Reference};
use super::{Flag, Test, assess};
use crate::asset::{AssetType, Kind, Role};
use crate::reading::Frame;

/// Steps of a block.
const BLOCK: i64 = 16;
/// Frames of a full look back that are too old to be assessed, so that the same ones are for a whole block.
const EDGE: usize = 64;

/// Which of the frames of an answer are assessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    from: usize,
    to: usize,
    /// Of what is in it.
    pub hash: u64,
}

/// What the tests found in a stretch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Frame of the stretch and signal of what fails.
    failed: Vec<(usize, usize)>,
    /// For each signal that is judged: the height from which a spike fails, and what lies far from all others.
    usual: Vec<Option<Usual>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Usual {
    spike: f64,
    far: (f64, f64),
}

impl Stretch {
    /// Of frames in the order of time, of which an answer looks back on `most` at most.
    #[must_use]
    pub fn of(asset_type: &AssetType, frames: &[Frame], most: usize) -> Self {
        let block_us = ((asset_type.interval_s() * 1e6).round() as i64).max(1).saturating_mul(BLOCK);
        let begins =
            frames.last().map_or(0, |frame| frame.observed_at.timestamp_micros().div_euclid(block_us) * block_us);
        let to = frames.partition_point(|frame| frame.observed_at.timestamp_micros() < begins);
        // A short record begins where it begins.
        let from = if frames.len() < most { 0 } else { to.saturating_sub(most.saturating_sub(EDGE)) };
        let mut hasher = foldhash::fast::FixedState::default().build_hasher();
        for frame in &frames[from..to] {
            hasher.write_i64(frame.observed_at.timestamp_micros());
            frame.values.iter().for_each(|value| hasher.write_u64(value.to_bits()));
            if let Some(quality) = &frame.quality {
                quality.iter().for_each(|quality| hasher.write_i16(*quality));
            }
        }
        Self { from, to, hash: hasher.finish() }
    }
}

impl Faults {
    /// Carries out the tests on a stretch of the frames.
    #[must_use]
    pub fn find(asset_type: &AssetType, frames: &[Frame], stretch: Stretch) -> Self {
        let frames = &frames[stretch.from..stretch.to];
        let signals = &asset_type.document.signals;
        if frames.is_empty() {
            return Self { failed: Vec::new(), usual: vec![None; signals.len()] };
        }
        let assessment = assess(asset_type, frames);
        let mut failed = Vec::new();
        let mut usual = Vec::with_capacity(signals.len());
        for (place, (declared, tests)) in signals.iter().zip(&assessment.signals).enumerate() {
            if declared.kind != Kind::Number || declared.role == Role::ControlInput {
                usual.push(None);
                continue;
            }
            let still = tests.iter().find(|checked| checked.test == Test::FlatLine);
            let last = frames.iter().rposition(|frame| frame.values[place].is_finite());
            // From here to the end it stands still.
            let rests = still.zip(last).map_or(frames.len(), |(still, last)| {
                still.flags[..=last]
                    .iter()
                    .rposition(|flag| !matches!(flag, Flag::Fail | Flag::Missing))
                    .map_or(0, |at| at + 1)
            });
            let fails = |at: &usize| {
                tests
                    .iter()
                    .any(|checked| checked.flags[*at] == Flag::Fail && (checked.test != Test::FlatLine || *at < rests))
            };
            let wrong: Vec<usize> = (0..frames.len()).filter(fails).collect();
            let mut left: Vec<f64> = frames.iter().map(|frame| frame.values[place]).collect();
            wrong.iter().for_each(|at| left[*at] = f64::NAN);
            failed.extend(wrong.into_iter().map(|at| (at, place)));
            let spike = tests.iter().find(|checked| checked.test == Test::Spike);
            let spike = spike.and_then(|checked| checked.thresholds.get("fail")).copied().unwrap_or(f64::INFINITY);
            usual.push(Profile::of(&left).filter(|profile| profile.range > 0.0).map(|profile| {
                let (low, high) = profile.central;
                Usual { spike, far: (low - 3.0 * profile.range, high + 3.0 * profile.range) }
            }));
        }
        Self { failed, usual }
    }

    /// The frames without what fails, or `None` where nothing does.
    #[must_use]
    pub fn leave_out(&self, frames: &[Frame], stretch: Stretch) -> Option<Vec<Frame>> {
        let mut failed: Vec<(usize, usize)> =
            self.failed.iter().map(|(at, signal)| (stretch.from + at, *signal)).collect();
        for (signal, usual) in self.usual.iter().enumerate() {
            let Some(Usual { spike, far }) = usual else { continue };
            let value = |at: usize| frames[at].values[signal];
            let strange = |at: &usize| value(*at) < far.0 || value(*at) > far.1;
            failed.extend((0..stretch.from).filter(strange).map(|at| (at, signal)));
            // The last one of the stretch has a neighbour now.
            for at in stretch.to.saturating_sub(1).max(1)..frames.len().saturating_sub(1) {
                let trio = [value(at - 1), value(at), value(at + 1)];
                let height = qartod::spike_height(&trio, 1, Reference::Differential);
                if height.is_some_and(|height| height > *spike) {
                    failed.push((at, signal));
                }
            }
        }
        if failed.is_empty() {
            return None;
        }
        let mut left = frames.to_vec();
        failed.into_iter().for_each(|(at, signal)| left[at].values[signal] = f64::NAN);
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::asset::testing::asset_type;

    const MOST: usize = 600;

    fn kind() -> AssetType {
        asset_type(1.0, &["pump", "level", "heat"])
    }

    /// A plant that wanders, with noise.
    fn frames(count: usize) -> Vec<Frame> {
        let mut noise = 0.37_f64;
        let mut draw = || {
            noise = (noise * 9301.0 + 0.49297).fract();
            noise - 0.5
        };
        (0..count)
            .map(|k| {
                let t = k as f64;
                let observed_at = DateTime::from_timestamp(1_790_000_000 + k as i64, 0).unwrap();
                let pump = 5.0 + (t / 31.0).sin();
                let values =
                    vec![pump, 2.0 + 0.3 * (t / 40.0).sin() + 0.01 * draw(), 20.0 + (t / 90.0).cos() + 0.02 * draw()];
                Frame { observed_at, values, quality: None }
            })
            .collect()
    }

    fn cleaned(frames: &[Frame]) -> Option<Vec<Frame>> {
        let stretch = Stretch::of(&kind(), frames, MOST);
        Faults::find(&kind(), frames, stretch).leave_out(frames, stretch)
    }

    fn missing(frames: &[Frame], signal: usize) -> Vec<usize> {
        let left = cleaned(frames).unwrap_or_default();
        (0..left.len()).filter(|at| left[*at].values[signal].is_nan()).collect()
    }

    #[test]
    fn nothing_is_left_out_of_a_sound_record() {
        for count in [1, 40, 599, 600] {
            assert_eq!(cleaned(&frames(count)), None, "{count} frames");
        }
    }

    #[test]
    fn lies_of_the_past_are_left_out_and_the_rest_is_as_it_was() {
        let mut lied = frames(600);
        lied[200..300].iter_mut().for_each(|frame| frame.values[1] *= 1000.0);
        lied[400].values[2] += 30.0;
        assert_eq!(missing(&lied, 1), (200..300).collect::<Vec<_>>());
        assert_eq!(missing(&lied, 2), [400]);
        let left = cleaned(&lied).unwrap();
        assert!(left.iter().zip(&lied).all(|(left, lied)| left.observed_at == lied.observed_at));
        assert!(left.iter().zip(&lied).all(|(left, lied)| left.values[0] == lied.values[0]));
    }

    #[test]
    fn a_value_that_stands_still_is_believed_until_it_moves_again() {
        let mut stuck = frames(600);
        let at = stuck[400].values[1];
        stuck[400..].iter_mut().for_each(|frame| frame.values[1] = at);
        assert_eq!(missing(&stuck, 1), [0_usize; 0], "it may be at rest");
        let mut moves = frames(600);
        moves[300..500].iter_mut().for_each(|frame| frame.values[1] = at);
        assert_eq!(missing(&moves, 1), (301..500).collect::<Vec<_>>());
    }

    #[test]
    fn either_side_of_the_stretch_is_looked_at_for_the_worst() {
        let mut lied = frames(600);
        let stretch = Stretch::of(&kind(), &lied, MOST);
        assert!(stretch.from > 5 && stretch.to < 598, "{stretch:?}");
        lied[3].values[2] = 293.0;
        lied[597].values[2] += 40.0;
        assert_eq!(missing(&lied, 2), [3, 597]);
        let mut newest = frames(600);
        newest[599].values[2] += 40.0;
        assert_eq!(missing(&newest, 2), [0_usize; 0], "the newest may be the plant's own way");
    }

    #[test]
    fn a_stretch_stays_the_same_for_a_block_and_what_changes_in_it_changes_its_hash() {
        let all = frames(700);
        let at = |newest: usize| Stretch::of(&kind(), &all[newest + 1 - MOST..=newest], MOST);
        let begins = (640..656).find(|newest| all[*newest].observed_at.timestamp() % BLOCK == 0).unwrap();
        let first = at(begins);
        for later in 1..BLOCK as usize {
            let stretch = at(begins + later);
            assert_eq!((stretch.hash, stretch.to - stretch.from), (first.hash, first.to - first.from), "{later}");
        }
        assert_ne!(at(begins + BLOCK as usize).hash, first.hash);
        let mut late = all[begins + 1 - MOST..=begins].to_vec();
        late[300].values[1] += 1e-9;
        assert_ne!(Stretch::of(&kind(), &late, MOST).hash, first.hash);
    }
}
