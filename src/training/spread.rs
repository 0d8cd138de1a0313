//! How the values of each signal were spread over what a version learned from, and how far newer ones
//! are from that: the population stability index.
//!
//! PSI = sum over bins of (new share - old share) x ln(new share / old share); by custom (credit scoring:
//! Siddiqi 2006; its distribution: Yurdakul 2018) 0.1 is a small shift and 0.2 one that matters. That
//! holds for independent values. A plant's newest minutes never look like its last hours, so each
//! signal's own stretches, as long as the newest one, say how far a stretch may be from the whole when
//! nothing has changed. Bins hold a tenth each; two more lie outside all that was seen.

use serde::{Deserialize, Serialize};

use crate::asset::{AssetType, Role};
use crate::quality::assess;
use crate::reading::Frame;

/// Inner bins.
const BINS: usize = 10;
/// By how much of the range the outer bins lie beyond it.
const BEYOND: f64 = 0.1;
/// Index from which a shift matters.
pub const MATTERS: f64 = 0.2;
/// By how much more than the farthest of its own stretches a signal must be away.
pub const UNUSUAL: f64 = 2.0;
/// With fewer frames too few stretches say what is usual.
const FEWEST: usize = 2_000;
/// Stretches in what a version learned from; frames of a stretch, at least and at most.
const STRETCHES: usize = 20;
const STRETCH: (usize, usize) = (100, 500);

/// How one signal's values were spread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Spread {
    /// The signal.
    pub signal: String,
    /// Upper ends of all bins but the last, ascending, in its unit; each belongs to its bin.
    pub edges: Vec<f64>,
    /// Share of the values in each bin; one more than edges.
    pub shares: Vec<f64>,
    /// Greatest stability index of a stretch of what was learned from against all of it.
    pub usual: f64,
}

/// Frames of a stretch for a version that learned from so many; `None` when they are too few to say what
/// is usual.
#[must_use]
pub fn stretch(frames: usize) -> Option<usize> {
    (frames >= FEWEST).then(|| (frames / STRETCHES).clamp(STRETCH.0, STRETCH.1))
}

/// The spreads of inputs and outputs over frames that were cleaned, in the order of the type's signals;
/// empty when they are too few.
#[must_use]
pub fn spreads(asset_type: &AssetType, frames: &[Frame]) -> Vec<Spread> {
    let Some(stretch) = stretch(frames.len()) else { return Vec::new() };
    let signals = asset_type.document.signals.iter().enumerate();
    signals
        .filter(|(_, signal)| signal.role != Role::State)
        .filter_map(|(index, signal)| Spread::of(&signal.name, &column(frames, index), stretch))
        .collect()
}

/// The stability index of each signal's values in the newest frames against what was learned from: the
/// spread's place and the index. Signals that were hardly measured are left out.
#[must_use]
pub fn compare(asset_type: &AssetType, spreads: &[Spread], newest: Vec<Frame>) -> Vec<(usize, f64)> {
    let cleaned = assess(asset_type, &newest).clean(asset_type, newest).frames;
    let places = spreads.iter().enumerate().filter_map(|(place, spread)| {
        let (index, _) = asset_type.signal(&spread.signal)?;
        let values: Vec<f64> = column(&cleaned, index).into_iter().filter(|value| value.is_finite()).collect();
        (values.len() >= STRETCH.0 / 2).then(|| (place, spread.index(&values)))
    });
    places.collect()
}

impl Spread {
    /// Of values in the order of time, NaN where none was; `None` without enough of them.
    fn of(signal: &str, values: &[f64], stretch: usize) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        if sorted.len() < FEWEST / 2 {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let mut spread = Self { signal: signal.to_owned(), edges: edges(&sorted), shares: Vec::new(), usual: 0.0 };
        spread.shares = spread.binned(&sorted);
        spread.usual = values
            .chunks_exact(stretch)
            .map(|chunk| chunk.iter().copied().filter(|value| value.is_finite()).collect::<Vec<f64>>())
            .filter(|chunk| chunk.len() >= stretch / 2)
            .map(|chunk| spread.index(&chunk))
            .fold(0.0, f64::max);
        Some(spread)
    }

    /// The index from which a shift of this signal matters.
    #[must_use]
    pub fn limit(&self) -> f64 {
        MATTERS.max(UNUSUAL * self.usual)
    }

    /// The stability index of finite values.
    fn index(&self, values: &[f64]) -> f64 {
        let new = self.binned(values);
        self.shares.iter().zip(new).map(|(old, new)| (new - old) * (new / old).ln()).sum()
    }

    /// Share of each bin; half a value more in each, so that none is empty.
    fn binned(&self, values: &[f64]) -> Vec<f64> {
        let mut counts = vec![0.5; self.edges.len() + 1];
        for value in values {
            counts[self.edges.partition_point(|edge| edge < value)] += 1.0;
        }
        let total: f64 = counts.iter().sum();
        counts.into_iter().map(|count| count / total).collect()
    }
}

/// Edges between bins of equal shares and around all that was seen. A value that fills a bin or more of its
/// own, such as a set-point, has a bin to itself.
fn edges(sorted: &[f64]) -> Vec<f64> {
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    let tiny = 1e-6 * (high - low).max(1e-3 * high.abs().max(low.abs())).max(1e-9);
    let beyond = BEYOND * (high - low) + tiny;
    let mut edges = vec![low - beyond];
    let quantiles = (1..BINS).map(|tenth| sorted[(sorted.len() * tenth / BINS).min(sorted.len() - 1)]);
    let mut last = f64::NEG_INFINITY;
    for value in quantiles {
        if value > last {
            edges.push(value);
        } else if edges[edges.len() - 2] < value - tiny {
            edges.insert(edges.len() - 1, value - tiny);
        }
        last = value;
    }
    edges.push(high + beyond);
    edges
}

fn column(frames: &[Frame], signal: usize) -> Vec<f64> {
    frames.iter().map(|frame| frame.values.get(signal).copied().unwrap_or(f64::NAN)).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// A stationary course: independent values, ones that wander about a mean, held steps, a wave.
    #[derive(Clone, Copy, Debug)]
    enum Course {
        Independent,
        Wandering(f64),
        Held(usize),
        Wave(f64),
    }

    fn course(kind: Course, count: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = move || (0..12).map(|_| rng.random_range(-0.5..0.5)).sum::<f64>();
        let phase = normal();
        let mut state = phase;
        (0..count)
            .map(|step| {
                match kind {
                    Course::Independent => state = normal(),
                    Course::Wandering(memory) => {
                        let keep = (-1.0 / memory).exp();
                        state = keep * state + (1.0 - keep * keep).sqrt() * normal();
                    }
                    Course::Held(length) => {
                        if step % length == 0 {
                            state = (2.0 * normal()).round().clamp(-2.0, 2.0);
                        }
                    }
                    Course::Wave(period) => {
                        state = (std::f64::consts::TAU * (step as f64 / period + phase)).sin() + 0.05 * normal();
                    }
                }
                state
            })
            .collect()
    }

    /// Checks in a row of which two neighbours find a shift, as the server asks for.
    fn is_found(spread: &Spread, values: &[f64], stretch: usize) -> bool {
        let found: Vec<bool> =
            values.chunks_exact(stretch).map(|chunk| spread.index(chunk) >= spread.limit()).collect();
        found.windows(2).any(|pair| pair[0] && pair[1])
    }

    const COURSES: [Course; 5] =
        [Course::Independent, Course::Wandering(10.0), Course::Wandering(50.0), Course::Held(37), Course::Wave(300.0)];

    #[test]
    fn what_stays_as_it_was_is_hardly_ever_taken_for_drift() {
        for frames in [2_000, 6_000] {
            for kind in COURSES {
                let stretch = stretch(frames).unwrap();
                let wrong = (0..60).filter(|seed| {
                    let values = course(kind, frames + 12 * stretch, *seed);
                    let spread = Spread::of("x", &values[..frames], stretch).unwrap();
                    is_found(&spread, &values[frames..], stretch)
                });
                let wrong = wrong.count();
                // Twelve checks each: one of 60 is one in 720 checks.
                assert!(wrong <= 1, "{kind:?}, {frames} frames: {wrong} of 60");
            }
        }
    }

    #[test]
    fn a_shift_of_four_deviations_is_found() {
        for kind in COURSES {
            let (frames, stretch) = (6_000, stretch(6_000).unwrap());
            let found = (0..20).filter(|seed| {
                let values = course(kind, frames + 4 * stretch, *seed);
                let spread = Spread::of("x", &values[..frames], stretch).unwrap();
                let shifted: Vec<f64> = values[frames..].iter().map(|value| value + 4.0).collect();
                is_found(&spread, &shifted, stretch)
            });
            let found = found.count();
            assert!(found >= 19, "{kind:?}: {found} of 20");
        }
    }

    #[test]
    fn the_index_is_that_of_its_formula() {
        let values: Vec<f64> = (0..4_000).map(|step| f64::from(step % 100)).collect();
        let spread = Spread::of("x", &values, 200).unwrap();
        assert_eq!((spread.edges.len(), spread.shares.len()), (BINS + 1, BINS + 2));
        assert!(spread.usual < 0.05, "each stretch holds every value twice: {}", spread.usual);
        // All of a thousand new values in the lowest of ten equal bins.
        let low: Vec<f64> = (0..1_000).map(|step| f64::from(step % 10)).collect();
        let (one, rest) = (1.0 / 1_006.0 * 1_000.5, 0.5 / 1_006.0);
        let expected: f64 = spread
            .shares
            .iter()
            .enumerate()
            .map(|(bin, old)| if bin == 1 { (one - old) * (one / old).ln() } else { (rest - old) * (rest / old).ln() })
            .sum();
        assert!((spread.index(&low) - expected).abs() < 1e-9, "{} is not {expected}", spread.index(&low));
    }

    #[test]
    fn a_signal_that_never_moved_and_moves_has_drifted() {
        let spread = Spread::of("x", &vec![5.0; 3_000], 150).unwrap();
        assert!(spread.index(&[5.0; 150]) < 0.05);
        for moved in [5.001, 4.999, 80.0, -5.0] {
            assert!(spread.index(&[moved; 150]) > spread.limit(), "{moved}");
        }
        assert_eq!(Spread::of("x", &vec![f64::NAN; 3_000], 150), None, "never measured");
        assert_eq!((stretch(1_999), stretch(2_000), stretch(20_000)), (None, Some(100), Some(500)));
    }
}
