//! Errors and coverage of one forecaster over all windows of a task.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::task::{Span, Task};
use crate::model::{LEVELS, MEDIAN, Quantiles};
use crate::score::interval::{crps, quantile_at};

/// Steps of the horizon that are shown together.
const BLOCK: usize = 16;

/// Scores in the task's unit; the mean over its targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Spans that were judged.
    pub(super) windows: usize,
    pub(super) rmse: f64,
    pub(super) mae: f64,
    pub(super) mse: f64,
    pub(super) crps: f64,
    pub(super) coverage_80: f64,
    pub(super) coverage_95: f64,
    /// RMSE for each 16 steps of the horizon.
    pub(super) rmse_by_block: Vec<f64>,
    /// RMSE of each target.
    pub(super) rmse_by_target: BTreeMap<String, f64>,
}

/// Sums of one target.
#[derive(Clone, Debug, Default)]
struct Sums {
    steps: usize,
    absolute: f64,
    crps: f64,
    inside_80: usize,
    inside_95: usize,
    /// Squared errors and their number, block by block.
    blocks: Vec<(f64, usize)>,
}

/// Scores answers (for each span, for each target) against the truth of a task.
pub(super) fn figures(task: &Task, spans: &[Span], answers: &[Vec<Quantiles>]) -> Figures {
    let targets: Vec<Sums> = (0..task.layout.targets.len())
        .map(|place| {
            let mut sums = Sums::default();
            for (span, answer) in spans.iter().zip(answers) {
                sums.window(&answer[place], &task.truth(place, *span), task.scales[place]);
            }
            sums
        })
        .collect();
    let known: Vec<(usize, &Sums)> = targets.iter().enumerate().filter(|(_, sums)| sums.steps > 0).collect();
    let mean =
        |of: &dyn Fn(&Sums) -> f64| known.iter().map(|(_, sums)| of(sums)).sum::<f64>() / known.len().max(1) as f64;
    let share = |inside: usize, sums: &Sums| inside as f64 / sums.steps as f64;
    let mse = mean(&|sums| sums.mse());
    let blocks = known.iter().map(|(_, sums)| sums.blocks.len()).max().unwrap_or(0);
    Figures {
        windows: spans.len(),
        rmse: mse.sqrt(),
        mae: mean(&|sums| sums.absolute / sums.steps as f64),
        mse,
        crps: mean(&|sums| sums.crps / sums.steps as f64),
        coverage_80: mean(&|sums| share(sums.inside_80, sums)),
        coverage_95: mean(&|sums| share(sums.inside_95, sums)),
        rmse_by_block: (0..blocks).map(|block| mean(&|sums| sums.block(block)).sqrt()).collect(),
        rmse_by_target: known.iter().map(|(place, sums)| (task.target(*place).to_owned(), sums.mse().sqrt())).collect(),
    }
}

impl Sums {
    fn window(&mut self, answer: &Quantiles, truth: &[f64], scale: f64) {
        for (step, (row, truth)) in answer.iter().zip(truth).enumerate().filter(|(_, (_, truth))| truth.is_finite()) {
            let at = |level: f64| quantile_at(&LEVELS, row, level).unwrap_or(f64::NAN);
            let error = if row[MEDIAN].is_finite() { (row[MEDIAN] - truth) / scale } else { f64::INFINITY };
            let inside = |low: f64, high: f64| usize::from((at(low)..=at(high)).contains(truth));
            self.steps += 1;
            self.absolute += error.abs();
            self.crps += crps(&LEVELS, row, *truth).unwrap_or(f64::INFINITY) / scale;
            self.inside_80 += inside(0.1, 0.9);
            self.inside_95 += inside(0.025, 0.975);
            if self.blocks.len() <= step / BLOCK {
                self.blocks.resize(step / BLOCK + 1, (0.0, 0));
            }
            let block = &mut self.blocks[step / BLOCK];
            *block = (block.0 + error * error, block.1 + 1);
        }
    }

    fn mse(&self) -> f64 {
        self.blocks.iter().map(|(sum, _)| sum).sum::<f64>() / self.steps as f64
    }

    fn block(&self, block: usize) -> f64 {
        self.blocks.get(block).filter(|(_, count)| *count > 0).map_or(0.0, |(sum, count)| sum / *count as f64)
    }
}
