//! Sample paths of a situation: how many a request may ask for, and what is made of its answers.

use std::collections::BTreeMap;

use super::paths::{Luck, correlation};
use super::{ForecastError, Situation, tidy};
use crate::model::Quantiles;

/// Paths of one future at most.
pub(super) const MAX_SAMPLES: usize = 1_000;
/// Values in all paths of one answer at most: samples x horizon x outputs x futures.
pub(super) const MAX_VALUES: usize = 1_000_000;

/// Paths by signal: a row per sample, a value per step, in the signal's unit.
pub type Paths = BTreeMap<String, Vec<Vec<f64>>>;

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
            return Err(refused(format!("give 1 to {MAX_SAMPLES} samples, or leave them out")));
        }
        Ok(Some(Self { samples, seed: seed.unwrap_or(0) }))
    }

    /// Draws the luck of a situation that is asked about so many futures.
    pub fn draw(self, situation: &Situation, futures: usize) -> Result<Lots, ForecastError> {
        let targets = situation.layout.targets.len();
        let values = self.samples * situation.horizon * targets * futures;
        if values > MAX_VALUES {
            let detail = format!("the sample paths would hold {values} values; at most {MAX_VALUES} are given");
            return Err(refused(detail));
        }
        let luck = |target: usize| {
            let correlation = correlation(&situation.errors(target));
            Luck::draw(self.seed, target, correlation, self.samples, situation.horizon)
        };
        Ok(Lots((0..targets).map(luck).collect()))
    }
}

impl Lots {
    /// The paths of one future from its answers, one for each target. Limits of a sensor bound what
    /// can be measured, on paths too.
    #[must_use]
    pub fn paths(&self, situation: &Situation, answers: &[Quantiles]) -> Paths {
        let targets = situation.layout.targets.iter().map(|target| situation.signal(*target));
        targets
            .zip(self.0.iter().zip(answers))
            .map(|(signal, (luck, answer))| {
                let (low, high) = (signal.min.unwrap_or(f64::NEG_INFINITY), signal.max.unwrap_or(f64::INFINITY));
                let mut paths = luck.paths(answer);
                paths.iter_mut().flatten().for_each(|value| *value = tidy(value.clamp(low, high)));
                (signal.name.clone(), paths)
            })
            .collect()
    }
}

fn refused(detail: String) -> ForecastError {
    ForecastError::Invalid(vec![("/samples".into(), detail)])
}
