//! What is expected of each output, and what is left over: residuals on a grid.
//!
//! Two linear views, each fitted by ridge regression. [`View::Step`] knows the last few steps and the
//! inputs up to now: it says the next value, and its residuals show spikes and faults as they begin.
//! [`View::Level`] knows nothing but filtered inputs: it says where the output should be, and its
//! residuals stay for as long as a fault does. Served predictions are not used: they are made every
//! few seconds for held inputs, and would call a new setpoint an anomaly.

use faer::linalg::solvers::Solve as _;
use faer::{Mat, Side};

use crate::features::{Grid, Layout};

/// Steps of the past that the next value is said from.
const LAGS: usize = 4;
/// Time constants of the filters on the inputs, in steps.
const FILTERS: [f64; 5] = [1.0, 4.0, 16.0, 64.0, 256.0];
/// Steps of a segment after which the filters have forgotten how it began: what came before it still
/// moves the plant.
const SETTLED: usize = 128;
/// Blocks of the history, each of which is said by what the others taught.
const FOLDS: usize = 4;
/// Ridge for each row, on features of unit variance.
const RIDGE: f64 = 1e-3;
/// The farthest that a standardised value may lie: beyond it the regression says nothing.
const FARTHEST: f64 = 1e6;

/// What a predictor may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// The last steps of the outputs, and the inputs.
    Step,
    /// Filtered inputs alone.
    Level,
}

/// A linear forecast of every output.
#[derive(Clone, Debug)]
pub(super) struct Predictor {
    view: View,
    layout: Layout,
    /// Of every signal in the history.
    scales: Vec<(f64, f64)>,
    /// Of each target on its features; the last is the intercept.
    weights: Vec<Vec<f64>>,
}

/// A grid as predictors read it.
struct Material {
    /// Standardised rows of all signals.
    values: Vec<Vec<f64>>,
    /// A row per input and filter.
    filtered: Vec<Vec<f64>>,
    /// Steps since the segment began.
    age: Vec<usize>,
}

/// Sums of squares of features and target.
struct Sums {
    products: Vec<f64>,
    targets: Vec<f64>,
    rows: usize,
}

impl Predictor {
    /// Learns from the `normal` steps of a grid. The residuals of those steps come with it, a row per
    /// target: each from a fit that did not see its block, so that they are as large as those of steps
    /// to come; NaN where nothing was measured or a step is not normal.
    pub(super) fn learn(view: View, grid: &Grid, layout: &Layout, normal: &[bool]) -> (Self, Vec<Vec<f64>>) {
        let scales: Vec<(f64, f64)> = grid.values.iter().map(|row| scale(row, normal)).collect();
        let mut predictor = Self { view, layout: layout.clone(), scales, weights: Vec::new() };
        let material = Material::new(grid, layout, &predictor.scales);
        let steps = grid.len();
        let fold = |step: usize| step * FOLDS / steps;
        let mut residuals = Vec::with_capacity(layout.targets.len());
        for &target in &layout.targets {
            let usable: Vec<usize> =
                (0..steps).filter(|step| normal[*step] && predictor.sees(grid, &material, target, *step)).collect();
            let width = predictor.features(&material, target, 0).len();
            let mut folds: Vec<Sums> = (0..FOLDS).map(|_| Sums::new(width)).collect();
            for &step in &usable {
                let features = predictor.features(&material, target, step);
                folds[fold(step)].add(&features, material.values[target][step]);
            }
            let without: Vec<Vec<f64>> = (0..FOLDS)
                .map(|left_out| {
                    solve(folds.iter().enumerate().filter(|(place, _)| *place != left_out).map(|(_, f)| f), width)
                })
                .collect();
            let mut row = vec![f64::NAN; steps];
            for &step in &usable {
                row[step] = predictor.residual(&material, target, step, &without[fold(step)]);
            }
            residuals.push(row);
            predictor.weights.push(solve(folds.iter(), width));
        }
        (predictor, residuals)
    }

    /// Residuals on a grid, a row per target, in deviations of the history; NaN where nothing was
    /// measured, or where too little came before.
    pub(super) fn residuals(&self, grid: &Grid) -> Vec<Vec<f64>> {
        let material = Material::new(grid, &self.layout, &self.scales);
        let targets = self.layout.targets.iter().zip(&self.weights);
        targets
            .map(|(&target, weights)| {
                (0..grid.len())
                    .map(|step| {
                        let sees = self.sees(grid, &material, target, step);
                        if sees { self.residual(&material, target, step, weights) } else { f64::NAN }
                    })
                    .collect()
            })
            .collect()
    }

    /// Whether a step was measured and has what its features need.
    fn sees(&self, grid: &Grid, material: &Material, target: usize, step: usize) -> bool {
        let measured = &grid.measured[target];
        let before = match self.view {
            View::Step => material.age[step] >= LAGS && measured[step - 1],
            View::Level => material.age[step] >= SETTLED,
        };
        measured[step] && before && material.values[target][step].abs() < FARTHEST
    }

    fn residual(&self, material: &Material, target: usize, step: usize, weights: &[f64]) -> f64 {
        let features = self.features(material, target, step);
        let said: f64 = features.iter().zip(weights).map(|(feature, weight)| feature * weight).sum();
        material.values[target][step] - said
    }

    fn features(&self, material: &Material, target: usize, step: usize) -> Vec<f64> {
        let back = |signal: usize, lag: usize| material.values[signal][step.saturating_sub(lag)];
        let mut features = Vec::with_capacity(64);
        match self.view {
            View::Step => {
                features.extend((1..=LAGS).map(|lag| back(target, lag)));
                features.extend(self.layout.others(target).into_iter().map(|other| back(other, 1)));
                for &input in &self.layout.inputs {
                    features.extend((0..=LAGS).map(|lag| back(input, lag)));
                }
            }
            View::Level => features.extend(material.filtered.iter().map(|row| row[step])),
        }
        features.push(1.0);
        features
    }
}

impl Material {
    fn new(grid: &Grid, layout: &Layout, scales: &[(f64, f64)]) -> Self {
        let standardised = |(row, (mean, deviation)): (&Vec<f64>, &(f64, f64))| {
            row.iter()
                .map(|value| {
                    let z = (value - mean) / deviation;
                    // What was never seen is as expected.
                    if z.is_finite() { z.clamp(-FARTHEST, FARTHEST) } else { 0.0 }
                })
                .collect::<Vec<f64>>()
        };
        let values: Vec<Vec<f64>> = grid.values.iter().zip(scales).map(standardised).collect();
        let mut age = vec![0; grid.len()];
        for step in 1..grid.len() {
            age[step] = age[step - 1] + 1;
        }
        for &start in &grid.starts {
            let end = grid.starts.iter().copied().find(|other| *other > start).unwrap_or(grid.len());
            (start..end).for_each(|step| age[step] = step - start);
        }
        let filtered = layout
            .inputs
            .iter()
            .flat_map(|input| FILTERS.map(|constant| filter(&values[*input], &age, constant)))
            .collect();
        Self { values, filtered, age }
    }
}

/// First-order low pass that begins anew with each segment.
fn filter(values: &[f64], age: &[usize], constant: f64) -> Vec<f64> {
    let share = 1.0 / constant;
    let mut level = 0.0;
    values
        .iter()
        .zip(age)
        .map(|(value, age)| {
            level = if *age == 0 { *value } else { level + share * (value - level) };
            level
        })
        .collect()
}

/// Mean and deviation of the normal steps; a deviation of 1 for what never moved.
fn scale(row: &[f64], normal: &[bool]) -> (f64, f64) {
    let known =
        || row.iter().zip(normal).filter(|(value, normal)| **normal && value.is_finite()).map(|(value, _)| *value);
    let count = known().count().max(1) as f64;
    let mean = known().sum::<f64>() / count;
    let deviation = (known().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    (mean, if deviation > 1e-9 * mean.abs() && deviation.is_finite() && deviation > 0.0 { deviation } else { 1.0 })
}

impl Sums {
    fn new(width: usize) -> Self {
        Self { products: vec![0.0; width * width], targets: vec![0.0; width], rows: 0 }
    }

    fn add(&mut self, features: &[f64], target: f64) {
        let width = features.len();
        for (i, feature) in features.iter().enumerate() {
            let row = &mut self.products[i * width..][..=i];
            row.iter_mut().zip(features).for_each(|(sum, other)| *sum += feature * other);
            self.targets[i] += feature * target;
        }
        self.rows += 1;
    }
}

/// Ridge weights over some sums; all 0 where there are none.
fn solve<'a>(sums: impl Iterator<Item = &'a Sums>, width: usize) -> Vec<f64> {
    let mut matrix = Mat::<f64>::zeros(width, width);
    let mut targets = Mat::<f64>::zeros(width, 1);
    let mut rows = 0;
    for part in sums {
        for i in 0..width {
            for j in 0..=i {
                matrix[(i, j)] += part.products[i * width + j];
            }
            targets[(i, 0)] += part.targets[i];
        }
        rows += part.rows;
    }
    for i in 0..width {
        matrix[(i, i)] += RIDGE * rows.max(1) as f64;
    }
    let Ok(factor) = matrix.llt(Side::Lower) else { return vec![0.0; width] };
    let weights = factor.solve(&targets);
    let weights: Vec<f64> = (0..width).map(|i| weights[(i, 0)]).collect();
    if weights.iter().all(|weight| weight.is_finite()) { weights } else { vec![0.0; width] }
}
