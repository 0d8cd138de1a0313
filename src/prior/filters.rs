//! Small building blocks of the plants: filters that step sample by sample, a dead time, static
//! nonlinearities, backlash. All start at rest and stay finite on finite input.

use std::collections::VecDeque;
use std::f64::consts::TAU;

use super::draw::Draw;

/// A stable linear filter of order one or two, gain 1 at rest:
/// y(t) = b0 x(t) + b1 x(t-1) - a1 y(t-1) - a2 y(t-2).
#[derive(Clone, Debug)]
pub(super) struct Filter {
    b: [f64; 2],
    a: [f64; 2],
    input: f64,
    output: [f64; 2],
}

impl Filter {
    /// A first-order lag with the given time constant in steps.
    pub(super) fn lag(steps: f64) -> Self {
        let keep = (-1.0 / steps).exp();
        Self::new([1.0 - keep, 0.0], [-keep, 0.0])
    }

    /// A first-order lag whose zero lets most of a fast change through (lead-lag).
    pub(super) fn lead_lag(steps: f64) -> Self {
        let keep = (-1.0 / steps).exp();
        Self::new([1.0 - 0.2 * keep, -0.8 * keep], [-keep, 0.0])
    }

    /// A resonance with the given period in steps and damping ratio.
    pub(super) fn resonance(period: f64, damping: f64) -> Self {
        let frequency = TAU / period;
        let radius = (-damping * frequency).exp();
        let angle = frequency * (1.0 - damping * damping).max(0.01).sqrt();
        let (a1, a2) = (-2.0 * radius * angle.cos(), radius * radius);
        Self::new([1.0 + a1 + a2, 0.0], [a1, a2])
    }

    fn new(b: [f64; 2], a: [f64; 2]) -> Self {
        Self { b, a, input: 0.0, output: [0.0; 2] }
    }

    /// The next output.
    pub(super) fn step(&mut self, input: f64) -> f64 {
        let y = self.b[0] * input + self.b[1] * self.input - self.a[0] * self.output[0] - self.a[1] * self.output[1];
        self.input = input;
        self.output = [y, self.output[0]];
        y
    }

    /// Jumps to rest at the given output.
    pub(super) fn rest_at(&mut self, level: f64) {
        self.input = level;
        self.output = [level; 2];
    }
}

/// A dead time of a whole number of steps; 0 before anything came through.
#[derive(Clone, Debug)]
pub(super) struct DeadTime(VecDeque<f64>);

impl DeadTime {
    pub(super) fn new(steps: usize) -> Self {
        Self(VecDeque::from(vec![0.0; steps]))
    }

    /// How long it takes.
    #[cfg(test)]
    pub(super) fn steps(&self) -> usize {
        self.0.len()
    }

    /// The input of `steps` steps ago.
    pub(super) fn step(&mut self, input: f64) -> f64 {
        self.0.push_back(input);
        self.0.pop_front().unwrap_or(input)
    }
}

/// A static nonlinearity.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Straight,
    /// tanh(steepness x).
    Saturating(f64),
    /// Nothing happens below this size.
    DeadZone(f64),
    /// x + curvature x^2, flattened for large x.
    Curved(f64),
    /// Square root of x + offset, 0 below.
    Root(f64),
    /// Clipped to an interval.
    Clipped(f64, f64),
}

impl Shape {
    /// A random shape; straight in three of eight cases.
    pub(super) fn draw(draw: &mut Draw) -> Self {
        match draw.whole(0, 8) {
            3 => Self::Saturating(draw.log_uniform(0.5, 3.0)),
            4 => Self::DeadZone(draw.uniform(0.0, 1.0)),
            5 => Self::Curved(0.4 * draw.normal()),
            6 => Self::Root(draw.uniform(0.0, 3.0)),
            7 => {
                let (low, high) = draw.interval(1.5);
                Self::Clipped(low, high)
            }
            _ => Self::Straight,
        }
    }

    /// The value behind the nonlinearity.
    pub(super) fn of(self, x: f64) -> f64 {
        match self {
            Self::Straight => x,
            Self::Saturating(steepness) => (steepness * x).tanh(),
            Self::DeadZone(size) => dead_zone(x, size),
            Self::Curved(curvature) => x + curvature * x * x / (1.0 + 0.1 * x * x),
            Self::Root(offset) => (x + offset).max(0.0).sqrt(),
            Self::Clipped(low, high) => x.clamp(low, high),
        }
    }
}

/// Takes `size` off the magnitude; 0 within.
pub(super) fn dead_zone(x: f64, size: f64) -> f64 {
    x.signum() * (x.abs() - size).max(0.0)
}

/// A cheap, smooth stand-in for tanh (a Padé fraction, exact at 0, within 0.025 everywhere), so that a
/// random neural network costs little.
pub(super) fn squash(x: f64) -> f64 {
    let x = x.clamp(-3.0, 3.0);
    let square = x * x;
    x * (27.0 + square) / (27.0 + 9.0 * square)
}

/// A gear or a valve with play: the output moves only once the input has taken up the slack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backlash {
    half_width: f64,
    position: f64,
}

impl Backlash {
    /// At rest in the middle of the play; `half_width` 0 is no play at all.
    pub(super) fn new(half_width: f64) -> Self {
        Self { half_width, position: 0.0 }
    }

    pub(super) fn step(&mut self, input: f64) -> f64 {
        self.position = self.position.clamp(input - self.half_width, input + self.half_width);
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_settle_at_gain_one() {
        for mut filter in [Filter::lag(12.0), Filter::lead_lag(12.0), Filter::resonance(40.0, 0.3)] {
            let last = (0..2_000).fold(0.0, |_, _| filter.step(2.0));
            assert!((last - 2.0).abs() < 1e-6, "{filter:?}");
        }
    }

    #[test]
    fn a_dead_time_delays_by_its_steps() {
        let mut delay = DeadTime::new(3);
        let out: Vec<f64> = (1..=5).map(|v| delay.step(f64::from(v))).collect();
        assert_eq!(out, [0.0, 0.0, 0.0, 1.0, 2.0]);
        assert!((DeadTime::new(0).step(7.0) - 7.0).abs() < 1e-12);
    }

    #[test]
    fn a_reversal_within_the_play_is_not_passed_on() {
        let mut gear = Backlash::new(0.2);
        let forth = gear.step(1.0);
        assert!((forth - 0.8).abs() < 1e-12);
        assert_eq!(gear.step(0.7), forth, "0.3 back are within a play of 0.4");
        assert!((gear.step(0.5) - 0.7).abs() < 1e-12, "0.5 back are not");
    }

    #[test]
    fn nothing_passes_a_dead_zone_that_is_smaller() {
        assert_eq!(dead_zone(0.3, 0.4).abs(), 0.0);
        assert!((dead_zone(-1.0, 0.4) + 0.6).abs() < 1e-12);
    }

    #[test]
    fn the_cheap_tanh_is_close_to_the_real_one() {
        for k in -60..=60 {
            let x = f64::from(k) / 10.0;
            assert!((squash(x) - x.tanh()).abs() < 0.025, "{x}");
        }
    }
}
