//! The last layer of a head, where it alone learns.
//!
//! Nothing before it moves, so what it reads is worked out once for every step ahead of every window, and a step of learning
//! is two thin products.

use super::losses::Losses;
use super::{Layer, Numbers, PATCH, Pass, Reading, TOGETHER};
use crate::model::network::Head;
use crate::model::recipe::Recipe;

/// What the last layer reads of windows of one shape, and what came of them.
pub(in super::super) struct Thoughts<'r> {
    reading: &'r Reading,
    /// Numbers for each step ahead.
    width: usize,
    /// Window by window, step by step.
    rows: Vec<f32>,
}

impl Reading {
    /// What the last layer of a head reads of every window.
    pub(in super::super) fn thoughts(&self, head: &Head) -> Thoughts<'_> {
        let numbers = Numbers::of(head);
        let all: Vec<usize> = (0..self.truths.scale.len()).collect();
        let passes =
            all.chunks(TOGETHER).map(|windows| Pass::forward(self, &numbers, head.size(), windows, None).thought);
        Thoughts { reading: self, width: head.size().hidden as usize, rows: passes.flatten().collect() }
    }
}

impl Thoughts<'_> {
    /// The mean loss of a head with this last layer on all windows, as the recipe counts it.
    pub(in super::super) fn mean_loss(&self, recipe: &Recipe, head: &Head) -> f64 {
        let reading = self.reading;
        let said = Layer::last(head).forward(&self.rows);
        let all: Vec<usize> = (0..reading.truths.scale.len()).collect();
        let (sum, counted) = Losses::of(recipe).sum(&reading.truths, reading.future, &all, &said, None);
        sum / f64::max(counted, 1.0)
    }

    /// The mean loss on the chosen windows, and the gradient of the last layer, weights then biases. `mask` is that of
    /// [`Head::last_dropout_shape`].
    pub(in super::super) fn gradient(
        &self,
        recipe: &Recipe,
        head: &Head,
        windows: &[usize],
        mask: Option<&[f32]>,
    ) -> (f64, Vec<Vec<f32>>) {
        let (reading, width) = (self.reading, self.width);
        let own = reading.future * width;
        let mut rows = Vec::with_capacity(windows.len() * own);
        windows.iter().for_each(|window| rows.extend_from_slice(&self.rows[window * own..(window + 1) * own]));
        if let Some(mask) = mask {
            for (patch, mask) in rows.chunks_exact_mut(PATCH * width).zip(mask.chunks_exact(width)) {
                for row in patch.chunks_exact_mut(width) {
                    row.iter_mut().zip(mask).for_each(|(value, mask)| *value *= mask);
                }
            }
        }
        let said = Layer::last(head).forward(&rows);
        let (loss, slopes) = reading.slopes(recipe, windows, &said);
        let Layer { weights, biases } = Layer::gradient(&rows, &slopes, width);
        (loss, vec![weights, biases])
    }
}
