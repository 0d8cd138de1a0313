//! Joint sample paths: single futures whose values have the answer's quantiles at every step and
//! hang together from one step to the next.
//!
//! A Gaussian copula: normal scores follow an AR(1) process, and each is read off the quantiles of
//! its step. Its correlation is that of the bank's errors in the asset's own back-test, in time and
//! between targets (`copula`). Always true: equal seeds give equal bits; the [`Luck`] knows nothing of
//! the future it is applied to, so that baseline and scenarios meet the same one, and their paths are
//! equal as long as their answers are.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use super::copula::Mix;
use crate::model::{LEVELS, NORMAL, Quantiles};

/// Correlation of neighbouring steps while no errors tell: what makes a forecast wrong lasts longer
/// than a step.
const USUAL: f64 = 0.9;
/// Pairs of errors that weigh as much as [`USUAL`].
const DOUBT: f64 = 16.0;
/// At 1 a path would be one quantile throughout, whatever the errors say.
const MOST: f64 = 0.995;

/// What is left to chance in a number of paths of one target: a row per path, a normal score per step,
/// kept as where it lies among the quantiles of an answer.
#[derive(Clone, Debug)]
pub(super) struct Luck(Vec<Vec<Place>>);

/// Where a normal score lies among the known quantiles.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The first quantile above it, or the last one.
    above: usize,
    /// Share of the way there from the one before; beyond the outer ones less than 0 or more than 1.
    share: f64,
}

impl Luck {
    /// The luck of `samples` paths over `steps`, for the target at a place. `correlation` is that of
    /// neighbouring scores, 0..1. More paths begin with those of fewer.
    pub(super) fn draw(seed: u64, target: usize, correlation: f64, samples: usize, steps: usize) -> Self {
        Self::of(noise(seed, target, samples, steps), correlation)
    }

    /// The luck of as many targets as there are correlations of neighbouring scores, correlated between
    /// them by `mix` as well.
    pub(super) fn joint(seed: u64, correlations: &[f64], mix: &Mix, samples: usize, steps: usize) -> Vec<Self> {
        let drawn: Vec<Vec<Vec<f64>>> =
            (0..correlations.len()).map(|target| noise(seed, target, samples, steps)).collect();
        let mixed = |target: usize, sample: usize, step: usize| -> f64 {
            let shares = if step == 0 { &mix.first[target] } else { &mix.news[target] };
            // A share of nothing must not change a bit.
            let parts = shares[..=target].iter().zip(&drawn).filter(|(share, _)| **share != 0.0);
            parts.map(|(share, drawn)| share * drawn[sample][step]).sum()
        };
        let one = |(target, correlation): (usize, &f64)| {
            let row = |sample: usize| (0..steps).map(|step| mixed(target, sample, step)).collect();
            Self::of((0..samples).map(row).collect(), *correlation)
        };
        correlations.iter().enumerate().map(one).collect()
    }

    /// Turns independent news into scores of which each remembers the one before.
    fn of(mut news: Vec<Vec<f64>>, correlation: f64) -> Self {
        let fresh = (1.0 - correlation * correlation).sqrt();
        for row in &mut news {
            for step in 1..row.len() {
                row[step] = correlation * row[step - 1] + fresh * row[step];
            }
        }
        Self(news.into_iter().map(|row| row.into_iter().map(Place::of).collect()).collect())
    }

    /// The paths that this luck makes of an answer's first steps: a row per path, in the answer's
    /// unit.
    pub(super) fn paths(&self, answer: &Quantiles) -> Vec<Vec<f64>> {
        (0..self.0.len()).map(|sample| self.path(sample, answer)).collect()
    }

    /// One of these paths.
    pub(super) fn path(&self, sample: usize, answer: &Quantiles) -> Vec<f64> {
        self.0[sample].iter().zip(answer).map(|(place, row)| place.value(row)).collect()
    }
}

/// Independent normal draws of a target: a row per path, a draw per step.
fn noise(seed: u64, target: usize, samples: usize, steps: usize) -> Vec<Vec<f64>> {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    draw.set_stream(target as u64);
    // A path has a draw at least: the next one begins where it did when there was no horizon.
    let mut path = || (0..steps.max(1)).map(|_| StandardNormal.sample(&mut draw)).collect();
    (0..samples).map(|_| path()).collect()
}

impl Place {
    fn of(score: f64) -> Self {
        let above = NORMAL.partition_point(|known| *known < score).clamp(1, NORMAL.len() - 1);
        let (low, high) = (NORMAL[above - 1], NORMAL[above]);
        Self { above, share: (score - low) / (high - low) }
    }

    /// The value there: between known quantiles on a straight line over the score, so that Gaussian
    /// quantiles give Gaussian values; beyond the last ones that line goes on.
    fn value(self, row: &[f64; LEVELS.len()]) -> f64 {
        row[self.above - 1] + self.share * (row[self.above] - row[self.above - 1])
    }
}

/// Correlation of neighbouring errors over all back-tests (a row each, NaN where nothing was
/// measured), drawn toward [`USUAL`] as long as there are few. Their mean is not taken away: a
/// forecast that is wrong to one side throughout is wrong in a correlated way.
pub(super) fn correlation(errors: &[Vec<f64>]) -> f64 {
    let (mut together, mut each, mut pairs) = (0.0, 0.0, 0.0);
    for pair in errors.iter().flat_map(|row| row.windows(2)) {
        let (before, after) = (pair[0], pair[1]);
        if before.is_finite() && after.is_finite() {
            together += before * after;
            each += f64::midpoint(before * before, after * after);
            pairs += 1.0;
        }
    }
    let found = if each > 0.0 { together / each } else { USUAL };
    let trust = pairs / (pairs + DOUBT);
    (trust * found + (1.0 - trust) * USUAL).clamp(0.0, MOST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Luck {
        fn scores(&self) -> Vec<Vec<f64>> {
            self.paths(&vec![NORMAL; self.0[0].len()])
        }
    }

    const SAMPLES: usize = 4_000;
    const STEPS: usize = 12;

    /// Skewed quantiles that move and widen with the step.
    fn skewed() -> Quantiles {
        (0..STEPS).map(|step| NORMAL.map(|z| step as f64 + (0.2 + 0.05 * step as f64) * (z + 0.3 * z.exp()))).collect()
    }

    fn gaussian() -> Quantiles {
        vec![NORMAL; STEPS]
    }

    #[test]
    fn at_every_step_the_paths_have_the_quantiles_of_the_answer() {
        let answer = skewed();
        let paths = Luck::draw(3, 0, 0.8, SAMPLES, STEPS).paths(&answer);
        for (step, row) in answer.iter().enumerate() {
            for (level, quantile) in LEVELS.iter().zip(row) {
                let below = paths.iter().filter(|path| path[step] <= *quantile).count() as f64 / SAMPLES as f64;
                // Four deviations of a share among so many.
                let tolerance = 4.0 * (level * (1.0 - level) / SAMPLES as f64).sqrt();
                assert!((below - level).abs() < tolerance, "{below} below the quantile {level} of step {step}");
            }
        }
    }

    #[test]
    fn neighbouring_steps_are_correlated_as_asked() {
        for asked in [0.0, 0.5, 0.9, 0.99] {
            let paths = Luck::draw(9, 1, asked, SAMPLES, STEPS).paths(&gaussian());
            let pairs: Vec<(f64, f64)> = paths.iter().map(|path| (path[STEPS - 2], path[STEPS - 1])).collect();
            let sum = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
            let found = sum(|(a, b)| a * b) / (sum(|(a, _)| a * a) * sum(|(_, b)| b * b)).sqrt();
            let tolerance = 4.0 * (1.0 - asked * asked) / (SAMPLES as f64).sqrt() + 1e-3;
            assert!((found - asked).abs() < tolerance, "{found} instead of {asked}");
        }
    }

    fn correlated(first: &[Vec<f64>], second: &[Vec<f64>], step: usize) -> f64 {
        let sum =
            |of: &dyn Fn(f64, f64) -> f64| first.iter().zip(second).map(|(a, b)| of(a[step], b[step])).sum::<f64>();
        sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
    }

    #[test]
    fn targets_are_correlated_as_asked_at_every_step_and_keep_their_own_quantiles() {
        let (memory, wanted) = ([0.9, 0.8, 0.9], vec![vec![1.0, 0.7, 0.0], vec![0.7, 1.0, -0.3], vec![0.0, -0.3, 1.0]]);
        let joint = Luck::joint(7, &memory, &Mix::new(&memory, &wanted), SAMPLES, STEPS);
        for step in [0, 1, STEPS - 1] {
            for (i, j) in [(0, 1), (0, 2), (1, 2)] {
                let found = correlated(&joint[i].scores(), &joint[j].scores(), step);
                let tolerance = 4.0 / (SAMPLES as f64).sqrt();
                assert!((found - wanted[i][j]).abs() < tolerance, "{found} of {i} and {j} at step {step}");
            }
        }
        let answer = skewed();
        for (target, luck) in joint.iter().enumerate() {
            let paths = luck.paths(&answer);
            for (step, row) in answer.iter().enumerate() {
                for (level, quantile) in LEVELS.iter().zip(row) {
                    let below = paths.iter().filter(|path| path[step] <= *quantile).count() as f64 / SAMPLES as f64;
                    let tolerance = 4.0 * (level * (1.0 - level) / SAMPLES as f64).sqrt();
                    assert!((below - level).abs() < tolerance, "target {target}: {below} below {level} of step {step}");
                }
            }
        }
    }

    #[test]
    fn targets_without_correlation_have_the_luck_that_they_have_alone() {
        let memory = [0.9, 0.5];
        let none = Mix::new(&memory, &[vec![1.0, 0.0], vec![0.0, 1.0]]);
        let joint = Luck::joint(3, &memory, &none, 20, STEPS);
        for (target, correlation) in memory.into_iter().enumerate() {
            assert_eq!(joint[target].scores(), Luck::draw(3, target, correlation, 20, STEPS).scores());
        }
    }

    #[test]
    fn beyond_the_last_quantiles_the_paths_go_on() {
        let row = NORMAL.map(|z| 2.0 + 3.0 * z);
        for score in [-4.0, -2.326_348, -0.7, 0.0, 1.1, 3.5] {
            assert!((Place::of(score).value(&row) - (2.0 + 3.0 * score)).abs() < 1e-9);
        }
    }

    #[test]
    fn the_correlation_of_errors_is_found_again() {
        let errors = Luck::draw(5, 0, 0.6, 40, 60).scores();
        assert!((correlation(&errors) - 0.6).abs() < 0.06, "{}", correlation(&errors));
        let biased: Vec<Vec<f64>> = vec![vec![0.4; 64]; 2];
        assert!(correlation(&biased) > 0.95, "errors to one side hang together");
        let alternating: Vec<Vec<f64>> = vec![(0..200).map(|k| if k % 2 == 0 { 1.0 } else { -1.0 }).collect()];
        assert_eq!(correlation(&alternating), 0.0);
    }

    #[test]
    fn without_errors_the_correlation_is_the_usual_one() {
        assert_eq!(correlation(&[]), USUAL);
        assert_eq!(correlation(&[vec![0.0; 30]]), USUAL);
        assert_eq!(correlation(&[vec![f64::NAN; 30]]), USUAL);
    }

    proptest! {
        #[test]
        fn equal_seeds_give_equal_bits_and_fewer_paths_are_the_first_of_more(
            seed in any::<u64>(), target in 0_usize..5, correlation in 0.0..0.99, few in 1_usize..20, steps in 1_usize..20,
        ) {
            let answer: Quantiles = skewed().into_iter().cycle().take(steps).collect();
            let paths = |seed, samples| Luck::draw(seed, target, correlation, samples, steps).paths(&answer);
            prop_assert_eq!(paths(seed, few), paths(seed, few));
            prop_assert_eq!(&paths(seed, few + 7)[..few], &paths(seed, few)[..]);
            prop_assert_ne!(paths(seed, few), paths(seed.wrapping_add(1), few));
        }

        #[test]
        fn joint_paths_are_the_same_for_the_same_seed_and_fewer_are_the_first_of_more(
            seed in any::<u64>(), together in -0.9..0.9_f64, few in 1_usize..10, steps in 1_usize..20,
        ) {
            let memory = [0.9, 0.7];
            let mix = Mix::new(&memory, &[vec![1.0, together], vec![together, 1.0]]);
            let scores = |samples| Luck::joint(seed, &memory, &mix, samples, steps).into_iter().map(|luck| luck.scores()).collect::<Vec<_>>();
            let (once, again, more) = (scores(few), scores(few), scores(few + 5));
            prop_assert_eq!(&once, &again);
            for (fewer, more) in once.iter().zip(&more) {
                prop_assert_eq!(fewer, &more[..few]);
            }
        }

        #[test]
        fn futures_that_share_their_luck_differ_only_where_their_answers_do(seed in any::<u64>(), from in 0_usize..STEPS) {
            let luck = Luck::draw(seed, 0, 0.7, 5, STEPS);
            let mut other = skewed();
            other[from..].iter_mut().flatten().for_each(|value| *value += 1.0);
            for (path, changed) in luck.paths(&skewed()).iter().zip(luck.paths(&other)) {
                prop_assert_eq!(&path[..from], &changed[..from]);
                prop_assert!(path[from..].iter().zip(&changed[from..]).all(|(a, b)| (b - a - 1.0).abs() < 1e-9));
            }
        }

        #[test]
        fn errors_of_any_kind_give_a_correlation_that_can_be_used(
            errors in prop::collection::vec(prop::collection::vec(prop_oneof![Just(f64::NAN), -1e3..1e3_f64], 0..40), 0..4),
        ) {
            prop_assert!((0.0..=MOST).contains(&correlation(&errors)));
        }
    }
}
