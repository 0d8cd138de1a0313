//! Process plants: tanks, thermal zones, heat exchangers, batteries.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::Plant;
use super::signals::{log_uniform, normal, sign};

/// One to three tanks in series with square-root outflow (Torricelli) and overflow.
pub(super) struct Tanks {
    count: usize,
    out: [f64; 3],
    pump: f64,
    height: [f64; 3],
    passes_on: f64,
    saturates: bool,
    leak: f64,
    offset: f64,
    size: f64,
    level: [f64; 3],
}

impl Tanks {
    pub(super) fn draw(draw: &mut ChaCha8Rng, _inputs: usize) -> Self {
        let base = log_uniform(draw, 8.0, 120.0);
        let out: [f64; 3] = std::array::from_fn(|_| (normal(draw) * 0.4).exp() / base * 2.0);
        let offset = draw.random_range(0.6..1.5);
        Self {
            count: draw.random_range(1..=3),
            pump: out[0] * draw.random_range(0.7..1.3),
            out,
            height: std::array::from_fn(|_| draw.random_range(1.2..4.0)),
            passes_on: draw.random_range(0.0..1.0),
            saturates: draw.random_bool(0.5),
            leak: if draw.random_bool(0.3) { draw.random_range(0.0..0.2) } else { 0.0 },
            offset,
            size: draw.random_range(0.3..1.2) * offset,
            level: [0.0; 3],
        }
    }
}

impl Plant for Tanks {
    fn restart(&mut self, draw: &mut ChaCha8Rng) {
        self.level = std::array::from_fn(|_| draw.random_range(0.0..1.5));
    }

    fn step(&mut self, inputs: &[f64], _draw: &mut ChaCha8Rng) -> f64 {
        let last = self.count - 1;
        let shown = if self.saturates { self.level[last].min(self.height[last] * 0.9) } else { self.level[last] };
        let mut flow = (self.pump * inputs[0]).min(5.0);
        let valve = inputs.get(1).map_or(1.0, |value| 1.0 / (1.0 + (-value).exp()));
        for tank in 0..self.count {
            let opening = if tank == 0 { valve } else { 1.0 };
            let leaves = self.out[tank] * self.level[tank].max(0.0).sqrt() * opening;
            let level = self.level[tank] + flow - leaves - self.leak * self.out[tank] * self.level[tank];
            let over = (level - self.height[tank]).max(0.0);
            self.level[tank] = level.clamp(0.0, self.height[tank]);
            flow = leaves + over * self.passes_on;
        }
        shown
    }

    fn actuate(&self, input: usize, value: f64) -> f64 {
        if input == 0 { (value * self.size + self.offset).max(0.0) } else { value }
    }

    fn takes_feedback(&self) -> bool {
        self.count < 3
    }
}

/// A thermal zone of two masses (2R2C): air and structure; a thermostat may run the heater.
pub(super) struct Zone {
    air: f64,
    structure: f64,
    between: f64,
    to_ambient: f64,
    heater: f64,
    occupancy: f64,
    temperature: [f64; 2],
}

impl Zone {
    pub(super) fn draw(draw: &mut ChaCha8Rng) -> Self {
        let air = log_uniform(draw, 2.0, 40.0);
        Self {
            air,
            structure: air * log_uniform(draw, 2.0, 15.0),
            between: draw.random_range(0.3..2.0),
            to_ambient: draw.random_range(0.3..1.5),
            heater: draw.random_range(0.5..4.0),
            occupancy: draw.random_range(0.0..0.6),
            temperature: [0.0; 2],
        }
    }
}

impl Plant for Zone {
    fn restart(&mut self, draw: &mut ChaCha8Rng) {
        self.temperature = [normal(draw), normal(draw)];
    }

    fn step(&mut self, inputs: &[f64], _draw: &mut ChaCha8Rng) -> f64 {
        let [air, structure] = self.temperature;
        let heat = self.heater * inputs[0] + self.occupancy * inputs.get(2).copied().unwrap_or(0.0);
        let exchanged = self.between * (structure - air);
        let gain = exchanged + self.to_ambient * (inputs[1] - air) + heat;
        // Half an implicit step: stays stable where the air's time constant is near the step.
        self.temperature[0] += gain / self.air / (1.0 + (self.between + self.to_ambient) / self.air * 0.5);
        self.temperature[1] -= exchanged / self.structure;
        air
    }

    fn actuate(&self, input: usize, value: f64) -> f64 {
        if input == 0 { value.clamp(-1.0, 2.0) } else { value }
    }
}

/// A heat exchanger or mixer: a flow sets gain and time constant, stages delay.
pub(super) struct Exchanger {
    loss: f64,
    effect: f64,
    tau: f64,
    stages: usize,
    sign: f64,
    state: [f64; 3],
}

impl Exchanger {
    pub(super) fn draw(draw: &mut ChaCha8Rng, _inputs: usize) -> Self {
        Self {
            loss: draw.random_range(0.2..1.0),
            effect: draw.random_range(0.2..1.5),
            tau: log_uniform(draw, 5.0, 150.0),
            stages: draw.random_range(1..=3),
            sign: sign(draw),
            state: [0.0; 3],
        }
    }
}

impl Plant for Exchanger {
    fn restart(&mut self, draw: &mut ChaCha8Rng) {
        self.state = std::array::from_fn(|_| normal(draw) * 0.5);
    }

    fn step(&mut self, inputs: &[f64], _draw: &mut ChaCha8Rng) -> f64 {
        let shown = self.state[self.stages - 1];
        let flow = (inputs[0] * self.effect).exp().ln_1p();
        let drive = inputs.get(1).map_or(self.sign, |value| self.sign * value * flow);
        let [one, two, _] = self.state;
        self.state[0] += ((drive - (self.loss + flow) * one) / self.tau).clamp(-1.0, 1.0);
        self.state[1] += (one - two) / (self.tau * 0.5 + 2.0);
        self.state[2] += (two - self.state[2]) / (self.tau * 0.5 + 2.0);
        shown
    }
}

/// A cell: charge, two relaxation times, a curved open-circuit voltage (equivalent circuit model).
pub(super) struct Battery {
    capacity: f64,
    resistance: [f64; 3],
    tau: [f64; 2],
    bend: f64,
    charge: f64,
    polarisation: [f64; 2],
}

impl Battery {
    pub(super) fn draw(draw: &mut ChaCha8Rng) -> Self {
        Self {
            capacity: log_uniform(draw, 200.0, 2_000.0),
            resistance: [draw.random_range(0.02..0.2), draw.random_range(0.02..0.3), draw.random_range(0.02..0.3)],
            tau: [log_uniform(draw, 3.0, 30.0), log_uniform(draw, 30.0, 200.0)],
            bend: draw.random_range(0.2..1.0),
            charge: 0.5,
            polarisation: [0.0; 2],
        }
    }
}

impl Plant for Battery {
    fn restart(&mut self, draw: &mut ChaCha8Rng) {
        self.charge = draw.random_range(0.2..0.9);
        self.polarisation = [0.0; 2];
    }

    fn step(&mut self, inputs: &[f64], _draw: &mut ChaCha8Rng) -> f64 {
        let current = inputs[0];
        let open = self.charge + self.bend * (0.05 * (self.charge.max(1e-3) / (1.0 - self.charge).max(1e-3)).ln());
        let shown = open - self.polarisation[0] - self.polarisation[1];
        for (index, state) in self.polarisation.iter_mut().enumerate() {
            *state += (self.resistance[index + 1] * current - *state) / self.tau[index];
        }
        self.charge = (self.charge - current / self.capacity).clamp(0.02, 0.98);
        shown
    }

    fn takes_feedback(&self) -> bool {
        false
    }
}
