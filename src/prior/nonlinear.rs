//! Random neural ODEs, and motors and masses.

use std::f64::consts::TAU;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::Plant;
use super::signals::{log_uniform, normal};

const STATES: usize = 4;
const HIDDEN: usize = 12;

/// A leaky recurrent network with random weights.
pub(super) struct Ode {
    into: Vec<[f64; STATES]>,
    from_inputs: Vec<Vec<f64>>,
    bias: Vec<f64>,
    out: [[f64; HIDDEN]; STATES],
    tau: [f64; STATES],
    sensor: [f64; STATES],
    noise: f64,
    state: [f64; STATES],
}

impl Ode {
    pub(super) fn draw(draw: &mut ChaCha8Rng, inputs: usize) -> Self {
        let spread = 1.3 / (HIDDEN as f64).sqrt();
        let mut sensor: [f64; STATES] = std::array::from_fn(|_| normal(draw));
        sensor[0] += 1.5;
        Self {
            into: (0..HIDDEN).map(|_| std::array::from_fn(|_| normal(draw) * 1.2)).collect(),
            from_inputs: (0..HIDDEN).map(|_| (0..inputs).map(|_| normal(draw)).collect()).collect(),
            bias: (0..HIDDEN).map(|_| normal(draw) * 0.5).collect(),
            out: std::array::from_fn(|_| std::array::from_fn(|_| normal(draw) * spread)),
            tau: std::array::from_fn(|_| log_uniform(draw, 3.0, 150.0)),
            sensor,
            noise: log_uniform(draw, 1e-4, 0.05),
            state: [0.0; STATES],
        }
    }
}

impl Plant for Ode {
    fn restart(&mut self, draw: &mut ChaCha8Rng) {
        self.state = std::array::from_fn(|_| normal(draw));
    }

    fn step(&mut self, inputs: &[f64], draw: &mut ChaCha8Rng) -> f64 {
        let shown = self.sensor.iter().zip(&self.state).map(|(weight, state)| weight * state).sum();
        let hidden: [f64; HIDDEN] = std::array::from_fn(|unit| {
            let own: f64 = self.into[unit].iter().zip(&self.state).map(|(weight, state)| weight * state).sum();
            let driven: f64 = self.from_inputs[unit].iter().zip(inputs).map(|(weight, input)| weight * input).sum();
            (own + driven + self.bias[unit]).tanh()
        });
        for (unit, state) in self.state.iter_mut().enumerate() {
            let drive: f64 = self.out[unit].iter().zip(&hidden).map(|(weight, value)| weight * value).sum();
            let tau = self.tau[unit];
            *state += (1.5 * drive - *state) / tau + self.noise * normal(draw) / tau.sqrt();
        }
        shown
    }
}

enum Kind {
    /// Speed of a motor with friction.
    Motor,
    /// Position of a mass on a spring.
    Spring,
}

/// Motors and masses with cubic stiffness, Coulomb friction and a dead zone.
pub(super) struct Mass {
    kind: Kind,
    omega: f64,
    damping: f64,
    cubic: f64,
    friction: f64,
    dead_zone: f64,
    second: f64,
    tau: f64,
    rectified: bool,
    position: f64,
    speed: f64,
}

impl Mass {
    pub(super) fn draw(draw: &mut ChaCha8Rng, _inputs: usize) -> Self {
        let some = |draw: &mut ChaCha8Rng, share: f64, most: f64| {
            if draw.random_bool(share) { draw.random_range(0.0..most) } else { 0.0 }
        };
        Self {
            kind: if draw.random_bool(0.33) { Kind::Motor } else { Kind::Spring },
            omega: (TAU / log_uniform(draw, 10.0, 300.0)).min(0.6),
            damping: log_uniform(draw, 0.03, 1.5),
            cubic: some(draw, 0.5, 2.0),
            friction: some(draw, 0.5, 0.5),
            dead_zone: some(draw, 0.4, 0.8),
            second: normal(draw),
            tau: log_uniform(draw, 3.0, 100.0),
            rectified: draw.random_bool(0.1),
            position: 0.0,
            speed: 0.0,
        }
    }
}

impl Plant for Mass {
    fn restart(&mut self, draw: &mut ChaCha8Rng) {
        self.position = normal(draw) * 0.5;
        self.speed = 0.0;
    }

    fn step(&mut self, inputs: &[f64], _draw: &mut ChaCha8Rng) -> f64 {
        let shown = match self.kind {
            Kind::Motor => self.speed,
            Kind::Spring => self.position,
        };
        let push = inputs[0].signum() * (inputs[0].abs() - self.dead_zone).max(0.0);
        let push = push + inputs.get(1).map_or(0.0, |value| self.second * value);
        for _ in 0..2 {
            let acceleration = match self.kind {
                Kind::Motor => (push - self.speed - self.friction * (self.speed * 20.0).tanh()) / self.tau,
                Kind::Spring => {
                    let square = self.omega * self.omega;
                    let spring = self.position + self.cubic * self.position.clamp(-3.0, 3.0).powi(3);
                    let rub = self.friction * (self.speed / self.omega * 5.0).tanh();
                    square * (push - spring - rub) - 2.0 * self.damping * self.omega * self.speed
                }
            };
            self.speed = (self.speed + 0.5 * acceleration).clamp(-50.0, 50.0);
            self.position = (self.position + 0.5 * self.speed).clamp(-50.0, 50.0);
        }
        if self.rectified { shown.abs() } else { shown }
    }
}
