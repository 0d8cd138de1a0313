//! Experts one and two: a linear difference equation (ARX) fitted by ridge and run free.
//!
//! `y(t) = sum a_i y(t-i) + sum b_jk u_j(t-k) + c`, its own answers fed back, clamped to +-8 so
//! that an unstable fit stays bounded. Oracle: `arx` in the prototype.

use super::algebra::{Gram, dot};
use super::history::{Context, History};

/// Free-run answers stay within this many deviations.
const LIMIT: f64 = 8.0;
/// Ridge on the intercept: only there to keep the system regular.
const FREE: f64 = 1e-9;
/// A segment needs this many rows beyond its lags to teach anything.
const LEAST_ROWS: usize = 4;

/// How far an equation looks back, and its ridge per row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// Past target values.
    pub(super) target_lags: usize,
    /// Input values, the present one included.
    pub(super) input_lags: usize,
    /// Ridge, multiplied by the number of rows.
    pub(super) ridge: f64,
}

/// The short equation, (4, 8).
pub(super) const SHORT: Order = Order { target_lags: 4, input_lags: 8, ridge: 1e-3 };
/// The long equation where there are inputs, (8, 8).
pub(super) const LONG: Order = Order { target_lags: 8, input_lags: 8, ridge: 1e-4 };
/// The long equation where there are none, (32, 0).
pub(super) const LONG_ALONE: Order = Order { target_lags: 32, input_lags: 0, ridge: 3e-3 };

/// What the long equation alone, the short one where there is too little for it, says at the end of `history`:
/// mean and deviation of each of `steps` steps over `future` (a row per input, at least as long), in normalised
/// units. The deviations are those of a linear process that each step surprises as much as the equation was
/// surprised on what it was fitted on (Box and Jenkins 1970). `None` where there is too little for either.
#[must_use]
pub fn linear(history: &History<'_>, future: &[Vec<f64>], steps: usize) -> Option<Vec<(f64, f64)>> {
    let context = Context::newest(history, super::CONTEXT);
    let long = if context.inputs.is_empty() { LONG_ALONE } else { LONG };
    let fit = |order| Arx::fit(order, &context, &[context.len()]).pop().flatten();
    let arx = fit(long).or_else(|| fit(SHORT))?;
    let means = arx.answer(&arx.stand(&context), future, steps);
    Some(means.into_iter().zip(arx.deviations(arx.surprise(&context), steps)).collect())
}

/// A fitted equation; weights newest lag first: target, then input by input, then intercept.
#[derive(Clone, Debug)]
pub(super) struct Arx {
    order: Order,
    weights: Vec<f64>,
}

/// The past that a free run starts from, oldest first, padded with the segment's first sample.
#[derive(Clone, Debug)]
pub(super) struct ArxState {
    target: Vec<f64>,
    inputs: Vec<Vec<f64>>,
}

impl Arx {
    /// Fits the equation on the context as known at each of `ends` (ascending), in one pass.
    /// `None` where there are fewer rows than weights.
    pub(super) fn fit(order: Order, context: &Context<'_>, ends: &[usize]) -> Vec<Option<Self>> {
        let rows = Rows::of(order, context);
        let mut gram = Gram::new(rows.width);
        let mut done = 0;
        ends.iter()
            .map(|&end| {
                let count = rows.known_at(end, context);
                gram.add(&rows.values[done * rows.width..count * rows.width]);
                done = count;
                if gram.rows() < rows.width {
                    return None;
                }
                let weights = gram.solve(order.ridge * gram.rows() as f64, FREE)?;
                Some(Self { order, weights })
            })
            .collect()
    }

    /// Root mean square of the errors one step ahead on a context.
    fn surprise(&self, context: &Context<'_>) -> f64 {
        let rows = Rows::of(self.order, context);
        let (mut sum, mut count) = (0.0, 0_usize);
        for row in rows.values.chunks_exact(rows.width) {
            let (features, truth) = row.split_at(rows.width - 1);
            sum += (truth[0] - dot(&self.weights, features)).powi(2);
            count += 1;
        }
        (sum / count.max(1) as f64).sqrt()
    }

    /// Deviations of a free run whose every step adds an independent error: by the answer to one such error.
    fn deviations(&self, surprise: f64, steps: usize) -> Vec<f64> {
        let own = &self.weights[..self.order.target_lags];
        let mut echo: Vec<f64> = Vec::with_capacity(steps);
        let mut variance = 0.0;
        (0..steps)
            .map(|step| {
                let past = own.iter().zip(echo.iter().rev()).map(|(weight, echo)| weight * echo).sum::<f64>();
                // An unstable equation's echo grows without end; its answers are clamped too.
                let now = if step == 0 { 1.0 } else { past.clamp(-LIMIT, LIMIT) };
                echo.push(now);
                variance += now * now;
                (surprise * variance.sqrt()).min(LIMIT)
            })
            .collect()
    }

    /// What a free run from the end of `context` remembers of it.
    pub(super) fn stand(&self, context: &Context<'_>) -> ArxState {
        let start = context.last_start();
        let newest = |row: &[f64], count: usize| -> Vec<f64> {
            let segment = &row[start..];
            let first = segment.first().copied().unwrap_or(0.0);
            let kept = segment.len().min(count);
            let mut past = vec![first; count - kept];
            past.extend_from_slice(&segment[segment.len() - kept..]);
            past
        };
        ArxState {
            target: newest(context.target, self.order.target_lags),
            inputs: context.inputs.iter().map(|row| newest(row, self.order.input_lags.saturating_sub(1))).collect(),
        }
    }

    /// Runs free for `steps` over `future` (one row per input, at least `steps` long).
    pub(super) fn answer(&self, state: &ArxState, future: &[Vec<f64>], steps: usize) -> Vec<f64> {
        let Order { target_lags, input_lags, .. } = self.order;
        let (target_weights, rest) = self.weights.split_at(target_lags);
        let mut out = vec![rest[rest.len() - 1]; steps];
        for (j, (past, row)) in state.inputs.iter().zip(future).enumerate() {
            let weights: Vec<f64> = rest[j * input_lags..(j + 1) * input_lags].iter().rev().copied().collect();
            let mut line = past.clone();
            line.extend_from_slice(&row[..steps]);
            for (value, window) in out.iter_mut().zip(line.windows(input_lags)) {
                *value += dot(&weights, window);
            }
        }
        let weights: Vec<f64> = target_weights.iter().rev().copied().collect();
        let mut line = state.target.clone();
        for (t, value) in out.iter_mut().enumerate() {
            *value = (*value + dot(&weights, &line[t..])).clamp(-LIMIT, LIMIT);
            line.push(*value);
        }
        out
    }
}

/// The regression rows `[target lags, input lags, 1, target]`, oldest first.
struct Rows {
    width: usize,
    values: Vec<f64>,
    /// The instant that each row explains.
    instants: Vec<usize>,
    lags: usize,
}

impl Rows {
    fn of(order: Order, context: &Context<'_>) -> Self {
        let lags = if context.inputs.is_empty() { order.target_lags } else { order.target_lags.max(order.input_lags) };
        let width = order.target_lags + context.inputs.len() * order.input_lags + 2;
        let mut values = Vec::with_capacity(context.len() * width);
        let mut instants = Vec::with_capacity(context.len());
        for &(start, end) in &context.segments {
            if end - start <= lags + LEAST_ROWS {
                continue;
            }
            for t in start + lags..end {
                values.extend(context.target[t - order.target_lags..t].iter().rev());
                for row in &context.inputs {
                    values.extend(row[t + 1 - order.input_lags..=t].iter().rev());
                }
                values.extend([1.0, context.target[t]]);
                instants.push(t);
            }
        }
        Self { width, values, instants, lags }
    }

    /// How many rows were known when the context ended at `end`; a segment that was still too
    /// short then does not count.
    fn known_at(&self, end: usize, context: &Context<'_>) -> usize {
        let start = context.segments.iter().rev().find(|(start, _)| *start < end).map_or(0, |&(start, _)| start);
        let end = if end - start <= self.lags + LEAST_ROWS { start } else { end };
        self.instants.partition_point(|&t| t < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_process_is_told_with_the_deviations_that_it_has() {
        // y(t) = 0.8 y(t-1) + 0.5 u(t) + noise of deviation 0.1.
        let mut state = 1_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        let input: Vec<f64> = (0..1_900).map(|step| f64::from((step / 37) % 5) * 0.4 - 0.8).collect();
        let mut level = 0.0;
        let target: Vec<f64> = input
            .iter()
            .map(|input| {
                let noise: f64 = (0..12).map(|_| draw()).sum::<f64>() * 0.1;
                level = 0.8 * level + 0.5 * input + noise;
                level
            })
            .collect();
        let inputs = [input];
        let history = History { target: &target, inputs: &inputs, others: &[], starts: &[0], silent: &[] };
        let future = [vec![0.4; 40]];
        let said = linear(&history, &future, 40).unwrap();
        let settled = 0.5 * 0.4 / 0.2;
        assert!((said[39].0 - settled).abs() < 0.1, "{} at the end", said[39].0);
        // 0.1 at once, 0.1 / sqrt(1 - 0.64) in the end.
        assert!((said[0].1 - 0.1).abs() < 0.01 && (said[39].1 - 0.1 / 0.6).abs() < 0.03, "{said:?}");
        assert!(said.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        let short = History { target: &target[..6], inputs: &[], others: &[], starts: &[0], silent: &[] };
        assert_eq!(linear(&short, &[], 4), None);
    }
}
