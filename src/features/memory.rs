//! What is remembered of a run: wear is slow, and a look at the newest steps does not show it.
//!
//! Of every signal the means of a short and of a longer stretch and an exponential average, each against
//! the run's own beginning, and its trend; and the age of the run. Training and serving remember here alike,
//! and never from a later step. Lengths are in units that go with how long runs last.

use serde::{Deserialize, Serialize};

use super::Grid;
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
/// Numbers of a signal beside its beginning.
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
    /// Of each number, as it was in what taught.
    scales: Vec<Scale>,
}

/// Where a run lies among the steps that are at hand.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// First step at hand that belongs to it.
    pub first: usize,
    /// Means over its beginning, signal by signal, where its first step is no longer at hand.
    pub beginning: Option<&'a [f64]>,
}

/// A memory of a grid.
#[derive(Clone, Debug)]
pub struct Recall<'a> {
    memory: &'a Memory,
    /// Of the memory's signals.
    rows: Vec<&'a [f64]>,
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
        Self { signals, unit, beginnings, scales: Vec::new() }
    }

    /// Scales each number by its mean and deviation in what teaches.
    pub fn scale(&mut self, rows: &[Vec<f64>]) {
        let column = |place: usize| rows.iter().map(|row| row[place]).collect::<Vec<f64>>();
        let of_signals = self.signals.len() * OF_SIGNAL;
        let greatest = |place: usize| {
            let signal = if place < of_signals { place / OF_SIGNAL } else { place - of_signals };
            self.signals.get(signal).map_or(1.0, |(_, greatest)| *greatest)
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
        self.signals.len() * (OF_SIGNAL + usize::from(self.beginnings)) + 1
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
        Some(Recall { memory: self, rows: rows.collect::<Option<_>>()? })
    }

    /// Numbers in deviations.
    #[must_use]
    pub fn scaled(&self, row: &[f64]) -> Vec<f32> {
        let scaled =
            |(value, scale): (&f64, &Scale)| ((value - scale.mean) / scale.deviation).clamp(-LIMIT, LIMIT) as f32;
        row.iter().zip(&self.scales).map(scaled).collect()
    }

    fn steps(&self, units: f64) -> usize {
        (units * self.unit).round().max(FEWEST as f64) as usize
    }
}

impl Recall<'_> {
    /// Means over the beginning of a run as far as it was known at `step`, signal by signal.
    #[must_use]
    pub fn beginning(&self, first: usize, step: usize) -> Vec<f64> {
        let last = step.min(first + self.memory.beginning_steps() - 1);
        self.rows.iter().map(|row| mean(&row[first..=last])).collect()
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::asset::testing::asset_type;
    use crate::reading::Frame;

    fn grid(rows: impl Iterator<Item = [f64; 2]>) -> Grid {
        let frame = |(step, row): (usize, [f64; 2])| Frame {
            observed_at: DateTime::from_timestamp(1_000_000 + step as i64, 0).unwrap(),
            values: row.to_vec(),
            quality: None,
        };
        Grid::new(&kind(), &rows.enumerate().map(frame).collect::<Vec<_>>()).unwrap()
    }

    fn kind() -> AssetType {
        asset_type(1.0, &["pump", "level"])
    }

    const WHOLE: Run<'_> = Run { first: 0, beginning: None };

    #[test]
    fn numbers_of_a_ramp_are_those_of_their_formulas() {
        let grid = grid((0..200).map(|step| [5.0, f64::from(step)]));
        let memory = Memory::of(&kind(), &grid, grid.len(), 1.0, true);
        let numbers = memory.upon(&kind(), &grid).unwrap().at(150, WHOLE, 150.0).unwrap();
        assert_eq!(numbers.len(), memory.width());
        assert!(numbers[..4].iter().all(|number| number.abs() < 1e-9), "a still signal: {numbers:?}");
        let begun = 14.5;
        assert!((numbers[4] - (148.0 - begun)).abs() < 1e-9, "mean of 146 to 150");
        assert!((numbers[5] - (135.5 - begun)).abs() < 1e-9, "mean of 121 to 150");
        let behind = 150.0 - (numbers[6] + begun);
        assert!((behind - 1.0 / ((1.0_f64 / 30.0).exp() - 1.0)).abs() < 1.0, "an average lags behind: {behind}");
        assert!((numbers[7] - 30.0).abs() < 1e-9, "one a step, over 30 steps");
        assert_eq!(numbers[8..], [5.0, begun, 150.0]);
    }

    #[test]
    fn nothing_is_remembered_from_later_steps_or_from_before_the_run() {
        let wave = |step: i32| (1.7 * f64::from(step)).sin() + 0.01 * f64::from(step);
        let whole = grid((0..300).map(|step| [wave(3 * step), wave(step)]));
        let changed = grid((0..300).map(|step| {
            let foreign = if (80..=200).contains(&step) { 0.0 } else { 1e3 };
            [wave(3 * step) + foreign, wave(step) - foreign]
        }));
        let memory = Memory::of(&kind(), &whole, whole.len(), 1.0, true);
        let run = Run { first: 80, beginning: None };
        for step in [80, 81, 95, 140, 200] {
            let of = |grid: &Grid| memory.upon(&kind(), grid).unwrap().at(step, run, 7.0).unwrap();
            assert_eq!(of(&whole), of(&changed), "step {step}");
        }
        let recall = memory.upon(&kind(), &changed).unwrap();
        assert_ne!(recall.at(201, run, 7.0), memory.upon(&kind(), &whole).unwrap().at(201, run, 7.0));
        assert_eq!(recall.at(79, run, 7.0), None);
    }

    #[test]
    fn a_run_whose_first_steps_are_no_longer_at_hand_is_remembered_as_before() {
        let wave = |step: i32| (1.7 * f64::from(step)).sin() + 0.001 * f64::from(step);
        let whole = grid((0..2_600).map(|step| [5.0, wave(step)]));
        let newest = grid((500..2_600).map(|step| [5.0, wave(step)]));
        let memory = Memory::of(&kind(), &whole, whole.len(), 4.0, false);
        let recall = memory.upon(&kind(), &whole).unwrap();
        let begun = recall.beginning(0, 2_599);
        let there = memory.upon(&kind(), &newest).unwrap();
        let run = Run { first: 0, beginning: Some(&begun) };
        assert_eq!(recall.at(2_599, WHOLE, 9.0), there.at(2_099, run, 9.0));
        assert_ne!(recall.at(2_599, WHOLE, 9.0), there.at(2_099, WHOLE, 9.0), "its beginning matters");
    }

    #[test]
    fn what_teaches_decides_the_scale() {
        let grid = grid((0..100).map(|step| [518.67, f64::from(step)]));
        let mut memory = Memory::of(&kind(), &grid, grid.len(), 1.0, false);
        let recall = memory.upon(&kind(), &grid).unwrap();
        let rows: Vec<Vec<f64>> = (0..100).map(|step| recall.at(step, WHOLE, step as f64).unwrap()).collect();
        memory.scale(&rows);
        let scaled: Vec<Vec<f32>> = rows.iter().map(|row| memory.scaled(row)).collect();
        let age = scaled.iter().map(|row| f64::from(row[memory.width() - 1])).sum::<f64>();
        assert!(scaled.iter().all(|row| row[..4].iter().all(|number| number.abs() < 1e-3)), "rounding is no news");
        assert!(age.abs() < 1e-3 && scaled.iter().flatten().all(|number| number.is_finite()));
        let far: Vec<f64> = rows[99].iter().map(|number| 1e6 * (number + 1.0)).collect();
        assert!(memory.scaled(&far).iter().all(|number| f64::from(number.abs()) <= LIMIT));
        assert!(memory.upon(&asset_type(1.0, &["pump"]), &grid).is_none(), "a signal is gone");
    }
}
