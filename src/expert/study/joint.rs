//! The joint expert: one difference equation for every output of a plant, run free together.
//!
//! `y(t) = sum A_i y(t-i) + sum B_k u(t-k) + c`, and where that pays the products of all pairs, or of all
//! pairs and triples, among the newest outputs and inputs, over all outputs that are looked back on,
//! fitted by ridge to the whole past (a vector ARX, Ljung 1999; with products a polynomial NARX,
//! Billings 2013). What one tank sends to the next is in it, which an equation for the next one alone
//! does not see. Orders and ridge are those whose free runs err least on the part that chooses, the smallest of those that
//! err alike.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::super::algebra::{Gram, dot};
use super::super::history::Context;
use super::parts::{Fits, Parts, Rows, Sums, choosing, fits};

/// Degrees that compete: products of up to so many of the newest outputs and inputs are among the
/// features. A valve that opens a flow which the level drives is a product of two, a bilinear heat
/// exchanger too; a spring that hardens is one of three.
const DEGREES: [u8; 3] = [1, 2, 3];
/// With more signals than this there are too many triples.
const MOST_TRIPLED: usize = 4;
/// Orders that compete: past outputs, and input values with the present one.
const OUTPUT_LAGS: [usize; 4] = [1, 2, 4, 8];
const INPUT_LAGS: [usize; 4] = [1, 4, 16, 48];
/// Ridges that compete, per row.
const RIDGES: [f64; 3] = [1e-6, 1e-4, 1e-2];
/// Rows at most, over all parts.
const ROWS: usize = 24_000;
/// Fewer rows in the part that teaches say too little.
const LEAST_ROWS: usize = 200;
/// How much less the squared error of larger equations must be for them to be worth it: a hundredth of the error.
const WORTH: f64 = 0.02;
/// Origins of the free runs that choose.
const ORIGINS: usize = 40;
/// Answers stay within this many deviations.
const LIMIT: f64 = 12.0;
/// What may be taken along of what the equations missed.
const OBSERVERS: [Observer; 8] = {
    const fn observer(window: usize, share: f64, decay: f64) -> Observer {
        Observer { window, share, decay }
    }
    [
        observer(16, 0.5, 1.0),
        observer(16, 1.0, 1.0),
        observer(16, 0.5, 0.97),
        observer(16, 1.0, 0.97),
        observer(48, 0.5, 1.0),
        observer(48, 1.0, 1.0),
        observer(48, 0.5, 0.97),
        observer(48, 1.0, 0.97),
    ]
};
/// Shares of its range that an output may leave it by where products are among the features.
const BEYOND: f64 = 0.5;
const MOST_OUTPUT_LAGS: usize = 8;
const MOST_INPUT_LAGS: usize = 48;

/// Fitted equations, in the units of the study.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Joint {
    order: Order,
    /// For each output, the target first: newest lag first, output by output, input by input, products
    /// of pairs, of triples, then the intercept.
    #[serde(with = "super::single")]
    weights: Vec<f64>,
    outputs: usize,
    /// Lowest and highest that each output is let run: products run away outside what was seen, and
    /// far from it they are no longer believed.
    reach: Vec<(f64, f64)>,
    observer: Observer,
}

/// What a free run takes along of what its equations missed of late: a leak, a fouled exchanger, whatever
/// is not measured moves a plant for longer than a horizon. The mean of the newest one-step residuals is
/// added to every step of the run, less and less (a disturbance model as offset-free predictive control
/// has it, Muske and Badgwell 2002).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Observer {
    /// Residuals that are averaged; none without.
    window: usize,
    /// Share of their mean that is believed.
    share: f64,
    /// What is left of it a step later.
    decay: f64,
}

/// How far an equation looks back, and how many signals it multiplies.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Order {
    outputs: usize,
    inputs: usize,
    /// Of its polynomial.
    degree: u8,
}

/// Signals of each kind, and where their features lie in a row of the sums.
#[derive(Clone, Copy, Debug)]
struct Layout {
    outputs: usize,
    inputs: usize,
}

impl Layout {
    fn pairs(self) -> usize {
        let signals = self.outputs + self.inputs;
        signals * (signals + 1) / 2
    }

    fn triples(self) -> usize {
        let signals = self.outputs + self.inputs;
        if signals <= MOST_TRIPLED { self.pairs() * (signals + 2) / 3 } else { 0 }
    }

    fn intercept(self) -> usize {
        self.outputs * MOST_OUTPUT_LAGS + self.inputs * MOST_INPUT_LAGS + self.pairs() + self.triples()
    }

    /// The features of an order, ascending, the intercept last.
    fn columns(self, order: Order) -> Vec<usize> {
        let lags = |first: usize, signals: usize, most: usize, lags: usize| {
            (0..signals).flat_map(move |k| (0..lags).map(move |lag| first + k * most + lag))
        };
        let inputs = self.outputs * MOST_OUTPUT_LAGS;
        let pairs = inputs + self.inputs * MOST_INPUT_LAGS;
        let triples = pairs + self.pairs();
        let mut columns: Vec<usize> = lags(0, self.outputs, MOST_OUTPUT_LAGS, order.outputs).collect();
        columns.extend(lags(inputs, self.inputs, MOST_INPUT_LAGS, order.inputs));
        if order.degree > 1 {
            columns.extend(pairs..triples);
        }
        if order.degree > 2 {
            columns.extend(triples..self.intercept());
        }
        columns.push(self.intercept());
        columns
    }
}

/// How low and high an output is let run that has been where `values` are.
fn reach(values: &[f64]) -> (f64, f64) {
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    let beyond = BEYOND * (high - low);
    ((low - beyond).max(-LIMIT), (high + beyond).min(LIMIT))
}

/// Appends the products of all pairs of `signals`, squares included.
fn push_pairs(row: &mut Vec<f64>, signals: &[f64]) {
    for (place, one) in signals.iter().enumerate() {
        row.extend(signals[place..].iter().map(|other| one * other));
    }
}

/// Appends the products of all triples of `signals`, cubes included.
fn push_triples(row: &mut Vec<f64>, signals: &[f64]) {
    for (place, one) in signals.iter().enumerate() {
        for (next, two) in signals.iter().enumerate().skip(place) {
            row.extend(signals[next..].iter().map(|three| one * two * three));
        }
    }
}

/// The newest `count` values of a segment, oldest first, padded with its first one.
fn newest(segment: &[f64], count: usize) -> Vec<f64> {
    let first = segment.first().copied().unwrap_or(0.0);
    let kept = segment.len().min(count);
    let mut past = vec![first; count - kept];
    past.extend_from_slice(&segment[segment.len() - kept..]);
    past
}

/// The newest outputs and inputs, oldest first.
#[derive(Clone, Debug)]
pub(super) struct JointState {
    outputs: Vec<Vec<f64>>,
    inputs: Vec<Vec<f64>>,
    /// What each output's equation misses a step.
    disturbance: Vec<f64>,
}

impl Joint {
    /// Learns from a context whose `parts` are kept apart; `None` without inputs or with too little to learn from.
    pub(super) fn learn(context: &Context<'_>, parts: &Parts, horizon: usize) -> Option<Fits<Self>> {
        if context.inputs.is_empty() {
            return None;
        }
        let sums = sums(context, parts);
        let (taught, _) = choosing(&sums, parts);
        if taught.rows() < LEAST_ROWS {
            return None;
        }
        let layout = Layout { outputs: 1 + context.others.len(), inputs: context.inputs.len() };
        let degrees = DEGREES.into_iter().filter(|degree| *degree < 3 || layout.triples() > 0);
        let orders = degrees.flat_map(|degree| {
            OUTPUT_LAGS.into_iter().flat_map(move |outputs| INPUT_LAGS.map(|inputs| Order { outputs, inputs, degree }))
        });
        let outputs = std::iter::once(context.target).chain(context.others.iter().copied());
        let reach: Vec<(f64, f64)> = outputs.map(|row| reach(&row[..parts.validation().max(1)])).collect();
        let mut tried: Vec<(f64, f64, Self)> = Vec::new();
        for order in orders {
            for ridge in RIDGES {
                let Some(fitted) = Self::fit(&taught, layout, order, ridge, &reach) else { continue };
                let error = fitted.error(context, parts, horizon);
                if error.is_finite() {
                    tried.push((error, ridge, fitted));
                }
            }
        }
        let (mut least, ridge, mut chosen) = smallest(tried)?;
        for observer in OBSERVERS {
            let observed = Self { observer, ..chosen.clone() };
            let error = observed.error(context, parts, horizon);
            if error < least {
                (least, chosen) = (error, observed);
            }
        }
        let (order, observer) = (chosen.order, chosen.observer);
        let fit = |gram: &Gram| Some(Self { observer, ..Self::fit(gram, layout, order, ridge, &reach)? });
        Some(fits(&sums, parts, LEAST_ROWS, chosen, fit))
    }

    fn fit(gram: &Gram, layout: Layout, order: Order, ridge: f64, reach: &[(f64, f64)]) -> Option<Self> {
        let (columns, free) = (layout.columns(order), layout.intercept());
        let targets = free + 1..free + 1 + layout.outputs;
        let fitted = gram.regress(&columns, targets, free, ridge * gram.rows() as f64)?;
        let weights = (0..layout.outputs).flat_map(|k| fitted.col_as_slice(k).to_vec());
        let wide = vec![(-LIMIT, LIMIT); layout.outputs];
        Some(Self {
            order,
            weights: weights.map(|w| f64::from(w as f32)).collect(),
            outputs: layout.outputs,
            reach: if order.degree > 1 { reach.to_vec() } else { wide },
            observer: Observer::default(),
        })
    }

    /// Whether nothing is multiplied in its equations.
    pub(super) fn is_linear(&self) -> bool {
        self.order.degree == 1
    }

    /// Mean squared error of free runs over the part that chooses.
    fn error(&self, context: &Context<'_>, parts: &Parts, horizon: usize) -> f64 {
        let (from, to) = parts.range(parts.newest());
        let Some(last) = to.checked_sub(horizon).filter(|last| *last > from) else { return f64::INFINITY };
        let (mut sum, mut count) = (0.0, 0.0);
        for origin in (from..last).step_by(((last - from) / ORIGINS).max(1)) {
            let said = self.answer(
                &self.stand(&context.within(origin.saturating_sub(3 * MOST_INPUT_LAGS), origin)),
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
        let outputs = || std::iter::once(context.target).chain(context.others.iter().copied());
        JointState {
            outputs: outputs().map(|row| newest(&row[start..], self.order.outputs)).collect(),
            inputs: context.inputs.iter().map(|row| newest(&row[start..], self.order.inputs - 1)).collect(),
            disturbance: self.disturbance(context, start),
        }
    }

    /// The mean of the newest residuals of each equation, as far as it is believed.
    fn disturbance(&self, context: &Context<'_>, start: usize) -> Vec<f64> {
        let lines: Vec<&[f64]> = std::iter::once(context.target).chain(context.others.iter().copied()).collect();
        let mut sums = vec![0.0; self.outputs];
        let Observer { window, share, .. } = self.observer;
        let first = (start + self.order.outputs.max(self.order.inputs)).max(context.len().saturating_sub(window));
        if window == 0 || first >= context.len() {
            return sums;
        }
        let mut row = Vec::new();
        for t in first..context.len() {
            let past: Vec<&[f64]> = lines.iter().map(|line| &line[t - self.order.outputs..t]).collect();
            let seen: Vec<&[f64]> = context.inputs.iter().map(|line| &line[t + 1 - self.order.inputs..=t]).collect();
            self.features(&mut row, &past, &seen);
            let width = row.len();
            for ((sum, weights), line) in sums.iter_mut().zip(self.weights.chunks_exact(width)).zip(&lines) {
                *sum += line[t] - dot(weights, &row);
            }
        }
        // As if a window of nothing had come before: few residuals are believed less.
        sums.iter().map(|sum| share * sum / window as f64).collect()
    }

    /// One row: `outputs` and `inputs` end with their newest values, oldest first.
    fn features(&self, row: &mut Vec<f64>, outputs: &[&[f64]], inputs: &[&[f64]]) {
        row.clear();
        outputs.iter().for_each(|line| row.extend(line.iter().rev()));
        inputs.iter().for_each(|line| row.extend(line.iter().rev()));
        if self.order.degree > 1 {
            let signals: Vec<f64> = outputs.iter().chain(inputs).filter_map(|line| line.last().copied()).collect();
            push_pairs(row, &signals);
            if self.order.degree > 2 {
                push_triples(row, &signals);
            }
        }
        row.push(1.0);
    }

    /// Runs free for `steps` over `future` (one row per input, at least `steps` long).
    pub(super) fn answer(&self, state: &JointState, future: &[Vec<f64>], steps: usize) -> Vec<f64> {
        let mut outputs = state.outputs.clone();
        let inputs: Vec<Vec<f64>> =
            state.inputs.iter().zip(future).map(|(past, row)| [past, &row[..steps]].concat()).collect();
        let width = self.weights.len() / self.outputs;
        let mut row = Vec::with_capacity(width);
        let mut left = 1.0;
        for t in 0..steps {
            let past: Vec<&[f64]> = outputs.iter().map(|line| &line[t..t + self.order.outputs]).collect();
            let seen: Vec<&[f64]> = inputs.iter().map(|line| &line[t..t + self.order.inputs]).collect();
            self.features(&mut row, &past, &seen);
            let equations = self.weights.chunks_exact(width).zip(self.reach.iter().zip(&state.disturbance));
            for (line, (weights, ((low, high), missed))) in outputs.iter_mut().zip(equations) {
                line.push((dot(weights, &row) + left * missed).clamp(*low, *high));
            }
            left *= self.observer.decay;
        }
        outputs.swap_remove(0).split_off(self.order.outputs)
    }
}

/// Of equations that were tried, each behind its error and its ridge, the smallest that err as little as any: what they do
/// not need bends their answer to an override. Of equals the ones that err least.
fn smallest(tried: Vec<(f64, f64, Joint)>) -> Option<(f64, f64, Joint)> {
    let enough = tried.iter().map(|(error, ..)| *error).fold(f64::INFINITY, f64::min) * (1.0 + WORTH);
    let alike = tried.into_iter().filter(|(error, ..)| *error <= enough);
    alike.min_by(|one, other| one.2.weights.len().cmp(&other.2.weights.len()).then(one.0.total_cmp(&other.0)))
}

/// The sums over the regression rows `[output lags, input lags, 1, outputs]` of each part.
fn sums(context: &Context<'_>, parts: &Parts) -> Sums {
    let outputs: Vec<&[f64]> = std::iter::once(context.target).chain(context.others.iter().copied()).collect();
    let layout = Layout { outputs: outputs.len(), inputs: context.inputs.len() };
    let width = layout.intercept() + 1 + outputs.len();
    let stride = context.len().div_ceil(ROWS);
    let mut rows = Rows::new(width, parts);
    for &(start, end) in &context.segments {
        for t in (start + MOST_OUTPUT_LAGS..end).step_by(stride) {
            let Some(place) = parts.place(t - MOST_OUTPUT_LAGS, t) else { continue };
            rows.add(place, |row| {
                outputs.iter().for_each(|line| row.extend(line[t - MOST_OUTPUT_LAGS..t].iter().rev()));
                for line in &context.inputs {
                    row.extend((0..MOST_INPUT_LAGS).map(|lag| line[t.saturating_sub(lag).max(start)]));
                }
                let now: Vec<f64> =
                    outputs.iter().map(|line| line[t - 1]).chain(context.inputs.iter().map(|line| line[t])).collect();
                push_pairs(row, &now);
                if layout.triples() > 0 {
                    push_triples(row, &now);
                }
                row.push(1.0);
                row.extend(outputs.iter().map(|line| line[t]));
            });
        }
    }
    rows.into_sums()
}
