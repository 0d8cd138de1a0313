//! What a fine-tuned version, the base model, ARX and ridge say of the same futures.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::EvaluateError;
use super::super::arx::Arx;
use super::super::forecaster::Point;
use super::super::ours::{assignment, part};
use super::super::ridge::Ridge;
use super::super::task::{Span, Task};
use super::cases::{Origin, STEPS};
use crate::features::{Fit, Seen, Setups, Subject};
use crate::model::window::Window;
use crate::model::{Base, MEDIAN, trainee};
use crate::scenario::support::Judge;
use crate::training::learner::Learner as _;
use crate::training::teacher::Teacher;

/// For each future of an origin, for each output, a value per step.
pub(super) type Said = Vec<Vec<Vec<f64>>>;

/// A version as a fine-tune job makes it.
pub(super) struct Version {
    weights: Vec<u8>,
    setups: Setups,
    seen: Arc<Seen>,
}

impl Version {
    /// Learns from the part of the task that is taught.
    pub(super) fn learn(task: &Task, seed: u64) -> Result<Self, EvaluateError> {
        let broken = |detail: String| EvaluateError::Broken(detail);
        let learned = Teacher::default().learn(assignment(task, seed), &mut |_| ControlFlow::Continue(()));
        let weights = learned.map_err(|error| broken(error.to_string()))?.weights;
        let seen = Seen::attached_to(&weights).ok_or_else(|| broken("a version without what it has seen".into()))?;
        Ok(Self { setups: Setups::attached_to(&weights), seen: Arc::new(seen), weights })
    }

    /// Answers the futures of an origin, inputs by the task's layout.
    pub(super) fn answer(
        &self,
        base: &Base,
        task: &Task,
        origin: usize,
        futures: &[Vec<Vec<f64>>],
    ) -> Result<Said, EvaluateError> {
        answer(Some((base, Some(&self.weights))), &self.setups, task, origin, futures)
    }

    /// The same without the network: what its bank and its study say.
    pub(super) fn answer_without_network(
        &self,
        task: &Task,
        origin: usize,
        futures: &[Vec<Vec<f64>>],
    ) -> Result<Said, EvaluateError> {
        answer(None, &self.setups, task, origin, futures)
    }

    /// Mean support of each future, by what was said of it.
    pub(super) fn support(&self, task: &Task, origin: usize, futures: &[Vec<Vec<f64>>], said: &Said) -> Vec<f64> {
        let past: Vec<&[f64]> = task.layout.inputs.iter().map(|input| &task.grid.values[*input][..origin]).collect();
        let judge = Judge::of(Arc::clone(&self.seen), &past);
        futures
            .iter()
            .zip(said)
            .map(|(inputs, outputs)| {
                let inputs: Vec<&[f64]> = inputs.iter().map(|row| &row[..STEPS]).collect();
                let outputs: Vec<&[f64]> = outputs.iter().map(Vec::as_slice).collect();
                let support = judge.judge_rows(&inputs, &outputs);
                support.score.iter().sum::<f64>() / STEPS as f64
            })
            .collect()
    }
}

/// The base model with a bank fitted to the asset.
pub(super) fn zero_shot(
    base: &Base,
    task: &Task,
    origin: usize,
    futures: &[Vec<Vec<f64>>],
) -> Result<Said, EvaluateError> {
    answer(Some((base, None)), &Setups::default(), task, origin, futures)
}

/// The answers of a base model with its own head or with that of an artefact, or of the banks alone.
fn answer(
    network: Option<(&Base, Option<&[u8]>)>,
    setups: &Setups,
    task: &Task,
    origin: usize,
    futures: &[Vec<Vec<f64>>],
) -> Result<Said, EvaluateError> {
    let known = part(&task.grid, origin.saturating_sub(crate::expert::CONTEXT)..origin);
    let subject = Subject { asset_type: &task.asset.asset_type, grid: &known, layout: &task.layout };
    let mut windows: Vec<Window> = Vec::new();
    let mut scales = Vec::new();
    for (place, target) in task.layout.targets.iter().enumerate() {
        let setup = setups.of(task.target(place));
        let fit = Fit::new(subject, *target, known.len(), STEPS, &setup);
        windows.extend(fit.windows(&known, known.len(), futures, STEPS));
        scales.push(fit.scale());
    }
    let flat: Vec<&Window> = windows.iter().collect();
    let medians: Vec<Vec<f64>> = match network {
        Some((base, weights)) => trainee::answer(base, weights, &flat)
            .map_err(|error| EvaluateError::Broken(error.to_string()))?
            .iter()
            .map(|answer| answer.iter().map(|row| row[MEDIAN]).collect())
            .collect(),
        None => {
            flat.iter().map(|window| window.bank[window.context..].iter().map(|v| f64::from(*v)).collect()).collect()
        }
    };
    let limits = super::super::ours::limits(task);
    let row = |future: usize, place: usize| {
        let (low, high) = limits[place];
        let answer = &medians[place * futures.len() + future];
        answer.iter().map(|value| scales[place].undo(*value).clamp(low, high)).collect::<Vec<f64>>()
    };
    let targets = task.layout.targets.len();
    Ok((0..futures.len()).map(|future| (0..targets).map(|place| row(future, place)).collect()).collect())
}

/// The baselines on the same rows: chosen on the validation part, then fitted on everything taught.
pub(super) struct Baselines {
    arx: Arx,
    ridge: Ridge,
}

impl Baselines {
    pub(super) fn learn(task: &Task) -> Result<Self, EvaluateError> {
        let broken = |what: &str| EvaluateError::Broken(format!("{what} found no solution"));
        let mut arx = Arx::choose(task).ok_or_else(|| broken("ARX"))?;
        let mut ridge = Ridge::choose(task).ok_or_else(|| broken("ridge"))?;
        arx.refit(&task.protocol.taught);
        ridge.refit(&task.protocol.taught);
        Ok(Self { arx, ridge })
    }

    /// What both say of the futures of an origin: ARX, then ridge.
    pub(super) fn answer(&mut self, task: &Task, origin: usize, futures: &[Vec<Vec<f64>>]) -> [Said; 2] {
        let span = Span { origin, steps: STEPS };
        let (mut by_arx, mut by_ridge) = (Vec::new(), Vec::new());
        for future in futures {
            self.arx.series_mut().suppose(origin, future);
            by_arx.push(self.arx.predict(span));
            self.ridge.series_mut().suppose(origin, future);
            by_ridge.push(self.ridge.predict(span));
        }
        // Later origins look back on what really happened.
        let happened: Vec<Vec<f64>> = task
            .layout
            .inputs
            .iter()
            .map(|input| task.grid.values[*input][origin..].iter().copied().take(STEPS).collect())
            .collect();
        self.arx.series_mut().suppose(origin, &happened);
        self.ridge.series_mut().suppose(origin, &happened);
        [by_arx, by_ridge]
    }
}

/// The futures of an origin by the task's layout: the controls as they are, disturbances held.
pub(super) fn futures(task: &Task, origin: &Origin, controls: &[&str]) -> Vec<Vec<Vec<f64>>> {
    let signals = &task.asset.asset_type.document.signals;
    let row = |future: &[Vec<f64>], input: &usize| {
        let control = controls.iter().position(|name| *name == signals[*input].name);
        control.map_or_else(|| vec![task.grid.values[*input][origin.step - 1]; STEPS], |at| future[at].clone())
    };
    origin.controls.iter().map(|future| task.layout.inputs.iter().map(|input| row(future, input)).collect()).collect()
}
