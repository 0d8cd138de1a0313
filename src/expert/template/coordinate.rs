//! Parameters as the search sees them: unbounded coordinates of order 1.
//!
//! Always true: every coordinate stands for a value that its parameter may have, and coordinates
//! beyond +-[`REACH`] stand for the value at the border, so no search leaves the finite numbers.

/// Coordinates beyond this are cut off.
const REACH: f64 = 12.0;

/// One parameter of a template: its kind, and a first guess in its own unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) kind: Kind,
    pub(super) guess: f64,
}

/// What values a parameter may have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Above zero: the coordinate is the logarithm of the ratio to the guess.
    Positive,
    /// Any: the coordinate counts steps of this size from the guess.
    Signed(f64),
    /// Between two values: the coordinate is the logit of the share of the way.
    Between(f64, f64),
}

impl Parameter {
    pub(super) fn positive(guess: f64) -> Self {
        Self { kind: Kind::Positive, guess: guess.clamp(1e-100, 1e100) }
    }

    pub(super) fn signed(guess: f64, step: f64) -> Self {
        Self { kind: Kind::Signed(step.abs().clamp(1e-100, 1e100)), guess }
    }

    pub(super) fn between(low: f64, high: f64, guess: f64) -> Self {
        Self { kind: Kind::Between(low, high), guess }
    }

    /// The coordinate of the guess.
    pub(super) fn start(&self) -> f64 {
        match self.kind {
            Kind::Positive | Kind::Signed(_) => 0.0,
            Kind::Between(low, high) => {
                let share = ((self.guess - low) / (high - low)).clamp(1e-3, 1.0 - 1e-3);
                (share / (1.0 - share)).ln()
            }
        }
    }

    /// The value that a coordinate stands for.
    pub(super) fn value(&self, coordinate: f64) -> f64 {
        match self.kind {
            Kind::Positive => self.guess * coordinate.clamp(-REACH, REACH).exp(),
            Kind::Signed(step) => self.guess + step * coordinate.clamp(-1e6, 1e6),
            Kind::Between(low, high) => {
                let share = 1.0 / (1.0 + (-coordinate.clamp(-REACH, REACH)).exp());
                low + share * (high - low)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_stands_for_the_guess() {
        for parameter in [Parameter::positive(0.3), Parameter::signed(-2.0, 5.0), Parameter::between(0.2, 0.9, 0.5)] {
            assert!((parameter.value(parameter.start()) - parameter.guess).abs() < 1e-12, "{parameter:?}");
        }
    }

    #[test]
    fn no_coordinate_leaves_the_kind() {
        for coordinate in [-1e300, -5.0, 0.0, 5.0, 1e300] {
            assert!(Parameter::positive(0.3).value(coordinate) > 0.0);
            let share = Parameter::between(0.2, 0.9, 0.5).value(coordinate);
            assert!((0.2..=0.9).contains(&share));
            assert!(Parameter::signed(-2.0, 5.0).value(coordinate).is_finite());
        }
    }
}
