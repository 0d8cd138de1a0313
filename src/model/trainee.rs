//! Fine-tuning: a head learns an asset on the features of a backbone that stays as it is.
//!
//! The features of every window are computed once, without gradients; the head lives in its own
//! variable store and only that store is given to the optimiser. Every random draw comes from the
//! recipe's seed. One bad number makes all weights non-finite in one step and clipping does not
//! stop it, so inputs, loss and weights are checked.

use std::ops::ControlFlow;

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::nn::{self, OptimizerConfig as _};
use tch::{Kind, Tensor};

use super::artefact::{self, ArtefactError};
use super::base::Base;
use super::engine::{EngineError, Quantiles, forward};
use super::loss::{masked_mean, pinball};
use super::network::{Features, Head, dropout_shape};
use super::recipe::{Optimizer, Recipe};
use super::window::{Batch, Window};

/// A window and what came after it.
#[derive(Clone, Debug)]
pub struct Example {
    /// What was known.
    pub window: Window,
    /// `window.future` values in the window's normalised units; NaN where nothing was measured.
    pub truth: Vec<f32>,
    /// What an error is measured in, normalised units: the deviation of the stretch, kept away
    /// from 0 so that a signal at rest does not outweigh all others.
    pub unit: f32,
}

impl Example {
    /// A window and `window.future` values that followed.
    #[must_use]
    pub fn new(window: Window, truth: Vec<f32>) -> Self {
        let measured =
            window.target.iter().zip(&window.known).filter(|(_, known)| **known > 0.0).map(|(value, _)| *value);
        let values: Vec<f32> = measured.chain(truth.iter().copied().filter(|value| value.is_finite())).collect();
        let count = values.len().max(1) as f32;
        let mean = values.iter().sum::<f32>() / count;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count).sqrt();
        Self { window, truth, unit: deviation.clamp(0.4, 12.0) }
    }
}

/// What a head learns from, and what tells it when to stop.
#[derive(Debug)]
pub struct Lesson {
    /// Gradients come from these alone.
    pub train: Vec<Example>,
    /// Later in time; decides early stopping.
    pub validation: Vec<Example>,
}

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

/// A head that has learned.
#[derive(Debug)]
pub struct Learned {
    /// safetensors.
    pub weights: Vec<u8>,
    /// One point an evaluation; the first is the base model itself.
    pub curve: Vec<CurvePoint>,
    /// Step whose weights were kept; 0 when nothing was better than the base.
    pub best_step: u32,
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

/// Examples of one shape with their features: what a step draws from.
struct Material {
    features: Features,
    /// The bank's answer over the future, `[n, future]`.
    batch: Batch,
    truth: Tensor,
    known: Tensor,
    unit: Tensor,
    count: usize,
}

impl Material {
    fn new(base: &Base, examples: &[Example]) -> Self {
        tch::no_grad(|| {
            let windows: Vec<&Window> = examples.iter().map(|example| &example.window).collect();
            let parts: Vec<Features> =
                windows.chunks(64).map(|chunk| base.backbone.features(&Batch::stack(chunk, None))).collect();
            let batch = Batch::stack(&windows, None);
            let (truth, known) = truths(examples);
            let unit = Tensor::from_slice(&examples.iter().map(|example| example.unit).collect::<Vec<_>>());
            Self { features: Features::concat(&parts), batch, truth, known, unit, count: examples.len() }
        })
    }

    fn loss(&self, head: &Head, rows: Option<&Tensor>, mask: Option<&Tensor>) -> Tensor {
        let pick = |tensor: &Tensor| rows.map_or_else(|| tensor.shallow_clone(), |index| tensor.index_select(0, index));
        let corrections = match rows {
            Some(index) => head.corrections(&self.features.rows(index), mask),
            None => head.corrections(&self.features, mask),
        };
        let bank = pick(&self.batch.bank).narrow(1, self.batch.context, self.batch.future);
        let answer = bank.unsqueeze(-1) + pick(&self.batch.scale).view([-1, 1, 1]) * corrections;
        masked_mean(&pinball(&answer, &pick(&self.truth)), &pick(&self.known), &pick(&self.unit))
    }
}

/// Truths with 0 in the gaps, and flags: both `[n, future]`.
pub(super) fn truths(examples: &[Example]) -> (Tensor, Tensor) {
    let future = examples.first().map_or(0, |example| example.window.future);
    let flat: Vec<f32> = examples.iter().flat_map(|example| &example.truth).copied().collect();
    let known: Vec<f32> = flat.iter().map(|value| f32::from(value.is_finite())).collect();
    let filled: Vec<f32> = flat.iter().map(|value| if value.is_finite() { *value } else { 0.0 }).collect();
    let shape = [examples.len() as i64, future as i64];
    (Tensor::from_slice(&filled).view(shape), Tensor::from_slice(&known).view(shape))
}

/// Trains a head from the base's own on a lesson whose windows have one shape.
///
/// `progress` hears of every evaluation and may stop the training. The weights of the best
/// validation loss are kept; the base's own are among the candidates.
pub fn learn(
    base: &Base,
    lesson: &Lesson,
    recipe: &Recipe,
    progress: &mut dyn FnMut(CurvePoint) -> ControlFlow<()>,
) -> Result<Learned, TraineeError> {
    if lesson.train.is_empty() || lesson.validation.is_empty() {
        return Err(TraineeError::Empty);
    }
    let train = Material::new(base, &lesson.train);
    let validation = Material::new(base, &lesson.validation);
    let head = base.fresh_head();
    let shipped: Vec<(Tensor, Tensor)> = paired_variables(&head, &base.head);
    let mut optimizer = build_optimizer(recipe, &head)?;
    let mut draw = ChaCha8Rng::seed_from_u64(recipe.seed);

    let mut best = (validate(&validation, &head), artefact::save(&[("head", head.store())]), 0);
    let mut curve = vec![CurvePoint { step: 0, train_loss: best.0, validation_loss: best.0 }];
    let (mut sum, mut counted, mut waited) = (0.0, 0, 0);
    if progress(curve[0]).is_break() {
        return Err(TraineeError::Cancelled);
    }
    for step in 1..=recipe.max_steps {
        optimizer.set_lr(recipe.learning_rate * schedule(step, recipe.max_steps));
        let size = (recipe.batch as usize).min(train.count);
        let rows: Vec<i64> = (0..size).map(|_| draw.random_range(0..train.count) as i64).collect();
        let mask = dropout_mask(&mut draw, recipe.dropout, size, train.batch.future as usize);
        let loss = train.loss(&head, Some(&Tensor::from_slice(&rows)), mask.as_ref());
        let value = f64::try_from(loss.detach())?;
        if !value.is_finite() {
            return Err(TraineeError::NotFinite(step));
        }
        let penalised = loss + penalty(recipe, &shipped);
        optimizer.zero_grad();
        penalised.f_backward()?;
        optimizer.clip_grad_norm(1.0);
        optimizer.step();
        sum += value;
        counted += 1;
        if step % recipe.evaluate_every == 0 || step == recipe.max_steps {
            let score = validate(&validation, &head);
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
                best = (score, artefact::save(&[("head", head.store())]), step);
                waited = 0;
            } else {
                waited += 1;
                if waited >= recipe.patience {
                    break;
                }
            }
        }
    }
    Ok(Learned { weights: best.1, curve, best_step: best.2 })
}

/// Sorted quantiles of the windows (of any shapes) by the base's head, or by an artefact's.
pub fn answer(base: &Base, weights: Option<&[u8]>, windows: &[&Window]) -> Result<Vec<Quantiles>, EngineError> {
    match weights {
        Some(bytes) => forward(base, &load_head(bytes)?, windows),
        None => forward(base, &base.head, windows),
    }
}

fn load_head(bytes: &[u8]) -> Result<Head, ArtefactError> {
    let mut head = Head::new();
    artefact::load(bytes, &mut [("head", head.store_mut())])?;
    Ok(head)
}

fn validate(material: &Material, head: &Head) -> f64 {
    tch::no_grad(|| f64::try_from(material.loss(head, None, None)).unwrap_or(f64::NAN))
}

/// Short warm-up, then a cosine down to a twentieth.
pub(super) fn schedule(step: u32, steps: u32) -> f64 {
    let warm = (f64::from(step) / 10.0).min(1.0);
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * f64::from(step) / f64::from(steps)).cos());
    warm * (0.95 * cosine + 0.05)
}

fn build_optimizer(recipe: &Recipe, head: &Head) -> Result<nn::Optimizer, tch::TchError> {
    let (store, rate) = (head.store(), recipe.learning_rate);
    match recipe.optimizer {
        Optimizer::Adamw => nn::AdamW { wd: recipe.l2, ..nn::AdamW::default() }.build(store, rate),
        Optimizer::Adam => nn::Adam { wd: recipe.l2, ..nn::Adam::default() }.build(store, rate),
        Optimizer::Sgd => nn::Sgd { momentum: 0.9, wd: recipe.l2, ..nn::Sgd::default() }.build(store, rate),
    }
}

/// The head's variables, each beside the shipped one.
fn paired_variables(head: &Head, shipped: &Head) -> Vec<(Tensor, Tensor)> {
    let mut origin = shipped.store().variables();
    let mut own: Vec<_> = head.store().variables().into_iter().collect();
    // A map's order changes from run to run, and sums of floats change with it.
    own.sort_by(|a, b| a.0.cmp(&b.0));
    own.into_iter().filter_map(|(name, value)| origin.remove(&name).map(|start| (value, start.detach()))).collect()
}

/// L1 on the weights, and L2-SP (Li et al. 2018): L2 toward where learning started.
fn penalty(recipe: &Recipe, variables: &[(Tensor, Tensor)]) -> Tensor {
    let mut sum = Tensor::from(0.0f32);
    for (value, start) in variables {
        if recipe.l1 > 0.0 {
            sum += value.abs().sum(Kind::Float) * recipe.l1;
        }
        if recipe.l2_sp > 0.0 {
            sum += (value - start).square().sum(Kind::Float) * recipe.l2_sp;
        }
    }
    sum
}

pub(super) fn dropout_mask(draw: &mut ChaCha8Rng, rate: f64, windows: usize, future: usize) -> Option<Tensor> {
    if rate <= 0.0 {
        return None;
    }
    let shape = dropout_shape(windows, future);
    let kept = (1.0 / (1.0 - rate)) as f32;
    let threshold = (rate * f64::from(u32::MAX)) as u32;
    let count = shape.iter().product::<i64>();
    let values: Vec<f32> = (0..count).map(|_| if draw.next_u32() < threshold { 0.0 } else { kept }).collect();
    Some(Tensor::from_slice(&values).view(shape.as_slice()))
}
