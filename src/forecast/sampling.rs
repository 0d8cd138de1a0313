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
        let signal = situation.signal(situation.layout.targets[place]);
        let (low, high) = (signal.min.unwrap_or(f64::NEG_INFINITY), signal.max.unwrap_or(f64::INFINITY));
        let mut paths = self.0[place].paths(answer);
        paths.iter_mut().flatten().for_each(|value| *value = value.clamp(low, high));
        paths
    }
}

fn refused(pointer: &str, detail: String) -> ForecastError {
    ForecastError::Invalid(vec![(pointer.to_owned(), detail)])
}
