//! The same network without pretraining: backbone and head start at random and both learn one
//! asset. Nothing serves it; it tells what a base model is worth (`counterpart evaluate`).

use std::ops::ControlFlow;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;
use tch::nn::{self, OptimizerConfig as _};

use super::artefact;
use super::base::{Base, BaseCard};
use super::lesson::truths;
use super::loss::{masked_mean, pinball};
use super::network::{Backbone, Head, quantiles};
use super::recipe::Recipe;
use super::trainee::{CurvePoint, Example, Lesson, TraineeError, dropout_mask, schedule};
use super::window::{Batch, Window};

/// A whole network learns at twice the rate of a head; measured in the prototype.
const RATE: f64 = 2e-3;
/// Windows in one forward pass of a validation.
const CHUNK: usize = 64;

/// Trains a whole network, as large as a card says, on a lesson whose windows have one shape; the weights of the best
/// validation loss are kept, the untrained ones among the candidates.
pub fn learn(
    card: BaseCard,
    lesson: &Lesson,
    recipe: &Recipe,
    progress: &mut dyn FnMut(CurvePoint) -> ControlFlow<()>,
) -> Result<Base, TraineeError> {
    if lesson.train.is_empty() || lesson.validation.is_empty() {
        return Err(TraineeError::Empty);
    }
    tch::manual_seed(recipe.seed as i64);
    let (backbone, head) = (Backbone::new(card.size), Head::new(card.size));
    let rate = recipe.learning_rate.unwrap_or(RATE);
    let adam = nn::AdamW { wd: recipe.l2, ..nn::AdamW::default() };
    let mut optimizers = [adam.build(backbone.store(), rate)?, adam.build(head.store(), rate)?];
    let mut draw = ChaCha8Rng::seed_from_u64(recipe.seed);
    let save = || artefact::save(&[("backbone", backbone.store()), ("head", head.store())]);
    let (mut best, mut best_loss, mut waited) = (save(), validate(&backbone, &head, &lesson.validation)?, 0);
    for step in 1..=recipe.max_steps {
        let size = (recipe.batch as usize).min(lesson.train.len());
        let rows: Vec<&Example> = (0..size).map(|_| &lesson.train[draw.random_range(0..lesson.train.len())]).collect();
        let mask = dropout_mask(&mut draw, recipe.dropout, head.dropout_shape(size, rows[0].window.future));
        let loss = loss(&backbone, &head, &rows, mask.as_ref());
        let value = f64::try_from(loss.detach())?;
        if !value.is_finite() {
            return Err(TraineeError::NotFinite(step));
        }
        for optimizer in &mut optimizers {
            optimizer.set_lr(rate * schedule(step, recipe.max_steps));
            optimizer.zero_grad();
        }
        loss.f_backward()?;
        for optimizer in &mut optimizers {
            optimizer.clip_grad_norm(1.0);
            optimizer.step();
        }
        if step % recipe.evaluate_every == 0 || step == recipe.max_steps {
            let validation_loss = validate(&backbone, &head, &lesson.validation)?;
            if progress(CurvePoint { step, train_loss: value, validation_loss }).is_break() {
                return Err(TraineeError::Cancelled);
            }
            if validation_loss < best_loss - 1e-4 {
                (best, best_loss, waited) = (save(), validation_loss, 0);
            } else {
                waited += 1;
                if waited >= recipe.patience {
                    break;
                }
            }
        }
    }
    let mut card = card;
    "scratch".clone_into(&mut card.name);
    Base::from_bytes(&best, card).map_err(|_| TraineeError::NotFinite(recipe.max_steps))
}

fn loss(backbone: &Backbone, head: &Head, examples: &[&Example], mask: Option<&Tensor>) -> Tensor {
    let windows: Vec<&Window> = examples.iter().map(|example| &example.window).collect();
    let batch = Batch::stack(&windows, None);
    let (truth, known) = truths(examples);
    let unit = Tensor::from_slice(&examples.iter().map(|example| example.unit).collect::<Vec<_>>());
    let corrections = head.corrections(&backbone.features(&batch), mask);
    masked_mean(&pinball(&quantiles(&batch, &corrections), &truth), &known, &unit)
}

/// Mean loss over the validation windows.
fn validate(backbone: &Backbone, head: &Head, examples: &[Example]) -> Result<f64, TraineeError> {
    let mut sum = 0.0;
    for chunk in examples.chunks(CHUNK) {
        let rows: Vec<&Example> = chunk.iter().collect();
        let mean = tch::no_grad(|| f64::try_from(loss(backbone, head, &rows, None)))?;
        sum += mean * chunk.len() as f64;
    }
    Ok(sum / examples.len() as f64)
}
