//! A bank fitted to one target signal, and the windows made with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::Grid;
use crate::asset::{AssetType, Role};
use crate::expert::{Bank, History, Scale};
use crate::ids::AssetId;
use crate::model::window::{CONTEXT, SLOTS, Window};

/// Steps that a fit may be old before it is made anew.
pub const FRESH: usize = 48;
/// Samples that the bank is fitted on at most.
const BANK_CONTEXT: usize = crate::expert::CONTEXT;
/// With fewer steps than this there is no fit, only persistence.
pub const FEWEST: usize = 64;
/// Fits kept in memory; one is about 100 kB.
const KEPT: usize = 2_000;

/// Which signals are predicted from which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Signals with the role output.
    pub targets: Vec<usize>,
    /// Control inputs, then disturbances: the order of the network's input slots.
    pub inputs: Vec<usize>,
}

impl Layout {
    /// Of a type's signals, leaving out inputs that `grid` never saw.
    #[must_use]
    pub fn new(asset_type: &AssetType, grid: &Grid) -> Self {
        let role = |role: Role| {
            let seen = |signal: &usize| grid.values[*signal].last().is_some_and(|value| value.is_finite());
            asset_type.with_role(role).map(|(index, _)| index).filter(seen).collect::<Vec<_>>()
        };
        let mut inputs = role(Role::ControlInput);
        inputs.extend(role(Role::Disturbance));
        inputs.truncate(SLOTS);
        Self { targets: role(Role::Output), inputs }
    }
}

/// A bank for one target, with the scales it was fitted in.
#[derive(Debug)]
pub struct Fit {
    bank: Bank,
    target: usize,
    layout: Layout,
    target_scale: Scale,
    input_scales: Vec<Scale>,
    steps: usize,
    step_s: f64,
    /// Instant of the last step that it knows.
    end: DateTime<Utc>,
}

impl Fit {
    /// Fits the bank to the grid up to (not including) step `until`, for forecasts of `steps`.
    #[must_use]
    pub fn new(
        asset_type: &AssetType,
        grid: &Grid,
        layout: &Layout,
        target: usize,
        until: usize,
        steps: usize,
    ) -> Self {
        let start = until.saturating_sub(BANK_CONTEXT);
        let range = |signal: usize| {
            let signal = &asset_type.document.signals[signal];
            signal.min.zip(signal.max)
        };
        let target_scale = Scale::of(&grid.values[target][start..until], range(target));
        let input_scales: Vec<Scale> =
            layout.inputs.iter().map(|input| Scale::of(&grid.values[*input][start..until], range(*input))).collect();
        let stretch = Stretch::new(grid, layout, target, &target_scale, &input_scales, start, until);
        Self {
            bank: Bank::fit(&stretch.history(), steps),
            target,
            layout: layout.clone(),
            target_scale,
            input_scales,
            steps,
            step_s: grid.step_s,
            end: grid.instants[until - 1],
        }
    }

    /// The signal that it predicts.
    #[must_use]
    pub fn target(&self) -> usize {
        self.target
    }

    /// Mean and deviation of the target: undoes the network's units.
    #[must_use]
    pub fn scale(&self) -> Scale {
        self.target_scale
    }

    /// The bank.
    #[must_use]
    pub fn bank(&self) -> &Bank {
        &self.bank
    }

    /// Windows at the end of step `until - 1`, one for each future. A future holds a row per input
    /// of the layout with at least `steps` values, in the signals' units.
    #[must_use]
    pub fn windows(&self, grid: &Grid, until: usize, futures: &[Vec<Vec<f64>>], steps: usize) -> Vec<Window> {
        let start = until.saturating_sub(BANK_CONTEXT);
        let stretch =
            Stretch::new(grid, &self.layout, self.target, &self.target_scale, &self.input_scales, start, until);
        let history = stretch.history();
        let prepared = self.bank.prepare(&history);
        let since_fit = self.age(grid, until).unwrap_or(0);
        futures
            .iter()
            .map(|future| {
                let scaled: Vec<Vec<f64>> = future
                    .iter()
                    .zip(&self.input_scales)
                    .map(|(row, scale)| row[..steps].iter().map(|value| scale.input(*value)).collect())
                    .collect();
                let outlook = prepared.forecast(&scaled);
                Window::new(&self.bank, &outlook, &history, since_fit, &scaled, CONTEXT)
            })
            .collect()
    }

    /// Steps of the grid between the fit and step `until - 1`; `None` when the grid no longer
    /// shows where it was made, or has another step.
    fn age(&self, grid: &Grid, until: usize) -> Option<usize> {
        let newest = *grid.instants.get(until.checked_sub(1)?)?;
        let same_step = (grid.step_s - self.step_s).abs() < 1e-9;
        if !same_step || self.end > newest || self.end < grid.instants[0] {
            return None;
        }
        // Grids are laid from their end, so the instants of two of them may differ by half a step.
        let at = grid.instants[..until].partition_point(|instant| {
            (*instant - self.end).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6 <= self.step_s / 2.0
        });
        Some(until - at.max(1))
    }

    fn serves(&self, grid: &Grid, layout: &Layout, steps: usize) -> bool {
        let until = grid.len();
        // Without inputs the experts answer the horizon they were fitted for.
        let long_enough = if layout.inputs.is_empty() { self.steps == steps } else { self.steps >= steps.min(64) };
        let new_segment = grid.starts.last().is_some_and(|start| grid.instants[*start] > self.end);
        self.layout == *layout && long_enough && !new_segment && self.age(grid, until).is_some_and(|age| age <= FRESH)
    }
}

/// A stretch of a grid in a fit's units.
struct Stretch {
    target: Vec<f64>,
    inputs: Vec<Vec<f64>>,
    starts: Vec<usize>,
}

impl Stretch {
    fn new(
        grid: &Grid,
        layout: &Layout,
        target: usize,
        target_scale: &Scale,
        input_scales: &[Scale],
        start: usize,
        until: usize,
    ) -> Self {
        Self {
            target: grid.values[target][start..until].iter().map(|value| target_scale.target(*value)).collect(),
            inputs: layout
                .inputs
                .iter()
                .zip(input_scales)
                .map(|(input, scale)| {
                    grid.values[*input][start..until].iter().map(|value| scale.input(*value)).collect()
                })
                .collect(),
            starts: std::iter::once(0)
                .chain(grid.starts.iter().filter(|first| (start + 1..until).contains(first)).map(|first| first - start))
                .collect(),
        }
    }

    fn history(&self) -> History<'_> {
        History { target: &self.target, inputs: &self.inputs, starts: &self.starts }
    }
}

/// Fits by asset and target, kept while they are fresh.
#[derive(Clone, Debug, Default)]
pub struct Fits(Arc<Mutex<Kept>>);

/// Fits by asset, target, and whether the horizon is a long one.
type Kept = HashMap<(AssetId, usize, bool), Arc<Fit>>;

impl Fits {
    /// A fresh fit for the end of the grid, made now if there is none. Costs milliseconds of CPU
    /// when it is made: call it off the runtime's threads.
    #[must_use]
    pub fn fresh(
        &self,
        asset: AssetId,
        asset_type: &AssetType,
        grid: &Grid,
        layout: &Layout,
        target: usize,
        steps: usize,
    ) -> Arc<Fit> {
        let key = (asset, target, steps > 64);
        let kept = self.lock().get(&key).cloned();
        if let Some(fit) = kept.filter(|fit| fit.serves(grid, layout, steps)) {
            return fit;
        }
        let fit = Arc::new(Fit::new(asset_type, grid, layout, target, grid.len(), steps));
        let mut fits = self.lock();
        if fits.len() >= KEPT {
            let oldest = fits.iter().min_by_key(|(_, fit)| fit.end).map(|(key, _)| *key);
            if let Some(key) = oldest {
                fits.remove(&key);
            }
        }
        fits.insert(key, fit.clone());
        fit
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
