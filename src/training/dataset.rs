//! What is learned from and what is judged on: an asset's steps, split by time.
//!
//! The oldest 60 % of the steps teach, the next 20 % stop the training early and make the bands
//! honest, the newest 20 % judge. Of those that teach, the newer half is fresh, and the older half
//! is where the reservoir of replay is drawn from. Once there is enough history, blocks of it that
//! depend on the time alone are set aside: no job ever learns from them, so that they tell what was
//! forgotten. A window may look back into any earlier part; what it predicts lies in its own.

use std::ops::Range;

use chrono::{DateTime, Utc};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::backing::Backing;
use crate::features::{Banks, Crews, FEWEST, FRESH, Grid, Layout, Split, Subject, TargetExamples, examples};

/// Steps of the windows that are learned from.
pub(super) const STEPS: usize = 64;
/// Steps of history that three useful parts need.
pub(super) const NEEDED: usize = 384;

/// Windows at most, over all targets.
const FRESH_WINDOWS: usize = 480;
const REPLAY_WINDOWS: usize = 240;
const VALIDATION_WINDOWS: usize = 240;
const HOLDOUT_WINDOWS: usize = 240;
const OLDER_WINDOWS: usize = 160;
/// Windows of each target that each part has at most all the same.
const LEAST: usize = 32;
/// Windows from one stretch of the reservoir, where there are stretches enough.
const FROM_STRETCH: usize = 4;
/// With fewer steps in its half, the whole validation part stops the training and makes bands.
const SLICE: usize = 3 * STEPS;

/// Steps of history from which on blocks are set aside.
const LONG: usize = 2_000;
/// Steps between the starts of two blocks that are set aside, and the length of one. They are
/// counted in absolute time, so the next job sets the same ones aside. Chosen so that the oldest
/// 60 % of [`LONG`] steps hold a whole block wherever they start.
const PERIOD: i64 = 960;
const BLOCK: i64 = 160;

/// Where the parts lie, in steps of the grid. Ranges hold what windows predict.
#[derive(Debug)]
pub(super) struct Parts {
    fresh: Vec<Range<usize>>,
    old: Vec<Range<usize>>,
    pub(super) older: Vec<Range<usize>>,
    pub(super) stopping: Range<usize>,
    calibrating: Range<usize>,
    pub(super) holdout: Range<usize>,
}

/// The windows of each part, a [`TargetExamples`] for each target.
#[derive(Debug, Default)]
pub(super) struct Dataset {
    /// The newest that teach.
    pub(super) fresh: Vec<TargetExamples>,
    /// The reservoir of older ones.
    pub(super) replay: Vec<TargetExamples>,
    /// Stop the training early.
    pub(super) stopping: Vec<TargetExamples>,
    /// Make the bands honest: apart from `stopping` where there is enough history.
    pub(super) calibrating: Vec<TargetExamples>,
}

/// The windows that judge, as one version's banks answer them, a [`TargetExamples`] for each target.
#[derive(Debug, Default)]
pub(super) struct Exam {
    /// The newest.
    pub(super) holdout: Vec<TargetExamples>,
    /// Tell what was forgotten; empty without enough history.
    pub(super) older: Vec<TargetExamples>,
}

impl Parts {
    /// The parts of a grid of at least [`NEEDED`] steps.
    pub(super) fn new(grid: &Grid) -> Self {
        let n = grid.len();
        let (learned, validated) = (n * 6 / 10, n * 8 / 10);
        let aside = if n >= LONG { runs(FEWEST..learned, |step| is_set_aside(grid, step)) } else { Vec::new() };
        let taught = runs(FEWEST..learned, |step| !aside.iter().any(|range| range.contains(&step)));
        let newer = usize::midpoint(FEWEST, learned);
        let half = |from: usize, to: usize| {
            let cut = taught.iter().map(|range| range.start.max(from)..range.end.min(to));
            cut.filter(|range| range.len() >= STEPS).collect::<Vec<_>>()
        };
        let middle = usize::midpoint(learned, validated);
        let (stopping, calibrating) = if middle - learned >= SLICE {
            (learned..middle, middle..validated)
        } else {
            (learned..validated, learned..validated)
        };
        Self {
            fresh: half(newer, learned),
            // Up to the last one that begins before the newer half.
            old: half(FEWEST, (newer + STEPS - 1).min(learned)),
            older: aside.into_iter().filter(|range| range.len() >= STEPS).collect(),
            stopping,
            calibrating,
            holdout: validated..n,
        }
    }

    /// Windows that could teach, of each target: one for every step that no gap follows too soon.
    pub(super) fn usable(&self, grid: &Grid) -> usize {
        let origins = self.fresh.iter().chain(&self.old).flat_map(|range| range.start..=range.end - STEPS);
        origins.filter(|origin| !grid.breaks_within(*origin, origin + STEPS)).count()
    }

    /// Stretches of old windows, each as long as a fit of the bank may be used: by their first and
    /// last origin.
    fn stretches(&self) -> impl Iterator<Item = (usize, usize)> {
        self.old.iter().flat_map(|range| {
            let last = range.end - STEPS;
            (range.start..=last).step_by(FRESH).map(move |first| (first, (first + FRESH - 1).min(last)))
        })
    }
}

impl Dataset {
    /// Makes the windows. `seed` decides what the reservoir holds; `told` hears the share that is
    /// done and may stop.
    pub(super) fn cut<E>(
        subject: Subject<'_>,
        parts: &Parts,
        backing: &Backing,
        seed: u64,
        told: &mut dyn FnMut(f64) -> Result<(), E>,
    ) -> Result<Self, E> {
        let targets = &subject.layout.targets;
        let budget = |windows: usize| budget(subject.layout, windows);
        let replay_windows = budget(REPLAY_WINDOWS);
        let reservoir = reservoir(parts.stretches(), replay_windows.div_ceil(FROM_STRETCH), seed);
        let replayed: Vec<Range<usize>> = reservoir.iter().map(|(first, last)| *first..last + STEPS).collect();
        let mut made = Self::default();
        for (index, (&target, banks)) in targets.iter().zip(&backing.learning).enumerate() {
            let take = |ranges: &[Range<usize>], windows: usize| take(subject, target, ranges, windows, banks);
            let one = |range: &Range<usize>| take(std::slice::from_ref(range), budget(VALIDATION_WINDOWS));
            let mut told = |share: f64| told((index as f64 + share) / targets.len() as f64);
            made.fresh.push(take(&parts.fresh, budget(FRESH_WINDOWS)));
            told(0.5)?;
            made.replay.push(take(&replayed, replay_windows));
            told(0.75)?;
            made.stopping.push(one(&parts.stopping));
            made.calibrating.push(one(&parts.calibrating));
            told(1.0)?;
        }
        Ok(made)
    }
}

impl Exam {
    /// Makes the windows that judge two versions whose banks, one for each target, are built like these.
    pub(super) fn cut(subject: Subject<'_>, parts: &Parts, banks: [&[Banks]; 2]) -> [Self; 2] {
        let budget = |windows: usize| budget(subject.layout, windows);
        let mut made = [Self::default(), Self::default()];
        for (place, &target) in subject.layout.targets.iter().enumerate() {
            // Where a job holds nothing of what is fitted, both share what is fitted for one target.
            let crews = Crews::held();
            let apart = subject.layout.inputs.is_empty();
            for (made, banks) in made.iter_mut().zip(banks) {
                let banks = if apart { banks[place].clone().sharing(&crews) } else { banks[place].clone() };
                let holdout = std::slice::from_ref(&parts.holdout);
                made.holdout.push(take(subject, target, holdout, budget(HOLDOUT_WINDOWS), &banks));
                if !parts.older.is_empty() {
                    made.older.push(take(subject, target, &parts.older, budget(OLDER_WINDOWS), &banks));
                }
            }
        }
        made
    }
}

/// What each target gets of so many windows.
pub(super) fn budget(layout: &Layout, windows: usize) -> usize {
    (windows / layout.targets.len().max(1)).max(LEAST)
}

/// Windows of one target from some ranges.
fn take(subject: Subject<'_>, target: usize, ranges: &[Range<usize>], windows: usize, banks: &Banks) -> TargetExamples {
    joined(target, splits(ranges, windows).map(|split| examples(subject, target, split, STEPS, banks)))
}

/// Windows over all targets.
pub(super) fn count(parts: &[TargetExamples]) -> usize {
    parts.iter().map(|part| part.examples.len()).sum()
}

/// How many neighbours share some future with a window, at most.
pub(super) fn overlap(parts: &[TargetExamples]) -> usize {
    let most = |origins: &[usize]| {
        let shared = origins
            .iter()
            .enumerate()
            .map(|(place, origin)| origins[place..].partition_point(|other| *other < origin + STEPS));
        shared.max().unwrap_or(1)
    };
    parts.iter().map(|part| most(&part.origins)).max().unwrap_or(1)
}

/// Whether a step belongs to a block that no job learns from.
fn is_set_aside(grid: &Grid, step: usize) -> bool {
    phase(grid.instants[step], grid.step_s) < BLOCK
}

/// Steps since the start of the period that an instant lies in.
fn phase(at: DateTime<Utc>, step_s: f64) -> i64 {
    let step_us = ((step_s * 1e6).round() as i64).max(1);
    // Rounded, because grids of two jobs may differ by a fraction of a step.
    (at.timestamp_micros().saturating_add(step_us / 2)).div_euclid(step_us).rem_euclid(PERIOD)
}

/// The runs of steps that `belongs` holds for.
fn runs(within: Range<usize>, belongs: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for step in within.filter(|step| belongs(*step)) {
        match runs.last_mut() {
            Some(run) if run.end == step => run.end += 1,
            _ => runs.push(step..step + 1),
        }
    }
    runs
}

/// Shares `windows` among ranges by their length.
fn splits(ranges: &[Range<usize>], windows: usize) -> impl Iterator<Item = Split> + use<'_> {
    let total = ranges.iter().map(Range::len).sum::<usize>().max(1);
    ranges.iter().map(move |range| Split {
        from: range.start,
        to: range.end,
        windows: (windows * range.len()).div_ceil(total),
    })
}

fn joined(target: usize, parts: impl Iterator<Item = TargetExamples>) -> TargetExamples {
    let mut all = TargetExamples { target, examples: Vec::new(), scales: Vec::new(), origins: Vec::new() };
    for part in parts {
        all.examples.extend(part.examples);
        all.scales.extend(part.scales);
        all.origins.extend(part.origins);
    }
    all
}

/// A sample of a stream of which every item has the same chance (Vitter 1985, algorithm R), in the
/// order of the stream.
fn reservoir<T: Ord>(stream: impl Iterator<Item = T>, size: usize, seed: u64) -> Vec<T> {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let mut kept: Vec<T> = Vec::with_capacity(size);
    for (place, item) in stream.enumerate() {
        if kept.len() < size {
            kept.push(item);
        } else if let Some(slot) = kept.get_mut(draw.random_range(0..=place)) {
            *slot = item;
        }
    }
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::testing::asset_type;
    use crate::reading::Frame;

    fn grid(from_s: i64, steps: i64) -> Grid {
        let frames: Vec<Frame> = (from_s..from_s + steps)
            .map(|at| Frame {
                observed_at: DateTime::from_timestamp(1_790_000_000 + at, 0).unwrap(),
                values: vec![0.0, at as f64],
                quality: None,
            })
            .collect();
        Grid::new(&asset_type(1.0, &["pump", "level"]), &frames).unwrap()
    }

    fn instants(grid: &Grid, ranges: &[Range<usize>]) -> Vec<DateTime<Utc>> {
        ranges.iter().flat_map(|range| grid.instants[range.clone()].to_vec()).collect()
    }

    #[test]
    fn no_window_that_teaches_predicts_what_judges() {
        for steps in [384, 1_000, 2_000, 5_000] {
            let parts = Parts::new(&grid(0, steps));
            let taught: Vec<usize> = parts.fresh.iter().chain(&parts.old).flat_map(Clone::clone).collect();
            let judged = [&parts.stopping, &parts.calibrating, &parts.holdout];
            for range in judged.into_iter().chain(&parts.older) {
                assert!(!taught.iter().any(|step| range.contains(step)), "{steps} steps: {range:?}");
            }
            assert!(parts.holdout.end == steps as usize && parts.calibrating.end == parts.holdout.start);
        }
    }

    #[test]
    fn blocks_are_set_aside_once_there_is_enough_history() {
        for from in 0..10 {
            let older = Parts::new(&grid(from * 97, 2_000)).older;
            assert!(older.iter().any(|range| range.len() == BLOCK as usize), "from {from}: {older:?}");
        }
        assert!(Parts::new(&grid(0, 1_999)).older.is_empty());
    }

    #[test]
    fn the_next_job_sets_the_same_blocks_aside() {
        let (now, later) = (grid(0, 4_000), grid(700, 4_000));
        let (aside, later_parts) = (Parts::new(&now).older, Parts::new(&later));
        // A block that the later record begins in is too short to judge.
        let first = later.instants[FEWEST + BLOCK as usize];
        let common: Vec<_> = instants(&now, &aside).into_iter().filter(|at| *at >= first).collect();
        let aside_later = instants(&later, &later_parts.older);
        assert!(!common.is_empty() && common.iter().all(|at| aside_later.contains(at)));
        let taught = instants(&later, &[later_parts.fresh, later_parts.old].concat());
        let all = instants(&now, &aside);
        assert!(!taught.iter().any(|at| all.contains(at)));
    }

    #[test]
    fn a_gap_makes_the_windows_that_span_it_unusable() {
        let whole = grid(0, 1_000);
        let mut broken = whole.clone();
        broken.starts.push(300);
        let parts = Parts::new(&whole);
        assert_eq!(parts.usable(&whole) - parts.usable(&broken), STEPS - 1);
    }

    #[test]
    fn a_reservoir_gives_every_item_the_same_chance() {
        let mut seen = [0_u32; 20];
        for seed in 0..2_000 {
            let kept = reservoir(0..20, 5, seed);
            assert!(kept.len() == 5 && kept.is_sorted());
            kept.into_iter().for_each(|item| seen[item] += 1);
        }
        assert!(seen.iter().all(|count| (430..570).contains(count)), "{seen:?}");
        assert_eq!(reservoir(0..3, 5, 1), [0, 1, 2]);
        assert_ne!(reservoir(0..100, 5, 1), reservoir(0..100, 5, 2));
    }

    #[test]
    fn neighbours_that_share_a_future_are_counted() {
        let part =
            |origins: Vec<usize>| TargetExamples { target: 0, examples: Vec::new(), scales: Vec::new(), origins };
        assert_eq!(overlap(&[part(vec![0, 16, 32, 48, 64, 80])]), 4);
        assert_eq!(overlap(&[part(vec![0, 64, 128])]), 1);
        assert_eq!(overlap(&[]), 1);
    }
}
