//! Where a fitted law stands at the end of recent readings: an extended Kalman filter over its states
//! and over a reading error that fades.
//!
//! Always true: the filter reads forwards only, skips missing readings, and keeps a finite state.
//! How much it trusts the law is chosen by how well it would have forecast the record.

use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::law::{Arrivals, Hidden, Law, ORDER};
use super::search::{Found, initial};

/// The states and the error of the reading.
const SIZE: usize = ORDER + 1;
const BIAS: usize = ORDER;
/// Restlessness of the states that is tried, per sample, in deviations of each state.
const RESTLESS: [f64; 6] = [1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1];
/// Reading errors that are tried: the share kept per sample, and the noise added in deviations.
const BIASES: [(f64, f64); 6] = [(0.0, 0.0), (0.8, 0.02), (0.95, 0.01), (0.95, 0.05), (0.99, 0.003), (0.99, 0.02)];
/// Samples between the origins that are scored, and before the first one of a run.
const STRIDE: usize = 16;
/// The least deviation of a reading's noise, as a share of the target's deviation.
const QUIET: f64 = 2e-3;
/// The least doubt about an initial state, in spreads.
const LEAST_DOUBT: f64 = 0.3;
/// Readings within so many deviations of their noise are at the end of the scale.
const PINNED: f64 = 3.0;
/// Differences beyond so many of the expected ones are cut off.
const BELIEVABLE: f64 = 4.0;
/// Step of a state for a difference quotient, in its deviations.
const NUDGE: f64 = 1e-4;

type Square = [[f64; SIZE]; SIZE];

/// The ends of a sensor's scale; beyond them it shows the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sensor {
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
}

impl Sensor {
    pub(super) fn show(self, reading: f64) -> f64 {
        let raised = self.low.map_or(reading, |low| reading.max(low));
        self.high.map_or(raised, |high| raised.min(high))
    }
}

/// How a filter starts and what it trusts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Observer {
    /// Mean and deviation of the target in the record.
    usual: f64,
    deviation: f64,
    /// How far from rest a run starts, in spreads of the law, and the doubt about that.
    start: Hidden,
    doubt: Hidden,
    /// Deviation of each state in the record.
    scales: Hidden,
    /// Deviation of a reading's noise.
    noise: f64,
    /// Root mean squared error of the simulated record.
    pub(super) error: f64,
    /// Noise of the states per sample, in their deviations.
    restless: f64,
    /// Share of the reading error that is left after a sample, and its noise in deviations.
    keep: f64,
    wander: f64,
}

/// What the filter believes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Belief {
    pub(super) hidden: Hidden,
    pub(super) bias: f64,
    variance: Square,
}

/// Readings and the inputs that came with them.
pub(super) struct Reading<'a> {
    pub(super) target: &'a [f64],
    pub(super) inputs: &'a [Vec<f64>],
}

impl Observer {
    /// The filter that forecasts the evidence best, `horizon` steps from many origins.
    pub(super) fn tuned(law: &dyn Law, sensor: Sensor, found: &Found, evidence: &Evidence, horizon: usize) -> Self {
        let statistics = evidence.target_statistics();
        let (start, doubt) = beginnings(found);
        let base = Self {
            usual: statistics.mean,
            deviation: statistics.deviation,
            start,
            doubt,
            scales: scales(law, found, evidence),
            noise: noise(evidence).max(QUIET * statistics.deviation),
            error: found.error.sqrt() * statistics.deviation,
            restless: RESTLESS[0],
            keep: 0.0,
            wander: 0.0,
        };
        let mut best = (f64::INFINITY, base.clone());
        for restless in RESTLESS {
            for (keep, wander) in BIASES {
                let tried = Self { restless, keep, wander, ..base.clone() };
                let error = tried.score(law, sensor, evidence, horizon);
                if error < best.0 {
                    best = (error, tried);
                }
            }
        }
        best.1
    }

    /// Mean squared error of forecasts over the evidence.
    fn score(&self, law: &dyn Law, sensor: Sensor, evidence: &Evidence, horizon: usize) -> f64 {
        let reading = Reading { target: &evidence.target, inputs: &evidence.inputs };
        let (mut sum, mut count) = (0.0, 0.0);
        for &(start, end) in &evidence.runs {
            self.follow(law, sensor, &reading, (start, end), |t, belief| {
                if (t - start) % STRIDE != STRIDE - 1 {
                    return;
                }
                let until = (t + 1 + horizon).min(end);
                let arrivals = Arrivals::new(reading.inputs, start, law.delay());
                let answer = self.answer(law, sensor, belief.hidden, belief.bias, &arrivals, t + 1..until);
                for (predicted, measured) in answer.iter().zip(&reading.target[t + 1..until]) {
                    if !measured.is_nan() {
                        sum += (predicted - measured).powi(2);
                        count += 1.0;
                    }
                }
            });
        }
        if count > 0.0 { sum / count } else { f64::MAX }
    }

    /// Runs the law free from a state at the sample before `steps`.
    pub(super) fn answer(
        &self,
        law: &dyn Law,
        sensor: Sensor,
        mut hidden: Hidden,
        mut bias: f64,
        arrivals: &Arrivals<'_>,
        steps: std::ops::Range<usize>,
    ) -> Vec<f64> {
        let mut inputs = vec![0.0; arrivals.width()];
        steps
            .map(|t| {
                arrivals.at(t, &mut inputs);
                law.advance(&mut hidden, &inputs);
                bias *= self.keep;
                sensor.show(law.read(&hidden) + bias)
            })
            .collect()
    }

    /// Filters the samples `run`, tells `visit` of every belief, and returns the last one.
    pub(super) fn follow(
        &self,
        law: &dyn Law,
        sensor: Sensor,
        reading: &Reading<'_>,
        run: (usize, usize),
        mut visit: impl FnMut(usize, &Belief),
    ) -> Belief {
        let (start, end) = run;
        let first = reading.target[start..end].iter().copied().find(|v| !v.is_nan());
        let mut belief = self.first(law, first.unwrap_or(self.usual));
        let arrivals = Arrivals::new(reading.inputs, start, law.delay());
        let mut inputs = vec![0.0; reading.inputs.len()];
        for t in start..end {
            if t > start {
                arrivals.at(t, &mut inputs);
                self.predict(law, &mut belief, &inputs);
            }
            self.correct(law, sensor, &mut belief, reading.target[t]);
            visit(t, &belief);
        }
        belief
    }

    fn first(&self, law: &dyn Law, reading: f64) -> Belief {
        let hidden = initial(law, reading, self.deviation, &self.start);
        let mut variance = [[0.0; SIZE]; SIZE];
        let spread = law.spread(self.deviation);
        for i in 0..law.order() {
            variance[i][i] = (self.doubt[i] * spread[i]).powi(2);
        }
        variance[BIAS][BIAS] = (self.wander * self.deviation).powi(2) / (1.0 - self.keep * self.keep);
        Belief { hidden, bias: 0.0, variance }
    }

    fn predict(&self, law: &dyn Law, belief: &mut Belief, inputs: &[f64]) {
        let order = law.order();
        let before = belief.hidden;
        law.advance(&mut belief.hidden, inputs);
        let mut slope = [[0.0; SIZE]; SIZE];
        for j in 0..order {
            let nudge = NUDGE * self.scales[j];
            let mut near = before;
            near[j] += nudge;
            law.advance(&mut near, inputs);
            for i in 0..order {
                slope[i][j] = (near[i] - belief.hidden[i]) / nudge;
            }
        }
        slope[BIAS][BIAS] = self.keep;
        belief.bias *= self.keep;
        belief.variance = carried(&slope, &belief.variance);
        for (j, scale) in self.scales.iter().enumerate().take(order) {
            belief.variance[j][j] += (self.restless * scale).powi(2);
        }
        belief.variance[BIAS][BIAS] += (self.wander * self.deviation).powi(2);
    }

    fn correct(&self, law: &dyn Law, sensor: Sensor, belief: &mut Belief, measured: f64) {
        let expected = law.read(&belief.hidden) + belief.bias;
        let shown = sensor.show(expected);
        // A reading at the end of the scale says nothing to a state beyond it.
        if measured.is_nan() || (shown != expected && (measured - shown).abs() <= PINNED * self.noise) {
            return;
        }
        let seen = law.shown();
        let toward: [f64; SIZE] = std::array::from_fn(|i| belief.variance[i][seen] + belief.variance[i][BIAS]);
        // Rounding may leave a variance that is nearly nothing below nothing.
        let doubt = (toward[seen] + toward[BIAS]).max(0.0) + self.noise * self.noise;
        if doubt.is_nan() || doubt <= 0.0 {
            return;
        }
        // What lies further off than the law ever was is a fault of the reading, mostly.
        let believable = BELIEVABLE * (doubt.sqrt() + self.error);
        let missed = (measured - expected).clamp(-believable, believable);
        let moved: [f64; SIZE] = std::array::from_fn(|i| toward[i] / doubt * missed);
        if !moved.iter().all(|m| m.is_finite()) {
            return;
        }
        for (state, step) in belief.hidden.iter_mut().zip(&moved[..law.order()]) {
            *state += step;
        }
        belief.bias += moved[BIAS];
        for i in 0..SIZE {
            for j in 0..SIZE {
                belief.variance[i][j] -= toward[i] * toward[j] / doubt;
            }
        }
    }
}

/// `A P A'`.
fn carried(a: &Square, p: &Square) -> Square {
    let left: Square = std::array::from_fn(|i| std::array::from_fn(|j| (0..SIZE).map(|k| a[i][k] * p[k][j]).sum()));
    std::array::from_fn(|i| std::array::from_fn(|j| (0..SIZE).map(|k| left[i][k] * a[j][k]).sum()))
}

/// Mean and deviation over the runs of how far from rest they start.
fn beginnings(found: &Found) -> (Hidden, Hidden) {
    let count = found.offsets.len().max(1) as f64;
    let mean: Hidden = std::array::from_fn(|i| found.offsets.iter().map(|o| o[i]).sum::<f64>() / count);
    let doubt = std::array::from_fn(|i| {
        let variance = found.offsets.iter().map(|o| (o[i] - mean[i]).powi(2)).sum::<f64>() / count;
        variance.sqrt().max(LEAST_DOUBT)
    });
    (mean, doubt)
}

/// The deviation of each state while the evidence is simulated.
fn scales(law: &dyn Law, found: &Found, evidence: &Evidence) -> Hidden {
    let deviation = evidence.target_statistics().deviation;
    let (mut count, mut sums, mut squares) = (0.0, [0.0; ORDER], [0.0; ORDER]);
    let mut inputs = vec![0.0; evidence.inputs.len()];
    for (&(start, end), offset) in evidence.runs.iter().zip(&found.offsets) {
        let mut state = initial(law, evidence.target[start], deviation, offset);
        let arrivals = Arrivals::new(&evidence.inputs, start, law.delay());
        for t in start + 1..end {
            arrivals.at(t, &mut inputs);
            law.advance(&mut state, &inputs);
            count += 1.0;
            for i in 0..ORDER {
                sums[i] += state[i];
                squares[i] += state[i] * state[i];
            }
        }
    }
    let spread = law.spread(deviation);
    std::array::from_fn(|i| {
        let variance: f64 = squares[i] / count - (sums[i] / count).powi(2);
        variance.max(0.0).sqrt().clamp(0.05 * spread[i], 20.0 * spread[i])
    })
}

/// The deviation of a reading's noise, from how readings bend against their neighbours.
fn noise(evidence: &Evidence) -> f64 {
    let mut bends: Vec<f64> = Vec::new();
    for &(start, end) in &evidence.runs {
        let run = &evidence.target[start..end];
        bends.extend(run.windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).filter(|b| !b.is_nan()));
    }
    bends.sort_unstable_by(f64::total_cmp);
    // The median of a normal deviate's size is 0.6745; a bend has six times a reading's variance.
    bends.get(bends.len() / 2).map_or(0.0, |median| median / 0.6745 / 6.0_f64.sqrt())
}
