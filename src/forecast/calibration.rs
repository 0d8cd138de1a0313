//! Conformal calibration: bands that cover as often as they say.
//!
//! Fine-tuning breaks calibration (80 % bands then covered 48 to 75 % when it was measured), so
//! every version carries widths found on windows that its gradients never saw: split-conformal
//! quantile regression (Romano et al. 2019) for the 80 % and the 95 % band, for each target and
//! block of the horizon, with the levels between them in between. Quantiles stay sorted.
//!
//! Windows overlap, so a slice holds far fewer independent truths than truths. While there are few,
//! neighbouring blocks are pooled, and the factors lean toward those of the longer past that the
//! head learned from: with a frozen backbone and early stopping these are only a little too narrow,
//! while a short slice may be of another season altogether. Only where the slice asks for far wider
//! bands than chance would make it ask for, it is believed (the limited translation rule of Efron and
//! Morris 1972, on the side that misleads).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::asset::Signal;
use crate::expert::Scale;
use crate::model::{LEVELS, MEDIAN, Quantiles};
use crate::score::lead;

/// Steps of the horizon that share a factor, and within which errors hang together.
pub const BLOCK: usize = lead::STEPS;
/// With fewer truths than this the bands stay as they are.
const FEWEST: usize = 40;
/// Independent truths for which neighbouring blocks are pooled.
const ENOUGH: f64 = 40.0;
/// Independent truths of the slice that weigh as much as the longer past. Measured on stretches of
/// 2,000 to 14,400 steps of four real and simulated plants: the mean coverage is least wrong so.
const TRUSTED: f64 = 40.0;
/// Deviation of the logarithm of a factor that is found on one independent truth: of the 80th
/// percentile of the size of normal errors, by the usual formula for a sample quantile.
const FACTOR_NOISE: f64 = 0.89;
/// Deviations that chance explains, but for one time in a hundred: the factors stay no further below
/// those of the slice.
const CHANCE: f64 = 2.5;
/// A factor outside these says that something else is wrong.
const WIDEST: (f64, f64) = (0.3, 6.0);

/// Places in [`LEVELS`] of the ends of the 80 % band.
pub(super) const INNER: (usize, usize) = (2, 18);
/// Of the levels 0.05 and 0.95, and of 0.01 and 0.99: the ends of the 95 % band lie between them,
/// at this share of the way inward, on a straight line as they are served.
const NEAR: (usize, usize) = (1, 19);
const FAR: (usize, usize) = (0, 20);
const INWARD: f64 = (0.025 - 0.01) / (0.05 - 0.01);
/// Where 0.05 lies between 0.1 and 0.01, in deviations of the normal distribution.
const BETWEEN: f64 = (1.644_854 - 1.281_552) / (2.326_348 - 1.281_552);

/// Factors on the distance of each quantile from the median.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Calibration {
    /// By target signal: a factor for each block of 16 steps; the last one goes on. Holds for the
    /// levels 0.1 to 0.9.
    pub widths: BTreeMap<String, Vec<f64>>,
    /// The same for the outermost levels, 0.01 and 0.99; without it `widths` holds for all.
    #[serde(default)]
    pub tails: BTreeMap<String, Vec<f64>>,
}

/// What a head answered on windows of one target, and what happened.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// Quantiles of each window, all of one horizon.
    pub answers: &'a [Quantiles],
    /// In the units of the answers; NaN where nothing was measured.
    pub truths: &'a [Vec<f64>],
    /// Step of the record at which each window begins, ascending: tells which truths are the same.
    pub origins: &'a [usize],
}

/// Factors of one block.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Widths {
    inner: f64,
    tail: f64,
}

/// A truth seen from the median: its distance, and that of the quantiles on its side.
#[derive(Clone, Copy, Debug)]
struct Seen {
    truth: f64,
    inner: f64,
    near: f64,
    far: f64,
}

impl Calibration {
    /// Finds a target's factors on a slice that the head did not learn from; `past` is what it
    /// learned from, or as much that it did not.
    pub fn fit(&mut self, target: &str, slice: Answered<'_>, past: Option<Answered<'_>>) {
        let mut found = factors(slice);
        if let Some(past) = past.filter(|past| !past.answers.is_empty()) {
            let count = independent(slice.origins);
            let share = count / (count + TRUSTED);
            let most = CHANCE * FACTOR_NOISE / count.sqrt();
            found = found.iter().zip(factors(past)).map(|(own, past)| past.toward(*own, share, most)).collect();
        }
        self.widths.insert(target.to_owned(), found.iter().map(|widths| widths.inner).collect());
        self.tails.insert(target.to_owned(), found.iter().map(|widths| widths.tail).collect());
    }

    /// Widens or narrows an answer of a target.
    pub fn apply(&self, target: &str, answer: &mut Quantiles) {
        let Some(inner) = self.widths.get(target).filter(|inner| !inner.is_empty()) else { return };
        let tails = self.tails.get(target).filter(|tails| !tails.is_empty()).unwrap_or(inner);
        let of_block = |factors: &[f64], block: usize| factors[block.min(factors.len() - 1)];
        for (step, row) in answer.iter_mut().enumerate() {
            let block = step / BLOCK;
            Widths { inner: of_block(inner, block), tail: of_block(tails, block) }.apply(row);
        }
    }

    /// An answer of a target as it would be served: with these widths, in the signal's unit, within its
    /// limits. `scale` undoes the units of the answer.
    pub fn serve(&self, signal: &Signal, scale: Scale, answer: &mut Quantiles) {
        self.apply(&signal.name, answer);
        let (low, high) = (signal.min.unwrap_or(f64::NEG_INFINITY), signal.max.unwrap_or(f64::INFINITY));
        for row in answer {
            *row = row.map(|value| scale.undo(value).clamp(low, high));
        }
    }
}

impl Widths {
    const NONE: Self = Self { inner: 1.0, tail: 1.0 };

    fn near(self) -> f64 {
        self.inner + BETWEEN * (self.tail - self.inner)
    }

    fn apply(self, row: &mut [f64; LEVELS.len()]) {
        let median = row[MEDIAN];
        for (place, quantile) in row.iter_mut().enumerate() {
            let factor = match place {
                _ if place == FAR.0 || place == FAR.1 => self.tail,
                _ if place == NEAR.0 || place == NEAR.1 => self.near(),
                _ => self.inner,
            };
            *quantile = median + factor * (*quantile - median);
        }
        // Narrower tails must not cross the band that they enclose.
        for place in (0..INNER.0).rev() {
            row[place] = row[place].min(row[place + 1]);
        }
        for place in INNER.1 + 1..row.len() {
            row[place] = row[place].max(row[place - 1]);
        }
    }

    /// A share of the way to other factors, in logarithms; as far as it takes not to stay more than
    /// `most` below wider ones.
    fn toward(self, other: Self, share: f64, most: f64) -> Self {
        let between = |from: f64, to: f64| {
            let way = (to / from).ln();
            from * (share * way).max(way - most).exp()
        };
        Self { inner: between(self.inner, other.inner), tail: between(self.tail, other.tail) }
    }
}

impl Seen {
    fn new(row: &[f64; LEVELS.len()], truth: f64) -> Self {
        let median = row[MEDIAN];
        let at = |places: (usize, usize)| {
            let place = if truth >= median { places.1 } else { places.0 };
            (row[place] - median).abs().max(1e-9)
        };
        Self { truth: (truth - median).abs(), inner: at(INNER), near: at(NEAR), far: at(FAR) }
    }

    /// How many times wider the 80 % band would have to be to hold the truth just so.
    fn inner(&self) -> f64 {
        self.truth / self.inner
    }

    /// Which factor of the tail would put the end of the 95 % band on the truth.
    fn tail(&self, inner: f64) -> f64 {
        let fixed = INWARD * (1.0 - BETWEEN) * self.near;
        let moving = INWARD * BETWEEN * self.near + (1.0 - INWARD) * self.far;
        (self.truth - inner * fixed) / moving
    }
}

/// The factors of each block.
fn factors(answered: Answered<'_>) -> Vec<Widths> {
    let steps = answered.answers.first().map_or(0, Vec::len);
    let mut blocks: Vec<Vec<Seen>> = vec![Vec::new(); steps.div_ceil(BLOCK)];
    for (answer, truth) in answered.answers.iter().zip(answered.truths) {
        for (step, (row, truth)) in answer.iter().zip(truth).enumerate() {
            if truth.is_finite() {
                blocks[step / BLOCK].push(Seen::new(row, *truth));
            }
        }
    }
    let each = independent(answered.origins);
    (0..blocks.len())
        .map(|block| {
            let pooled = pooled(&blocks, block, each);
            if pooled.len() < FEWEST {
                return Widths::NONE;
            }
            let clamp = |factor: f64| factor.clamp(WIDEST.0, WIDEST.1);
            let inner = clamp(conformal(pooled.iter().map(Seen::inner).collect(), 0.8, each));
            let tail = clamp(conformal(pooled.iter().map(|seen| seen.tail(inner)).collect(), 0.95, each));
            Widths { inner, tail }
        })
        .collect()
}

/// Independent truths of one block of the horizon: stretches of a block's length that the windows
/// see there.
fn independent(origins: &[usize]) -> f64 {
    let steps: usize = origins.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).min(BLOCK)).sum();
    (steps + BLOCK * usize::from(!origins.is_empty())) as f64 / BLOCK as f64
}

/// A block with as many neighbours on either side as it takes to have [`ENOUGH`] independent
/// truths.
fn pooled(blocks: &[Vec<Seen>], block: usize, each: f64) -> Vec<Seen> {
    let mut reach = 0;
    loop {
        let (from, to) = (block.saturating_sub(reach), (block + reach + 1).min(blocks.len()));
        let count = each * (to - from) as f64;
        if count >= ENOUGH || to - from == blocks.len() {
            return blocks[from..to].iter().flatten().copied().collect();
        }
        reach += 1;
    }
}

/// The quantile that covers a new value with this probability when `count` of the values are
/// independent.
fn conformal(mut needed: Vec<f64>, probability: f64, count: f64) -> f64 {
    needed.sort_by(f64::total_cmp);
    let share = (probability * (1.0 + 1.0 / count.max(1.0))).min(1.0);
    let rank = (share * needed.len() as f64).ceil().max(1.0) as usize;
    needed[rank.min(needed.len()) - 1]
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal, StudentT};

    use super::*;

    const Z: [f64; LEVELS.len()] = [
        -2.33, -1.64, -1.28, -1.04, -0.84, -0.67, -0.52, -0.39, -0.25, -0.13, 0.0, 0.13, 0.25, 0.39, 0.52, 0.67, 0.84,
        1.04, 1.28, 1.64, 2.33,
    ];
    const WINDOWS: usize = 400;

    /// Answers of `blocks` blocks whose bands are `narrow` times as wide as the standard normal
    /// distribution's, and truths that `draw` makes.
    fn case(narrow: f64, blocks: usize, mut draw: impl FnMut(usize) -> f64) -> (Vec<Quantiles>, Vec<Vec<f64>>) {
        let steps = blocks * BLOCK;
        let answers = vec![vec![Z.map(|z| z * narrow); steps]; WINDOWS];
        let truths = (0..WINDOWS).map(|_| (0..steps).map(&mut draw).collect()).collect();
        (answers, truths)
    }

    fn normal(seed: u64) -> impl FnMut(usize) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        move |_| StandardNormal.sample(&mut rng)
    }

    fn apart(windows: usize) -> Vec<usize> {
        (0..windows).map(|window| window * BLOCK).collect()
    }

    /// Shares of the truths inside the 80 and 95 % bands as they are served.
    fn coverage(calibration: &Calibration, answers: &[Quantiles], truths: &[Vec<f64>]) -> (f64, f64) {
        let (mut inner, mut outer, mut count) = (0, 0, 0);
        for (answer, truth) in answers.iter().zip(truths) {
            let mut answer = answer.clone();
            calibration.apply("level", &mut answer);
            for (row, truth) in answer.iter().zip(truth) {
                let holds = |low, high| {
                    crate::forecast::quantile(row, low) <= *truth && *truth <= crate::forecast::quantile(row, high)
                };
                inner += usize::from(holds(0.1, 0.9));
                outer += usize::from(holds(0.025, 0.975));
                count += 1;
            }
        }
        (f64::from(inner as u32) / f64::from(count), outer as f64 / f64::from(count))
    }

    #[test]
    fn both_bands_cover_as_often_as_they_say() {
        let student = StudentT::new(3.0).unwrap();
        for narrow in [0.8, 1.0, 2.5] {
            let mut rng = ChaCha8Rng::seed_from_u64(5);
            let (answers, truths) = case(narrow, 2, |step| (1.0 + step as f64 / 16.0) * student.sample(&mut rng));
            let origins = apart(WINDOWS);
            let mut calibration = Calibration::default();
            calibration.fit("level", Answered { answers: &answers, truths: &truths, origins: &origins }, None);
            let (_, new) = case(narrow, 2, |step| (1.0 + step as f64 / 16.0) * student.sample(&mut rng));
            let (inner, outer) = coverage(&calibration, &answers, &new);
            assert!((inner - 0.8).abs() < 0.02, "80 % band of width {narrow} covers {inner}: {calibration:?}");
            assert!((outer - 0.95).abs() < 0.01, "95 % band of width {narrow} covers {outer}: {calibration:?}");
        }
    }

    #[test]
    fn quantiles_stay_sorted() {
        for tail in [0.3, 0.5, 1.0, 3.0] {
            let mut row = Z;
            Widths { inner: 1.5, tail }.apply(&mut row);
            assert!(row.windows(2).all(|pair| pair[0] <= pair[1]), "{row:?}");
        }
    }

    #[test]
    fn few_independent_truths_are_pooled_over_the_horizon() {
        let wide_later = |step: usize| if step < BLOCK { 1.0 } else { 2.0 };
        let mut draw = normal(1);
        let (answers, truths) = case(1.0, 2, |step| wide_later(step) * draw(step));
        let fit = |origins: &[usize]| {
            let mut calibration = Calibration::default();
            calibration.fit("level", Answered { answers: &answers, truths: &truths, origins }, None);
            calibration.widths["level"].clone()
        };
        let far_apart = fit(&apart(WINDOWS));
        assert!((far_apart[0] - 1.0).abs() < 0.1 && (far_apart[1] - 2.0).abs() < 0.2, "{far_apart:?}");
        let overlapping = fit(&(0..WINDOWS).collect::<Vec<_>>());
        assert_eq!(overlapping[0], overlapping[1]);
    }

    #[test]
    fn a_short_slice_leans_on_the_longer_past() {
        // A calm slice of a past that wavers twice as much.
        let (answers, calm) = case(1.0, 1, normal(2));
        let mut draw = normal(3);
        let (_, past) = case(1.0, 1, |step| 2.0 * draw(step));
        let origins = apart(WINDOWS);
        let past = Answered { answers: &answers, truths: &past, origins: &origins };
        let width = |windows: usize| {
            let slice =
                Answered { answers: &answers[..windows], truths: &calm[..windows], origins: &origins[..windows] };
            let mut calibration = Calibration::default();
            calibration.fit("level", slice, Some(past));
            calibration.widths["level"][0]
        };
        let (short, long) = (width(8), width(WINDOWS));
        assert!(short > 1.6 && long < 1.2, "{short} of few, {long} of many");
    }

    #[test]
    fn a_slice_that_is_far_wider_than_chance_explains_is_believed() {
        let width = |times: f64| {
            let (answers, calm) = case(1.0, 1, normal(2));
            let mut draw = normal(3);
            let (_, wild) = case(1.0, 1, |step| times * draw(step));
            let origins = apart(WINDOWS);
            let few = 20;
            let slice = Answered { answers: &answers[..few], truths: &wild[..few], origins: &origins[..few] };
            let past = Answered { answers: &answers, truths: &calm, origins: &origins };
            let mut calibration = Calibration::default();
            calibration.fit("level", slice, Some(past));
            calibration.widths["level"][0]
        };
        let chance = width(1.4);
        assert!(chance < 1.2, "{chance}: a third of the way");
        let changed = width(5.0);
        assert!((2.2..5.0).contains(&changed), "{changed}: no more than chance below what the slice asks for");
    }

    #[test]
    fn widths_from_before_there_were_tails_hold_for_all_levels() {
        let stored = serde_json::json!({"widths": {"level": [2.0]}});
        let calibration: Calibration = serde_json::from_value(stored).unwrap();
        let mut answer = vec![Z];
        calibration.apply("level", &mut answer);
        assert_eq!(answer[0], Z.map(|z| 2.0 * z));
    }

    #[test]
    fn an_unknown_target_is_left_alone() {
        let (mut answers, _) = case(1.0, 1, |_| 0.0);
        let before = answers[0].clone();
        Calibration::default().apply("other", &mut answers[0]);
        assert_eq!(before, answers[0]);
    }
}
