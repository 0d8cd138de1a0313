//! Fitting a template: the parameters and the initial states whose simulation comes closest to
//! the readings.
//!
//! Always true: a missing reading has no say; the work is bounded by the length of the evidence;
//! equal evidence gives equal parameters.

use super::super::algebra::dot;
use super::Template;
use super::coordinate::Parameter;
use super::evidence::Evidence;
use super::law::{Arrivals, Hidden, Law, ORDER};
use super::levenberg::{Column, Problem, Solution, minimise};
use super::observer::Sensor;

/// Samples of the first look, which every start gets, and its steps.
const FIRST_LOOK: usize = 600;
const FIRST_STEPS: usize = 8;
/// How many of the starts are followed to the end, and the steps they get.
const FINALISTS: usize = 2;
const STEPS: usize = 40;
/// Readings per parameter that a fit needs.
const READINGS_PER_PARAMETER: usize = 2;
/// Step of a coordinate for a difference quotient.
const NUDGE: f64 = 1e-4;
/// Weight of the distance of a coordinate from its start: keeps what the readings do not show.
const COORDINATE_WEIGHT: f64 = 0.1;
/// Weight of the distance of an initial state from rest.
const OFFSET_WEIGHT: f64 = 0.1;

/// What a search found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The parameters in their own units.
    pub(super) values: Vec<f64>,
    /// Per run, how far its initial state is from rest, in spreads of the law.
    pub(super) offsets: Vec<Hidden>,
    /// Mean squared residual over the measured readings, in deviations of the target.
    pub(super) error: f64,
}

/// Fits a template; `None` where there are too few readings or no start leads anywhere.
pub(super) fn search(template: Template, evidence: &Evidence, sensor: Sensor) -> Option<Found> {
    let starts = template.guesses(evidence);
    if evidence.measured() < READINGS_PER_PARAMETER * starts.first()?.len() {
        return None;
    }
    let look = evidence.recent(FIRST_LOOK);
    let mut candidates: Vec<(Vec<Parameter>, Solution)> = starts
        .into_iter()
        .filter_map(|parameters| {
            let trial = Trial { template, evidence: &look, parameters: &parameters, sensor };
            let solution = minimise(&trial, trial.start(), FIRST_STEPS)?;
            Some((parameters, solution))
        })
        .collect();
    candidates.sort_by(|a, b| a.1.error.total_cmp(&b.1.error));
    candidates
        .iter()
        .take(FINALISTS)
        .filter_map(|(parameters, first)| {
            let trial = Trial { template, evidence, parameters, sensor };
            let mut start = trial.start();
            start[..parameters.len()].copy_from_slice(&first.place[..parameters.len()]);
            let solution = minimise(&trial, start, STEPS)?;
            Some(trial.found(&solution))
        })
        .min_by(|a, b| a.error.total_cmp(&b.error))
}

/// One start of the search. A place holds the coordinates of the parameters, then the offsets of
/// the initial states, run by run. Rows are the readings of a run followed by its weighted offsets,
/// run by run, and the weighted distances of the coordinates last.
struct Trial<'a> {
    template: Template,
    evidence: &'a Evidence,
    parameters: &'a [Parameter],
    sensor: Sensor,
}

impl Trial<'_> {
    fn start(&self) -> Vec<f64> {
        let mut start: Vec<f64> = self.parameters.iter().map(Parameter::start).collect();
        let order = self.law(&start).order();
        start.resize(start.len() + order * self.evidence.runs.len(), 0.0);
        start
    }

    fn values(&self, place: &[f64]) -> Vec<f64> {
        self.parameters.iter().zip(place).map(|(parameter, &x)| parameter.value(x)).collect()
    }

    fn law(&self, place: &[f64]) -> Box<dyn Law> {
        self.template.law(&self.values(place), self.evidence.inputs.len())
    }

    fn found(&self, solution: &Solution) -> Found {
        let values = self.values(&solution.place);
        let order = self.law(&solution.place).order();
        let offsets = solution.place[values.len()..]
            .chunks(order)
            .map(|chunk| {
                let mut offset = [0.0; ORDER];
                offset[..order].copy_from_slice(chunk);
                offset
            })
            .collect();
        Found { values, offsets, error: self.misfit(&solution.place) / self.evidence.measured() as f64 }
    }

    /// Sum of squared residuals of the readings alone.
    fn misfit(&self, place: &[f64]) -> f64 {
        let law = self.law(place);
        let mut rows = Vec::with_capacity(self.evidence.target.len());
        for (&run, offset) in self.evidence.runs.iter().zip(place[self.parameters.len()..].chunks(law.order())) {
            self.simulate(law.as_ref(), run, offset, &mut rows);
        }
        dot(&rows, &rows)
    }

    /// Appends the residuals of one run's readings.
    fn simulate(&self, law: &dyn Law, run: (usize, usize), offset: &[f64], rows: &mut Vec<f64>) {
        let (start, end) = run;
        let target = &self.evidence.target;
        let deviation = self.evidence.target_statistics().deviation;
        let mut state = initial(law, target[start], deviation, offset);
        let arrivals = Arrivals::new(&self.evidence.inputs, start, law.delay());
        let mut inputs = vec![0.0; self.evidence.inputs.len()];
        for (t, measured) in (start..end).zip(&target[start..end]) {
            if t > start {
                arrivals.at(t, &mut inputs);
                law.advance(&mut state, &inputs);
            }
            let missed = (self.sensor.show(law.read(&state)) - measured) / deviation;
            rows.push(if measured.is_nan() { 0.0 } else { missed });
        }
    }
}

impl Problem for Trial<'_> {
    fn residuals(&self, place: &[f64]) -> Vec<f64> {
        let (coordinates, offsets) = place.split_at(self.parameters.len());
        let law = self.law(place);
        let mut rows = Vec::with_capacity(self.evidence.target.len() + place.len());
        for (&run, offset) in self.evidence.runs.iter().zip(offsets.chunks(law.order())) {
            self.simulate(law.as_ref(), run, offset, &mut rows);
            rows.extend(offset.iter().map(|o| OFFSET_WEIGHT * o));
        }
        rows.extend(self.parameters.iter().zip(coordinates).map(|(p, x)| COORDINATE_WEIGHT * (x - p.start())));
        rows
    }

    fn jacobian(&self, place: &[f64], residuals: &[f64]) -> Vec<Column> {
        let count = self.parameters.len();
        let order = self.law(place).order();
        let nudged = |which: &dyn Fn(usize) -> bool| -> Vec<f64> {
            let near: Vec<f64> = place.iter().enumerate().map(|(i, x)| if which(i) { x + NUDGE } else { *x }).collect();
            self.residuals(&near).iter().zip(residuals).map(|(a, b)| (a - b) / NUDGE).collect()
        };
        let mut columns: Vec<Column> = (0..count).map(|i| Column { from: 0, values: nudged(&|j| j == i) }).collect();
        // Runs do not know each other, so one simulation serves the same state of all of them.
        let by_state: Vec<Vec<f64>> = (0..order).map(|i| nudged(&|j| j >= count && (j - count) % order == i)).collect();
        let mut from = 0;
        for &(start, end) in &self.evidence.runs {
            let rows = end - start + order;
            columns.extend(by_state.iter().map(|column| Column { from, values: column[from..from + rows].to_vec() }));
            from += rows;
        }
        columns
    }
}

/// The state of a run whose first reading is `first`, `offset` spreads away from rest.
pub(super) fn initial(law: &dyn Law, first: f64, deviation: f64, offset: &[f64]) -> Hidden {
    let mut state = law.rest(first);
    for ((x, spread), o) in state.iter_mut().zip(law.spread(deviation)).zip(offset) {
        *x += spread * o;
    }
    state
}
