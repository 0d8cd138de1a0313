//! A history in the units of a study: every signal with mean 0 and deviation 1 over all that is learned from.

use std::ops::Range;

use super::super::history::Context;
use super::super::{History, Scale};

/// A history in the units of a study.
pub(super) struct Scaled {
    /// Of target, inputs and others.
    pub(super) scales: (Scale, Vec<Scale>, Vec<Scale>),
    target: Vec<f64>,
    inputs: Vec<Vec<f64>>,
    others: Vec<Vec<f64>>,
    starts: Vec<usize>,
    silent: Vec<Range<usize>>,
}

impl Scaled {
    pub(super) fn of(history: &History<'_>) -> Self {
        let scale = |row: &[f64]| Scale::of(row, None);
        let scales = (
            scale(history.target),
            history.inputs.iter().map(|row| scale(&row[..history.target.len()])).collect::<Vec<_>>(),
            history.others.iter().map(|row| scale(row)).collect::<Vec<_>>(),
        );
        let apply = |rows: &[Vec<f64>], scales: &[Scale]| -> Vec<Vec<f64>> {
            rows.iter().zip(scales).map(|(row, scale)| row.iter().map(|v| scale.input(*v)).collect()).collect()
        };
        Self {
            target: history.target.iter().map(|v| scales.0.target(*v)).collect(),
            inputs: apply(history.inputs, &scales.1),
            others: apply(history.others, &scales.2),
            starts: history.starts.to_vec(),
            silent: history.silent.to_vec(),
            scales,
        }
    }

    /// All of it.
    pub(super) fn context(&self) -> Context<'_> {
        let history = History {
            target: &self.target,
            inputs: &self.inputs,
            others: &self.others,
            starts: &self.starts,
            silent: &self.silent,
        };
        Context::newest(&history, self.target.len())
    }
}
