//! Where all randomness of this room comes from: one stream of `ChaCha8` per record and purpose.
//!
//! Always true: the same (seed, index, attempt, purpose) gives the same numbers in every
//! version and in every order of asking, because nothing is shared between records. Purposes are kept
//! apart so that, say, a longer input does not shift the sensor noise of the same record.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Exp1, StandardNormal};

/// What a stream of random numbers is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Which family, how many inputs, and the plant's parameters.
    System,
    /// Input signals and set-points.
    Inputs,
    /// What happens to the plant while it runs: process noise, the state after a restart.
    Weather,
    /// Trial runs that tune a controller.
    Trial,
    /// Sensor noise, disturbances, quantisation, faults.
    Sensor,
    /// The intervention that tells the two futures of a pair apart.
    Intervention,
    /// The demo plant and its operator.
    Demo,
}

/// A seeded stream of random numbers with the distributions that this room needs.
#[derive(Clone, Debug)]
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    /// The stream of one record and purpose; `attempt` counts redrawn records.
    pub(super) fn new(seed: u64, index: u64, attempt: u64, purpose: Purpose) -> Self {
        let mut key = [0_u8; 32];
        for (part, word) in key.chunks_exact_mut(8).zip([seed, index, attempt, purpose as u64]) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform between `low` and `high`.
    pub(super) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    /// Uniform in the logarithm between `low` and `high`, both positive.
    pub(super) fn log_uniform(&mut self, low: f64, high: f64) -> f64 {
        self.uniform(low.ln(), high.ln()).exp()
    }

    /// Standard normal.
    pub(super) fn normal(&mut self) -> f64 {
        self.0.sample(StandardNormal)
    }

    /// Exponential with the given mean.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        mean * self.0.sample::<f64, _>(Exp1)
    }

    /// True with the given probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }

    /// -1 or +1, both equally likely.
    pub(super) fn sign(&mut self) -> f64 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// A whole number in `low..high`; `low` where that range is empty.
    pub(super) fn whole(&mut self, low: usize, high: usize) -> usize {
        if high > low { self.0.random_range(low..high) } else { low }
    }

    /// One of the choices, which must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.whole(0, choices.len())]
    }

    /// Two normals of deviation `spread`, the lower one first.
    pub(super) fn interval(&mut self, spread: f64) -> (f64, f64) {
        let (a, b) = (spread * self.normal(), spread * self.normal());
        (a.min(b), a.max(b))
    }
}
