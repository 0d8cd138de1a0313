//! What a step of pretraining minimises.

use rand::{Rng as _, RngExt as _};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::windows::Item;
use crate::model::lesson::{Example, truths};
use crate::model::loss::{masked_mean, pinball};
use crate::model::network::{Backbone, Head, MEDIAN, Size, quantiles};
use crate::model::window::{Batch, SLOTS, Window, sent};

/// Share of dropped channels.
pub(super) const DROPOUT: f64 = 0.05;
/// Weight of the loss on the difference of two futures from one state.
pub(super) const PAIRED: f64 = 0.5;
/// Weight of the penalty on corrections, so that an excellent bank is left alone.
pub(super) const ABSTAIN: f64 = 1e-3;

/// The windows of a step as a network sees them, inputs permuted and signs turned, with what came after.
#[derive(Debug)]
pub(super) struct Part {
    batch: Batch,
    truth: Tensor,
    known: Tensor,
    unit: Tensor,
    /// Rows of the first and of the second futures of pairs.
    pairs: Option<(Tensor, Tensor)>,
}

impl Part {
    /// Windows of one shape on a device, permuted and turned by `draw`.
    pub(super) fn new(items: &[&Item], draw: &mut ChaCha8Rng, device: Device) -> Self {
        let windows: Vec<&Window> = items.iter().map(|item| &item.example.window).collect();
        let slots: Vec<[usize; SLOTS]> = items.iter().map(|_| permutation(draw)).collect();
        let mut batch = Batch::stack(&windows, Some(&slots)).map(|part| sent(part, device));
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
        let unit = Tensor::from_slice(&examples.iter().map(|example| example.unit).collect::<Vec<_>>());
        let other: Vec<i64> = pairs.iter().map(|row| row + 1).collect();
        let rows = |rows: &[i64]| sent(&Tensor::from_slice(rows), device);
        Self {
            batch,
            truth: sent(&(truth * Tensor::from_slice(&targets).unsqueeze(-1)), device),
            known: sent(&known, device),
            unit: sent(&unit, device),
            pairs: (!pairs.is_empty()).then(|| (rows(&pairs), rows(&other))),
        }
    }

    /// Shape of the dropout mask of a head of some size.
    pub(super) fn mask_shape(&self, size: Size) -> [i64; 4] {
        size.dropout_shape(self.batch.target.size()[0] as usize, self.batch.future as usize)
    }

    /// The same tensors under other handles: a thread of its own may hold them.
    pub(super) fn handle(&self) -> Self {
        let rows = |(one, other): &(Tensor, Tensor)| (one.shallow_clone(), other.shallow_clone());
        Self {
            batch: self.batch.map(Tensor::shallow_clone),
            truth: self.truth.shallow_clone(),
            known: self.known.shallow_clone(),
            unit: self.unit.shallow_clone(),
            pairs: self.pairs.as_ref().map(rows),
        }
    }
}

/// Pinball loss over the future, the loss on paired differences, and the price of correcting.
pub(super) fn loss(backbone: &Backbone, head: &Head, part: &Part, mask: Option<&Tensor>) -> Tensor {
    let Part { batch, truth, known, unit, pairs } = part;
    let corrections = head.corrections(&backbone.features(batch), mask);
    let answer = quantiles(batch, &corrections);
    let mut loss = masked_mean(&pinball(&answer, truth), known, unit);
    let median = |answer: &Tensor| answer.select(-1, MEDIAN as i64);
    loss += median(&corrections).square().mean(Kind::Float) * ABSTAIN;
    if let Some((one, other)) = pairs {
        let gap = |values: &Tensor| values.index_select(0, other) - values.index_select(0, one);
        let both = known.index_select(0, one) * known.index_select(0, other);
        let error = (gap(&median(&answer)) - gap(truth)).abs();
        loss += masked_mean(&error, &both, &unit.index_select(0, one)) * PAIRED;
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
