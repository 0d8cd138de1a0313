//! The real learner: an asset's frames in, a judged candidate out.
//!
//! What is learned from and judged on is cut in `dataset`. A head learns only where there are
//! [`USABLE`] windows; with fewer the shipped or the pooled head gets bands of its own and the candidate says so.
//! The same frames, champion and recipe give the same candidate, byte for byte, on one thread.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use super::backing::Backing;
use super::companions::{self, School};
use super::contradiction::contradiction;
use super::dataset::{Dataset, Exam, NEEDED, Parts, STEPS, count, overlap};
use super::heard::{Rehearsal, answers_each};
use super::learner::{Assignment, Candidate, Evaluation, Holdout, LearnError, Learner, Progress, Stage};
use super::marks::{naive, score};
use super::start::{Ancestry, Fleet};
use super::{bases, card};
use crate::asset::{Asset, AssetType};
use crate::features::{Banks, Grid, Layout, Seen, Setups, Subject, TargetExamples};
use crate::forecast::calibration::Calibration;
use crate::model::pretrain::synthetic;
use crate::model::trainee::{self, Example, Learned, Lesson, TraineeError};
use crate::model::{Base, BaseChoice, Quantiles, Recipe};
use crate::score::Scored;

/// Windows of each target below which a head does not learn.
pub(super) const USABLE: usize = 300;
/// Synthetic windows that a job draws from.
const SYNTHETIC: usize = 192;

/// Learns with libtorch on the calling thread.
#[derive(Clone, Debug, Default)]
pub struct Teacher {
    base: BaseChoice,
    synthetic: Arc<Mutex<Option<Synthetic>>>,
}

/// The synthetic windows of the newest job: most jobs have the same seed.
#[derive(Clone, Debug)]
struct Synthetic {
    seed: u64,
    wanted: usize,
    examples: Arc<Vec<Example>>,
}

/// A head, its bands, and how they came about.
struct Taught {
    learned: Learned,
    /// What it says of the windows that its bands are made from.
    rehearsal: Rehearsal,
    calibration: Calibration,
    /// Why nothing was learned, when nothing was.
    note: Option<String>,
    /// Which head it began from, where the fleet has one.
    ancestry: Option<Ancestry>,
}

/// An asset whose windows have been cut, and the base model to ask about them.
struct Class<'a> {
    asset: &'a Asset,
    grid: &'a Grid,
    base: Base,
    /// What serves stands on this one, where that is another.
    rival: Option<Base>,
    dataset: Dataset,
}

/// What tells the worker that the learner lives.
struct Signs<'a> {
    tell: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
}

impl Signs<'_> {
    fn at(&mut self, stage: Stage, fraction: f64) -> Result<(), LearnError> {
        let progress = Progress { stage, fraction, step: 0, train_loss: None, validation_loss: None, rung: None };
        if (self.tell)(progress).is_break() { Err(LearnError::Cancelled) } else { Ok(()) }
    }
}

impl Learner for Teacher {
    fn learn(
        &self,
        mut assignment: Assignment,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Candidate, LearnError> {
        let mut signs = Signs { tell: progress };
        signs.at(Stage::Preparing, 0.0)?;
        let asset = &assignment.asset;
        let too_little = |have| LearnError::InsufficientData { have, need: NEEDED };
        let raw = Grid::new(&asset.asset_type, &assignment.frames).ok_or_else(|| too_little(0))?;
        let (frames, mut data) = card::clean(&asset.asset_type, std::mem::take(&mut assignment.frames));
        let grid = Grid::new(&asset.asset_type, &frames).ok_or_else(|| too_little(0))?;
        let layout = Layout::new(&asset.asset_type, &grid);
        if grid.len() < NEEDED {
            return Err(too_little(grid.len()));
        }
        let (parts, seed) = (Parts::new(&grid), assignment.recipe.seed);
        let subject = Subject { asset_type: &asset.asset_type, grid: &grid, layout: &layout };
        let backing = Backing::learn(subject, &parts, &mut |share| signs.at(Stage::Preparing, 0.15 * share))?;
        let dataset = Dataset::cut(subject, &parts, &backing, seed, &mut |share| {
            signs.at(Stage::Preparing, 0.15 + 0.15 * share)
        })?;
        let usable = parts.usable(&grid);
        let none_left = LearnError::InsufficientData { have: usable, need: usable + 1 };
        if count(&dataset.calibrating) == 0 {
            return Err(none_left);
        }
        let known = std::mem::take(&mut assignment.bases).or(&self.base);
        let (base, tried) = bases::choose(&known.tried, &dataset.stopping, &mut || signs.at(Stage::Preparing, 0.32))?;
        (data.bases, data.without) = (tried, Some(known.without.name().to_owned()));
        let fleet = Fleet::of(&base, &assignment);
        // Up to a megabyte each, and no longer needed.
        assignment.fleet = Vec::new();
        let (champion, rival) = known.serving(assignment.champion.as_ref(), &base)?;
        let setups = champion.map(|champion| Setups::attached_to(&champion.weights)).unwrap_or_default();
        let names = layout.targets.iter().map(|target| &asset.asset_type.document.signals[*target].name);
        let theirs: Vec<Banks> = names.map(|name| Banks::of(setups.of(name)).sharing(&backing.crews)).collect();
        let [exam, their_exam] = Exam::cut(subject, &parts, [&backing.judging, &theirs]);
        data.complete(&grid, &dataset, &exam);
        if count(&exam.holdout) == 0 {
            return Err(none_left);
        }
        let class = Class { asset, grid: &grid, base, rival, dataset };
        let taught = self.teach(&class, &fleet, &assignment.recipe, usable, &mut signs)?;

        signs.at(Stage::Evaluating, 0.88)?;
        let served = champion.map(|champion| {
            (&champion.weights[..], serde_json::from_value(champion.calibration.clone()).unwrap_or_default())
        });
        let judge = |own: &[TargetExamples], said: &[Vec<Quantiles>], rival: &[TargetExamples]| {
            class.judge((own, said), rival, &taught.calibration, served.as_ref())
        };
        let says = |parts: &[TargetExamples]| answers_each(&class.base, Some(&taught.learned.weights), parts);
        let said = says(&exam.holdout)?;
        let recent = judge(&exam.holdout, &said, &their_exam.holdout)?;
        signs.at(Stage::Evaluating, 0.96)?;
        let older = match count(&exam.older) {
            0 => None,
            _ => Some(judge(&exam.older, &says(&exam.older)?, &their_exam.older)?),
        };
        signs.at(Stage::Evaluating, 0.98)?;
        // The judgement stands; what judged is the newest that bands can be made honest on.
        let calibration = taught.rehearsal.and_judged(&exam.holdout, said).calibration(asset);
        let weights = backing.setups.attach_to(&taught.learned.weights);
        let weights = weights.and_then(|weights| match Seen::of(&asset.asset_type, &grid, &layout) {
            Some(seen) => seen.attach_to(&weights),
            None => Ok(weights),
        });
        let weights = weights.map_err(|error| LearnError::Other(error.to_string()))?;
        let objection = contradiction(subject, &class.base, &taught.learned.weights, &backing.setups)?;
        let school = School {
            base: &class.base,
            asset_type: &asset.asset_type,
            grid: &raw,
            labels: &assignment.labels,
            recipe: &assignment.recipe,
            champion,
            rival: class.rival.as_ref(),
        };
        let (weights, companions) = companions::attach(school, &weights, &mut || signs.at(Stage::Evaluating, 0.98))?;
        let objection = objection.or_else(|| companions::loss_of_health(school, &weights));
        // The pooled head forecasts otherwise than what serves, so it must forecast better.
        let pooled = taught.ancestry.as_ref().is_some_and(Ancestry::is_pooled);
        let only_bands = taught.note.is_some() && champion.is_none() && class.rival.is_none() && !pooled;
        Ok(Candidate {
            base: class.base.card.name.clone(),
            weights,
            recipe: taught.learned.recipe.unwrap_or(assignment.recipe),
            calibration: serde_json::to_value(&calibration).map_err(|error| LearnError::Other(error.to_string()))?,
            sparsity: taught.learned.sparsity,
            curve: taught.learned.curve,
            objection,
            data,
            companions,
            holdout: Evaluation { recent, older, only_bands },
            note: taught.note,
            ancestry: taught.ancestry,
            search: taught.learned.search,
        })
    }
}

impl Teacher {
    /// Teaches heads of another base model than the shipped one.
    #[must_use]
    pub fn of(base: BaseChoice) -> Self {
        Self { base, ..Self::default() }
    }

    /// What a job would choose and learn for the banks of an asset, without a head.
    pub fn setups(asset_type: &AssetType, grid: &Grid) -> Result<Setups, LearnError> {
        if grid.len() < NEEDED {
            return Err(LearnError::InsufficientData { have: grid.len(), need: NEEDED });
        }
        let (layout, parts) = (Layout::new(asset_type, grid), Parts::new(grid));
        let subject = Subject { asset_type, grid, layout: &layout };
        Ok(Backing::learn(subject, &parts, &mut |_| Ok::<_, LearnError>(()))?.setups)
    }

    /// A head and its bands.
    fn teach(
        &self,
        class: &Class<'_>,
        fleet: &Fleet,
        recipe: &Recipe,
        usable: usize,
        signs: &mut Signs<'_>,
    ) -> Result<Taught, LearnError> {
        if usable < USABLE {
            let learned = fleet.untaught(&class.base, recipe, &class.dataset.stopping);
            let rehearsal = Rehearsal::of(&class.base, &class.dataset, &learned)?;
            let calibration = rehearsal.calibration(class.asset);
            let ancestry = fleet.ancestry(learned.begun);
            let head = ancestry.as_ref().map_or_else(|| "the base model's head".to_owned(), Ancestry::instead);
            let note = format!(
                "there are {usable} usable windows and fine-tuning needs {USABLE}: {head}, with experts and honest bands \
                 of this asset's own"
            );
            return Ok(Taught { learned, rehearsal, calibration, note: Some(note), ancestry });
        }
        let all = |parts: &[TargetExamples]| parts.iter().flat_map(|part| part.examples.iter().cloned()).collect();
        let lesson = Lesson {
            train: all(&class.dataset.fresh),
            replay: all(&class.dataset.replay),
            synthetic: self.synthetic(recipe).to_vec(),
            validation: all(&class.dataset.stopping),
        };
        signs.at(Stage::Learning, 0.35)?;
        let learned = trainee::learn_from(&class.base, &lesson, recipe, fleet.head(), &mut |lap| {
            (signs.tell)(Progress {
                stage: Stage::Learning,
                fraction: 0.4 + 0.4 * lap.fraction,
                step: lap.point.step,
                train_loss: Some(lap.point.train_loss),
                validation_loss: Some(lap.point.validation_loss),
                rung: lap.rung,
            })
        })
        .map_err(refusal)?;
        signs.at(Stage::Calibrating, 0.82)?;
        let rehearsal = Rehearsal::of(&class.base, &class.dataset, &learned)?;
        let calibration = rehearsal.calibration(class.asset);
        let ancestry = fleet.ancestry(learned.begun);
        Ok(Taught { learned, rehearsal, calibration, note: None, ancestry })
    }

    /// Windows of synthetic plants: no more than the steps could draw.
    fn synthetic(&self, recipe: &Recipe) -> Arc<Vec<Example>> {
        let each = (f64::from(recipe.batch) * recipe.synthetic).round() as usize;
        let (seed, wanted) = (recipe.seed, each.saturating_mul(recipe.max_steps as usize).min(SYNTHETIC));
        let mut kept = self.synthetic.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.as_ref().filter(|known| (known.seed, known.wanted) == (seed, wanted)) {
            return Arc::clone(&known.examples);
        }
        let examples = Arc::new(synthetic(seed, wanted, STEPS));
        *kept = Some(Synthetic { seed, wanted, examples: Arc::clone(&examples) });
        examples
    }
}

impl Class<'_> {
    /// Candidate, champion and the naive forecast on the same windows, each as its own banks answer
    /// them; what the candidate has `said` of them is given. `served` is the champion's head with its bands; without it
    /// the base model served.
    fn judge(
        &self,
        (parts, said): (&[TargetExamples], &[Vec<Quantiles>]),
        rival: &[TargetExamples],
        calibration: &Calibration,
        served: Option<&(&[u8], Calibration)>,
    ) -> Result<Holdout, LearnError> {
        let Self { asset, grid, base, .. } = self;
        let (old, bare) = (self.rival.as_ref().unwrap_or(base), Calibration::default());
        let (weights, bands) = served.map_or((None, &bare), |(weights, bands)| (Some(*weights), bands));
        Ok(Holdout {
            candidate: judged(asset, grid, calibration, parts, said.to_vec()),
            champion: judged(asset, grid, bands, rival, answers_each(old, weights, rival)?),
            naive: naive(asset, grid, parts),
            overlap: overlap(parts),
        })
    }
}

/// Scores what a head has said of the holdout, in the signals' units, as it would have been served.
fn judged(
    asset: &Asset,
    grid: &Grid,
    calibration: &Calibration,
    parts: &[TargetExamples],
    mut said: Vec<Vec<Quantiles>>,
) -> Scored {
    for (part, said) in parts.iter().zip(&mut said) {
        let signal = &asset.asset_type.document.signals[part.target];
        for (answer, scale) in said.iter_mut().zip(&part.scales) {
            calibration.serve(signal, *scale, answer);
        }
    }
    score(asset, grid, parts, &said)
}

fn refusal(error: TraineeError) -> LearnError {
    match error {
        TraineeError::Empty => LearnError::InsufficientData { have: 0, need: 1 },
        TraineeError::Cancelled => LearnError::Cancelled,
        TraineeError::NotFinite(step) => LearnError::NonFinite(format!("the loss at step {step} is not a number")),
        TraineeError::Torch(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "libtorch failed while learning");
            LearnError::Other("libtorch failed while learning".into())
        }
    }
}
