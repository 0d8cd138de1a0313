//! The real learner: an asset's frames in, a judged candidate out.
//!
//! Split by time: the oldest 60 % of the steps teach, the next 20 % stop the training early and
//! make the bands honest, the newest 20 % judge. A window may look back into an earlier part; it
//! is never asked about a later one.

use std::ops::ControlFlow;

use super::learner::{Assignment, Candidate, Evaluation, Holdout, LearnError, Learner, Progress, Stage};
use crate::asset::Asset;
use crate::features::{Banks, FEWEST, Grid, Layout, Split, TargetExamples, examples};
use crate::forecast::calibration::Calibration;
use crate::forecast::naive::persistence;
use crate::model::trainee::{self, Example, Lesson, TraineeError};
use crate::model::window::Window;
use crate::model::{Base, LEVELS, Quantiles};
use crate::score::{Scored, Scorer};

/// Steps of the windows that are learned from.
const STEPS: usize = 64;
/// Windows at most, over all targets: for learning, for validation, for judging.
const WINDOWS: (usize, usize, usize) = (720, 240, 240);
/// Steps of history that three useful parts need.
const NEEDED: usize = 384;
/// Windows answered between two signs of life.
const CHUNK: usize = 64;

/// Learns with libtorch on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Teacher;

/// The three parts, a [`TargetExamples`] for each target in each.
struct Material {
    train: Vec<TargetExamples>,
    validation: Vec<TargetExamples>,
    holdout: Vec<TargetExamples>,
    stride: usize,
}

/// What tells the worker that the learner lives.
struct Signs<'a> {
    tell: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
}

impl Signs<'_> {
    fn at(&mut self, stage: Stage, fraction: f64) -> Result<(), LearnError> {
        let progress = Progress { stage, fraction, step: 0, train_loss: None, validation_loss: None };
        if (self.tell)(progress).is_break() { Err(LearnError::Cancelled) } else { Ok(()) }
    }
}

impl Learner for Teacher {
    fn learn(
        &self,
        assignment: Assignment,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Candidate, LearnError> {
        let mut signs = Signs { tell: progress };
        signs.at(Stage::Preparing, 0.0)?;
        let asset = &assignment.asset;
        let too_little = |have| LearnError::InsufficientData { have, need: NEEDED };
        let grid = Grid::new(&asset.asset_type, &assignment.frames).ok_or_else(|| too_little(0))?;
        let layout = Layout::new(&asset.asset_type, &grid);
        if grid.len() < NEEDED {
            return Err(too_little(grid.len()));
        }
        let material = prepare(asset, &grid, &layout, &mut signs)?;
        let count = |parts: &[TargetExamples]| parts.iter().map(|part| part.examples.len()).sum::<usize>();
        if count(&material.train) == 0 || count(&material.validation) == 0 || count(&material.holdout) == 0 {
            return Err(LearnError::InsufficientData {
                have: count(&material.train),
                need: count(&material.train) + 1,
            });
        }

        let base = Base::shipped().map_err(|error| LearnError::Other(error.to_string()))?;
        let all = |parts: &[TargetExamples]| parts.iter().flat_map(|part| part.examples.iter().cloned()).collect();
        let lesson: Lesson = Lesson { train: all(&material.train), validation: all(&material.validation) };
        let steps = f64::from(assignment.recipe.max_steps);
        let learned = trainee::learn(&base, &lesson, &assignment.recipe, &mut |point| {
            (signs.tell)(Progress {
                stage: Stage::Learning,
                fraction: 0.3 + 0.5 * f64::from(point.step) / steps,
                step: point.step,
                train_loss: Some(point.train_loss),
                validation_loss: Some(point.validation_loss),
            })
        })
        .map_err(refusal)?;

        signs.at(Stage::Calibrating, 0.82)?;
        let calibration = calibrate(asset, &base, &learned.weights, &material.validation)?;
        signs.at(Stage::Evaluating, 0.88)?;
        let candidate = judge(asset, &grid, &base, Some(&learned.weights), &calibration, &material.holdout)?;
        signs.at(Stage::Evaluating, 0.94)?;
        let champion = match &assignment.champion {
            Some(champion) if champion.base == base.card.name => {
                let calibration = serde_json::from_value(champion.calibration.clone()).unwrap_or_default();
                judge(asset, &grid, &base, Some(&champion.weights), &calibration, &material.holdout)?
            }
            _ => judge(asset, &grid, &base, None, &Calibration::default(), &material.holdout)?,
        };
        let naive = judge_naive(asset, &grid, &material.holdout);
        signs.at(Stage::Evaluating, 1.0)?;
        let overlap = STEPS.div_ceil(material.stride.max(1));
        Ok(Candidate {
            base: base.card.name.clone(),
            weights: learned.weights,
            calibration: serde_json::to_value(&calibration).map_err(|error| LearnError::Other(error.to_string()))?,
            curve: learned.curve,
            holdout: Evaluation { recent: Holdout { candidate, champion, naive, overlap }, older: None },
        })
    }
}

fn prepare(asset: &Asset, grid: &Grid, layout: &Layout, signs: &mut Signs<'_>) -> Result<Material, LearnError> {
    let (n, targets) = (grid.len(), layout.targets.len().max(1));
    let (learned, validated) = (n * 6 / 10, n * 8 / 10);
    let part = |from: usize, to: usize, windows: usize| Split { from, to, windows: (windows / targets).max(32) };
    let mut material = Material {
        train: Vec::new(),
        validation: Vec::new(),
        holdout: Vec::new(),
        stride: ((n - validated - STEPS) / part(0, 0, WINDOWS.2).windows).max(1),
    };
    for (index, target) in layout.targets.iter().enumerate() {
        let take = |split| examples(&asset.asset_type, grid, layout, *target, split, STEPS, &Banks::default());
        material.train.push(take(part(FEWEST, learned, WINDOWS.0)));
        signs.at(Stage::Preparing, 0.3 * (index as f64 + 0.6) / targets as f64)?;
        material.validation.push(take(part(learned, validated, WINDOWS.1)));
        material.holdout.push(take(part(validated, n, WINDOWS.2)));
        signs.at(Stage::Preparing, 0.3 * (index as f64 + 1.0) / targets as f64)?;
    }
    Ok(material)
}

/// Quantiles of examples in normalised units.
fn answers(base: &Base, weights: Option<&[u8]>, examples: &[Example]) -> Result<Vec<Quantiles>, LearnError> {
    let mut all = Vec::with_capacity(examples.len());
    for chunk in examples.chunks(CHUNK) {
        let windows: Vec<&Window> = chunk.iter().map(|example| &example.window).collect();
        all.extend(trainee::answer(base, weights, &windows).map_err(|error| LearnError::NonFinite(error.to_string()))?);
    }
    Ok(all)
}

fn name(asset: &Asset, target: usize) -> &str {
    &asset.asset_type.document.signals[target].name
}

fn calibrate(asset: &Asset, base: &Base, weights: &[u8], parts: &[TargetExamples]) -> Result<Calibration, LearnError> {
    let mut calibration = Calibration::default();
    for part in parts {
        let said = answers(base, Some(weights), &part.examples)?;
        let truths: Vec<Vec<f64>> =
            part.examples.iter().map(|example| example.truth.iter().map(|value| f64::from(*value)).collect()).collect();
        calibration.fit(name(asset, part.target), &said, &truths);
    }
    Ok(calibration)
}

/// Scores a head on the holdout, in the signals' units, as it would have been served.
fn judge(
    asset: &Asset,
    grid: &Grid,
    base: &Base,
    weights: Option<&[u8]>,
    calibration: &Calibration,
    parts: &[TargetExamples],
) -> Result<Scored, LearnError> {
    let mut forecasts = Vec::with_capacity(parts.len());
    for part in parts {
        let signal = &asset.asset_type.document.signals[part.target];
        let (low, high) = (signal.min.unwrap_or(f64::NEG_INFINITY), signal.max.unwrap_or(f64::INFINITY));
        let mut said = answers(base, weights, &part.examples)?;
        for (answer, scale) in said.iter_mut().zip(&part.scales) {
            calibration.apply(&signal.name, answer);
            for row in answer {
                *row = row.map(|value| scale.undo(value).clamp(low, high));
            }
        }
        forecasts.push(said);
    }
    Ok(score(asset, grid, parts, &forecasts))
}

fn judge_naive(asset: &Asset, grid: &Grid, parts: &[TargetExamples]) -> Scored {
    let forecasts: Vec<Vec<Quantiles>> = parts
        .iter()
        .map(|part| {
            let history = |origin: &usize| persistence(&grid.values[part.target][..*origin], STEPS, 1.0);
            part.origins.iter().map(history).collect()
        })
        .collect();
    score(asset, grid, parts, &forecasts)
}

/// Scores all targets together, window by window in the order of time; a target that was not
/// measured in a window is left out of it.
fn score(asset: &Asset, grid: &Grid, parts: &[TargetExamples], forecasts: &[Vec<Quantiles>]) -> Scored {
    let deviation = |target: usize| {
        let values = &grid.values[target];
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    };
    let targets = parts.iter().map(|part| (name(asset, part.target).to_owned(), deviation(part.target)));
    let mut scorer = Scorer::new(&LEVELS, targets);
    let mut origins: Vec<usize> = parts.iter().flat_map(|part| part.origins.iter().copied()).collect();
    origins.sort_unstable();
    origins.dedup();
    for origin in origins {
        let mut said: Vec<Vec<Vec<f64>>> = Vec::with_capacity(parts.len());
        let mut truths: Vec<Vec<f64>> = Vec::with_capacity(parts.len());
        for (part, forecasts) in parts.iter().zip(forecasts) {
            let Ok(index) = part.origins.binary_search(&origin) else {
                said.push(Vec::new());
                truths.push(Vec::new());
                continue;
            };
            said.push(forecasts[index].iter().map(|row| row.to_vec()).collect());
            let truth = (origin..origin + STEPS)
                .map(|step| if grid.measured[part.target][step] { grid.values[part.target][step] } else { f64::NAN });
            truths.push(truth.collect());
        }
        scorer.window(&said, &truths);
    }
    scorer.finish()
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
