//! What a step of pretraining minimises.

use rand::{Rng as _, RngExt as _};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::windows::Item;
use crate::model::lesson::{Example, truths};
use crate::model::loss::{masked_mean, pinball};
use crate::model::network::{Backbone, Head, MEDIAN, quantiles};
use crate::model::trainee::dropout_mask;
use crate::model::window::{Batch, SLOTS, Window};

/// Share of dropped channels.
pub(super) const DROPOUT: f64 = 0.05;
/// Weight of the loss on the difference of two futures from one state.
pub(super) const PAIRED: f64 = 0.5;
/// Weight of the penalty on corrections, so that an excellent bank is left alone.
pub(super) const ABSTAIN: f64 = 1e-3;

/// Pinball loss over the future, the loss on paired differences, and the price of correcting.
pub(super) fn loss(backbone: &Backbone, head: &Head, items: &[&Item], draw: &mut ChaCha8Rng) -> Tensor {
    let windows: Vec<&Window> = items.iter().map(|item| &item.example.window).collect();
    let slots: Vec<[usize; SLOTS]> = items.iter().map(|_| permutation(draw)).collect();
    let mut batch = Batch::stack(&windows, Some(&slots));
    let mut targets: Vec<f32> = items.iter().map(|_| sign(draw)).collect();
    let pairs: Vec<i64> =
        (1..items.len()).filter(|row| items[row - 1].partner_next).map(|row| row as i64 - 1).collect();
    for row in &pairs {
        // Two futures of one plant are turned together, or their difference would mean nothing.
        targets[*row as usize + 1] = targets[*row as usize];
    }
    let inputs: Vec<f32> = (0..items.len() * SLOTS).map(|_| sign(draw)).collect();
    batch.flip(&targets, &inputs);
    let examples: Vec<&Example> = items.iter().map(|item| &item.example).collect();
    let (truth, known) = truths(&examples);
    let truth = truth * Tensor::from_slice(&targets).unsqueeze(-1);
    let unit = Tensor::from_slice(&examples.iter().map(|example| example.unit).collect::<Vec<_>>());

    let mask = dropout_mask(draw, DROPOUT, head.dropout_shape(items.len(), batch.future as usize));
    let corrections = head.corrections(&backbone.features(&batch), mask.as_ref());
    let answer = quantiles(&batch, &corrections);
    let mut loss = masked_mean(&pinball(&answer, &truth), &known, &unit);
    let median = |answer: &Tensor| answer.select(-1, MEDIAN as i64);
    loss += median(&corrections).square().mean(Kind::Float) * ABSTAIN;
    if !pairs.is_empty() {
        let (one, other) = (Tensor::from_slice(&pairs), Tensor::from_slice(&pairs) + 1);
        let gap = |values: &Tensor| values.index_select(0, &other) - values.index_select(0, &one);
        let both = known.index_select(0, &one) * known.index_select(0, &other);
        let error = (gap(&median(&answer)) - gap(&truth)).abs();
        loss += masked_mean(&error, &both, &unit.index_select(0, &one)) * PAIRED;
    }
    loss
}

fn sign(draw: &mut ChaCha8Rng) -> f32 {
    if draw.next_u32().is_multiple_of(2) { 1.0 } else { -1.0 }
}

fn permutation(draw: &mut ChaCha8Rng) -> [usize; SLOTS] {
    let mut slots = std::array::from_fn(|slot| slot);
    for last in (1..SLOTS).rev() {
        slots.swap(last, draw.random_range(0..=last));
    }
    slots
}
