//! What is remembered of a run: wear is slow, and a look at the newest steps does not show it.
//!
//! Of every signal, or of every direction in which signals wear together, the means of a short and of a longer
//! stretch and an exponential average, each against the run's own beginning, and its trend; and the age of the
//! run. Training and serving remember here alike, and never from a later step. Lengths are in units that go
//! with how long runs last.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Grid;
use super::wear::directions;
use crate::asset::AssetType;
use crate::expert::Scale;

/// Lengths in units: of the short mean, of the long mean and the trend, of the beginning, and the time
/// constant of the exponential average.
const SHORT: f64 = 5.0;
const LONG: f64 = 30.0;
const BEGINNING: f64 = 30.0;
const CONSTANT: f64 = 30.0;
/// Steps that an exponential average looks back on at most.
const REACH: usize = 1_500;
/// Steps that a trend needs.
const FEWEST: usize = 3;
/// Numbers of a signal or a direction beside its beginning.
const OF_SIGNAL: usize = 4;
/// Numbers stay within this, in deviations.
const LIMIT: f64 = 6.0;
/// A deviation below this share of a signal's greatest value is rounding noise of one that stands still.
const ROUNDING: f64 = 1e-9;

/// Which signals are remembered, over which lengths, and in which scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// By name, each with its greatest absolute value in what taught.
    signals: Vec<(String, f64)>,
    /// Steps of a unit of length.
    unit: f64,
    /// Whether the beginnings themselves count: they tell assets apart, which few runs cannot teach.
    beginnings: bool,
    /// Weights of the signals in each direction; empty where signals are remembered one by one.
    directions: Vec<Vec<f64>>,
    /// Of each number, as it was in what taught.
    scales: Vec<Scale>,
}

/// A memory as it was stored before there were directions.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
pub(super) struct FormerMemory {
    signals: Vec<(String, f64)>,
    unit: f64,
    beginnings: bool,
    scales: Vec<Scale>,
}

/// Steps of a run that are looked at.
#[derive(Clone, Debug)]
pub struct Looks {
    /// Where the run begins.
    pub first: usize,
    /// The steps.
    pub steps: Vec<usize>,
}

/// Where a run lies among the steps that are at hand.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// First step at hand that belongs to it.
    pub first: usize,
    /// Means over its beginning, signal by signal or direction by direction, where its first step is no longer
    /// at hand.
    pub beginning: Option<&'a [f64]>,
}

/// A memory of a grid.
#[derive(Clone, Debug)]
pub struct Recall<'a> {
    memory: &'a Memory,
    /// Of the memory's signals or directions.
    rows: Vec<Cow<'a, [f64]>>,
}

impl From<FormerMemory> for Memory {
    fn from(former: FormerMemory) -> Self {
        let FormerMemory { signals, unit, beginnings, scales } = former;
        Self { signals, unit, beginnings, directions: Vec::new(), scales }
    }
}

impl Memory {
    /// Remembers all signals that have values in a grid, over lengths of `unit` steps. Its first `taught`
    /// steps say how large they are.
    #[must_use]
    pub fn of(asset_type: &AssetType, grid: &Grid, taught: usize, unit: f64, beginnings: bool) -> Self {
        let signals = asset_type.document.signals.iter().zip(&grid.values);
        let seen = signals.filter(|(_, row)| row.last().is_some_and(|value| value.is_finite()));
        let greatest = |row: &[f64]| row.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let signals = seen.map(|(signal, row)| (signal.name.clone(), greatest(&row[..taught]))).collect();
        Self { signals, unit, beginnings, directions: Vec::new(), scales: Vec::new() }
    }

    /// The same along directions instead of signal by signal: those in which signals change by more than noise
    /// at these steps of a grid. `None` where there are none, or a single signal.
    #[must_use]
    pub fn along(&self, asset_type: &AssetType, grid: &Grid, runs: &[Looks]) -> Option<Self> {
        if self.signals.len() < 2 {
            return None;
        }
        let by_signal = Self { directions: Vec::new(), ..self.clone() };
        let (jumps, changes) = by_signal.upon(asset_type, grid)?.moves(runs);
        let least: Vec<f64> = self.signals.iter().map(|(_, greatest)| ROUNDING * greatest).collect();
        let noise = 1.0 / self.steps(SHORT) as f64 + 1.0 / self.steps(BEGINNING) as f64;
        let directions = directions(&jumps, &changes, &least, noise);
        (!directions.is_empty()).then(|| Self { directions, scales: Vec::new(), ..by_signal })
    }

    /// Scales each number by its mean and deviation in what teaches.
    pub fn scale(&mut self, rows: &[Vec<f64>]) {
        let column = |place: usize| rows.iter().map(|row| row[place]).collect::<Vec<f64>>();
        let rows = self.greatest();
        let of_rows = rows.len() * OF_SIGNAL;
        let greatest = |place: usize| {
            let row = if place < of_rows { place / OF_SIGNAL } else { place - of_rows };
            rows.get(row).copied().unwrap_or(1.0)
        };
        let scale = |place: usize| {
            let scale = Scale::of(&column(place), None);
            let moves = scale.deviation > ROUNDING * greatest(place);
            if moves { scale } else { Scale { mean: scale.mean, deviation: 1.0 } }
        };
        self.scales = (0..self.width()).map(scale).collect();
    }

    /// How many numbers it gives.
    #[must_use]
    pub fn width(&self) -> usize {
        let rows = if self.directions.is_empty() { self.signals.len() } else { self.directions.len() };
        rows * (OF_SIGNAL + usize::from(self.beginnings)) + 1
    }

    /// What the values of each signal or direction do not exceed.
    fn greatest(&self) -> Vec<f64> {
        let signals = self.signals.iter().map(|(_, greatest)| *greatest);
        if self.directions.is_empty() {
            return signals.collect();
        }
        let sum = |weights: &Vec<f64>| {
            weights.iter().zip(signals.clone()).map(|(weight, most)| weight.abs() * most).sum::<f64>()
        };
        self.directions.iter().map(sum).collect()
    }

    /// Steps of a run's beginning.
    #[must_use]
    pub fn beginning_steps(&self) -> usize {
        self.steps(BEGINNING)
    }

    /// The memory of a grid of the type; `None` where a signal that it remembers is not there any more.
    #[must_use]
    pub fn upon<'a>(&'a self, asset_type: &AssetType, grid: &'a Grid) -> Option<Recall<'a>> {
        let positions = asset_type.document.positions();
        let rows = self.signals.iter().map(|(name, _)| grid.values.get(*positions.get(name)?).map(Vec::as_slice));
        let signals = rows.collect::<Option<Vec<&[f64]>>>()?;
        let rows = if self.directions.is_empty() {
            signals.into_iter().map(Cow::Borrowed).collect()
        } else {
            self.directions.iter().map(|weights| Cow::Owned(sums(weights, &signals))).collect()
        };
        Some(Recall { memory: self, rows })
    }

    /// Numbers in deviations.
    #[must_use]
    pub fn scaled(&self, row: &[f64]) -> Vec<f32> {
        let scaled =
            |(value, scale): (&f64, &Scale)| ((value - scale.mean) / scale.deviation).clamp(-LIMIT, LIMIT) as f32;
        row.iter().zip(&self.scales).map(scaled).collect()
    }

    /// As it would have been stored before there were directions.
    #[cfg(test)]
    pub(super) fn former(self) -> FormerMemory {
        FormerMemory { signals: self.signals, unit: self.unit, beginnings: self.beginnings, scales: self.scales }
    }

    fn steps(&self, units: f64) -> usize {
        (units * self.unit).round().max(FEWEST as f64) as usize
    }
}

impl Recall<'_> {
    /// Means over the beginning of a run as far as it was known at `step`, signal by signal or direction by
    /// direction.
    #[must_use]
    pub fn beginning(&self, first: usize, step: usize) -> Vec<f64> {
        let last = step.min(first + self.memory.beginning_steps() - 1);
        self.rows.iter().map(|row| mean(&row[first..=last])).collect()
    }

    /// Differences of neighbouring steps, and changes of a short mean since the run began, signal by signal.
    fn moves(&self, runs: &[Looks]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let (mut jumps, mut changes) = (Vec::new(), Vec::new());
        let short = self.memory.steps(SHORT);
        for run in runs {
            for &step in run.steps.iter().filter(|step| self.rows.iter().all(|row| row[**step].is_finite())) {
                if step > run.first {
                    jumps.push(self.rows.iter().map(|row| row[step] - row[step - 1]).collect());
                }
                let from = run.first.max((step + 1).saturating_sub(short));
                let begun = self.beginning(run.first, step);
                changes.push(self.rows.iter().zip(begun).map(|(row, begun)| mean(&row[from..=step]) - begun).collect());
            }
        }
        (jumps, changes)
    }

    /// What is remembered at a step of a run that is `age` steps old; `None` where a signal has no value.
    #[must_use]
    pub fn at(&self, step: usize, run: Run<'_>, age: f64) -> Option<Vec<f64>> {
        let memory = self.memory;
        if step < run.first || self.rows.iter().any(|row| !row[step].is_finite()) {
            return None;
        }
        let begun = run.beginning.map_or_else(|| self.beginning(run.first, step), <[f64]>::to_vec);
        let from = |steps: usize| run.first.max((step + 1).saturating_sub(steps));
        let (short, long, reach) = (from(memory.steps(SHORT)), from(memory.steps(LONG)), from(REACH));
        let forgets = (-1.0 / (CONSTANT * memory.unit)).exp();
        let mut numbers = Vec::with_capacity(memory.width());
        for (row, begun) in self.rows.iter().zip(&begun) {
            let (sum, weights) = row[reach..=step]
                .iter()
                .fold((0.0, 0.0), |(sum, weights), value| (sum * forgets + value, weights * forgets + 1.0));
            numbers.extend([mean(&row[short..=step]) - begun, mean(&row[long..=step]) - begun, sum / weights - begun]);
            numbers.push(trend(&row[long..=step]));
        }
        if memory.beginnings {
            numbers.extend(begun);
        }
        numbers.push(age / memory.unit);
        Some(numbers)
    }
}

/// Weighted sums of rows, step by step.
fn sums(weights: &[f64], rows: &[&[f64]]) -> Vec<f64> {
    let steps = rows.first().map_or(0, |row| row.len());
    (0..steps).map(|step| weights.iter().zip(rows).map(|(weight, row)| weight * row[step]).sum()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The change over a stretch, by a straight line through it.
fn trend(values: &[f64]) -> f64 {
    if values.len() < FEWEST {
        return 0.0;
    }
    let middle = (values.len() - 1) as f64 / 2.0;
    let (mut product, mut squares) = (0.0, 0.0);
    for (step, value) in values.iter().enumerate() {
        let lever = step as f64 - middle;
        product += lever * value;
        squares += lever * lever;
    }
    product / squares * values.len() as f64
}
