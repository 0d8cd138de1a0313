//! A data set cut by a protocol: what is known, what is asked, and where.
//!
//! Always true: everything that learns sees steps of [`Task::train`] and [`Task::validation`] only;
//! a forecast sees targets before its origin, and inputs up to the end of its horizon.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Map;

use super::EvaluateError;
use crate::asset::{Asset, AssetType, Interval, Kind, Role, Signal, TypeDocument};
use crate::features::{Grid, Layout};
use crate::ids::AssetId;
use crate::reading::Frame;

/// Forecasts of the validation part that models are chosen and bands are made by, at most.
pub(super) const VALIDATED: usize = 120;

/// A forecast to be made: the first step that is asked for, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) origin: usize,
    pub(super) steps: usize,
}

/// What errors are measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Deviations of the target over the training part.
    TrainDeviation,
    /// The unit of the signal.
    Own(&'static str),
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TrainDeviation => "train deviations",
            Self::Own(unit) => unit,
        }
    }
}

/// Where the parts lie and how windows are taken, in steps of the grid.
#[derive(Clone, Debug)]
pub(super) struct Protocol {
    pub(super) horizon: usize,
    pub(super) train: Range<usize>,
    pub(super) validation: Range<usize>,
    /// Steps that may be asked for.
    pub(super) test: Range<usize>,
    /// Steps between two origins.
    pub(super) stride: usize,
    /// What a fine-tune job is given; it makes its own three parts of it.
    pub(super) taught: Range<usize>,
    /// Steps before an origin that a forecaster of ours may look at; `None` for as many as it likes.
    pub(super) look_back: Option<usize>,
    /// Whether the targets belong to one plant, so that one may explain another.
    pub(super) joint: bool,
    /// Steps of a season that is known beforehand.
    pub(super) season: Option<usize>,
    pub(super) unit: Unit,
    /// For readers of the report.
    pub(super) words: String,
}

/// A data set with its protocol.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) asset: Arc<Asset>,
    pub(super) frames: Vec<Frame>,
    pub(super) grid: Grid,
    pub(super) layout: Layout,
    pub(super) protocol: Protocol,
    /// The forecasts that are judged, in the order of time.
    pub(super) spans: Vec<Span>,
    /// Of each target: what its errors are divided by.
    pub(super) scales: Vec<f64>,
}

impl Task {
    /// Lays frames on a grid and cuts it. At most `most` windows are judged, evenly spread.
    pub(super) fn new(
        name: &str,
        asset_type: AssetType,
        frames: Vec<Frame>,
        cut: impl FnOnce(&Grid) -> Result<Protocol, EvaluateError>,
        most: usize,
    ) -> Result<Self, EvaluateError> {
        let empty = || EvaluateError::Protocol { set: name.to_owned(), detail: "there are no rows".into() };
        let grid = Grid::new(&asset_type, &frames).ok_or_else(empty)?;
        let layout = Layout::new(&asset_type, &grid);
        let protocol = cut(&grid)?;
        let refuse = |detail: &str| EvaluateError::Protocol { set: name.to_owned(), detail: detail.to_owned() };
        if layout.targets.is_empty() {
            return Err(refuse("no output has a value"));
        }
        if protocol.test.end > grid.len() || protocol.train.end < protocol.train.start + 32 {
            return Err(refuse("there are too few rows for the parts"));
        }
        let spans = spans(&grid, protocol.test.clone(), protocol.horizon, protocol.stride, most);
        if spans.is_empty() {
            return Err(refuse("the test part is shorter than the horizon"));
        }
        let scales = layout
            .targets
            .iter()
            .map(|target| match protocol.unit {
                Unit::Own(_) => 1.0,
                Unit::TrainDeviation => moments(&grid.values[*target][protocol.train.clone()]).1,
            })
            .collect();
        let asset = Arc::new(asset(name, asset_type));
        Ok(Self { name: name.to_owned(), asset, frames, grid, layout, protocol, spans, scales })
    }

    /// Name of a target by its place in the layout.
    pub(super) fn target(&self, place: usize) -> &str {
        &self.asset.asset_type.document.signals[self.layout.targets[place]].name
    }

    /// Forecasts of the validation part; one of what there is when it is shorter than the horizon.
    pub(super) fn validation_spans(&self) -> Vec<Span> {
        let part = self.protocol.validation.clone();
        let found = spans(&self.grid, part.clone(), self.protocol.horizon, 1, VALIDATED);
        if found.is_empty() { vec![Span { origin: part.start, steps: part.len() }] } else { found }
    }

    /// Frames of a range of steps.
    pub(super) fn frames_of(&self, steps: &Range<usize>) -> Vec<Frame> {
        let half = TimeDelta::microseconds((self.grid.step_s * 5e5) as i64);
        let (from, to) = (self.grid.instants[steps.start] - half, self.grid.instants[steps.end - 1] + half);
        self.frames.iter().filter(|frame| (from..to).contains(&frame.observed_at)).cloned().collect()
    }

    /// The truth of a span for a target by its place; NaN where nothing was measured.
    pub(super) fn truth(&self, place: usize, span: Span) -> Vec<f64> {
        let target = self.layout.targets[place];
        let known = |step: usize| self.grid.measured[target][step];
        let steps = span.origin..span.origin + span.steps;
        steps.map(|step| if known(step) { self.grid.values[target][step] } else { f64::NAN }).collect()
    }
}

/// Spans of `horizon` steps inside `part` that cross no start of a segment, at least `stride`
/// apart, and `most` of them at most.
fn spans(grid: &Grid, part: Range<usize>, horizon: usize, stride: usize, most: usize) -> Vec<Span> {
    let Some(last) = part.end.checked_sub(horizon).filter(|last| *last >= part.start) else { return Vec::new() };
    let count = last - part.start + 1;
    let stride = stride.max(count.div_ceil(most.max(1))).max(1);
    let whole = |origin: &usize| !grid.starts.iter().any(|start| (*origin + 1..*origin + horizon).contains(start));
    (part.start..=last).step_by(stride).filter(whole).map(|origin| Span { origin, steps: horizon }).collect()
}

/// Mean and deviation of finite values; (0, 1) of nothing that moves.
pub(super) fn moments(values: &[f64]) -> (f64, f64) {
    let known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let count = known.len().max(1) as f64;
    let mean = known.iter().sum::<f64>() / count;
    let deviation = (known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    (mean, if deviation > 0.0 { deviation } else { 1.0 })
}

/// A signal of a set.
pub(super) fn signal(name: &str, role: Role, range: Option<(f64, f64)>) -> Signal {
    Signal {
        name: name.to_owned(),
        unit: "1".to_owned(),
        kind: Kind::Number,
        role,
        min: range.map(|(low, _)| low),
        max: range.map(|(_, high)| high),
        max_rate: None,
        interval: None,
        description: None,
    }
}

/// A type that no database knows.
pub(super) fn asset_type(name: &str, interval_s: f64, signals: Vec<Signal>) -> AssetType {
    let interval = Interval::from_micros((interval_s * 1e6).round() as i64).unwrap_or_default();
    let document = TypeDocument { interval, signals, ..TypeDocument::default() };
    AssetType { id: 0, key: name.to_owned(), version: 1, document, created_at: DateTime::UNIX_EPOCH }
}

fn asset(name: &str, asset_type: AssetType) -> Asset {
    Asset {
        id: AssetId(0),
        key: name.to_owned(),
        asset_type: Arc::new(asset_type),
        name: None,
        attributes: Map::new(),
        revision: 1,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}

/// Frames of rows that are `interval_s` apart; `pauses` are rows before which the record paused.
pub(super) fn frames(rows: impl IntoIterator<Item = Vec<f64>>, interval_s: f64, pauses: &[usize]) -> Vec<Frame> {
    let start: DateTime<Utc> = DateTime::UNIX_EPOCH + TimeDelta::days(365);
    let step = interval_s * 1e6;
    rows.into_iter()
        .enumerate()
        .map(|(row, values)| {
            // Long enough for the grid to start a new segment.
            let paused = 1_000 * pauses.iter().filter(|pause| **pause <= row).count();
            let at = start + TimeDelta::microseconds(((row + paused) as f64 * step).round() as i64);
            Frame { observed_at: at, values, quality: None }
        })
        .collect()
}
