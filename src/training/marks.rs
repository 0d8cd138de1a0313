//! Marks of forecasts on the windows that judge, in the signals' units.

use super::dataset::STEPS;
use crate::asset::Asset;
use crate::features::{Grid, TargetExamples};
use crate::forecast::naive::persistence;
use crate::model::{LEVELS, Quantiles};
use crate::score::{Scored, Scorer};

/// Scores the naive forecast.
pub(super) fn naive(asset: &Asset, grid: &Grid, parts: &[TargetExamples]) -> Scored {
    let forecasts: Vec<Vec<Quantiles>> = parts
        .iter()
        .map(|part| {
            let history = |origin: &usize| persistence(&grid.values[part.target][..*origin], STEPS, 1.0);
            part.origins.iter().map(history).collect()
        })
        .collect();
    score(asset, grid, parts, &forecasts)
}

/// Scores all targets together, window by window in the order of time; a target that was not
/// measured in a window is left out of it.
pub(super) fn score(asset: &Asset, grid: &Grid, parts: &[TargetExamples], forecasts: &[Vec<Quantiles>]) -> Scored {
    let deviation = |target: usize| {
        let values = &grid.values[target];
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    };
    let targets =
        parts.iter().map(|part| (asset.asset_type.document.signals[part.target].name.clone(), deviation(part.target)));
    let mut scorer = Scorer::new(&LEVELS, targets);
    let mut origins: Vec<usize> = parts.iter().flat_map(|part| part.origins.iter().copied()).collect();
    origins.sort_unstable();
    origins.dedup();
    for origin in origins {
        let mut said: Vec<Vec<Vec<f64>>> = Vec::with_capacity(parts.len());
        let mut truths: Vec<Vec<f64>> = Vec::with_capacity(parts.len());
        for (part, forecasts) in parts.iter().zip(forecasts) {
            let Ok(index) = part.origins.binary_search(&origin) else {
                said.push(Vec::new());
                truths.push(Vec::new());
                continue;
            };
            said.push(forecasts[index].iter().map(|row| row.to_vec()).collect());
            let truth = (origin..origin + STEPS)
                .map(|step| if grid.measured[part.target][step] { grid.values[part.target][step] } else { f64::NAN });
            truths.push(truth.collect());
        }
        scorer.window(&said, &truths);
    }
    scorer.finish()
}
