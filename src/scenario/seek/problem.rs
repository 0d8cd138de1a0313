//! The problem of one goal seek: what a schedule is worth by the model's answers to it.

use std::sync::Arc;

use super::objective::Aim;
use super::schedule::Freedom;
use super::search::{Search, Worth};
use crate::forecast::{Future, InputSource, Lots, Situation};
use crate::model::{MEDIAN, Quantiles};
use crate::scenario::constraint::Constraint;
use crate::scenario::support::Judge;

/// Steps between two at which support is looked at during the search.
const LOOKED_AT: usize = 4;
/// Share of the probability that may be missed which is kept in reserve during the search: the result
/// is judged on other samples.
const RESERVE: f64 = 0.3;

/// What a schedule is judged by. Cheap to share, never changed.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) situation: Arc<Situation>,
    pub(super) baseline: Future,
    pub(super) aim: Aim,
    /// The row that each is about, and what breaking it by is measured in.
    pub(super) constraints: Vec<(usize, Constraint, f64)>,
    pub(super) move_penalty: f64,
    /// What was seen, where a schedule must stay within it.
    pub(super) strict: Option<Judge>,
    /// How far the baseline is outside already.
    pub(super) excused: f64,
    /// The luck of the sample paths of the search.
    pub(super) lots: Lots,
}

impl Problem {
    /// The future that a schedule makes of the baseline.
    pub(super) fn future(&self, search: &Search, knots: &[f64]) -> Future {
        let mut future = self.baseline.clone();
        let steps = self.situation.horizon;
        for (freedom, row) in search.freedoms().iter().zip(search.rows(knots)) {
            let end = row[row.len() - 1];
            future.rows[freedom.row][..steps].copy_from_slice(&row);
            future.rows[freedom.row][steps..].fill(end);
            future.sources[freedom.row] = InputSource::Given;
        }
        future
    }

    /// Forgives schedules what the unmodified future leaves of what was seen.
    pub(super) fn excuse(&mut self, answers: &[Quantiles]) {
        let steps = self.situation.horizon;
        let medians: Vec<Vec<f64>> =
            answers.iter().map(|answer| answer[..steps].iter().map(|row| row[MEDIAN]).collect()).collect();
        let inputs: Vec<&[f64]> = self.baseline.rows.iter().map(|row| &row[..steps]).collect();
        let outputs: Vec<&[f64]> = medians.iter().map(Vec::as_slice).collect();
        self.excused = self.strict.as_ref().map_or(0.0, |judge| judge.excess(&inputs, &outputs, LOOKED_AT));
    }

    /// What a schedule is worth by the answers to its future.
    pub(super) fn worth(&self, freedoms: &[Freedom], future: &Future, answers: &[Quantiles]) -> Worth {
        let steps = self.situation.horizon;
        let medians: Vec<Vec<f64>> =
            answers.iter().map(|answer| answer[..steps].iter().map(|row| row[MEDIAN]).collect()).collect();
        let inputs: Vec<&[f64]> = future.rows.iter().map(|row| &row[..steps]).collect();
        let outputs: Vec<&[f64]> = medians.iter().map(Vec::as_slice).collect();
        let rows: Vec<&[f64]> = inputs.iter().chain(&outputs).copied().collect();
        let moves: f64 = freedoms.iter().map(|freedom| freedom.moves(rows[freedom.row])).sum();
        let cost = self.aim.cost(&rows, self.situation.grid.step_s) + self.move_penalty * moves;
        let mut broken = 0.0;
        for (row, constraint, unit) in &self.constraints {
            broken += match row.checked_sub(inputs.len()) {
                None => excess(constraint, rows[*row]).max(0.0) / unit,
                Some(place) => self.risk(constraint, place, &answers[place]).max(0.0) / unit,
            };
        }
        if let Some(judge) = &self.strict {
            broken += (judge.excess(&inputs, &outputs, LOOKED_AT) - self.excused).max(0.0);
        }
        if cost.is_finite() && broken.is_finite() {
            Worth { cost, broken }
        } else {
            Worth { cost: f64::MAX, broken: f64::MAX }
        }
    }

    /// By how much an output leaves its limits on the path that decides whether they are kept with the
    /// probability that was asked for; 0 or less when they are.
    fn risk(&self, constraint: &Constraint, place: usize, answer: &Quantiles) -> f64 {
        let paths = self.lots.of_target(&self.situation, place, answer);
        let mut excesses: Vec<f64> = paths.iter().map(|path| excess(constraint, path)).collect();
        let wanted = constraint.wanted() + (1.0 - constraint.wanted()) * RESERVE;
        let at = ((wanted * excesses.len() as f64).ceil() as usize).clamp(1, excesses.len()) - 1;
        *excesses.select_nth_unstable_by(at, f64::total_cmp).1
    }
}

/// By how much a row leaves the limits at its worst step; negative inside.
fn excess(constraint: &Constraint, row: &[f64]) -> f64 {
    let beyond = |value: &f64| {
        let below = constraint.min.map_or(f64::NEG_INFINITY, |min| min - value);
        below.max(constraint.max.map_or(f64::NEG_INFINITY, |max| value - max))
    };
    row.iter().map(beyond).fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_step_counts() {
        let limits =
            Constraint { asset: None, signal: "level".into(), min: Some(1.0), max: Some(3.0), probability: None };
        assert_eq!(excess(&limits, &[2.0, 2.5, 1.5]), -0.5);
        assert_eq!(excess(&limits, &[2.0, 3.5, 0.0]), 1.0);
    }
}
