//! Small changes that last: two-sided cumulative sums (Page 1954) of several channels at once.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::moments;

/// Half of the change that is to be found fastest, in deviations of a channel.
const ALLOWANCE: f64 = 0.25;
/// Steps that are drawn from the history together: longer than what residuals remember.
const BLOCK: usize = 32;
/// Runs that the threshold is taken from.
const RUNS: usize = 100;
/// A sum grows to this multiple of the threshold at most, so that it is soon back when a change is over.
const CAP: f64 = 1.1;

/// Cumulative sums with a threshold for a wanted run length.
#[derive(Clone, Debug)]
pub struct Cusum {
    centre: Vec<f64>,
    /// 0 for a channel that never moved, which is not watched.
    scale: Vec<f64>,
    /// In deviations.
    threshold: f64,
    /// Steps of normal operation between two false alarms, on average over all channels together.
    run_length: usize,
}

/// How the sums stand at a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CusumStep {
    /// The largest of all sums, as a share of the threshold: an alarm from 1 on, and 1.1 at most.
    pub ratio: f64,
    /// Whose it is.
    pub channel: usize,
    /// Whether the channel is above what is expected of it.
    pub above: bool,
    /// Steps since that sum was last 0: when the change is likely to have begun.
    pub since: usize,
}

/// One channel's sums, and when each was last 0.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    above: f64,
    below: f64,
    above_for: usize,
    below_for: usize,
}

impl Sums {
    fn add(&mut self, z: f64) {
        if z.is_finite() {
            self.above = (self.above + z - ALLOWANCE).max(0.0);
            self.below = (self.below - z - ALLOWANCE).max(0.0);
        }
        self.above_for = if self.above > 0.0 { self.above_for + 1 } else { 0 };
        self.below_for = if self.below > 0.0 { self.below_for + 1 } else { 0 };
    }

    /// The same with an alarm at `threshold`: a sum that gave one begins anew once it is below it, so that
    /// a change that is over is not told of until the sum has worn off.
    fn watch(&mut self, z: f64, threshold: f64) {
        let (above, below) = (self.above >= threshold, self.below >= threshold);
        self.add(z);
        (self.above, self.below) = (self.above.min(CAP * threshold), self.below.min(CAP * threshold));
        if above && self.above < threshold {
            (self.above, self.above_for) = (0.0, 0);
        }
        if below && self.below < threshold {
            (self.below, self.below_for) = (0.0, 0);
        }
    }

    fn most(&self) -> f64 {
        self.above.max(self.below)
    }
}

impl Cusum {
    /// Learns from channels of normal operation (equally long; NaN is missing): the threshold is such
    /// that a false alarm of any channel comes once in `run_length` steps on average.
    ///
    /// Blocks of the history are drawn, all channels together, so that what hangs together stays so.
    /// The time to a false alarm is close to exponential: the threshold is the level that the largest
    /// sum stays below over `run_length` steps with a probability of 1/e.
    #[must_use]
    pub fn learn(channels: &[Vec<f64>], run_length: usize, seed: u64) -> Self {
        let (mut centre, mut scale) = (Vec::new(), Vec::new());
        for channel in channels {
            let (mean, deviation, _) = moments(channel);
            let moves = deviation.is_finite() && deviation > 1e-12 * mean.abs().max(f64::MIN_POSITIVE);
            centre.push(mean);
            scale.push(if moves { deviation } else { 0.0 });
        }
        let mut cusum = Self { centre, scale, threshold: f64::MAX, run_length };
        let steps = channels.first().map_or(0, Vec::len);
        let block = BLOCK.min(steps / 4).max(1);
        if steps == 0 || cusum.scale.iter().all(|scale| *scale <= 0.0) {
            return cusum;
        }
        // Row by row, so that a block is read from one place.
        let rows: Vec<f64> =
            (0..steps).flat_map(|step| cusum.standardised(channels, step).collect::<Vec<_>>()).collect();
        let width = channels.len();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut largest: Vec<f64> = (0..RUNS)
            .map(|_| {
                let (mut sums, mut most, mut done) = (vec![Sums::default(); width], 0.0_f64, 0);
                while done < run_length {
                    let start = rng.random_range(0..=steps - block);
                    for row in rows[start * width..(start + block) * width].chunks(width) {
                        for (sums, z) in sums.iter_mut().zip(row) {
                            sums.add(*z);
                            most = most.max(sums.most());
                        }
                    }
                    done += block;
                }
                most
            })
            .collect();
        largest.sort_by(f64::total_cmp);
        let rank = (RUNS as f64 * (-1.0_f64).exp()) as usize;
        cusum.threshold = largest[rank].max(1.0);
        cusum
    }

    /// The sums along channels, beginning at 0.
    #[must_use]
    pub fn run(&self, channels: &[Vec<f64>]) -> Vec<CusumStep> {
        let mut sums = vec![Sums::default(); self.scale.len()];
        (0..channels.first().map_or(0, Vec::len))
            .map(|step| {
                for (sums, z) in sums.iter_mut().zip(self.standardised(channels, step)) {
                    sums.watch(z, self.threshold);
                }
                let largest = sums.iter().enumerate().max_by(|one, other| one.1.most().total_cmp(&other.1.most()));
                let none = CusumStep { ratio: 0.0, channel: 0, above: true, since: 0 };
                largest.map_or(none, |(channel, sums)| {
                    let above = sums.above >= sums.below;
                    let since = if above { sums.above_for } else { sums.below_for };
                    CusumStep { ratio: sums.most() / self.threshold, channel, above, since }
                })
            })
            .collect()
    }

    /// Steps of normal operation between two false alarms on average.
    #[must_use]
    pub fn run_length(&self) -> usize {
        self.run_length
    }

    fn standardised<'a>(&'a self, channels: &'a [Vec<f64>], step: usize) -> impl Iterator<Item = f64> + 'a {
        let scales = self.centre.iter().zip(&self.scale);
        channels.iter().zip(scales).map(move |(channel, (centre, scale))| {
            // One reading that is far off is for the point score: it must not fill a sum alone.
            if *scale > 0.0 { ((channel[step] - centre) / scale).clamp(-4.0, 4.0) } else { 0.0 }
        })
    }
}
