//! Whether one forecaster is better than another on the same windows, or merely luckier.
//!
//! Losses of neighbouring windows hang together (their futures overlap), so whole blocks are
//! drawn, from the circle, and the two forecasters are compared window by window.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Outcome of comparing a challenger with an incumbent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Paired {
    /// Windows compared.
    pub windows: usize,
    /// Share of the incumbent's loss that the challenger saves: 0.01 is one percent better.
    pub improvement: f64,
    /// Lower end of the interval that holds the improvement with 95 % probability.
    pub low: f64,
    /// Upper end of that interval.
    pub high: f64,
    /// Share of the resamples in which the challenger was better, 0..1.
    pub probability: f64,
}

/// Resamples of a comparison that decides something: the probability that they find is within 0.005 of what all there
/// are would find, so that no verdict hangs on the seed (with 1,000 one of 0.95 is off by 0.014).
pub const RESAMPLES: usize = 10_000;

/// Compares per-window losses (lower is better) by a circular block bootstrap.
///
/// `block` is the least length of a block in windows: twice the number of neighbours whose futures
/// overlap keeps most of what hangs together. It grows to the cube root of the number of windows
/// and never beyond a third of it. Few blocks make a bootstrap too sure of itself, so what it finds
/// is widened as Student's t widens the normal distribution.
/// `None` when the lengths differ, a loss is not finite, the incumbent made no error at all, or
/// there are fewer than three windows.
#[must_use]
pub fn paired_block_bootstrap(
    challenger: &[f64],
    incumbent: &[f64],
    block: usize,
    resamples: usize,
    seed: u64,
) -> Option<Paired> {
    let windows = challenger.len();
    let finite = challenger.iter().chain(incumbent).all(|loss| loss.is_finite());
    let total: f64 = incumbent.iter().sum();
    if windows < 3 || windows != incumbent.len() || resamples == 0 || !finite || total <= 0.0 {
        return None;
    }
    let block = block.max((windows as f64).cbrt().ceil() as usize).clamp(1, windows / 3);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let observed = improvement(challenger.iter().sum(), total);
    let widening = widening(windows as f64 / block as f64);
    let (challenger, incumbent) = (Circle::of(challenger), Circle::of(incumbent));
    let mut improvements: Vec<f64> = (0..resamples)
        .map(|_| {
            let (mut new, mut old) = (0.0, 0.0);
            for drawn in (0..windows).step_by(block) {
                let start = rng.random_range(0..windows);
                let end = start + block.min(windows - drawn);
                new += challenger.sum(start, end);
                old += incumbent.sum(start, end);
            }
            observed + widening * (improvement(new, old) - observed)
        })
        .collect();
    improvements.sort_by(f64::total_cmp);
    let better = improvements.iter().filter(|improvement| **improvement > 0.0).count();
    let rank = |share: f64| improvements[((resamples - 1) as f64 * share).round() as usize];
    Some(Paired {
        windows,
        improvement: observed,
        low: rank(0.025),
        high: rank(0.975),
        probability: better as f64 / resamples as f64,
    })
}

/// Sums of the losses before each window, twice around: the sum of any block is one difference.
struct Circle(Vec<f64>);

impl Circle {
    fn of(losses: &[f64]) -> Self {
        let mut sums = Vec::with_capacity(2 * losses.len() + 1);
        sums.push(0.0);
        sums.extend(losses.iter().chain(losses).scan(0.0, |sum, loss| {
            *sum += loss;
            Some(*sum)
        }));
        Self(sums)
    }

    /// Of the windows from `start` to before `end`.
    fn sum(&self, start: usize, end: usize) -> f64 {
        self.0[end] - self.0[start]
    }
}

/// How much wider Student's t with one degree of freedom less than there are blocks is than the
/// normal distribution at its 99 % quantile, to first order (Cornish and Fisher), with the
/// deviation corrected for the mean that was taken from the same blocks.
fn widening(blocks: f64) -> f64 {
    let freedom = blocks - 1.0;
    let z: f64 = 2.326;
    (blocks / freedom).sqrt() * (1.0 + (z * z + 1.0) / (4.0 * freedom))
}

/// Share of `old` that `new` saves. A resample may hold only windows without any old error: then
/// nothing was saved, or all was lost.
fn improvement(new: f64, old: f64) -> f64 {
    if old > 0.0 {
        1.0 - new / old
    } else if new > 0.0 {
        -1.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noise(seed: u64, count: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut level = 0.0;
        (0..count)
            .map(|_| {
                level = 0.7 * level + rng.random_range(-0.1..0.1);
                1.0 + level
            })
            .collect()
    }

    #[test]
    fn a_clear_improvement_is_certain() {
        let incumbent = noise(1, 120);
        let challenger: Vec<f64> = incumbent.iter().map(|loss| 0.9 * loss).collect();
        let paired = paired_block_bootstrap(&challenger, &incumbent, 4, 500, 7).unwrap();
        assert!((paired.improvement - 0.1).abs() < 1e-9);
        assert!((paired.low - 0.1).abs() < 1e-9 && (paired.high - 0.1).abs() < 1e-9);
        assert!((paired.probability - 1.0).abs() < 1e-12);
    }

    #[test]
    fn mere_luck_is_seldom_certain() {
        let certain = (0..200).filter(|&seed| {
            let paired =
                paired_block_bootstrap(&noise(2 * seed, 100), &noise(2 * seed + 1, 100), 16, 300, seed).unwrap();
            paired.low > 0.0
        });
        let certain = certain.count();
        assert!(certain <= 10, "{certain} of 200; about 5 are expected");
    }

    #[test]
    fn the_seed_decides_nothing() {
        let (incumbent, mut challenger) = (noise(5, 142), noise(6, 142));
        challenger.iter_mut().for_each(|loss| *loss *= 0.97);
        let probability = |seed| {
            paired_block_bootstrap(&challenger, &incumbent, 47, RESAMPLES, seed).map(|paired| paired.probability)
        };
        let all: Vec<f64> = (0..10).filter_map(probability).collect();
        let (least, most) = all.iter().fold((1.0_f64, 0.0_f64), |(least, most), p| (least.min(*p), most.max(*p)));
        assert!(all.len() == 10 && (0.05..0.95).contains(&least) && most - least < 0.02, "{least} to {most}");
    }

    #[test]
    fn what_cannot_be_compared_is_none() {
        assert_eq!(paired_block_bootstrap(&[1.0; 5], &[1.0; 4], 1, 100, 0), None);
        assert_eq!(paired_block_bootstrap(&[1.0; 2], &[1.0; 2], 1, 100, 0), None);
        assert_eq!(paired_block_bootstrap(&[1.0; 5], &[0.0; 5], 1, 100, 0), None);
        assert_eq!(paired_block_bootstrap(&[1.0, f64::NAN, 1.0], &[1.0; 3], 1, 100, 0), None);
    }

    proptest! {
        #[test]
        fn the_same_seed_gives_the_same_answer_and_the_interval_is_ordered(
            pairs in prop::collection::vec((0.1..2.0_f64, 0.1..2.0_f64), 3..60), seed in any::<u64>(), block in 0..20_usize,
        ) {
            let (new, old): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let paired = paired_block_bootstrap(&new, &old, block, 50, seed).unwrap();
            prop_assert_eq!(Some(paired), paired_block_bootstrap(&new, &old, block, 50, seed));
            prop_assert!(paired.low <= paired.high);
            prop_assert!((0.0..=1.0).contains(&paired.probability));
        }
    }
}
