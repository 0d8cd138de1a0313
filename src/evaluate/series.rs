//! Signals in units of the training part: what the baselines compute on.

use std::ops::Range;

use super::task::{Span, Task, moments};

/// Targets and inputs of a task, each with mean 0 and deviation 1 over the training part.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) targets: Vec<Vec<f64>>,
    pub(super) inputs: Vec<Vec<f64>>,
    /// First steps of contiguous segments; the first is 0.
    starts: Vec<usize>,
    /// Mean and deviation of each target.
    units: Vec<(f64, f64)>,
    /// The same of each input.
    input_units: Vec<(f64, f64)>,
    /// Whether one target may explain another.
    joint: bool,
}

impl Series {
    /// Of a task.
    pub(super) fn of(task: &Task) -> Self {
        let row = |signal: &usize| task.grid.values[*signal].clone();
        Self::new(
            task.layout.targets.iter().map(row).collect(),
            task.layout.inputs.iter().map(row).collect(),
            task.grid.starts.clone(),
            &task.protocol.train,
            task.protocol.joint,
        )
    }

    /// Of rows in their own units; `train` decides the scales.
    pub(super) fn new(
        targets: Vec<Vec<f64>>,
        inputs: Vec<Vec<f64>>,
        starts: Vec<usize>,
        train: &Range<usize>,
        joint: bool,
    ) -> Self {
        let normal = |row: Vec<f64>| {
            let (mean, deviation) = moments(&row[train.clone()]);
            let row: Vec<f64> = row.into_iter().map(|value| (value - mean) / deviation).collect();
            (row, (mean, deviation))
        };
        let (targets, units) = targets.into_iter().map(normal).unzip();
        let (inputs, input_units) = inputs.into_iter().map(normal).unzip();
        Self { targets, inputs, starts, units, input_units, joint }
    }

    /// Groups of targets that are modelled together: all of them, or each alone.
    pub(super) fn groups(&self) -> Vec<Vec<usize>> {
        if self.joint {
            vec![(0..self.targets.len()).collect()]
        } else {
            (0..self.targets.len()).map(|t| vec![t]).collect()
        }
    }

    /// First step of the segment that a step belongs to.
    pub(super) fn start_of(&self, step: usize) -> usize {
        self.starts.iter().rev().find(|start| **start <= step).copied().unwrap_or(0)
    }

    /// Supposes other inputs from an origin on, a row each in its own unit.
    pub(super) fn suppose(&mut self, origin: usize, inputs: &[Vec<f64>]) {
        for ((row, supposed), (mean, deviation)) in self.inputs.iter_mut().zip(inputs).zip(&self.input_units) {
            row.resize(row.len().max(origin + supposed.len()), 0.0);
            for (cell, value) in row[origin..].iter_mut().zip(supposed) {
                *cell = (value - mean) / deviation;
            }
        }
    }

    /// A target in its own unit.
    pub(super) fn undo(&self, target: usize, value: f64) -> f64 {
        let (mean, deviation) = self.units[target];
        value * deviation + mean
    }

    /// The targets of a group as they are known at an origin, with room for what follows: the step
    /// of the first value, and rows that reach `lags` back or to the start of the segment.
    pub(super) fn known(&self, group: &[usize], span: Span, lags: usize) -> (usize, Vec<Vec<f64>>) {
        let start = self.start_of(span.origin.saturating_sub(1));
        let from = span.origin.saturating_sub(lags).max(start);
        let known = |target: &usize| {
            let mut row = Vec::with_capacity(span.origin - from + span.steps);
            row.extend_from_slice(&self.targets[*target][from..span.origin]);
            row
        };
        (from, group.iter().map(known).collect())
    }

    /// Mean squared error of answers in these units, over what is there.
    pub(super) fn error(&self, target: usize, span: Span, answer: &[f64]) -> f64 {
        let truth = &self.targets[target][span.origin..span.origin + span.steps];
        answer.iter().zip(truth).map(|(answer, truth)| (answer - truth).powi(2)).sum::<f64>() / span.steps as f64
    }
}
