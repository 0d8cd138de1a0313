//! Adaptive calibration: bands that follow what they turned out to be.
//!
//! Where the asset drifts, no calibration of yesterday holds. Each target and block of the horizon
//! has a factor on its band that grows a little with every truth that the served 80 % band missed
//! and shrinks a little with every one that it held: quantile tracking (Gibbs and Candes 2021;
//! the proportional part of Angelopoulos et al. 2023) on the logarithm of the width. Whatever
//! happens, the share of misses goes to 20 %, as far as the bounds of the factor allow. Begins
//! anew with another version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calibration::{BLOCK, INNER};
use crate::model::{MEDIAN, Quantiles};
use crate::score::LeadCoverage;

/// Step of the logarithm for a block that was missed altogether, less 20 %. Small enough that
/// forecasts which are still to come true, and were made with an older factor, do not make it swing.
const RATE: f64 = 0.06;
/// Blocks after which a forecast comes true so late that the rate is halved.
const LATE: f64 = 8.0;
/// The logarithm stays within plus and minus this: beyond a factor of 4 the calibration is not
/// what is wrong.
const BOUND: f64 = 1.386_294;
/// Share of truths that the band should miss.
const MISSED: f64 = 0.2;

/// The factors of one version on one asset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Online {
    /// By target signal, for each block that was ever compared.
    targets: BTreeMap<String, Vec<Track>>,
}

/// One block of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Track {
    /// Logarithm of the factor.
    log: f64,
    /// Truths that the band held.
    held: u64,
    /// Truths in all.
    steps: u64,
}

/// Truths of one block of a forecast that the served 80 % band held, and all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Those that it held.
    pub held: u64,
    /// All.
    pub steps: u64,
}

impl Held {
    /// Of a forecast with these ends of its band; truths are NaN where nothing was measured.
    pub(super) fn between(
        low: impl Iterator<Item = f64>,
        high: impl Iterator<Item = f64>,
        truths: &[f64],
    ) -> Vec<Self> {
        let mut blocks = vec![Self::default(); truths.len().div_ceil(BLOCK)];
        for (place, ((low, high), truth)) in low.zip(high).zip(truths).enumerate() {
            if truth.is_finite() {
                blocks[place / BLOCK].steps += 1;
                blocks[place / BLOCK].held += u64::from(low <= *truth && *truth <= high);
            }
        }
        blocks
    }

    /// Of an answer, in the unit of the truths.
    #[must_use]
    pub fn by_block(answer: &Quantiles, truths: &[f64]) -> Vec<Self> {
        let (low, high) = INNER;
        Self::between(answer.iter().map(|row| row[low]), answer.iter().map(|row| row[high]), truths)
    }
}

impl Online {
    /// Learns from one forecast of a target: a block after the other, from the first.
    pub fn observe(&mut self, target: &str, blocks: &[Held]) {
        let tracks = self.targets.entry(target.to_owned()).or_default();
        // A block seen for the first time begins as its neighbour stands.
        let begun = tracks.last().map_or(0.0, |track| track.log);
        tracks.resize(tracks.len().max(blocks.len()), Track { log: begun, ..Track::default() });
        for (place, (track, seen)) in tracks.iter_mut().zip(blocks).enumerate() {
            if seen.steps == 0 {
                continue;
            }
            let missed = 1.0 - seen.held as f64 / seen.steps as f64;
            let weight = (seen.steps as f64 / BLOCK as f64).min(1.0) / (1.0 + place as f64 / LATE);
            track.log = (track.log + RATE * weight * (missed - MISSED)).clamp(-BOUND, BOUND);
            track.held += seen.held;
            track.steps += seen.steps;
        }
    }

    /// Widens or narrows an answer of a target around its median.
    pub fn apply(&self, target: &str, answer: &mut Quantiles) {
        let Some(tracks) = self.targets.get(target).filter(|tracks| !tracks.is_empty()) else { return };
        for (step, row) in answer.iter_mut().enumerate() {
            let factor = tracks[(step / BLOCK).min(tracks.len() - 1)].log.exp();
            let median = row[MEDIAN];
            *row = row.map(|quantile| median + factor * (quantile - median));
        }
    }

    /// How often the served 80 % bands held what was measured, by lead time.
    pub(super) fn by_lead(&self) -> Vec<LeadCoverage> {
        let blocks = self.targets.values().map(Vec::len).max().unwrap_or_default();
        let one = |place: usize| {
            let seen = self.targets.values().filter_map(|tracks| tracks.get(place));
            let (held, steps) = seen.fold((0, 0), |(held, steps), track| (held + track.held, steps + track.steps));
            LeadCoverage::of(place, steps, held, None)
        };
        (0..blocks).filter_map(one).collect()
    }

    /// Share of the truths so far that the served 80 % bands held, and how many truths; `None`
    /// before the first.
    pub(super) fn coverage(&self) -> Option<(f64, u64)> {
        let sum = |of: fn(&Track) -> u64| self.targets.values().flatten().map(of).sum::<u64>();
        let (held, steps) = (sum(|track| track.held), sum(|track| track.steps));
        (steps > 0).then(|| (held as f64 / steps as f64, steps))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal};

    use super::*;
    use crate::model::LEVELS;

    /// The levels 0.1 and 0.9 of a standard normal distribution.
    const EDGE: f64 = 1.281_552;
    const STEPS: usize = 64;

    fn answer() -> Quantiles {
        let row = std::array::from_fn(|place| (place as f64 - MEDIAN as f64) / 8.0 * EDGE);
        assert!((LEVELS[18] - 0.9).abs() < 1e-9 && (row[18] - EDGE).abs() < 1e-9);
        vec![row; STEPS]
    }

    /// Serves a forecast every 16 steps whose errors are `size(time)` normal deviations; each is
    /// compared when it has come true. The share of truths held between two forecasts.
    fn serve(
        online: &mut Online,
        forecasts: usize,
        counted: std::ops::Range<usize>,
        size: impl Fn(usize) -> f64,
    ) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let (mut held, mut steps) = (0, 0);
        let mut coming: VecDeque<Vec<Held>> = VecDeque::new();
        for forecast in 0..forecasts {
            let mut served = answer();
            online.apply("level", &mut served);
            let blocks: Vec<Held> = served
                .chunks(BLOCK)
                .map(|rows| {
                    // Errors of one block hang together.
                    let common: f64 = StandardNormal.sample(&mut rng);
                    let inside = rows.iter().filter(|row| {
                        let own: f64 = StandardNormal.sample(&mut rng);
                        let error = size(forecast) * (0.8 * common + 0.6 * own);
                        row[2] <= error && error <= row[18]
                    });
                    Held { held: inside.count() as u64, steps: rows.len() as u64 }
                })
                .collect();
            if counted.contains(&forecast) {
                held += blocks.iter().map(|block| block.held).sum::<u64>();
                steps += blocks.iter().map(|block| block.steps).sum::<u64>();
            }
            coming.push_back(blocks);
            if coming.len() > STEPS / BLOCK {
                let true_now = coming.pop_front().unwrap();
                online.observe("level", &true_now);
            }
        }
        held as f64 / steps as f64
    }

    #[test]
    fn after_a_drift_the_bands_hold_their_share_again() {
        let drift = |forecast: usize| if forecast < 300 { 1.0 } else { 2.5 };
        let before = serve(&mut Online::default(), 600, 100..300, drift);
        let just_after = serve(&mut Online::default(), 600, 300..310, drift);
        let later = serve(&mut Online::default(), 600, 400..600, drift);
        assert!((before - 0.8).abs() < 0.03, "{before} before");
        assert!(just_after < 0.55, "{just_after} just after");
        assert!((later - 0.8).abs() < 0.03, "{later} later");
        let narrowed = serve(&mut Online::default(), 600, 400..600, |_| 0.4);
        assert!((narrowed - 0.8).abs() < 0.03, "{narrowed} of narrow errors");
    }

    #[test]
    fn the_factor_becomes_what_the_drift_needs() {
        let mut online = Online::default();
        let _ = serve(&mut online, 600, 0..1, |_| 2.5);
        let mut moved = answer();
        online.apply("level", &mut moved);
        assert!((2.0..3.2).contains(&(moved[0][18] / EDGE)), "{}", moved[0][18]);
    }

    #[test]
    fn a_factor_stays_within_its_bounds() {
        let mut online = Online::default();
        for (held, factor) in [(0, 4.0), (16, 0.25)] {
            for _ in 0..2_000 {
                online.observe("level", &[Held { held, steps: 16 }]);
            }
            let mut moved = answer();
            online.apply("level", &mut moved);
            assert!((moved[0][18] / EDGE - factor).abs() < 1e-3);
        }
    }

    #[test]
    fn coverage_is_counted_and_survives_the_database() {
        let mut online = Online::default();
        assert_eq!(online.coverage(), None);
        online.observe("level", &[Held { held: 12, steps: 16 }, Held { held: 4, steps: 4 }]);
        online.observe("flow", &[Held::default()]);
        assert_eq!(online.coverage(), Some((0.8, 20)));
        let by_lead = online.by_lead();
        assert_eq!((by_lead.len(), by_lead[1].from_step, by_lead[1].truths, by_lead[1].coverage_80), (2, 17, 4, 1.0));
        let stored = serde_json::to_value(&online).unwrap();
        assert_eq!(serde_json::from_value::<Online>(stored).unwrap(), online);
    }
}
