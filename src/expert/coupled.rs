//! Expert six: a linear difference equation for all outputs of a plant together, run free.
//!
//! `y(t) = sum A_i y(t-i) + sum B_k u(t-k) + c` over the target and the other outputs (a vector ARX,
//! Ljung 1999): what one tank sends to the next is in it. Only where there are inputs and other outputs;
//! fitted on the context, so it follows a plant that changes.

use super::algebra::{Gram, dot};
use super::arx::Order;
use super::history::Context;

/// How far the equation looks back, on each output and on each input.
const ORDER: Order = Order { target_lags: 4, input_lags: 8, ridge: 1e-4 };
/// Free-run answers stay within this many deviations.
const LIMIT: f64 = 8.0;

/// Fitted equations: newest lag first, output by output (the target first), input by input, intercept.
#[derive(Clone, Debug)]
pub(super) struct Coupled {
    weights: Vec<Vec<f64>>,
}

/// The past that a free run starts from, oldest first, padded with the segment's first sample.
#[derive(Clone, Debug)]
pub(super) struct CoupledState {
    outputs: Vec<Vec<f64>>,
    inputs: Vec<Vec<f64>>,
}

impl Coupled {
    /// Fits the equations on the context as known at each of `ends` (ascending), in one pass. `None`
    /// where there are fewer rows than weights.
    pub(super) fn fit(context: &Context<'_>, ends: &[usize]) -> Vec<Option<Self>> {
        if context.inputs.is_empty() || context.others.is_empty() {
            return vec![None; ends.len()];
        }
        let outputs: Vec<&[f64]> = outputs(context).collect();
        let features = outputs.len() * ORDER.target_lags + context.inputs.len() * ORDER.input_lags + 1;
        let columns: Vec<usize> = (0..features).collect();
        let mut gram = Gram::new(features + outputs.len());
        let mut rows = Vec::new();
        let mut next = 0;
        ends.iter()
            .map(|&end| {
                rows.clear();
                for &(start, stop) in &context.segments {
                    for t in (start + ORDER.input_lags).max(next)..stop.min(end) {
                        outputs.iter().for_each(|line| rows.extend(line[t - ORDER.target_lags..t].iter().rev()));
                        let inputs = context.inputs.iter();
                        inputs.for_each(|line| rows.extend(line[t + 1 - ORDER.input_lags..=t].iter().rev()));
                        rows.push(1.0);
                        rows.extend(outputs.iter().map(|line| line[t]));
                    }
                }
                next = next.max(end);
                gram.add(&rows);
                if gram.rows() < features {
                    return None;
                }
                let targets = features..features + outputs.len();
                let fitted = gram.regress(&columns, targets, features - 1, ORDER.ridge * gram.rows() as f64)?;
                Some(Self { weights: (0..outputs.len()).map(|k| fitted.col_as_slice(k).to_vec()).collect() })
            })
            .collect()
    }

    /// What a free run from the end of `context` remembers of it.
    pub(super) fn stand(context: &Context<'_>) -> CoupledState {
        let segment = context.last_start();
        CoupledState {
            outputs: outputs(context).map(|row| newest(&row[segment..], ORDER.target_lags)).collect(),
            inputs: context.inputs.iter().map(|row| newest(&row[segment..], ORDER.input_lags - 1)).collect(),
        }
    }

    /// Runs free for `steps` over `future` (one row per input, at least `steps` long).
    pub(super) fn answer(&self, state: &CoupledState, future: &[Vec<f64>], steps: usize) -> Vec<f64> {
        let mut outputs = state.outputs.clone();
        let inputs: Vec<Vec<f64>> =
            state.inputs.iter().zip(future).map(|(past, row)| [past, &row[..steps]].concat()).collect();
        let mut row = Vec::with_capacity(self.weights[0].len());
        for t in 0..steps {
            row.clear();
            outputs.iter().for_each(|line| row.extend(line[t..].iter().rev()));
            inputs.iter().for_each(|line| row.extend(line[t..t + ORDER.input_lags].iter().rev()));
            row.push(1.0);
            for (line, weights) in outputs.iter_mut().zip(&self.weights) {
                line.push(dot(weights, &row).clamp(-LIMIT, LIMIT));
            }
        }
        outputs.swap_remove(0).split_off(ORDER.target_lags)
    }
}

/// The target, then the other outputs.
fn outputs<'c>(context: &'c Context<'_>) -> impl Iterator<Item = &'c [f64]> {
    std::iter::once(context.target).chain(context.others.iter().copied())
}

/// The newest `count` values of a segment, oldest first, padded with its first one.
pub(super) fn newest(segment: &[f64], count: usize) -> Vec<f64> {
    let first = segment.first().copied().unwrap_or(0.0);
    let kept = segment.len().min(count);
    let mut past = vec![first; count - kept];
    past.extend_from_slice(&segment[segment.len() - kept..]);
    past
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_output_sends_to_the_next_is_followed() {
        let steps = 700;
        let u: Vec<f64> =
            (0..steps).map(|t| f64::from(u8::from(t % 90 < 40)) + 0.3 * (0.21 * t as f64).sin()).collect();
        let (mut first, mut second) = (vec![0.0; steps], vec![0.0; steps]);
        for t in 1..steps {
            first[t] = 0.95 * first[t - 1] + 0.05 * u[t];
            second[t] = 0.97 * second[t - 1] + 0.03 * first[t - 1];
        }
        let context = Context {
            target: &second[..600],
            inputs: vec![&u[..600]],
            others: vec![&first[..600]],
            segments: vec![(0, 600)],
        };
        let fitted = Coupled::fit(&context, &[500, 600]);
        let said = fitted[1].as_ref().expect("there are rows enough").answer(
            &Coupled::stand(&context),
            &[u[600..].to_vec()],
            100,
        );
        let worst = said.iter().zip(&second[600..]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 0.02, "{worst}");
        let early = Coupled::fit(&context.until(500), &[500]);
        assert_eq!(
            early[0].as_ref().map(|c| &c.weights),
            fitted[0].as_ref().map(|c| &c.weights),
            "no later row counts"
        );
        let alone = Context { others: Vec::new(), ..context };
        assert!(Coupled::fit(&alone, &[600])[0].is_none());
    }
}
