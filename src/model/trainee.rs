//! Fine-tuning: a head learns an asset on the features of a backbone that stays as it is, or as far as its
//! recipe says.
//!
//! What nothing that learns has a part in is computed once for every window, without gradients; head and
//! what else learns live in variable stores of their own and only these are given to optimisers. Every
//! random draw comes from the
//! recipe's seed. One bad number makes all weights non-finite in one step and clipping does not
//! stop it, so inputs, loss and weights are checked.

use std::ops::ControlFlow;

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;
use tch::nn::{self, OptimizerConfig as _};

use super::artefact::{self, ArtefactError};
use super::attempt::{Attempt, Beginning, Class};
use super::base::Base;
use super::engine::{EngineError, Quantiles};
use super::forward::forward;
use super::freeze::Freeze;
use super::halving::halve;
pub use super::lesson::{Example, Lesson};
use super::network::Head;
use super::pool::{Begun, Pool};
use super::recipe::{LEARNING_RATES, Optimizer, Recipe, StartFrom};
use super::search::SearchRecord;
use super::tuned::Tuned;
use super::window::Window;

/// Momentum of stochastic gradient descent when a recipe does not say.
const SGD_MOMENTUM: f64 = 0.9;
/// Share of the steps that is taken with each learning rate before one is chosen.
const TRIED: f64 = 1.0 / 3.0;

/// Losses at one step.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct CurvePoint {
    /// Optimiser steps taken.
    pub step: u32,
    /// Loss on the training batches since the point before, penalties left out.
    pub train_loss: f64,
    /// Loss on the validation windows.
    pub validation_loss: f64,
}

/// A sign of life while a head learns.
#[derive(Clone, Copy, Debug)]
pub struct Lap {
    /// The newest losses of the attempt that is going on; told again where the next are long in coming.
    pub point: CurvePoint,
    /// Share of the steps of all attempts that is done at most, 0..1.
    pub fraction: f64,
    /// The rung of the search that goes on, from 0; `None` without one.
    pub rung: Option<u32>,
}

/// A head that has learned.
#[derive(Debug)]
pub struct Learned {
    /// safetensors: the head, and what else learned.
    pub weights: Vec<u8>,
    /// One point an evaluation of the attempt that was chosen; the first is where it started: the base model or the
    /// pooled head, with as little of what it moves medians as the validation windows allow.
    pub curve: Vec<CurvePoint>,
    /// Step whose weights were kept; 0 when nothing was better than the beginning.
    pub best_step: u32,
    /// The recipe of the attempt that was chosen, with what it had left open filled in: alone, from the same
    /// head, it gives the same weights. `None` when nothing was learned.
    pub recipe: Option<Recipe>,
    /// Share of the weights that L1 works on, those of head and decoder as far as they learn, that are exactly 0.
    pub sparsity: f64,
    /// How the head to begin from was chosen, where there was a pooled one.
    pub begun: Option<Begun>,
    /// What a search tried, where there was one.
    pub search: Option<SearchRecord>,
    /// What it says of the windows of its lesson, where that costs little because the backbone is the base model's.
    pub said: Option<Said>,
}

/// What a head says of the windows of its lesson: sorted quantiles in normalised units.
#[derive(Debug)]
pub struct Said {
    /// Of [`Lesson::train`].
    pub train: Vec<Quantiles>,
    /// Of [`Lesson::replay`].
    pub replay: Vec<Quantiles>,
    /// Of [`Lesson::validation`].
    pub validation: Vec<Quantiles>,
}

/// Why a head did not learn.
#[derive(Debug, thiserror::Error)]
pub enum TraineeError {
    /// There are no windows to learn from or none to validate on.
    #[error("there are no windows to learn from")]
    Empty,
    /// The caller asked to stop.
    #[error("learning was cancelled")]
    Cancelled,
    /// The loss or the weights stopped being finite numbers.
    #[error("learning met a number that is not finite at step {0}")]
    NotFinite(u32),
    /// libtorch refused an operation.
    #[error("libtorch failed")]
    Torch(#[from] tch::TchError),
}

/// Trains a head from the base's own on a lesson whose windows have one shape.
///
/// `progress` hears of every evaluation, and now and then in between, and may stop the training. The weights of the best
/// validation loss are kept; the base's own are among the candidates. Without a learning rate in
/// the recipe each of [`LEARNING_RATES`] is tried from the same start for a third of the steps, and the same validation
/// loss chooses which goes on.
pub fn learn(
    base: &Base,
    lesson: &Lesson,
    recipe: &Recipe,
    progress: &mut dyn FnMut(Lap) -> ControlFlow<()>,
) -> Result<Learned, TraineeError> {
    learn_from(base, lesson, recipe, None, progress)
}

/// [`learn`], from the base's own head or from a pooled one, as the recipe says and the validation
/// windows choose. With a search in the recipe its candidates take the place of the learning rates.
pub fn learn_from(
    base: &Base,
    lesson: &Lesson,
    recipe: &Recipe,
    pooled: Option<&[u8]>,
    progress: &mut dyn FnMut(Lap) -> ControlFlow<()>,
) -> Result<Learned, TraineeError> {
    if lesson.train.is_empty() || lesson.validation.is_empty() {
        return Err(TraineeError::Empty);
    }
    let class = Class::new(base, lesson);
    let (beginning, begun) = begin(&class, base, recipe, pooled);
    let start = if begun.is_some_and(|begun| begun.pooled) { StartFrom::Pooled } else { StartFrom::Base };
    let recipe = Recipe { start, ..recipe.clone() };
    let learned = match &recipe.search {
        Some(search) => halve(&class, &beginning, &recipe, search, progress)?,
        None => try_rates(&class, &beginning, &recipe, progress)?,
    };
    let frozen = learned.recipe.as_ref().and_then(|recipe| recipe.freeze).is_none_or(Freeze::keeps_backbone);
    let head = frozen.then(|| load_head(base, &learned.weights).ok()).flatten();
    let said = head.and_then(|head| class.said(&head));
    Ok(Learned { begun, said, ..learned })
}

/// The head to begin from, and how it was chosen where there were two.
fn begin<'a>(
    class: &'a Class<'a>,
    base: &Base,
    recipe: &Recipe,
    pooled: Option<&[u8]>,
) -> (Beginning<'a>, Option<Begun>) {
    let own = class.begin(recipe, base.fresh_head());
    let other = pooled.filter(|_| recipe.start != StartFrom::Base).and_then(|bytes| load_head(base, bytes).ok());
    let Some(other) = other.map(|head| class.begin(recipe, head)) else { return (own, None) };
    let begun = Begun::choose(recipe.start, own.loss, other.loss);
    (if begun.pooled { other } else { own }, Some(begun))
}

/// An attempt with each learning rate, of which the one that is ahead after [`TRIED`] of the steps goes on.
fn try_rates<'a>(
    class: &'a Class<'a>,
    beginning: &'a Beginning<'a>,
    recipe: &Recipe,
    progress: &mut dyn FnMut(Lap) -> ControlFlow<()>,
) -> Result<Learned, TraineeError> {
    let rates = recipe.learning_rate.map_or_else(|| LEARNING_RATES.to_vec(), |rate| vec![rate]);
    let tried = if rates.len() > 1 { (f64::from(recipe.max_steps) * TRIED).ceil() as u32 } else { 0 };
    let all = rates.len() as f64 * f64::from(tried) + f64::from(recipe.max_steps - tried);
    let mut tell = |point: CurvePoint, before: u32| {
        progress(Lap { point, fraction: (f64::from(before) + f64::from(point.step)) / all, rung: None })
    };
    let mut ahead: Option<Attempt<'a>> = None;
    for (before, rate) in (0..).step_by(tried.max(1) as usize).zip(&rates) {
        let recipe = Recipe { learning_rate: Some(*rate), ..recipe.clone() };
        let mut attempt = Attempt::new(class, beginning, recipe)?;
        if tell(attempt.first(), before).is_break() {
            return Err(TraineeError::Cancelled);
        }
        attempt.advance(tried, &mut |point| tell(point, before))?;
        if ahead.as_ref().is_none_or(|other| attempt.loss() < other.loss()) {
            ahead = Some(attempt);
        }
    }
    let mut attempt = ahead.ok_or(TraineeError::Empty)?;
    let before = tried * (rates.len() as u32 - 1);
    attempt.advance(u32::MAX, &mut |point| tell(point, before))?;
    Ok(attempt.finish()?.1)
}

/// The base model's own head, where there is too little to learn from.
#[must_use]
pub fn untaught(base: &Base) -> Learned {
    Learned {
        weights: artefact::save(&[("head", base.head.store())]),
        curve: Vec::new(),
        best_step: 0,
        recipe: None,
        sparsity: sparsity(penalised(&base.head, Freeze::default())),
        begun: None,
        search: None,
        said: None,
    }
}

/// A pooled head as it is, where there is too little to learn from.
pub fn untaught_from(base: &Base, pool: &Pool) -> Result<Learned, ArtefactError> {
    let sparsity = sparsity(penalised(&load_head(base, &pool.weights)?, Freeze::default()));
    Ok(Learned { weights: pool.weights.clone(), sparsity, ..untaught(base) })
}

/// Sorted quantiles of the windows (of any shapes) by the base's head, or by an artefact's, on the backbone that it
/// learned on.
pub fn answer(base: &Base, weights: Option<&[u8]>, windows: &[&Window]) -> Result<Vec<Quantiles>, EngineError> {
    match weights {
        Some(bytes) => {
            let tuned = Tuned::new(base, &load_head(base, bytes)?, bytes)?;
            forward(tuned.parts(base), windows)
        }
        None => forward((&base.lean, &base.lean_head), windows),
    }
}

/// The head of an artefact.
pub(super) fn load_head(base: &Base, bytes: &[u8]) -> Result<Head, ArtefactError> {
    let mut head = Head::new(base.card.size);
    artefact::load(bytes, &mut [("head", head.store_mut())])?;
    Ok(head)
}

/// Short warm-up, then a cosine down to a twentieth.
pub(super) fn schedule(step: u32, steps: u32) -> f64 {
    let warm = (f64::from(step) / 10.0).min(1.0);
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * f64::from(step) / f64::from(steps)).cos());
    warm * (0.95 * cosine + 0.05)
}

pub(super) fn build_optimizer(
    recipe: &Recipe,
    rate: f64,
    store: &nn::VarStore,
) -> Result<nn::Optimizer, tch::TchError> {
    match recipe.optimizer {
        Optimizer::Adamw => nn::AdamW { wd: recipe.l2, ..nn::AdamW::default() }.build(store, rate),
        Optimizer::Adam => nn::Adam { wd: recipe.l2, ..nn::Adam::default() }.build(store, rate),
        Optimizer::Sgd => {
            let momentum = recipe.momentum.unwrap_or(SGD_MOMENTUM);
            nn::Sgd { momentum, wd: recipe.l2, ..nn::Sgd::default() }.build(store, rate)
        }
        Optimizer::Rmsprop => {
            let momentum = recipe.momentum.unwrap_or(0.0);
            nn::RmsProp { momentum, wd: recipe.l2, ..nn::RmsProp::default() }.build(store, rate)
        }
    }
}

/// The variables of a store, each beside that of the one it came from.
pub(super) fn paired_variables(own: &nn::VarStore, origin: &nn::VarStore) -> Vec<(Tensor, Tensor)> {
    let mut origin = origin.variables();
    let mut own: Vec<_> = own.variables().into_iter().collect();
    // A map's order changes from run to run, and sums of floats change with it.
    own.sort_by(|a, b| a.0.cmp(&b.0));
    own.into_iter().filter_map(|(name, value)| origin.remove(&name).map(|start| (value, start.detach()))).collect()
}

/// The weights in a store: its matrices, without biases.
pub(super) fn matrices(store: &nn::VarStore) -> Vec<Tensor> {
    store.variables().into_values().filter(|variable| variable.dim() >= 2).collect()
}

/// The weights of a head that L1 works on: as far as they learn.
pub(super) fn penalised(head: &Head, freeze: Freeze) -> Vec<Tensor> {
    match freeze {
        Freeze::Head => vec![head.out.ws.shallow_clone()],
        _ => matrices(head.store()),
    }
}

/// The proximal step of L1 (Parikh and Boyd 2014): weights go toward zero by `by` and stay there.
pub(super) fn shrink(weights: Vec<Tensor>, by: f64) {
    tch::no_grad(|| {
        for mut weight in weights {
            let shrunk = weight.sign() * (weight.abs() - by).clamp_min(0.0);
            weight.copy_(&shrunk);
        }
    });
}

/// Share of weights that are exactly 0.
pub(super) fn sparsity(weights: Vec<Tensor>) -> f64 {
    let (zeros, all) = weights.into_iter().fold((0, 0), |(zeros, all), weight| {
        let elements = weight.numel() as i64;
        (zeros + elements - weight.count_nonzero(None::<i64>).int64_value(&[]), all + elements)
    });
    zeros as f64 / all.max(1) as f64
}

/// What so many numbers are multiplied by so that some are dropped; `None` where none are.
pub(super) fn dropout(draw: &mut ChaCha8Rng, rate: f64, count: i64) -> Option<Vec<f32>> {
    if rate <= 0.0 {
        return None;
    }
    let kept = (1.0 / (1.0 - rate)) as f32;
    let threshold = (rate * f64::from(u32::MAX)) as u32;
    Some((0..count).map(|_| if draw.next_u32() < threshold { 0.0 } else { kept }).collect())
}

pub(super) fn dropout_mask(draw: &mut ChaCha8Rng, rate: f64, shape: [i64; 4]) -> Option<Tensor> {
    dropout(draw, rate, shape.iter().product()).map(|mask| Tensor::from_slice(&mask).view(shape.as_slice()))
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::super::network::MEDIAN;
    use super::*;

    #[test]
    fn a_tempered_head_moves_medians_less_and_bands_as_far() {
        let head = Base::shipped().unwrap().fresh_head();
        let rows = || std::iter::once(&head.out.ws).chain(&head.out.bs).map(Tensor::copy).collect::<Vec<_>>();
        let before = rows();
        head.temper(0.25);
        for (was, is) in before.iter().zip(rows()) {
            let median = |rows: &Tensor| rows.narrow(0, MEDIAN as i64, 1);
            assert!(median(was).abs().max().double_value(&[]) > 0.0, "the shipped head moves medians");
            assert!((median(&is) - median(was) * 0.25).abs().max().double_value(&[]) < 1e-7);
            let apart = |rows: &Tensor| rows - median(rows);
            assert!((apart(&is) - apart(was)).abs().max().double_value(&[]) < 1e-6);
        }
    }

    #[test]
    fn shrinking_leaves_biases_alone_and_stops_at_zero() {
        let base = Base::shipped().unwrap();
        let head = base.fresh_head();
        assert_eq!(sparsity(matrices(head.store())), sparsity(matrices(base.head.store())));
        shrink(matrices(head.store()), 0.01);
        let mut zeros = 0.0;
        for (ours, shipped) in paired_variables(head.store(), base.head.store()) {
            let wanted = if ours.dim() < 2 { shipped } else { shipped.sign() * (shipped.abs() - 0.01).clamp_min(0.0) };
            assert!((&ours - wanted).abs().max().double_value(&[]) < 1e-7);
            if ours.dim() >= 2 {
                zeros += ours.eq(0.0).sum(Kind::Double).double_value(&[]);
            }
        }
        let all: f64 = matrices(head.store()).iter().map(|weight| weight.numel() as f64).sum();
        assert!(zeros > 0.0 && (sparsity(matrices(head.store())) - zeros / all).abs() < 1e-12);
    }
}
