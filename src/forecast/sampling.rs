//! Sample paths of a situation: how many a request may ask for, and what is made of its answers.

use std::collections::BTreeMap;

use super::copula::{Mix, correlations};
use super::paths::{Luck, correlation};
use super::{ForecastError, Situation, tidy_all};
use crate::model::Quantiles;

/// Paths of one future at most.
pub(super) const MAX_SAMPLES: usize = 1_000;
/// Values in all paths of one answer at most: samples x horizon x outputs x futures.
pub(super) const MAX_VALUES: usize = 1_000_000;

/// Larger seeds are not whole numbers to every reader of JSON.
const MAX_SEED: u64 = (1 << 53) - 1;

/// How many paths, and which luck they have.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    samples: usize,
    seed: u64,
}

/// The luck of one situation's targets; every future of it is sampled with the same.
#[derive(Debug)]
pub struct Lots(Vec<Luck>);

impl Sampling {
    /// What was asked for; `None` when no samples were. The seed is 0 when left out.
    pub fn checked(samples: Option<usize>, seed: Option<u64>) -> Result<Option<Self>, ForecastError> {
        let Some(samples) = samples else { return Ok(None) };
        if !(1..=MAX_SAMPLES).contains(&samples) {
            let detail = format!("give 1 to {MAX_SAMPLES} samples, or leave them out");
            return Err(ForecastError::Beyond { pointer: "/samples".into(), detail, max: MAX_SAMPLES });
        }
        if seed.is_some_and(|seed| seed > MAX_SEED) {
            return Err(refused("/seed", format!("a seed is at most {MAX_SEED}")));
        }
        Ok(Some(Self { samples, seed: seed.unwrap_or(0) }))
    }

    /// As [`Self::checked`], of paths that something is computed from: as many as were asked for,
    /// or else as is usual.
    pub fn within(samples: Option<usize>, seed: Option<u64>, usual: usize) -> Result<Self, ForecastError> {
        let checked = Self::checked(Some(samples.unwrap_or(usual)), seed)?;
        Ok(checked.unwrap_or(Self { samples: usual, seed: 0 }))
    }

    /// So many paths that nobody asked for, with the usual luck.
    pub(super) fn usual(samples: usize) -> Self {
        Self { samples, seed: 0 }
    }

    /// Paths of another asset that the same question is about: as many, of a luck that does not depend on that
    /// of the first. `place` is its place in the chain, 0 for the first.
    #[must_use]
    pub fn apart(self, place: usize) -> Self {
        Self { seed: self.seed | ((place as u64) << MAX_SEED.count_ones()), ..self }
    }

    /// How many paths.
    #[must_use]
    pub fn samples(self) -> usize {
        self.samples
    }

    /// Draws the luck of a situation that is asked about so many futures, whose paths are all given
    /// in one answer.
    pub fn draw(self, situation: &Situation, futures: usize) -> Result<Lots, ForecastError> {
        self.fits(situation.horizon, situation.layout.targets.len(), futures)?;
        Ok(self.lots(situation))
    }

    /// Refuses paths of so many futures that are too many to be given in one answer.
    pub fn fits(self, horizon: usize, targets: usize, futures: usize) -> Result<(), ForecastError> {
        let each = horizon.saturating_mul(targets).saturating_mul(futures);
        let values = self.samples.saturating_mul(each);
        if values <= MAX_VALUES {
            return Ok(());
        }
        let detail = format!("the sample paths would hold {values} values; at most {MAX_VALUES} are given");
        Err(ForecastError::Beyond { pointer: "/samples".into(), detail, max: MAX_VALUES / each.max(1) })
    }

    /// Draws the luck of a situation, for paths that are computed with one future after the other.
    /// Luck of more samples begins with that of fewer.
    #[must_use]
    pub fn lots(self, situation: &Situation) -> Lots {
        let errors: Vec<_> = (0..situation.layout.targets.len()).map(|target| situation.errors(target)).collect();
        let memory: Vec<f64> = errors
            .iter()
            .map(|rows| correlation(&rows.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>()))
            .collect();
        let mix = Mix::new(&memory, &correlations(&errors, &memory));
        let Self { samples, seed } = self;
        if mix.is_none() {
            let alone = |(target, memory): (usize, &f64)| Luck::draw(seed, target, *memory, samples, situation.horizon);
            return Lots(memory.iter().enumerate().map(alone).collect());
        }
        Lots(Luck::joint(seed, &memory, &mix, samples, situation.horizon))
    }
}

impl Lots {
    /// The paths of one future from its answers, one for each target: by signal a row per sample, a
    /// value per step, in the signal's unit. Limits of a sensor bound what can be measured, on paths
    /// too.
    #[must_use]
    pub fn paths(&self, situation: &Situation, answers: &[Quantiles]) -> BTreeMap<String, Vec<Vec<f64>>> {
        let targets = situation.layout.targets.iter().enumerate();
        targets
            .zip(answers)
            .map(|((place, target), answer)| {
                let mut paths = self.of_target(situation, place, answer);
                paths.iter_mut().for_each(|path| tidy_all(path));
                (situation.signal(*target).name.clone(), paths)
            })
            .collect()
    }

    /// The paths of the target at a place of the layout, with all their digits: a row per sample.
    #[must_use]
    pub fn of_target(&self, situation: &Situation, place: usize, answer: &Quantiles) -> Vec<Vec<f64>> {
        let (low, high) = bounds(situation, place);
        let mut paths = self.0[place].paths(answer);
        paths.iter_mut().flatten().for_each(|value| *value = value.clamp(low, high));
        paths
    }

    /// One of the paths of the target at a place of the layout: that row of [`Self::of_target`].
    #[must_use]
    pub fn of_sample(&self, situation: &Situation, place: usize, sample: usize, answer: &Quantiles) -> Vec<f64> {
        let (low, high) = bounds(situation, place);
        self.0[place].path(sample, answer).into_iter().map(|value| value.clamp(low, high)).collect()
    }
}

/// What the sensor of the target at a place of the layout can measure.
fn bounds(situation: &Situation, place: usize) -> (f64, f64) {
    let signal = situation.signal(situation.layout.targets[place]);
    (signal.min.unwrap_or(f64::NEG_INFINITY), signal.max.unwrap_or(f64::INFINITY))
}

fn refused(pointer: &str, detail: String) -> ForecastError {
    ForecastError::Invalid(vec![(pointer.to_owned(), detail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_of_one_question_have_a_luck_each() {
        let first = Sampling { samples: 3, seed: MAX_SEED };
        let seeds: Vec<u64> = (0..16).map(|place| first.apart(place).seed).collect();
        assert_eq!((seeds[0], first.apart(5).samples), (MAX_SEED, 3));
        let mut distinct = seeds.clone();
        distinct.dedup();
        assert_eq!(distinct.len(), seeds.len());
        // However the first was seeded: the seeds of one place never meet those of another.
        assert!(seeds[1] & MAX_SEED == MAX_SEED && seeds[1] >> 53 == 1);
    }
}
