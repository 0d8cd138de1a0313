//! Remaining time until a health class that ends runs: what runs to failure teach, and whether it may serve.
//!
//! Runs lie between labels: from the moment that the asset was restored to the label of failure. Those
//! that were broken off by maintenance teach that it lasted at least so long. The newest runs to failure
//! judge, and never teach, against the remaining time that a run's age alone tells. Readings are taken as
//! they came, not cleaned. Runs are seen signal by signal and, where signals wear together, along the directions
//! in which they do: what tells more of teaching runs that were held out is learned.

mod runs;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use statrs::function::erf::erf;

use super::learner::LearnError;
use crate::asset::{AssetType, EndOfLife};
use crate::event::Label;
use crate::features::{Grid, Looks, Memory, RemainingModel, Run};
use crate::model::Recipe;
use crate::model::remaining::{Left, Lesson, Manner, Moment, foretell, learn_best};
use crate::model::trainee::TraineeError;
use crate::score::{Paired, RESAMPLES, RemainingCard, RemainingTime, paired_block_bootstrap};
use runs::{NEEDED, Parts, Stretch, stretches};

/// Bins, the one beyond the horizon included.
pub const BINS: usize = 26;
/// The horizon, in median runs: earlier, wear seldom shows.
const HORIZON: f64 = 0.625;
/// Units of the memory's lengths in a horizon.
pub const UNITS: f64 = 125.0;
/// From so many runs that teach on, it also counts how a run began.
const MANY: usize = 20;
/// What a new model must save of the old one's score, and in how many resamples.
const BETTER: (f64, f64) = (0.01, 0.95);
/// Judging moments that hang together.
const BLOCK: usize = 16;
/// Share of the naive model's score that a new model must save to be of use.
const OF_USE: f64 = 0.05;
/// Probability that the naive model gives to what never happened, and the deviation of what happened, in
/// bins: at least as smooth as what it is compared with.
const UNSEEN: f64 = 0.01;
const SMOOTH: f64 = 3.0;

/// How well remaining time is told, and what was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RemainingVerdict {
    /// Whether the new model is better than the one that served, or the first that is of use.
    pub improved: bool,
    /// Why, in words with numbers.
    pub reason: String,
    /// The class that ends runs.
    pub class: String,
    /// Runs to failure with readings enough.
    pub failures: usize,
    /// Further runs to failure that are needed before anything is learned.
    pub failures_needed: usize,
    /// Runs that it was judged on.
    pub judged_runs: usize,
    /// The new model on runs that it never saw, the newest; null where there was too little to learn from.
    pub candidate: Option<RemainingCard>,
    /// The one that served, on the same moments.
    pub champion: Option<RemainingCard>,
    /// What the age of a run alone tells, on the same moments.
    pub naive: Option<RemainingCard>,
}

/// What a model of remaining time is made from and compared with.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) asset_type: &'a AssetType,
    /// Of the readings as they came.
    pub(super) grid: &'a Grid,
    pub(super) labels: &'a [Label],
    pub(super) recipe: &'a Recipe,
    pub(super) champion: Option<&'a RemainingModel>,
}

/// What is remembered at a moment of a run, and how many seconds were left of what is known of it.
type Remembered = (Vec<f64>, f64);

/// What several models say of the moments of the runs that judge.
struct Trial {
    truths: Vec<f64>,
    candidate: Vec<RemainingTime>,
    champion: Option<Vec<RemainingTime>>,
    naive: Vec<RemainingTime>,
}

impl Source<'_> {
    /// Learns and judges a model; `None` without labels, or a class that ends runs. Besides the verdict, the
    /// model that is to travel with the next version: the better one.
    pub(super) fn learn(
        self,
        alive: &mut dyn FnMut() -> Result<(), LearnError>,
    ) -> Result<Option<(RemainingVerdict, Option<RemainingModel>)>, LearnError> {
        let Some(end) = self.asset_type.document.end_of_life().filter(|_| !self.labels.is_empty()) else {
            return Ok(None);
        };
        let stretches = stretches(self.labels, &end, self.grid);
        let failures = stretches.iter().filter(|stretch| stretch.failed).count();
        let Some(parts) = Parts::of(&stretches) else {
            return Ok(Some((too_few(&end, failures), self.champion.cloned())));
        };
        let model = self.taught(end, &parts, alive)?;
        let trial = self.trial(&model, &parts, alive)?;
        let horizon = self.champion.map_or(f64::INFINITY, RemainingModel::horizon_s).min(model.horizon_s());
        let verdict = judge(&model.class, &parts, failures, &trial, horizon, self.recipe.seed);
        let keeps = if verdict.improved { Some(model) } else { self.champion.cloned() };
        Ok(Some((verdict, keeps)))
    }

    fn taught(
        self,
        end: EndOfLife,
        parts: &Parts,
        alive: &mut dyn FnMut() -> Result<(), LearnError>,
    ) -> Result<RemainingModel, LearnError> {
        let lengths = parts.lengths_s();
        let horizon_s = HORIZON * lengths[lengths.len() / 2];
        let width_s = horizon_s / (BINS - 1) as f64;
        let many = parts.teaching.iter().filter(|stretch| stretch.failed).count() >= MANY;
        let (taught, unit) = (parts.judging[0].first, horizon_s / UNITS / self.grid.step_s);
        let by_signal = Memory::of(self.asset_type, self.grid, taught, unit, many);
        let looks = |stretch: &Stretch| Looks { first: stretch.first, steps: stretch.moments().collect() };
        let looks: Vec<Looks> = parts.teaching.iter().map(looks).collect();
        let along = by_signal.along(self.asset_type, self.grid, &looks);
        let mut ways = vec![self.lesson(by_signal, Manner::OF_MANY, parts, width_s, alive)?];
        if let Some(along) = along {
            ways.push(self.lesson(along, Manner::OF_FEW, parts, width_s, alive)?);
        }
        let (mut memories, lessons): (Vec<Memory>, Vec<Lesson>) = ways.into_iter().unzip();
        let mut go_on = || if alive().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        let (way, taught) = learn_best(BINS, &lessons, self.recipe, &mut go_on).map_err(|error| match error {
            TraineeError::Cancelled => LearnError::Cancelled,
            error => LearnError::NonFinite(error.to_string()),
        })?;
        let EndOfLife { class, restored_by } = end;
        Ok(RemainingModel { memory: memories.swap_remove(way), class, restored_by, width_s, head: taught.head })
    }

    /// What the teaching runs teach as a memory sees them, which gets its scales from them.
    fn lesson(
        self,
        mut memory: Memory,
        manner: Manner,
        parts: &Parts,
        width_s: f64,
        alive: &mut dyn FnMut() -> Result<(), LearnError>,
    ) -> Result<(Memory, Lesson), LearnError> {
        // Scales are of what teaches: what judges must not move how it is seen.
        let rows = self.remembered(&memory, &parts.teaching, alive)?;
        memory.scale(&rows.iter().flatten().map(|(row, _)| row.clone()).collect::<Vec<_>>());
        let moment = |(row, left_s): &Remembered, failed: bool| {
            let left = left_s / width_s;
            let left = if failed { Left::Exactly(left) } else { Left::AtLeast(left) };
            Moment { seen: memory.scaled(row), left }
        };
        let run = |(rows, stretch): (&Vec<Remembered>, &Stretch)| -> Vec<Moment> {
            rows.iter().map(|row| moment(row, stretch.failed)).collect()
        };
        let runs = rows.iter().zip(&parts.teaching).map(run).collect();
        Ok((memory, Lesson { runs, manner }))
    }

    /// Run by run what is remembered at its moments.
    fn remembered(
        self,
        memory: &Memory,
        stretches: &[Stretch],
        alive: &mut dyn FnMut() -> Result<(), LearnError>,
    ) -> Result<Vec<Vec<Remembered>>, LearnError> {
        let gone = || LearnError::Other("a signal that is remembered is not there".to_owned());
        let recall = memory.upon(self.asset_type, self.grid).ok_or_else(gone)?;
        let mut runs = Vec::with_capacity(stretches.len());
        for stretch in stretches {
            alive()?;
            let run = Run { first: stretch.first, beginning: None };
            let row = |step: usize| {
                let (age_s, left_s) = stretch.at(self.grid, step);
                let row = recall.at(step, run, age_s / self.grid.step_s).ok_or_else(gone)?;
                Ok((row, left_s))
            };
            runs.push(stretch.moments().map(row).collect::<Result<_, LearnError>>()?);
        }
        Ok(runs)
    }

    fn trial(
        self,
        model: &RemainingModel,
        parts: &Parts,
        alive: &mut dyn FnMut() -> Result<(), LearnError>,
    ) -> Result<Trial, LearnError> {
        let lengths = parts.lengths_s();
        let moments =
            parts.judging.iter().flat_map(|stretch| stretch.moments().map(|step| stretch.at(self.grid, step)));
        let (ages, truths): (Vec<f64>, Vec<f64>) = moments.unzip();
        // What an older model remembers may be gone: then it says nothing that could be compared.
        let seeing = self.champion.filter(|champion| champion.memory.upon(self.asset_type, self.grid).is_some());
        let champion = seeing.map(|champion| self.said(champion, &parts.judging, alive)).transpose()?;
        Ok(Trial {
            truths,
            candidate: self.said(model, &parts.judging, alive)?,
            champion,
            naive: ages.iter().map(|age| by_age(&lengths, *age, model.width_s)).collect(),
        })
    }

    fn said(
        self,
        model: &RemainingModel,
        stretches: &[Stretch],
        alive: &mut dyn FnMut() -> Result<(), LearnError>,
    ) -> Result<Vec<RemainingTime>, LearnError> {
        let rows = self.remembered(&model.memory, stretches, alive)?;
        let rows: Vec<Vec<f32>> = rows.iter().flatten().map(|(row, _)| model.memory.scaled(row)).collect();
        let broken = |error: String| LearnError::NonFinite(error);
        let said = foretell(&model.head, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let said = said.map_err(|error| broken(error.to_string()))?;
        let times = said.into_iter().map(|masses| model.time(masses));
        times.collect::<Option<_>>().ok_or_else(|| broken("probabilities do not sum to one".to_owned()))
    }
}

/// What the lengths of runs tell of one that is `age` old: those that lasted longer, each alike.
fn by_age(lengths: &[f64], age: f64, width: f64) -> RemainingTime {
    let mut masses = vec![UNSEEN / BINS as f64; BINS];
    let mut longer: Vec<f64> = lengths.iter().map(|length| length - age).filter(|left| *left > 0.0).collect();
    if longer.is_empty() {
        longer.push(0.0);
    }
    let below = |edge: f64| 0.5 * (1.0 + erf(edge / SMOOTH / std::f64::consts::SQRT_2));
    for left in &longer {
        for (bin, mass) in masses.iter_mut().enumerate() {
            let low = if bin == 0 { 0.0 } else { below(bin as f64 - left / width) };
            let high = if bin + 1 == BINS { 1.0 } else { below(bin as f64 + 1.0 - left / width) };
            *mass += (high - low) / longer.len() as f64;
        }
    }
    RemainingTime::new(width, masses).expect("the probabilities are positive")
}

fn too_few(end: &EndOfLife, failures: usize) -> RemainingVerdict {
    let needed = NEEDED - failures;
    RemainingVerdict {
        improved: false,
        reason: format!(
            "{failures} runs to `{}` with readings enough are known and {NEEDED} are needed: {needed} more",
            end.class
        ),
        class: end.class.clone(),
        failures,
        failures_needed: needed,
        judged_runs: 0,
        candidate: None,
        champion: None,
        naive: None,
    }
}

fn judge(class: &str, parts: &Parts, failures: usize, trial: &Trial, horizon: f64, seed: u64) -> RemainingVerdict {
    let card = |said: &[RemainingTime]| RemainingCard::of(said, &trial.truths, horizon);
    let (candidate, naive) = (card(&trial.candidate), card(&trial.naive));
    let champion = trial.champion.as_deref().map(card);
    let held = candidate.coverage_80.map_or(String::new(), |held| {
        format!("; the 80 % band holds {:.0} % of what lies below the horizon", 100.0 * held)
    });
    let praise = format!(
        "time to `{class}` within {}: error {} on {} runs that it never saw (by the run's age alone {}){held}",
        words(horizon),
        words(candidate.rmse_s),
        parts.judging.len(),
        words(naive.rmse_s),
    );
    let of_use = candidate.crps_s < (1.0 - OF_USE) * naive.crps_s && candidate.rmse_s < naive.rmse_s;
    let (improved, reason) = match (&champion, &trial.champion) {
        _ if !of_use => (false, format!("not better than the age of the run alone: {praise}")),
        (Some(old), Some(before)) => {
            let losses = |said: &[RemainingTime]| -> Vec<f64> {
                said.iter().zip(&trial.truths).map(|(time, truth)| time.crps(*truth, horizon)).collect()
            };
            let paired = paired_block_bootstrap(&losses(&trial.candidate), &losses(before), BLOCK, RESAMPLES, seed);
            let enough = |paired: &Paired| paired.improvement >= BETTER.0 && paired.probability >= BETTER.1;
            let against =
                format!("CRPS {} against {} of the one that serves", words(candidate.crps_s), words(old.crps_s));
            if paired.as_ref().is_some_and(enough) {
                (true, format!("{praise}; {against}"))
            } else {
                (false, format!("not better than the one that serves by more than luck: {against}; {praise}"))
            }
        }
        _ => (true, praise),
    };
    RemainingVerdict {
        improved,
        reason,
        class: class.to_owned(),
        failures,
        failures_needed: 0,
        judged_runs: parts.judging.len(),
        candidate: Some(candidate),
        champion,
        naive: Some(naive),
    }
}

/// A time in the unit that suits it.
fn words(seconds: f64) -> String {
    let units = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds >= 2.0 * unit).unwrap_or((1.0, "s"));
    format!("{:.1} {name}", seconds / unit)
}
