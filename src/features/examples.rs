//! Windows with what came after them: what fine-tuning learns from and is judged on.

use super::{Fit, Grid, Layout};
use crate::asset::AssetType;
use crate::expert::Scale;
use crate::model::trainee::Example;

/// Steps between two fits of the bank while examples are made: as old as they may be in serving.
const REFIT: usize = super::FRESH;

/// A stretch of a grid and how densely windows are taken from it.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// First step that a window may predict.
    pub from: usize,
    /// Step after the last one that a window may predict.
    pub to: usize,
    /// Windows wanted.
    pub windows: usize,
}

/// Examples of one target signal, in the order of time.
#[derive(Debug)]
pub struct TargetExamples {
    /// The signal.
    pub target: usize,
    /// Windows and truths.
    pub examples: Vec<Example>,
    /// Of each example: undoes its units.
    pub scales: Vec<Scale>,
    /// Of each example: the step after its last known one.
    pub origins: Vec<usize>,
}

/// Takes windows of `steps` from a split for one target. A window sees everything before its
/// origin and is judged on measured values alone.
#[must_use]
pub fn examples(
    asset_type: &AssetType,
    grid: &Grid,
    layout: &Layout,
    target: usize,
    split: Split,
    steps: usize,
) -> TargetExamples {
    let mut made = TargetExamples { target, examples: Vec::new(), scales: Vec::new(), origins: Vec::new() };
    let first = split.from.max(super::fit::FEWEST);
    let Some(last) = split.to.checked_sub(steps).filter(|last| *last >= first) else { return made };
    let stride = ((last - first) / split.windows.max(1)).max(1);
    let mut fit: Option<(usize, Fit)> = None;
    for origin in (first..=last).step_by(stride) {
        let spans_gap = grid.starts.iter().any(|start| (origin..origin + steps).contains(start) && *start > origin);
        if spans_gap {
            continue;
        }
        let kept = fit.take().filter(|(at, _)| {
            origin - at < REFIT && !grid.starts.iter().any(|start| (at + 1..=origin).contains(start))
        });
        let (at, current) = kept.unwrap_or_else(|| (origin, Fit::new(asset_type, grid, layout, target, origin, steps)));
        let future: Vec<Vec<f64>> =
            layout.inputs.iter().map(|input| grid.values[*input][origin..origin + steps].to_vec()).collect();
        let mut windows = current.windows(grid, origin, &[future], steps);
        let scale = current.scale();
        let truth: Vec<f32> =
            (origin..origin + steps)
                .map(|step| {
                    if grid.measured[target][step] { scale.target(grid.values[target][step]) as f32 } else { f32::NAN }
                })
                .collect();
        if let Some(window) = windows.pop()
            && window.is_finite()
            && truth.iter().any(|value| value.is_finite())
        {
            made.examples.push(Example::new(window, truth));
            made.scales.push(scale);
            made.origins.push(origin);
        }
        fit = Some((at, current));
    }
    made
}
