//! Fine-tuning: a head learns an asset on the features of a backbone that stays as it is.
//!
//! The features of every window are computed once, without gradients; the head lives in its own
//! variable store and only that store is given to the optimiser. Every random draw comes from the
//! recipe's seed. One bad number makes all weights non-finite in one step and clipping does not
//! stop it, so inputs, loss and weights are checked.

use std::ops::ControlFlow;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::nn::{self, OptimizerConfig as _};
use tch::{Kind, Tensor};

use super::artefact::{self, ArtefactError};
use super::base::Base;
use super::dense::Arithmetic;
use super::engine::{EngineError, Quantiles};
use super::forward::forward;
use super::lean;
pub use super::lesson::{Example, Lesson};
use super::lesson::{Material, Mix, validate};
use super::network::Head;
use super::recipe::{LEARNING_RATES, Optimizer, Recipe};
use super::window::Window;

/// Momentum of stochastic gradient descent when a recipe does not say.
const SGD_MOMENTUM: f64 = 0.9;
/// Shares of what a head moves the bank's median that are tried, and how much better the validation loss must
/// be to keep more: where a study knows its asset there is little left to correct, and few windows tell.
const KEPT: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];
const WORTH: f64 = 0.01;

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
    /// Losses of the attempt that is going on.
    pub point: CurvePoint,
    /// Share of the steps of all attempts that is done at most, 0..1.
    pub fraction: f64,
}

/// A head that has learned.
#[derive(Debug)]
pub struct Learned {
    /// safetensors.
    pub weights: Vec<u8>,
    /// One point an evaluation of the attempt that was chosen; the first is where it started: the base model, with as
    /// little of what it moves medians as the validation windows allow.
    pub curve: Vec<CurvePoint>,
    /// Step whose weights were kept; 0 when nothing was better than the base.
    pub best_step: u32,
    /// Learning rate that was given or chosen; `None` when nothing was learned.
    pub learning_rate: Option<f64>,
    /// Share of the weights, biases left out, that are exactly 0.
    pub sparsity: f64,
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
/// `progress` hears of every evaluation and may stop the training. The weights of the best
/// validation loss are kept; the base's own are among the candidates. Without a learning rate in
/// the recipe each of [`LEARNING_RATES`] is tried from the same start, and the same validation
/// loss chooses.
pub fn learn(
    base: &Base,
    lesson: &Lesson,
    recipe: &Recipe,
    progress: &mut dyn FnMut(Lap) -> ControlFlow<()>,
) -> Result<Learned, TraineeError> {
    if lesson.train.is_empty() || lesson.validation.is_empty() {
        return Err(TraineeError::Empty);
    }
    let class = Class {
        train: Material::new(base, lesson.train.iter().chain(&lesson.replay).chain(&lesson.synthetic)),
        validation: Material::new(base, &lesson.validation),
        mix: Mix::new(recipe, lesson),
    };
    let rates = recipe.learning_rate.map_or_else(|| LEARNING_RATES.to_vec(), |rate| vec![rate]);
    let mut best: Option<(f64, Learned)> = None;
    for (place, rate) in rates.iter().enumerate() {
        let share = 1.0 / rates.len() as f64;
        let mut tell = |point: CurvePoint| {
            let within = f64::from(point.step) / f64::from(recipe.max_steps);
            progress(Lap { point, fraction: share * (place as f64 + within) })
        };
        let (loss, learned) = class.teach(base, recipe, *rate, &mut tell)?;
        if best.as_ref().is_none_or(|(least, _)| loss < *least) {
            best = Some((loss, learned));
        }
    }
    best.map(|(_, learned)| learned).ok_or(TraineeError::Empty)
}

/// The base model's own head, where there is too little to learn from.
#[must_use]
pub fn untaught(base: &Base) -> Learned {
    Learned {
        weights: artefact::save(&[("head", base.head.store())]),
        curve: Vec::new(),
        best_step: 0,
        learning_rate: None,
        sparsity: sparsity(&base.head),
    }
}

/// What the attempts of one lesson share.
struct Class {
    train: Material,
    validation: Material,
    mix: Mix,
}

impl Class {
    /// One attempt: the least validation loss, and the head that had it.
    fn teach(
        &self,
        base: &Base,
        recipe: &Recipe,
        rate: f64,
        progress: &mut dyn FnMut(CurvePoint) -> ControlFlow<()>,
    ) -> Result<(f64, Learned), TraineeError> {
        let head = base.fresh_head();
        self.temper(recipe, &head);
        let start: Vec<(Tensor, Tensor)> = beside_copies(&head);
        let mut optimizer = build_optimizer(recipe, rate, head.store())?;
        let mut draw = ChaCha8Rng::seed_from_u64(recipe.seed);

        let save = |head: &Head| (artefact::save(&[("head", head.store())]), sparsity(head));
        let mut best = (validate(recipe, &self.validation, &head), save(&head), 0);
        let mut curve = vec![CurvePoint { step: 0, train_loss: best.0, validation_loss: best.0 }];
        let (mut sum, mut counted, mut waited) = (0.0, 0, 0);
        if progress(curve[0]).is_break() {
            return Err(TraineeError::Cancelled);
        }
        for step in 1..=recipe.max_steps {
            let rate = rate * schedule(step, recipe.max_steps);
            optimizer.set_lr(rate);
            let loss = self.step(recipe, &head, &start, &mut optimizer, rate, &mut draw)?;
            sum += loss.ok_or(TraineeError::NotFinite(step))?;
            counted += 1;
            if step % recipe.evaluate_every != 0 && step != recipe.max_steps {
                continue;
            }
            let score = validate(recipe, &self.validation, &head);
            if !score.is_finite() {
                return Err(TraineeError::NotFinite(step));
            }
            let point = CurvePoint { step, train_loss: sum / f64::from(counted), validation_loss: score };
            (sum, counted) = (0.0, 0);
            curve.push(point);
            if progress(point).is_break() {
                return Err(TraineeError::Cancelled);
            }
            if score < best.0 - 1e-4 {
                best = (score, save(&head), step);
                waited = 0;
            } else {
                waited += 1;
                if waited >= recipe.patience {
                    break;
                }
            }
        }
        let (_, (weights, _), best_step) = best;
        let head = load_head(base, &weights).map_err(|_| TraineeError::NotFinite(best_step))?;
        let loss = self.temper(recipe, &head);
        let (weights, sparsity) = save(&head);
        Ok((loss, Learned { weights, curve, best_step, learning_rate: Some(rate), sparsity }))
    }

    /// Keeps as little of what a head moves the bank's median as the validation windows allow; returns their
    /// loss.
    fn temper(&self, recipe: &Recipe, head: &Head) -> f64 {
        let whole: Vec<(Tensor, Tensor)> = beside_copies(head);
        let mut tried = |kept: f64| {
            tch::no_grad(|| whole.iter().for_each(|(value, copy)| value.shallow_clone().copy_(copy)));
            head.temper(kept);
            validate(recipe, &self.validation, head)
        };
        let losses = KEPT.map(&mut tried);
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let enough = losses.iter().position(|loss| *loss <= least * (1.0 + WORTH)).unwrap_or(KEPT.len() - 1);
        tried(KEPT[enough])
    }

    /// One step of length `rate`: its loss without penalties; `None` when that is not a finite number, and then
    /// nothing has moved.
    fn step(
        &self,
        recipe: &Recipe,
        head: &Head,
        start: &[(Tensor, Tensor)],
        optimizer: &mut nn::Optimizer,
        rate: f64,
        draw: &mut ChaCha8Rng,
    ) -> Result<Option<f64>, TraineeError> {
        let rows = self.mix.rows(draw);
        let mask = dropout_mask(draw, recipe.dropout, head.dropout_shape(rows.len(), self.train.future()));
        let loss = self.train.loss(recipe, head, Some(&Tensor::from_slice(&rows)), mask.as_ref());
        let value = f64::try_from(loss.detach())?;
        if !value.is_finite() {
            return Ok(None);
        }
        let penalised = loss + penalty(recipe, start);
        optimizer.zero_grad();
        penalised.f_backward()?;
        optimizer.clip_grad_norm(recipe.gradient_clip);
        optimizer.step();
        if recipe.l1 > 0.0 {
            shrink(head.store(), recipe.l1 * rate);
        }
        Ok(Some(value))
    }
}

/// Sorted quantiles of the windows (of any shapes) by the base's head, or by an artefact's.
pub fn answer(base: &Base, weights: Option<&[u8]>, windows: &[&Window]) -> Result<Vec<Quantiles>, EngineError> {
    match weights {
        Some(bytes) => {
            let head = lean::Head::new(&load_head(base, bytes)?, &base.backbone, Arithmetic::SERVING);
            forward(base, &head, windows)
        }
        None => forward(base, &base.lean_head, windows),
    }
}

fn load_head(base: &Base, bytes: &[u8]) -> Result<Head, ArtefactError> {
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

/// The head's variables, each beside a copy of what it is now.
fn beside_copies(head: &Head) -> Vec<(Tensor, Tensor)> {
    let mut own: Vec<_> = head.store().variables().into_iter().collect();
    // A map's order changes from run to run, and sums of floats change with it.
    own.sort_by(|a, b| a.0.cmp(&b.0));
    own.into_iter().map(|(_, value)| (value.shallow_clone(), value.detach().copy())).collect()
}

/// The head's variables, each beside the shipped one.
#[cfg(test)]
fn paired_variables(head: &Head, shipped: &Head) -> Vec<(Tensor, Tensor)> {
    let mut origin = shipped.store().variables();
    let mut own: Vec<_> = head.store().variables().into_iter().collect();
    // A map's order changes from run to run, and sums of floats change with it.
    own.sort_by(|a, b| a.0.cmp(&b.0));
    own.into_iter().filter_map(|(name, value)| origin.remove(&name).map(|start| (value, start.detach()))).collect()
}

/// L2-SP (Li et al. 2018): L2 toward where learning started.
fn penalty(recipe: &Recipe, variables: &[(Tensor, Tensor)]) -> Tensor {
    let mut sum = Tensor::from(0.0f32);
    for (value, start) in variables {
        if recipe.l2_sp > 0.0 {
            sum += (value - start).square().sum(Kind::Float) * recipe.l2_sp;
        }
    }
    sum
}

/// The weights in a store: its matrices, without biases.
fn matrices(store: &nn::VarStore) -> impl Iterator<Item = Tensor> {
    store.variables().into_values().filter(|variable| variable.dim() >= 2)
}

/// The proximal step of L1 (Parikh and Boyd 2014): weights go toward zero by `by` and stay there.
pub(super) fn shrink(store: &nn::VarStore, by: f64) {
    tch::no_grad(|| {
        for mut weight in matrices(store) {
            let shrunk = weight.sign() * (weight.abs() - by).clamp_min(0.0);
            weight.copy_(&shrunk);
        }
    });
}

/// Share of a head's weights that are exactly 0.
fn sparsity(head: &Head) -> f64 {
    let (zeros, all) = matrices(head.store()).fold((0, 0), |(zeros, all), weight| {
        let elements = weight.numel() as i64;
        (zeros + elements - weight.count_nonzero(None::<i64>).int64_value(&[]), all + elements)
    });
    zeros as f64 / all.max(1) as f64
}

pub(super) fn dropout_mask(draw: &mut ChaCha8Rng, rate: f64, shape: [i64; 4]) -> Option<Tensor> {
    if rate <= 0.0 {
        return None;
    }
    let kept = (1.0 / (1.0 - rate)) as f32;
    let threshold = (rate * f64::from(u32::MAX)) as u32;
    let count = shape.iter().product::<i64>();
    let values: Vec<f32> = (0..count).map(|_| if draw.next_u32() < threshold { 0.0 } else { kept }).collect();
    Some(Tensor::from_slice(&values).view(shape.as_slice()))
}

#[cfg(test)]
mod tests {
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
        assert_eq!(sparsity(&head), sparsity(&base.head));
        shrink(head.store(), 0.01);
        let mut zeros = 0.0;
        for (ours, shipped) in paired_variables(&head, &base.head) {
            let wanted = if ours.dim() < 2 { shipped } else { shipped.sign() * (shipped.abs() - 0.01).clamp_min(0.0) };
            assert!((&ours - wanted).abs().max().double_value(&[]) < 1e-7);
            if ours.dim() >= 2 {
                zeros += ours.eq(0.0).sum(Kind::Double).double_value(&[]);
            }
        }
        let all: f64 = matrices(head.store()).map(|weight| weight.numel() as f64).sum();
        assert!(zeros > 0.0 && (sparsity(&head) - zeros / all).abs() < 1e-12);
    }
}
