//! The regression rows of the direct expert, and their sums.
//!
//! A row is what the inputs stand at when an answer is due, what was held at its origin, fading with the steps between, 1,
//! and the answer. No row is ever written down.

use std::ops::Range;

use super::super::algebra::{Gram, dot};
use super::super::filters::{Coefficients, HELD_EACH, InputMemory, Memory, PER_INPUT};
use super::super::history::Context;
use super::super::shared::{self, Columns, FADES, fades, horizons};
use super::{ORIGINS, RIDGES, WARM_UP, held, others, ridged};

/// The hold-out tail decides only with more rows than this.
const LEAST_HELD_OUT: usize = 20;
/// The share of rows before the hold-out tail.
const TRAIN_SHARE: f64 = 0.7;

/// Which rows were known at an end, and where the hold-out tail begins.
pub(super) struct Span {
    pub(super) all: usize,
    pub(super) train: usize,
    /// Held-out rows are those beyond `train` whose origin is not before this.
    origin: f64,
}

/// Rows in the order of the instant they explain.
pub(super) struct Rows {
    /// Features of the inputs.
    driven: usize,
    /// Values held at an origin.
    kept: usize,
    /// Of every horizon.
    fades: Vec<[f64; FADES.len()]>,
    /// Instant by instant: the features of the inputs, 1, and the target.
    instants: Vec<f64>,
    /// Origin by origin.
    origins: Vec<f64>,
    all: Vec<Row>,
}

#[derive(Clone, Copy)]
struct Row {
    /// Among those that rows are about, and in the context.
    instant: (usize, usize),
    /// Among all origins, and in the context.
    origin: (usize, usize),
    horizon: usize,
}

impl Rows {
    pub(super) fn of(context: &Context<'_>, horizon: usize, by: &Coefficients) -> Self {
        let (inputs, others) = (context.inputs.len(), others(context));
        let steps = horizons(horizon);
        let mut rows = Self {
            driven: inputs * PER_INPUT,
            kept: HELD_EACH * (1 + inputs + others.len()),
            fades: steps.iter().map(|&h| fades(h)).collect(),
            instants: Vec::new(),
            origins: Vec::new(),
            all: Vec::with_capacity(context.segments.len() * ORIGINS * steps.len()),
        };
        for &(start, end) in &context.segments {
            let stride = ((end - start) / ORIGINS).max(1);
            let first = start + WARM_UP;
            let begun = rows.origins.len() / rows.kept;
            let mut memory = Memory::begin(context.target[start], &context.inputs, others, start);
            for t in start..end {
                if t > start {
                    memory.step(by, context.target[t], &context.inputs, others, t);
                }
                let instant = rows.instants.len() / rows.instant_width();
                let answers = steps.iter().enumerate().take_while(|(_, h)| t >= first + **h);
                let before = rows.all.len();
                for (horizon, h) in answers.filter(|(_, h)| (t - **h - first).is_multiple_of(stride)) {
                    let origin = (begun + (t - h - first) / stride, t - h);
                    rows.all.push(Row { instant: (instant, t), origin, horizon });
                }
                if rows.all.len() > before {
                    memory.inputs.iter().for_each(|input: &InputMemory| input.features(&mut rows.instants));
                    rows.instants.extend([1.0, context.target[t]]);
                }
                if t >= first && (t - first).is_multiple_of(stride) {
                    rows.origins.extend(held(&memory));
                }
            }
        }
        rows
    }

    /// Features and the target.
    pub(super) fn width(&self) -> usize {
        self.intercept() + 2
    }

    fn intercept(&self) -> usize {
        self.driven + self.kept * FADES.len()
    }

    fn instant_width(&self) -> usize {
        self.driven + 2
    }

    fn at_instant(&self, row: &Row) -> &[f64] {
        let width = self.instant_width();
        &self.instants[row.instant.0 * width..(row.instant.0 + 1) * width]
    }

    fn at_origin(&self, origin: usize) -> &[f64] {
        &self.origins[origin * self.kept..(origin + 1) * self.kept]
    }

    /// The rows known when the context ended at `end`, split at 70 % of their instants.
    pub(super) fn span(&self, end: usize) -> Span {
        let at = |place: usize| self.all[place].instant.1;
        let all = self.all.partition_point(|row| row.instant.1 < end);
        if all == 0 {
            return Span { all, train: 0, origin: 0.0 };
        }
        // numpy's linear quantile
        let place = TRAIN_SHARE * (all - 1) as f64;
        let (below, above) = (at(place as usize) as f64, at((place as usize + 1).min(all - 1)) as f64);
        let cut = below + place.fract() * (above - below);
        let train = self.all[..all].partition_point(|row| row.instant.1 as f64 <= cut);
        Span { all, train, origin: cut - 1.0 }
    }

    /// Adds some of the rows to the sums.
    pub(super) fn add(&self, some: Range<usize>, gram: &mut Gram) {
        let place = |row: &Row| shared::Row { instant: row.instant.0, origin: row.origin.0, horizon: row.horizon };
        let rows: Vec<shared::Row> = self.all[some].iter().map(place).collect();
        let intercept = self.intercept();
        let columns = Columns {
            instant: (0..self.driven).chain([intercept, intercept + 1]).collect(),
            held: self.driven,
            values: self.kept,
            own: self.width(),
        };
        let (instants, origins) = (&self.instants, &self.origins);
        shared::Rows { all: &rows, instants, origins, own: &[], fades: &self.fades }.add_to(gram, &columns);
    }

    /// The ridge with the least squared error on the hold-out tail.
    pub(super) fn best_ridge(&self, span: &Span, train: &mut Gram) -> f64 {
        let tail = &self.all[span.train..span.all];
        let held_out: Vec<&Row> = tail.iter().filter(|row| row.origin.1 as f64 > span.origin).collect();
        let mut best = (f64::INFINITY, RIDGES[RIDGES.len() - 1]);
        if held_out.len() <= LEAST_HELD_OUT {
            return best.1;
        }
        for ridge in RIDGES {
            let Some(weights) = ridged(train, ridge) else { continue };
            let error: f64 = held_out.iter().map(|row| self.residual(row, &weights).powi(2)).sum();
            if error < best.0 {
                best = (error, ridge);
            }
        }
        best.1
    }

    /// What weights say at a row, less what came.
    fn residual(&self, row: &Row, weights: &[f64]) -> f64 {
        let (values, fades) = (self.at_instant(row), &self.fades[row.horizon]);
        let (inputs, rest) = weights.split_at(self.driven);
        let faded = rest.chunks_exact(FADES.len()).map(|weights| dot(weights, fades));
        let held: f64 = self.at_origin(row.origin.0).iter().zip(faded).map(|(value, weight)| value * weight).sum();
        dot(inputs, &values[..self.driven]) + held + weights[self.intercept()] - values[self.driven + 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row as it would be written down.
    fn written(rows: &Rows, row: &Row) -> Vec<f64> {
        let (values, fades) = (rows.at_instant(row), rows.fades[row.horizon]);
        let mut all = values[..rows.driven].to_vec();
        all.extend(rows.at_origin(row.origin.0).iter().flat_map(|value| fades.map(|fade| fade * value)));
        all.extend(&values[rows.driven..]);
        all
    }

    #[test]
    fn sums_are_those_of_the_rows_written_down() {
        let line = |seed: f64| -> Vec<f64> { (0..300).map(|t| (seed * f64::from(t)).sin()).collect() };
        let (target, others, inputs) = (line(0.11), [line(0.07)], [line(0.31), line(0.23)]);
        let context = Context {
            target: &target,
            inputs: inputs.iter().map(Vec::as_slice).collect(),
            others: others.iter().map(Vec::as_slice).collect(),
            segments: vec![(0, 80), (90, 300)],
        };
        let rows = Rows::of(&context, 64, &Coefficients::new());
        assert!(rows.all.is_sorted_by_key(|row| row.instant));
        let (mut found, mut summed) = (Gram::new(rows.width()), Gram::new(rows.width()));
        for part in [0..3, 3..400, 400..rows.all.len()] {
            rows.add(part.clone(), &mut found);
            let all: Vec<f64> = rows.all[part].iter().flat_map(|row| written(&rows, row)).collect();
            summed.add(&all);
        }
        assert_eq!(found.rows(), summed.rows());
        assert!(found.apart(&summed) < 1e-9, "{}", found.apart(&summed));
        let weights = ridged(&mut found, 1.0).expect("a ridge makes it regular");
        for row in rows.all.iter().step_by(17) {
            let written = written(&rows, row);
            let (features, truth) = written.split_at(rows.width() - 1);
            assert!((rows.residual(row, &weights) - (dot(features, &weights) - truth[0])).abs() < 1e-9);
        }
    }
}
