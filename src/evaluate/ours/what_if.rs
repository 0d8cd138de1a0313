//! What bank, network and study say of several futures of one plant.

use super::super::EvaluateError;
use super::gaussian;
use crate::asset::AssetType;
use crate::expert::Scale;
use crate::features::{Fit, Grid, Layout, Setup, Subject};
use crate::model::window::Window;
use crate::model::{Base, Quantiles, trainee};
use crate::training::teacher::Teacher;

/// Answers to several futures of one plant, in the target's unit, step by step.
pub(in super::super) struct Whatifs {
    /// The bank's, for each future.
    pub(in super::super) bank: Vec<Vec<f64>>,
    /// The median of bank and base model, for each future.
    pub(in super::super) corrected: Vec<Vec<f64>>,
    /// The bank's with what a fine-tune job learns of the plant's past, for each future.
    pub(in super::super) studied: Vec<Vec<f64>>,
}

/// Asks bank and base model for several futures of the inputs at the end of each grid, whose type
/// has one output.
pub(in super::super) fn what_if(
    base: &Base,
    asset_type: &AssetType,
    plants: &[(Grid, Vec<Vec<Vec<f64>>>)],
    steps: usize,
) -> Result<Vec<Whatifs>, EvaluateError> {
    let (mut windows, mut scales, mut studied) = (Vec::new(), Vec::new(), Vec::new());
    for (grid, futures) in plants {
        let layout = Layout::new(asset_type, grid);
        let target = layout.targets[0];
        let subject = Subject { asset_type, grid, layout: &layout };
        let fit = |setup: &Setup| Fit::new(subject, target, grid.len(), steps, setup);
        let plain = fit(&Setup::default());
        scales.push(plain.scale());
        windows.push(plain.windows(grid, grid.len(), futures, steps));
        let setups = Teacher::setups(asset_type, grid).map_err(|error| EvaluateError::Broken(error.to_string()))?;
        let learned = fit(&setups.of(&asset_type.document.signals[target].name));
        studied.push((learned.windows(grid, grid.len(), futures, steps), learned.scale()));
    }
    let flat: Vec<&Window> = windows.iter().flatten().collect();
    let said = trainee::answer(base, None, &flat).map_err(|error| EvaluateError::Broken(error.to_string()))?;
    let mut said = said.into_iter();
    let median = |answer: &Quantiles, scale: &Scale| {
        answer.iter().map(|row| scale.undo(row[crate::model::MEDIAN])).collect::<Vec<f64>>()
    };
    Ok(windows
        .iter()
        .zip(&scales)
        .zip(&studied)
        .map(|((windows, scale), (learned, own))| Whatifs {
            studied: learned.iter().map(|window| median(&gaussian(window), own)).collect(),
            bank: windows.iter().map(|window| median(&gaussian(window), scale)).collect(),
            corrected: said.by_ref().take(windows.len()).map(|answer| median(&answer, scale)).collect(),
        })
        .collect())
}
