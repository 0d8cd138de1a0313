//! Where and how a model is probed.

use crate::asset::{AssetType, Kind, Role};
use crate::features::{FEWEST, Grid, Layout};

/// Steps that a probe lasts.
pub const PROBED: usize = 64;
/// States of the asset's history that are probed.
const STATES: usize = 6;
/// Sizes of a probe, in deviations of the input.
const SIZES: [f64; 2] = [0.5, 1.0];
/// Of an input that never moved: a deviation as a share of its engineering range.
const STILL: f64 = 0.1;

/// One input moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Its place among the layout's inputs.
    pub input: usize,
    /// By how much, in its unit; not 0.
    pub size: f64,
}

/// A state from which a model is probed.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The step after the last known one.
    pub origin: usize,
    /// What is moved.
    pub probes: Vec<Probe>,
    /// Everything held, then one future for each probe: a row per input, a value per step.
    pub futures: Vec<Vec<Vec<f64>>>,
}

/// States spread over the history, the present among them; none while there is too little.
#[must_use]
pub fn points(asset_type: &AssetType, grid: &Grid, layout: &Layout) -> Vec<Point> {
    let Some(first) = grid.len().checked_sub(1).map(|last| last.min(4 * FEWEST)).filter(|first| *first >= FEWEST)
    else {
        return Vec::new();
    };
    let count = STATES.min(grid.len() - first).max(1);
    let origin = |at: usize| first + (grid.len() - first) * (at + 1) / count;
    (0..count).map(|at| point(asset_type, grid, layout, origin(at), PROBED)).collect()
}

/// The probes of one state.
fn point(asset_type: &AssetType, grid: &Grid, layout: &Layout, origin: usize, steps: usize) -> Point {
    let held = held(grid, layout, origin, steps);
    let probes = probes(asset_type, grid, layout, origin, &SIZES);
    let moved = |probe: &Probe| {
        let mut future = held.clone();
        future[probe.input].iter_mut().for_each(|value| *value += probe.size);
        future
    };
    let futures = std::iter::once(held.clone()).chain(probes.iter().map(moved)).collect();
    Point { origin, probes, futures }
}

/// Every input held as it stands before `origin`.
#[must_use]
pub fn held(grid: &Grid, layout: &Layout, origin: usize, steps: usize) -> Vec<Vec<f64>> {
    layout.inputs.iter().map(|input| vec![grid.values[*input][origin - 1]; steps]).collect()
}

/// Moves of each control input, up and down by these deviations, that keep it within its limits.
#[must_use]
pub fn probes(asset_type: &AssetType, grid: &Grid, layout: &Layout, origin: usize, sizes: &[f64]) -> Vec<Probe> {
    let mut probes = Vec::new();
    for input in controls(asset_type, layout) {
        let id = layout.inputs[input];
        let signal = &asset_type.document.signals[id];
        let now = grid.values[id][origin - 1];
        let (low, high) = match &signal.kind {
            Kind::Number => (signal.min.unwrap_or(f64::NEG_INFINITY), signal.max.unwrap_or(f64::INFINITY)),
            Kind::Boolean => (0.0, 1.0),
            Kind::Enum { labels } => (0.0, labels.len().saturating_sub(1) as f64),
        };
        let sizes: Vec<f64> = match signal.kind {
            Kind::Number => sizes.iter().map(|size| size * unit(asset_type, grid, id)).collect(),
            _ => vec![1.0],
        };
        let both = sizes.into_iter().flat_map(|size| [size, -size]);
        probes.extend(both.filter(|size| (low..=high).contains(&(now + size))).map(|size| Probe { input, size }));
    }
    probes
}

/// Places of the control inputs among the layout's inputs.
pub(super) fn controls(asset_type: &AssetType, layout: &Layout) -> Vec<usize> {
    let is_control = |place: &usize| asset_type.document.signals[layout.inputs[*place]].role == Role::ControlInput;
    (0..layout.inputs.len()).filter(is_control).collect()
}

/// What a probe of an input is measured in: its deviation, or a share of its range where it never
/// moved.
pub(super) fn unit(asset_type: &AssetType, grid: &Grid, signal: usize) -> f64 {
    let declared = &asset_type.document.signals[signal];
    let found = deviation(&grid.values[signal]);
    let last = grid.values[signal].last().copied().unwrap_or_default();
    if found > 1e-9 * last.abs().max(1.0) {
        return found;
    }
    STILL * declared.min.zip(declared.max).map_or(last.abs().max(1.0), |(min, max)| max - min)
}

/// Deviation of finite values; 0 of none.
pub(super) fn deviation(row: &[f64]) -> f64 {
    let known = row.iter().filter(|value| value.is_finite());
    let count = known.clone().count().max(1) as f64;
    let mean = known.clone().sum::<f64>() / count;
    (known.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::testing::asset_type;
    use crate::reading::Frame;

    #[test]
    fn every_state_is_probed_up_and_down_within_the_limits() {
        let mut asset_type = asset_type(1.0, &["pump", "level"]);
        asset_type.document.signals[0].role = Role::ControlInput;
        (asset_type.document.signals[0].min, asset_type.document.signals[0].max) = (Some(0.0), Some(10.0));
        let frames: Vec<Frame> = (0..900)
            .map(|step| Frame {
                observed_at: chrono::DateTime::from_timestamp(1_000_000 + step, 0).unwrap(),
                values: vec![if step < 800 { (step % 40) as f64 / 4.0 } else { 10.0 }, 1.0],
                quality: None,
            })
            .collect();
        let grid = Grid::new(&asset_type, &frames).unwrap();
        let layout = Layout { targets: vec![1], inputs: vec![0] };
        let points = points(&asset_type, &grid, &layout);
        assert_eq!((points.len(), points[STATES - 1].origin), (STATES, 900));
        assert!(points.windows(2).all(|pair| pair[0].origin < pair[1].origin));
        for point in &points {
            assert_eq!(point.futures.len(), point.probes.len() + 1);
            assert!(point.futures.iter().flatten().flatten().all(|value| (0.0..=10.0).contains(value)));
        }
        assert!(points[STATES - 1].probes.iter().all(|probe| probe.size < 0.0), "it stands at its upper limit");
        assert_eq!(points[STATES - 1].probes.len(), 2);
    }
}
