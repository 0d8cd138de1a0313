//! Wiener-Hammerstein plants: static nonlinearities around linear filters with dead time.

use std::collections::VecDeque;
use std::f64::consts::TAU;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::Plant;
use super::signals::{log_uniform, normal, sign};

/// A static curve.
#[derive(Clone, Copy)]
pub(super) enum Curve {
    Straight,
    Saturating(f64),
    DeadZone(f64),
    Bent(f64),
    Root(f64),
    Clipped(f64, f64),
}

impl Curve {
    pub(super) fn draw(draw: &mut ChaCha8Rng) -> Self {
        match draw.random_range(0..8) {
            0..3 => Self::Straight,
            3 => Self::Saturating(log_uniform(draw, 0.5, 3.0)),
            4 => Self::DeadZone(draw.random_range(0.0..1.0)),
            5 => Self::Bent(normal(draw) * 0.4),
            6 => Self::Root(draw.random_range(0.0..3.0)),
            _ => {
                let (one, other) = (normal(draw) * 1.5, normal(draw) * 1.5);
                Self::Clipped(one.min(other), one.max(other) + 0.5)
            }
        }
    }

    pub(super) fn apply(self, x: f64) -> f64 {
        match self {
            Self::Straight => x,
            Self::Saturating(gain) => (x * gain).tanh(),
            Self::DeadZone(width) => x.signum() * (x.abs() - width).max(0.0),
            Self::Bent(bend) => x + bend * x * x / (1.0 + 0.1 * x * x),
            Self::Root(offset) => (x + offset).max(0.0).sqrt(),
            Self::Clipped(low, high) => x.clamp(low, high),
        }
    }
}

/// A filter of gain 1 with one or two poles.
#[derive(Clone)]
enum Filter {
    /// Pole, share of the input that passes at once, state.
    First(f64, f64, f64),
    /// Feedback coefficients, gain, two states.
    Second([f64; 2], f64, [f64; 2]),
}

impl Filter {
    fn draw(draw: &mut ChaCha8Rng, alone: bool) -> Self {
        if alone || draw.random_bool(0.7) {
            let lead = if draw.random_bool(0.2) { 0.8 } else { 0.0 };
            return Self::First((-1.0 / log_uniform(draw, 1.5, 200.0)).exp(), lead, 0.0);
        }
        let (period, damping) = (log_uniform(draw, 6.0, 300.0), draw.random_range(0.05..0.9_f64));
        let omega = TAU / period;
        let radius = (-damping * omega).exp();
        let angle = omega * (1.0 - damping * damping).max(0.01).sqrt();
        let (one, two) = (2.0 * radius * angle.cos(), -radius * radius);
        Self::Second([one, two], 1.0 - one - two, [0.0; 2])
    }

    fn reset(&mut self, level: f64) {
        match self {
            Self::First(_, _, state) => *state = level,
            Self::Second(_, _, states) => *states = [level; 2],
        }
    }

    fn step(&mut self, x: f64) -> f64 {
        match self {
            Self::First(pole, lead, state) => {
                *state = *pole * *state + (1.0 - *pole) * x;
                *state + *lead * (x - *state) * (1.0 - *pole)
            }
            Self::Second([one, two], gain, states) => {
                let next = *one * states[0] + *two * states[1] + *gain * x;
                *states = [next, states[0]];
                next
            }
        }
    }
}

struct Path {
    before: Curve,
    delay: VecDeque<f64>,
    filters: Vec<(Filter, Curve)>,
    gain: f64,
}

/// One path from each input, added up.
pub(super) struct Blocks {
    paths: Vec<Path>,
    /// The sensor shows what the paths added up to at the step before: no input acts at once.
    shown: f64,
}

impl Blocks {
    pub(super) fn draw(draw: &mut ChaCha8Rng, inputs: usize) -> Self {
        let path = |draw: &mut ChaCha8Rng| {
            let dead = if draw.random_bool(0.4) { log_uniform(draw, 1.0, 30.0) as usize } else { 0 };
            let order = draw.random_range(1..4);
            Path {
                before: Curve::draw(draw),
                delay: VecDeque::from(vec![0.0; dead]),
                filters: (0..order)
                    .map(|_| {
                        let filter = Filter::draw(draw, order == 1);
                        (filter, if draw.random_bool(0.2) { Curve::draw(draw) } else { Curve::Straight })
                    })
                    .collect(),
                gain: sign(draw) * log_uniform(draw, 0.3, 1.5),
            }
        };
        Self { paths: (0..inputs).map(|_| path(draw)).collect(), shown: 0.0 }
    }
}

impl Plant for Blocks {
    fn restart(&mut self, draw: &mut ChaCha8Rng) {
        for path in &mut self.paths {
            for (filter, _) in &mut path.filters {
                filter.reset(normal(draw));
            }
        }
    }

    fn step(&mut self, inputs: &[f64], _draw: &mut ChaCha8Rng) -> f64 {
        let shown = self.shown;
        self.shown = self
            .paths
            .iter_mut()
            .zip(inputs)
            .map(|(path, input)| {
                path.delay.push_back(path.before.apply(*input));
                let delayed = path.delay.pop_front().unwrap_or(0.0);
                let out = path.filters.iter_mut().fold(delayed, |x, (filter, curve)| curve.apply(filter.step(x)));
                path.gain * out
            })
            .sum();
        shown
    }
}
