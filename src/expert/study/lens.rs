//! One scale seen through another.

use super::super::Scale;
use super::LIMIT;

/// From one scale to another: `gain x value + offset`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lens {
    gain: f64,
    offset: f64,
}

impl Lens {
    pub(super) fn between(from: Scale, to: Scale) -> Self {
        Self { gain: from.deviation / to.deviation, offset: (from.mean - to.mean) / to.deviation }
    }

    pub(super) fn through(self, value: f64) -> f64 {
        (self.gain * value + self.offset).clamp(-2.0 * LIMIT, 2.0 * LIMIT)
    }

    pub(super) fn back(self, value: f64) -> f64 {
        ((value - self.offset) / self.gain).clamp(-LIMIT, LIMIT)
    }
}
