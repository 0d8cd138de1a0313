//! Three plants whose answer to any override is known, each with an operator who moves its controls
//! within a usual range that is narrower than what the actuators can do.
//!
//! The demo's plant (two tanks and a heater, nonlinear, three outputs); a linear plant with two
//! dead times; and one whose gain changes sign within the usual range, as that of a burner's air, a
//! neutralisation past its end point, or an engine's ignition angle does. Copies of a plant meet the
//! same noise and the same disturbance, whatever their controls: the difference between two of them
//! is the true effect of the controls, to the bit.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde_json::{Value, json};

use crate::prior::{Controls, HEATER_LIMIT, Operator, Plant, Sample};

/// Which plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TruePlant {
    /// Two tanks and a heater.
    Demo,
    /// Two inputs behind dead times of nine and three steps.
    DeadTime,
    /// The gain changes its sign.
    SignChange,
}

impl TruePlant {
    /// All of them.
    #[must_use]
    pub const fn all() -> [Self; 3] {
        [Self::Demo, Self::DeadTime, Self::SignChange]
    }

    /// A short name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo plant",
            Self::DeadTime => "dead time",
            Self::SignChange => "sign change",
        }
    }

    /// Whether a linear model cannot be right.
    #[must_use]
    pub fn is_nonlinear(self) -> bool {
        self != Self::DeadTime
    }

    /// What its asset type says.
    #[must_use]
    pub fn document(self) -> Value {
        let control =
            |name: &str, max: f64| json!({"name": name, "unit": "1", "role": "control_input", "min": 0, "max": max});
        let output = json!({"name": "output", "unit": "1", "role": "output"});
        match self {
            Self::Demo => crate::demo::document(),
            Self::DeadTime => {
                json!({"interval": "PT1S", "signals": [control("main", 100.0), control("trim", 100.0), output]})
            }
            Self::SignChange => {
                json!({"interval": "PT1S", "signals": [control("angle", 1.0), control("load", 1.0), output]})
            }
        }
    }

    /// Names of the control inputs, in the order of [`Running::step`].
    #[must_use]
    pub fn controls(self) -> &'static [&'static str] {
        match self {
            Self::Demo => &["pump", "valve", "heater"],
            Self::DeadTime => &["main", "trim"],
            Self::SignChange => &["angle", "load"],
        }
    }

    /// Least and greatest value of each control input.
    #[must_use]
    pub fn limits(self) -> &'static [(f64, f64)] {
        match self {
            Self::Demo => &[(0.0, 1.0), (0.0, 1.0), (0.0, HEATER_LIMIT)],
            Self::DeadTime => &[(0.0, 100.0), (0.0, 100.0)],
            Self::SignChange => &[(0.0, 1.0), (0.0, 1.0)],
        }
    }

    /// Deviation of the noise of each output.
    #[must_use]
    pub fn noise(self) -> &'static [f64] {
        match self {
            Self::Demo => &[0.012, 0.012, 0.08],
            Self::DeadTime => &[0.4],
            Self::SignChange => &[0.012],
        }
    }

    /// The range within which the operator moves each control of a synthetic plant.
    fn usual(self) -> &'static [(f64, f64)] {
        match self {
            Self::Demo => &[],
            Self::DeadTime => &[(30.0, 70.0), (35.0, 65.0)],
            Self::SignChange => &[(0.25, 0.8), (0.3, 0.7)],
        }
    }

    /// A plant in operation, settled.
    #[must_use]
    pub fn start(self, seed: u64) -> Running {
        let physics = match self {
            Self::Demo => Physics::Demo { plant: Box::new(Plant::new(seed)), last: None },
            Self::DeadTime | Self::SignChange => Physics::Synthetic(Box::new(Synthetic {
                kind: self,
                draw: ChaCha8Rng::seed_from_u64(seed),
                state: if self == Self::DeadTime { [40.0, -25.0] } else { [0.8, 0.0] },
                past: vec![if self == Self::DeadTime { [50.0, 50.0] } else { [0.5, 0.5] }; DELAYED],
                drift: 0.0,
            })),
        };
        let hands = Hands {
            draw: ChaCha8Rng::seed_from_u64(seed ^ 0x6f70_6572),
            moves: self
                .usual()
                .iter()
                .map(|(low, high)| Move {
                    value: f64::midpoint(*low, *high),
                    target: f64::midpoint(*low, *high),
                    slope: 0.0,
                    hold: 0,
                })
                .collect(),
            operator: Operator::new(seed),
        };
        let mut running = Running { kind: self, physics, hands };
        (0..SETTLING).for_each(|_| drop(running.operate()));
        running
    }
}

/// Steps that a plant runs before anybody looks.
const SETTLING: usize = 300;
/// Steps of past inputs that a dead time needs.
const DELAYED: usize = 16;

/// A plant with its state and its operator.
#[derive(Clone, Debug)]
pub struct Running {
    kind: TruePlant,
    physics: Physics,
    hands: Hands,
}

#[derive(Clone, Debug)]
enum Physics {
    Demo { plant: Box<Plant>, last: Option<Sample> },
    Synthetic(Box<Synthetic>),
}

/// One of the synthetic plants.
#[derive(Clone, Debug)]
struct Synthetic {
    kind: TruePlant,
    draw: ChaCha8Rng,
    state: [f64; 2],
    /// Inputs of the newest steps, newest last.
    past: Vec<[f64; 2]>,
    /// What nobody measures.
    drift: f64,
}

#[derive(Clone, Debug)]
struct Hands {
    draw: ChaCha8Rng,
    moves: Vec<Move>,
    operator: Operator,
}

/// A control on its way to a target, which it then holds.
#[derive(Clone, Copy, Debug)]
struct Move {
    value: f64,
    target: f64,
    slope: f64,
    hold: usize,
}

impl Running {
    /// One step as the operator runs it: the values of the type's signals, NaN where a sensor is out.
    pub fn operate(&mut self) -> Vec<f64> {
        let controls = match &self.physics {
            Physics::Demo { last: Some(last), .. } => {
                let Controls { pump, valve, heater } = self.hands.operator.next(last);
                vec![pump, valve, heater]
            }
            Physics::Demo { .. } => vec![0.5, 0.5, 3.0],
            Physics::Synthetic(_) => self.hands.next(self.kind.usual()),
        };
        self.step(&controls)
    }

    /// One step under these controls: the values of the type's signals, NaN where a sensor is out.
    pub fn step(&mut self, controls: &[f64]) -> Vec<f64> {
        match &mut self.physics {
            Physics::Demo { plant, last } => {
                let sample = plant.step(&Controls { pump: controls[0], valve: controls[1], heater: controls[2] });
                *last = Some(sample);
                let seen = |value: Option<f64>| value.unwrap_or(f64::NAN);
                let Sample { pump, valve, heater, ambient, level_1, level_2, temperature, .. } = sample;
                vec![pump, valve, heater, ambient, seen(level_1), seen(level_2), seen(temperature)]
            }
            Physics::Synthetic(plant) => {
                for (moving, value) in self.hands.moves.iter_mut().zip(controls) {
                    moving.value = *value;
                }
                let output = plant.step([controls[0], controls[1]]);
                vec![controls[0], controls[1], output]
            }
        }
    }
}

impl Synthetic {
    fn step(&mut self, inputs: [f64; 2]) -> f64 {
        self.past.remove(0);
        self.past.push(inputs);
        let late = |steps: usize, input: usize| self.past[DELAYED - 1 - steps][input];
        let kick: f64 = self.draw.sample(StandardNormal);
        let noise: f64 = self.draw.sample(StandardNormal);
        let [x, y] = self.state;
        let scale = self.kind.noise()[0];
        self.drift = 0.98 * self.drift + 0.2 * scale * kick;
        let output = match self.kind {
            TruePlant::SignChange => {
                let [angle, load] = inputs;
                // Best at an angle that grows with the load.
                let best = 0.35 + 0.4 * load;
                let torque = 0.4 + 0.8 * load - 3.0 * (angle - best).powi(2);
                self.state = [x + (torque - x) / 8.0, y + (x - y) / 3.0];
                self.state[1]
            }
            _ => {
                let (main, trim) = (late(9, 0), late(3, 1));
                self.state = [x + (0.8 * main - x) / 12.0, y + (-0.5 * trim - y) / 20.0];
                self.state[0] + self.state[1]
            }
        };
        output + self.drift + scale * noise
    }
}

impl Hands {
    fn next(&mut self, usual: &[(f64, f64)]) -> Vec<f64> {
        let draw = &mut self.draw;
        for (moving, (low, high)) in self.moves.iter_mut().zip(usual) {
            if moving.hold == 0 {
                let steps = if draw.random::<f64>() < 0.5 { 1 } else { draw.random_range(6..24) };
                moving.target = low + (high - low) * draw.random::<f64>();
                moving.slope = (moving.target - moving.value).abs() / f64::from(steps);
                moving.hold = steps as usize + draw.random_range(15..70);
            }
            moving.hold -= 1;
            moving.value += (moving.target - moving.value).clamp(-moving.slope, moving.slope);
        }
        self.moves.iter().map(|moving| moving.value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(running: &Running, controls: &[f64], steps: usize) -> f64 {
        let mut copy = running.clone();
        (0..steps).map(|_| *copy.step(controls).last().unwrap()).last().unwrap()
    }

    #[test]
    fn copies_differ_by_what_their_controls_do_alone() {
        for kind in TruePlant::all() {
            let (mut one, mut other) = (kind.start(3), kind.start(3));
            let controls: Vec<f64> = kind.limits().iter().map(|(low, high)| f64::midpoint(*low, *high)).collect();
            for _ in 0..50 {
                let (a, b) = (one.step(&controls), other.step(&controls));
                assert!(a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
        }
    }

    #[test]
    fn a_dead_time_is_one() {
        let running = TruePlant::DeadTime.start(1);
        let (calm, moved) = ([50.0, 50.0], [70.0, 50.0]);
        assert_eq!(after(&running, &calm, 9), after(&running, &moved, 9));
        assert!(after(&running, &moved, 10) > after(&running, &calm, 10));
        assert!((after(&running, &moved, 90) - after(&running, &calm, 90) - 16.0).abs() < 0.5);
    }

    #[test]
    fn the_gain_changes_its_sign_within_the_usual_range() {
        let running = TruePlant::SignChange.start(1);
        let at = |angle: f64| after(&running, &[angle, 0.5], 80);
        assert!(at(0.45) > at(0.3) + 0.05 && at(0.6) > at(0.75) + 0.05);
    }
}
