//! The joint expert: one difference equation for every output of a plant, run free together.
//!
//! `y(t) = sum A_i y(t-i) + sum B_k u(t-k) + c` over all outputs that are looked back on, fitted by
//! ridge to the whole past (a vector ARX, Ljung 1999). What one tank sends to the next is in it, which
//! an equation for the next one alone does not see. Orders and ridge are those whose free runs err
//! least on the part that chooses.

use serde::{Deserialize, Serialize};

use super::super::algebra::{Gram, dot};
use super::super::coupled::newest;
use super::super::history::Context;
use super::parts::{Fits, Parts, Rows, Span, fits, merged};

/// Orders that compete: past outputs, and input values with the present one.
const OUTPUT_LAGS: [usize; 4] = [1, 2, 4, 8];
const INPUT_LAGS: [usize; 4] = [1, 4, 16, 48];
/// Ridges that compete, per row.
const RIDGES: [f64; 3] = [1e-6, 1e-4, 1e-2];
/// Rows at most, over all parts.
const ROWS: usize = 24_000;
/// Fewer rows in the part that teaches say too little.
const LEAST_ROWS: usize = 200;
/// Origins of the free runs that choose.
const ORIGINS: usize = 40;
/// Answers stay within this many deviations.
const LIMIT: f64 = 12.0;
const MOST_OUTPUT_LAGS: usize = 8;
const MOST_INPUT_LAGS: usize = 48;

/// Fitted equations, in the units of the study.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Joint {
    output_lags: usize,
    input_lags: usize,
    /// For each output, the target first: newest lag first, output by output, input by input, then the
    /// intercept.
    #[serde(with = "super::single")]
    weights: Vec<f64>,
    outputs: usize,
}

/// The newest outputs and inputs, oldest first.
#[derive(Clone, Debug)]
pub(super) struct JointState {
    outputs: Vec<Vec<f64>>,
    inputs: Vec<Vec<f64>>,
}

impl Joint {
    /// Learns from a context whose `parts` are kept apart; `None` without inputs or with too little to learn from.
    pub(super) fn learn(context: &Context<'_>, parts: &Parts, horizon: usize) -> Option<Fits<Self>> {
        if context.inputs.is_empty() {
            return None;
        }
        let sums = sums(context, parts);
        let taught = merged(&sums[0], &sums[1]);
        if taught.rows() < LEAST_ROWS {
            return None;
        }
        let outputs = 1 + context.others.len();
        let mut best: Option<(f64, f64, Self)> = None;
        for output_lags in OUTPUT_LAGS {
            for input_lags in INPUT_LAGS {
                for ridge in RIDGES {
                    let Some(fitted) =
                        Self::fit(&taught, outputs, context.inputs.len(), output_lags, input_lags, ridge)
                    else {
                        continue;
                    };
                    let error = fitted.error(context, parts, horizon);
                    if error.is_finite() && best.as_ref().is_none_or(|(least, ..)| error < *least) {
                        best = Some((error, ridge, fitted));
                    }
                }
            }
        }
        let (_, ridge, chosen) = best?;
        let Self { output_lags, input_lags, .. } = chosen;
        let fit = |gram: &Gram| Self::fit(gram, outputs, context.inputs.len(), output_lags, input_lags, ridge);
        Some(fits(&sums, LEAST_ROWS, chosen, fit))
    }

    fn fit(
        gram: &Gram,
        outputs: usize,
        inputs: usize,
        output_lags: usize,
        input_lags: usize,
        ridge: f64,
    ) -> Option<Self> {
        let intercept = outputs * MOST_OUTPUT_LAGS + inputs * MOST_INPUT_LAGS;
        let mut columns: Vec<usize> =
            (0..outputs).flat_map(|k| (0..output_lags).map(move |lag| k * MOST_OUTPUT_LAGS + lag)).collect();
        let first = outputs * MOST_OUTPUT_LAGS;
        columns.extend((0..inputs).flat_map(|k| (0..input_lags).map(move |lag| first + k * MOST_INPUT_LAGS + lag)));
        columns.push(intercept);
        let targets = intercept + 1..intercept + 1 + outputs;
        let fitted = gram.regress(&columns, targets, intercept, ridge * gram.rows() as f64)?;
        let weights = (0..outputs).flat_map(|k| fitted.col_as_slice(k).to_vec()).map(|w| f64::from(w as f32)).collect();
        Some(Self { output_lags, input_lags, weights, outputs })
    }

    /// Mean squared error of free runs over the part that chooses.
    fn error(&self, context: &Context<'_>, parts: &Parts, horizon: usize) -> f64 {
        let (from, to) = parts.range(Span::Newest);
        let Some(last) = to.checked_sub(horizon).filter(|last| *last > from) else { return f64::INFINITY };
        let (mut sum, mut count) = (0.0, 0.0);
        for origin in (from..last).step_by(((last - from) / ORIGINS).max(1)) {
            let said = self.answer(
                &self.stand(&context.within(origin.saturating_sub(2 * MOST_INPUT_LAGS), origin)),
                &context.inputs_within(origin, origin + horizon),
                horizon,
            );
            for (said, truth) in said.iter().zip(&context.target[origin..]) {
                sum += (said - truth).powi(2);
                count += 1.0;
            }
        }
        sum / count
    }

    /// What a free run from the end of `context` remembers of it.
    pub(super) fn stand(&self, context: &Context<'_>) -> JointState {
        let start = context.last_start();
        let outputs = std::iter::once(context.target).chain(context.others.iter().copied());
        JointState {
            outputs: outputs.map(|row| newest(&row[start..], self.output_lags)).collect(),
            inputs: context.inputs.iter().map(|row| newest(&row[start..], self.input_lags - 1)).collect(),
        }
    }

    /// Runs free for `steps` over `future` (one row per input, at least `steps` long).
    pub(super) fn answer(&self, state: &JointState, future: &[Vec<f64>], steps: usize) -> Vec<f64> {
        let mut outputs = state.outputs.clone();
        let inputs: Vec<Vec<f64>> =
            state.inputs.iter().zip(future).map(|(past, row)| [past, &row[..steps]].concat()).collect();
        let width = self.weights.len() / self.outputs;
        let mut row = Vec::with_capacity(width);
        for t in 0..steps {
            row.clear();
            outputs.iter().for_each(|line| row.extend(line[t..t + self.output_lags].iter().rev()));
            inputs.iter().for_each(|line| row.extend(line[t..t + self.input_lags].iter().rev()));
            row.push(1.0);
            for (line, weights) in outputs.iter_mut().zip(self.weights.chunks_exact(width)) {
                line.push(dot(weights, &row).clamp(-LIMIT, LIMIT));
            }
        }
        outputs.swap_remove(0).split_off(self.output_lags)
    }
}

/// The sums over the regression rows `[output lags, input lags, 1, outputs]` of each part.
fn sums(context: &Context<'_>, parts: &Parts) -> [Gram; 4] {
    let outputs: Vec<&[f64]> = std::iter::once(context.target).chain(context.others.iter().copied()).collect();
    let width = outputs.len() * MOST_OUTPUT_LAGS + context.inputs.len() * MOST_INPUT_LAGS + 1 + outputs.len();
    let stride = context.len().div_ceil(ROWS);
    let mut rows = Rows::new(width);
    for &(start, end) in &context.segments {
        for t in (start + MOST_OUTPUT_LAGS..end).step_by(stride) {
            let Some(span) = parts.learning(t - MOST_OUTPUT_LAGS, t) else { continue };
            rows.add(span, |row| {
                outputs.iter().for_each(|line| row.extend(line[t - MOST_OUTPUT_LAGS..t].iter().rev()));
                for line in &context.inputs {
                    row.extend((0..MOST_INPUT_LAGS).map(|lag| line[t.saturating_sub(lag).max(start)]));
                }
                row.push(1.0);
                row.extend(outputs.iter().map(|line| line[t]));
            });
        }
    }
    rows.into_sums()
}
