//! The laws with linear dynamics, and the motor's dry friction on top: first order with dead time,
//! second order, a zone of air and mass, a direct-current motor.
//!
//! `x' = A x + f` is solved exactly for inputs that hold over a sample, so no parameters make a
//! step unstable that is stable in truth.

use super::coordinate::Parameter;
use super::evidence::Evidence;
use super::law::{Hidden, Law, ORDER};

type Square = [[f64; 2]; 2];

/// Terms of the series for a step that is short against every time constant.
const TERMS: u32 = 9;
/// Steps of the motor per sample: friction acts between them.
const MOTOR_STEPS: usize = 4;
/// Longest dead time, in samples.
const LONGEST: f64 = 200.0;
/// States stay within this, whatever drives them.
const FAR: f64 = 1e100;
const IDENTITY: Square = [[1.0, 0.0], [0.0, 1.0]];

/// A law with linear dynamics, ready to step.
#[derive(Debug)]
pub(super) struct Linear {
    order: usize,
    steps: usize,
    /// `exp(A h)` for one step of length h.
    carry: Square,
    /// The integral of `exp(A s)` over one step.
    push: Square,
    /// Forcing per unit of each input.
    drive: Vec<[f64; 2]>,
    /// Forcing that is always there.
    constant: [f64; 2],
    /// What dry friction takes from the first state in one step.
    friction: f64,
    /// The second state at rest, for a first state of 0 and per unit of it.
    second: [f64; 2],
    /// How far the second state moves per unit of the first.
    spread: f64,
    delay: f64,
}

impl Linear {
    fn new(a: Square, drive: Vec<[f64; 2]>, constant: [f64; 2], steps: usize) -> Self {
        let (carry, push) = discretise(a, 1.0 / steps as f64);
        Self { order: 2, steps, carry, push, drive, constant, friction: 0.0, second: [0.0; 2], spread: 1.0, delay: 1.0 }
    }

    /// `time_constant x' = -x + offset + sum gain u(t - dead_time)`.
    pub(super) fn first_order(values: &[f64]) -> Self {
        let rate = 1.0 / values[0];
        let drive = values[3..].iter().map(|gain| [gain * rate, 0.0]).collect();
        let law = Self::new([[-rate, 0.0], [0.0, 0.0]], drive, [values[2] * rate, 0.0], 1);
        Self { order: 1, delay: values[1], ..law }
    }

    pub(super) fn first_order_guesses(evidence: &Evidence, pace: f64, dead_time: f64) -> Vec<Parameter> {
        let target = evidence.target_statistics();
        let mut guesses = vec![
            Parameter::positive(pace),
            Parameter::between(0.0, LONGEST, dead_time),
            Parameter::signed(target.mean, target.deviation),
        ];
        guesses.extend(gains(evidence));
        guesses
    }

    /// `x'' / frequency^2 + 2 damping x' / frequency + x = offset + sum gain u`.
    pub(super) fn second_order(values: &[f64]) -> Self {
        let (frequency, damping) = (values[0], values[1]);
        let square = frequency * frequency;
        let drive = values[3..].iter().map(|gain| [0.0, gain * square]).collect();
        let a = [[0.0, 1.0], [-square, -2.0 * damping * frequency]];
        Self { spread: frequency, ..Self::new(a, drive, [0.0, values[2] * square], 1) }
    }

    pub(super) fn second_order_guesses(evidence: &Evidence, pace: f64, damping: f64) -> Vec<Parameter> {
        let target = evidence.target_statistics();
        let mut guesses = vec![
            Parameter::positive(1.0 / pace),
            Parameter::positive(damping),
            Parameter::signed(target.mean, target.deviation),
        ];
        guesses.extend(gains(evidence));
        guesses
    }

    /// Air and mass: `air' = air_rate (mass - air) + sum gain u + constant`,
    /// `mass' = mass_rate (air - mass) + outdoor_rate (outdoor - mass)`. With one input `constant` is
    /// the outdoor temperature instead; with more the second input is.
    pub(super) fn zone(values: &[f64], inputs: usize) -> Self {
        let (air, mass, outdoor, constant) = (values[0], values[1], values[2], values[3]);
        let a = [[-air, air], [mass, -mass - outdoor]];
        let mut drive: Vec<[f64; 2]> = values[4..].iter().map(|gain| [*gain, 0.0]).collect();
        let alone = inputs < 2;
        if !alone {
            drive.insert(1, [0.0, outdoor]);
        }
        let constant = if alone { [0.0, outdoor * constant] } else { [constant, 0.0] };
        Self { second: [0.0, 1.0], ..Self::new(a, drive, constant, 1) }
    }

    pub(super) fn zone_guesses(evidence: &Evidence, fast: f64, slow: f64) -> Vec<Parameter> {
        let target = evidence.target_statistics();
        let alone = evidence.input_statistics().len() < 2;
        let mut guesses = vec![
            Parameter::positive(1.0 / fast),
            Parameter::positive(0.3 / slow),
            Parameter::positive(1.0 / slow),
            if alone {
                Parameter::signed(target.mean, target.deviation)
            } else {
                Parameter::signed(0.0, target.deviation / slow)
            },
        ];
        let heating = evidence.input_statistics().iter().enumerate().filter(|(j, _)| *j != 1);
        guesses.extend(heating.map(|(_, input)| Parameter::signed(0.0, target.deviation / input.deviation / fast)));
        guesses
    }

    /// `electrical_time i' = u - back_emf x - i`, `inertia x' = i - friction sign(x) + sum gain v`, with
    /// the current i counted in the unit of the first input u.
    pub(super) fn motor(values: &[f64]) -> Self {
        let (electrical, inertia, emf, friction) = (values[0], values[1], values[2], values[3]);
        let a = [[0.0, 1.0 / inertia], [-emf / electrical, -1.0 / electrical]];
        let mut drive = vec![[0.0, 1.0 / electrical]];
        drive.extend(values[4..].iter().map(|gain| [gain / inertia, 0.0]));
        let law = Self::new(a, drive, [0.0; 2], MOTOR_STEPS);
        Self { friction: friction / inertia / MOTOR_STEPS as f64, second: [friction, 0.0], spread: emf, ..law }
    }

    pub(super) fn motor_guesses(evidence: &Evidence, pace: f64) -> Vec<Parameter> {
        let target = evidence.target_statistics();
        let inputs = evidence.input_statistics();
        let voltage = inputs.first().map_or(1.0, |input| input.deviation);
        let emf = voltage / target.deviation;
        let mut guesses = vec![
            Parameter::positive(0.2 * pace),
            Parameter::positive(emf * pace),
            Parameter::positive(emf),
            Parameter::positive(0.05 * voltage),
        ];
        guesses.extend(inputs.iter().skip(1).map(|input| Parameter::signed(0.0, voltage / input.deviation)));
        guesses
    }
}

impl Law for Linear {
    fn order(&self) -> usize {
        self.order
    }

    fn advance(&self, state: &mut Hidden, inputs: &[f64]) {
        let mut force = self.constant;
        for (drive, input) in self.drive.iter().zip(inputs) {
            force[0] += drive[0] * input;
            force[1] += drive[1] * input;
        }
        for _ in 0..self.steps {
            let [x, y] = [state[0], state[1]];
            for (k, next) in state.iter_mut().take(2).enumerate() {
                let carried = self.carry[k][0] * x + self.carry[k][1] * y;
                *next = (carried + self.push[k][0] * force[0] + self.push[k][1] * force[1]).clamp(-FAR, FAR);
            }
            state[0] -= state[0].clamp(-self.friction, self.friction);
        }
    }

    fn shown(&self) -> usize {
        0
    }

    fn rest(&self, reading: f64) -> Hidden {
        let mut state = [0.0; ORDER];
        state[0] = reading;
        state[1] = self.second[0] * reading.signum() + self.second[1] * reading;
        state
    }

    fn spread(&self, deviation: f64) -> Hidden {
        [deviation, self.spread * deviation, deviation]
    }

    fn delay(&self) -> f64 {
        self.delay
    }
}

/// One gain per input, first guessed as none.
fn gains(evidence: &Evidence) -> Vec<Parameter> {
    let deviation = evidence.target_statistics().deviation;
    let inputs = evidence.input_statistics();
    inputs.iter().map(|input| Parameter::signed(0.0, deviation / input.deviation)).collect()
}

/// `exp(A h)` and the integral of `exp(A s)` from 0 to h: a series for a short step, then doubling.
fn discretise(a: Square, h: f64) -> (Square, Square) {
    let size = a.iter().flatten().fold(0.0_f64, |most, value| most.max(value.abs())) * h;
    let doublings = (size / 0.1).max(1.0).log2().ceil().min(60.0) as i32;
    let short = h / 2.0_f64.powi(doublings);
    let mut term = [[short, 0.0], [0.0, short]];
    let mut push = term;
    for k in 2..=TERMS {
        term = times(&term, &a, short / f64::from(k));
        push = plus(&push, &term);
    }
    let mut carry = plus(&IDENTITY, &times(&push, &a, 1.0));
    for _ in 0..doublings {
        push = plus(&push, &times(&carry, &push, 1.0));
        carry = times(&carry, &carry, 1.0);
    }
    (carry, push)
}

fn times(a: &Square, b: &Square, factor: f64) -> Square {
    let cell = |i: usize, j: usize| factor * (a[i][0] * b[0][j] + a[i][1] * b[1][j]);
    [[cell(0, 0), cell(0, 1)], [cell(1, 0), cell(1, 1)]]
}

fn plus(a: &Square, b: &Square) -> Square {
    [[a[0][0] + b[0][0], a[0][1] + b[0][1]], [a[1][0] + b[1][0], a[1][1] + b[1][1]]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_a_first_order_law_is_exact() {
        let law = Linear::first_order(&[5.0, 0.0, 1.0, 2.0]);
        let mut state = [0.0; ORDER];
        law.advance(&mut state, &[3.0]);
        assert!((state[0] - 7.0 * (1.0 - (-0.2_f64).exp())).abs() < 1e-12);
    }

    #[test]
    fn an_undamped_swing_keeps_its_height() {
        let period = 40.0;
        let law = Linear::second_order(&[2.0 * std::f64::consts::PI / period, 0.0, 0.0]);
        let mut state = [1.0, 0.0, 0.0];
        for _ in 0..40 {
            law.advance(&mut state, &[]);
        }
        assert!((state[0] - 1.0).abs() < 1e-9 && state[1].abs() < 1e-9);
    }

    #[test]
    fn a_law_much_faster_than_a_sample_settles_at_once() {
        let law = Linear::second_order(&[1e4, 1.0, 2.0]);
        let mut state = [50.0, 0.0, 0.0];
        law.advance(&mut state, &[]);
        assert!((state[0] - 2.0).abs() < 1e-6);
    }

    #[test]
    fn friction_holds_a_motor_still() {
        let law = Linear::motor(&[2.0, 10.0, 1.0, 3.0]);
        let mut state = [0.0; ORDER];
        for _ in 0..50 {
            law.advance(&mut state, &[2.9]);
        }
        assert_eq!(state[0], 0.0);
        for _ in 0..500 {
            law.advance(&mut state, &[5.0]);
        }
        assert!((state[0] - 2.0).abs() < 0.05, "{state:?}");
    }
}
