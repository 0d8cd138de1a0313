//! What a version has seen: a small summary of the data that it was trained on.
//!
//! Of every input and output the range and the changes from step to step; and a sample of *points*,
//! each of which says where the plant was at a step: the inputs, what they were lately (exponential
//! averages), and the outputs. How far a new point lies from them is the mean distance to its
//! nearest [`NEIGHBOURS`], beside the same distance among the points themselves: a new visit to a
//! known place is as far from the earlier ones as these are from each other. (Distance to the
//! nearest training samples in a standardised space as a measure of the domain of applicability:
//! Knorr and Ng 1998; Sahigara et al. 2012, doi 10.3390/molecules17054791.) Plain numbers, no tensors.

mod point;

use serde::{Deserialize, Serialize};

use self::point::{Trail, column, features};
use super::{Grid, Layout};
use crate::asset::AssetType;
use crate::model::{ArtefactError, attach, attached};

/// Points kept at most.
const POINTS: usize = 512;
/// Points whose mean distance counts.
const NEIGHBOURS: usize = 5;
/// Steps within which two points belong to one visit, which says nothing of how far visits lie apart.
const VISIT: usize = 48;
/// Steps of history that a summary needs.
pub const FEWEST_SEEN: usize = 2 * VISIT;
/// Steps that the averages look back on when they start.
const WARM: usize = 192;
/// Share of the points that lie nearer to the others than what counts as usual.
const USUAL: f64 = 0.9;
/// A signal that never moved is told apart on this share of its engineering range, or of its value.
const STILL: f64 = 0.1;

/// Name of the summary beside a head's variables.
const NAME: &str = "seen";
/// First byte of a stored summary: how the rest is to be read.
const FORMAT: u8 = 1;

/// What was seen of one signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenSignal {
    /// Its name.
    pub name: String,
    /// Least and greatest value, in its unit.
    pub range: [f64; 2],
    /// Least and greatest change from one step to the next, in its unit.
    pub change: [f64; 2],
    /// Mean over the steps.
    mean: f64,
    /// Deviation; never 0.
    deviation: f64,
}

/// The data that a version was trained on, in brief.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Inputs in the order of the layout, then outputs.
    signals: Vec<SeenSignal>,
    /// How many of the signals are inputs.
    inputs: usize,
    /// A column for each feature, a value for each point.
    points: Vec<Vec<f32>>,
    /// Squared distance of most points to their neighbours.
    usual: f32,
    /// Squared distance of the loneliest point to its neighbours.
    farthest: f32,
}

/// Where a point of the future lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Distance to the nearest points seen, in usual distances.
    pub distance: f64,
    /// The same distance, where 1 is that of the point seen that lies farthest from the others: beyond
    /// it nothing was seen.
    pub depth: f64,
    /// Signal that contributes most to the distance, by its place among inputs and outputs.
    pub signal: usize,
    /// Least and greatest value of that signal at the nearest points.
    pub nearby: [f64; 2],
}

impl Seen {
    /// Of the signals of a layout over a whole grid; `None` when there is nothing to compare with.
    #[must_use]
    pub fn of(asset_type: &AssetType, grid: &Grid, layout: &Layout) -> Option<Self> {
        let ids: Vec<usize> = layout.inputs.iter().chain(&layout.targets).copied().collect();
        if grid.len() < FEWEST_SEEN || layout.targets.is_empty() {
            return None;
        }
        let signals: Vec<SeenSignal> = ids
            .iter()
            .map(|id| {
                let signal = &asset_type.document.signals[*id];
                let span = signal.min.zip(signal.max).map(|(min, max)| max - min);
                SeenSignal::of(&signal.name, &grid.values[*id], &grid.measured[*id], &grid.starts, span)
            })
            .collect();
        let mut seen = Self { signals, inputs: layout.inputs.len(), points: Vec::new(), usual: 1.0, farthest: 1.0 };
        let rows: Vec<&[f64]> = ids.iter().map(|id| grid.values[*id].as_slice()).collect();
        if rows.iter().any(|row| row.iter().any(|value| !value.is_finite())) {
            return None;
        }
        let (steps, points) = seen.sample(&rows, &grid.starts);
        seen.points = points;
        let mut lonely: Vec<f32> = (0..steps.len()).map(|at| seen.loneliness(&steps, at)).collect();
        lonely.sort_by(f32::total_cmp);
        let usual = lonely[((lonely.len() - 1) as f64 * USUAL) as usize];
        let floor = f32::EPSILON * seen.points.len() as f32;
        (seen.usual, seen.farthest) = (usual.max(floor), lonely[lonely.len() - 1].max(floor));
        Some(seen)
    }

    /// Inputs in the order of the layout.
    #[must_use]
    pub fn inputs(&self) -> &[SeenSignal] {
        &self.signals[..self.inputs]
    }

    /// Outputs.
    #[must_use]
    pub fn outputs(&self) -> &[SeenSignal] {
        &self.signals[self.inputs..]
    }

    /// A signal by its place among inputs and outputs.
    #[must_use]
    pub fn signal(&self, place: usize) -> &SeenSignal {
        &self.signals[place]
    }

    /// Whether it is about these signals, in this order.
    #[must_use]
    pub fn is_of(&self, asset_type: &AssetType, layout: &Layout) -> bool {
        let names = layout.inputs.iter().chain(&layout.targets).map(|id| &asset_type.document.signals[*id].name);
        self.inputs == layout.inputs.len() && self.signals.iter().map(|signal| &signal.name).eq(names)
    }

    /// What inputs and outputs were lately, from which futures go on. `past` holds a row per input,
    /// in the order of the layout, up to the present.
    #[must_use]
    pub fn trail(&self, past: &[&[f64]]) -> SeenTrail {
        let trails = self.signals[..self.inputs]
            .iter()
            .zip(past)
            .map(|(signal, row)| {
                let from = row.len().saturating_sub(WARM);
                let first = row.get(from).copied().unwrap_or(signal.mean);
                let mut trail = Trail::at(signal.normal(first));
                row[from..].iter().for_each(|value| trail.go(signal.normal(*value)));
                trail
            })
            .collect();
        SeenTrail(trails)
    }

    /// Where each step of a future lies: `inputs` and `outputs` hold a row per signal, a value per
    /// step, in its unit.
    #[must_use]
    pub fn places(&self, trail: &SeenTrail, inputs: &[&[f64]], outputs: &[&[f64]]) -> Vec<Place> {
        self.places_every(trail, inputs, outputs, 1)
    }

    /// The same of the last one of every so many steps.
    #[must_use]
    pub fn places_every(&self, trail: &SeenTrail, inputs: &[&[f64]], outputs: &[&[f64]], every: usize) -> Vec<Place> {
        let steps = outputs.first().map_or(0, |row| row.len());
        let mut trails = trail.0.clone();
        let mut distances = vec![0.0; self.points.first().map_or(0, Vec::len)];
        (0..steps)
            .filter_map(|step| {
                let mut normal: Vec<f64> = Vec::with_capacity(self.signals.len());
                normal.extend(self.inputs().iter().zip(inputs).map(|(signal, row)| signal.normal(row[step])));
                normal.extend(self.outputs().iter().zip(outputs).map(|(signal, row)| signal.normal(row[step])));
                trails.iter_mut().zip(&normal).for_each(|(trail, value)| trail.go(*value));
                (step % every == every - 1).then(|| self.place(&features(&trails, &normal), &mut distances))
            })
            .collect()
    }

    /// A version's artefact with the summary attached.
    pub fn attach_to(&self, artefact: &[u8]) -> Result<Vec<u8>, ArtefactError> {
        let bytes = postcard::to_extend(self, vec![FORMAT]);
        attach(artefact, NAME, &bytes.expect("numbers and names can always be written"))
    }

    /// The summary attached to a version's artefact, if there is one.
    #[must_use]
    pub fn attached_to(artefact: &[u8]) -> Option<Self> {
        let (format, rest) = attached(artefact, NAME)?.split_first()?;
        let seen: Self = (*format == FORMAT).then(|| postcard::from_bytes(rest).ok()).flatten()?;
        seen.is_whole().then_some(seen)
    }

    /// Whether a summary that was read can be computed with.
    fn is_whole(&self) -> bool {
        let count = self.points.first().map_or(0, Vec::len);
        let width = column(self.inputs, self.signals.len());
        let finite = self.points.iter().flatten().all(|value| value.is_finite());
        let shaped = self.points.len() == width && self.points.iter().all(|column| column.len() == count);
        self.inputs < self.signals.len() && count > NEIGHBOURS && finite && shaped && self.usual > 0.0
    }

    /// Steps spread evenly over the rows, and their features as columns.
    fn sample(&self, rows: &[&[f64]], starts: &[usize]) -> (Vec<usize>, Vec<Vec<f32>>) {
        let length = rows[0].len();
        let stride = length.div_ceil(POINTS).max(1);
        let fresh = |step: usize| -> Vec<Trail> {
            self.inputs().iter().zip(rows).map(|(signal, row)| Trail::at(signal.normal(row[step]))).collect()
        };
        let mut trails = fresh(0);
        let (mut steps, mut points) = (Vec::new(), vec![Vec::new(); column(self.inputs, self.signals.len())]);
        for step in 0..length {
            if starts.contains(&step) {
                trails = fresh(step);
            }
            let normal: Vec<f64> =
                self.signals.iter().zip(rows).map(|(signal, row)| signal.normal(row[step])).collect();
            trails.iter_mut().zip(&normal).for_each(|(trail, value)| trail.go(*value));
            if step % stride == stride - 1 {
                steps.push(step);
                for (column, value) in points.iter_mut().zip(features(&trails, &normal)) {
                    column.push(value);
                }
            }
        }
        (steps, points)
    }

    /// Mean squared distance of a point to its nearest neighbours of other visits.
    fn loneliness(&self, steps: &[usize], at: usize) -> f32 {
        let point: Vec<f32> = self.points.iter().map(|column| column[at]).collect();
        let mut distances = vec![0.0; steps.len()];
        self.measure(&point, &mut distances);
        let mut others: Vec<f32> = distances
            .iter()
            .zip(steps)
            .filter(|(_, step)| step.abs_diff(steps[at]) > VISIT)
            .map(|(distance, _)| *distance)
            .collect();
        let wanted = NEIGHBOURS.min(others.len()).max(1);
        if others.len() > wanted {
            others.select_nth_unstable_by(wanted - 1, f32::total_cmp);
        }
        others[..wanted.min(others.len())].iter().sum::<f32>() / wanted as f32
    }

    /// Squared distances of a point to all that were seen.
    fn measure(&self, point: &[f32], distances: &mut [f32]) {
        distances.fill(0.0);
        for (column, value) in self.points.iter().zip(point) {
            for (distance, known) in distances.iter_mut().zip(column) {
                *distance += (known - value) * (known - value);
            }
        }
    }

    fn place(&self, point: &[f32], distances: &mut [f32]) -> Place {
        self.measure(point, distances);
        let mut nearest = [(f32::INFINITY, 0_usize); NEIGHBOURS];
        for (index, distance) in distances.iter().enumerate() {
            if *distance < nearest[NEIGHBOURS - 1].0 {
                let at = nearest.partition_point(|(known, _)| known <= distance);
                nearest[at..].rotate_right(1);
                nearest[at] = (*distance, index);
            }
        }
        let mean = nearest.iter().map(|(distance, _)| distance).sum::<f32>() / NEIGHBOURS as f32;
        // What a signal contributes: the squares of all its features.
        let each = column(1, 1) - 1;
        let gap = |feature: usize| {
            nearest.iter().map(|(_, index)| (self.points[feature][*index] - point[feature]).powi(2)).sum::<f32>()
        };
        let of = |place: usize| {
            let inputs = place.min(self.inputs) * each;
            let first = inputs + place.saturating_sub(self.inputs);
            first..first + if place < self.inputs { each } else { 1 }
        };
        let contribution = |place: &usize| of(*place).map(gap).sum::<f32>();
        let signal = (0..self.signals.len())
            .max_by(|one, other| contribution(one).total_cmp(&contribution(other)))
            .unwrap_or_default();
        let values = nearest.iter().map(|(_, index)| {
            self.signals[signal]
                .undo(f64::from(self.points[of(signal).start][*index]) * point::weight(signal < self.inputs))
        });
        let nearby =
            values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| [low.min(value), high.max(value)]);
        Place {
            distance: f64::from(mean / self.usual).sqrt(),
            depth: f64::from(mean / self.farthest).sqrt(),
            signal,
            nearby,
        }
    }
}

/// What the inputs of an asset were lately.
#[derive(Clone, Debug)]
pub struct SeenTrail(Vec<Trail>);

impl SeenSignal {
    fn of(name: &str, row: &[f64], measured: &[bool], starts: &[usize], span: Option<f64>) -> Self {
        let known = row.iter().zip(measured).filter(|(value, measured)| **measured && value.is_finite());
        let (mut count, mut sum, mut low, mut high) = (0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY);
        for (value, _) in known.clone() {
            (count, sum) = (count + 1.0, sum + value);
            (low, high) = (low.min(*value), high.max(*value));
        }
        let mean = if count > 0.0 { sum / count } else { 0.0 };
        let square: f64 = known.map(|(value, _)| (value - mean).powi(2)).sum();
        let mut change = [0.0_f64; 2];
        for step in 1..row.len() {
            let both = measured[step] && measured[step - 1] && !starts.contains(&step);
            if both && row[step].is_finite() && row[step - 1].is_finite() {
                let moved = row[step] - row[step - 1];
                change = [change[0].min(moved), change[1].max(moved)];
            }
        }
        let deviation = if count > 0.0 { (square / count).sqrt() } else { 0.0 };
        let still = STILL * span.filter(|span| *span > 0.0 && span.is_finite()).unwrap_or(mean.abs().max(1.0));
        let moved = deviation > 1e-9 * mean.abs().max(1.0);
        let range = if count > 0.0 { [low, high] } else { [mean, mean] };
        Self { name: name.to_owned(), range, change, mean, deviation: if moved { deviation } else { still } }
    }

    /// How far a value lies beyond the range seen, as a share of its width (of four deviations, where
    /// that is more); 0 within.
    #[must_use]
    pub fn beyond(&self, value: f64) -> f64 {
        let [low, high] = self.range;
        (low - value).max(value - high).max(0.0) / (high - low).max(4.0 * self.deviation)
    }

    /// The same of a change from one step to the next.
    #[must_use]
    pub fn too_fast(&self, change: f64) -> f64 {
        let [low, high] = self.change;
        (low - change).max(change - high).max(0.0) / (self.range[1] - self.range[0]).max(4.0 * self.deviation)
    }

    fn normal(&self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }

    fn undo(&self, normal: f64) -> f64 {
        normal * self.deviation + self.mean
    }
}
