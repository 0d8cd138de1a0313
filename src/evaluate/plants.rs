//! Four simulated plants whose answer to an override is known: two tanks, a heated zone, a spring
//! with friction, and an exothermic reactor; with a history of free movement or under feedback.
//!
//! Seeded. The equations, ranges and controllers are those of the numpy prototype (`whatif2`); its
//! random numbers are not.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

/// Samples of history.
pub(super) const HISTORY: usize = 448;
/// Steps ahead.
pub(super) const STEPS: usize = 64;
/// Samples before the history, and before these to find mean and deviation.
const WARM: usize = 200;
const BURN_IN: usize = 600;
/// Steps whose mean the input is held at.
const HELD: usize = 16;

/// Which equations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Equations {
    Tanks,
    Zone,
    Spring,
    Reactor,
}

/// A plant's past and three futures from one state.
pub(super) struct Experiment {
    /// The input, `HISTORY` values.
    pub(super) input: Vec<f64>,
    /// The output as measured, `HISTORY` values.
    pub(super) output: Vec<f64>,
    /// Held, raised and lowered: inputs and true outputs of `STEPS` values.
    pub(super) futures: [(Vec<f64>, Vec<f64>); 3],
    /// Deviation of the output when the input moves freely.
    pub(super) deviation: f64,
}

impl Equations {
    pub(super) fn all() -> [Self; 4] {
        [Self::Tanks, Self::Zone, Self::Spring, Self::Reactor]
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tanks => "tanks",
            Self::Zone => "zone",
            Self::Spring => "spring",
            Self::Reactor => "reactor",
        }
    }

    /// Middle and size of the input's movements.
    fn input(self) -> (f64, f64) {
        match self {
            Self::Tanks => (1.2, 0.5),
            Self::Zone => (0.5, 0.35),
            Self::Spring => (0.0, 0.8),
            Self::Reactor => (1.0, 0.4),
        }
    }

    /// A pump cannot run backwards.
    fn allowed(self, input: f64) -> f64 {
        if self == Self::Tanks { input.max(0.0) } else { input }
    }
}

/// A plant with its parameters and state.
#[derive(Clone, Debug)]
struct Plant {
    equations: Equations,
    parameters: [f64; 6],
    state: [f64; 2],
    minute: usize,
}

struct Draw(ChaCha8Rng);

impl Draw {
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.random::<f64>()
    }

    fn normal(&mut self) -> f64 {
        self.0.sample(StandardNormal)
    }

    fn chance(&mut self, odds: f64) -> bool {
        self.0.random::<f64>() < odds
    }
}

impl Plant {
    fn new(equations: Equations, draw: &mut Draw) -> Self {
        let mut u = |low, high| draw.uniform(low, high);
        let (parameters, state) = match equations {
            Equations::Tanks => {
                let out = u(0.01, 0.05);
                ([out, out * u(0.6, 1.6), out * u(0.7, 1.3), 0.0, 0.0, 0.0], [u(0.5, 2.0), u(0.5, 2.0)])
            }
            Equations::Zone => {
                let air = u(8.0, 40.0);
                let parameters = [air, air * u(3.0, 10.0), u(0.3, 1.5), u(0.3, 1.2), u(1.0, 3.0), u(0.0, 6.3)];
                (parameters, [0.5 + 0.3 * draw.normal(), 0.5 + 0.3 * draw.normal()])
            }
            Equations::Spring => {
                ([std::f64::consts::TAU / u(25.0, 120.0), u(0.1, 0.8), u(0.0, 0.8), 0.0, 0.0, 0.0], [0.0; 2])
            }
            Equations::Reactor => {
                let heat = 239.0 * 0.997 * u(0.9, 1.1);
                let parameters =
                    [100.0 * u(0.9, 1.1), heat, 5e4 * u(0.6, 0.8), 7.2e10 * u(0.7, 1.1), 5e4 * u(0.9, 1.3), 0.0];
                (parameters, [0.7, 330.0])
            }
        };
        Self { equations, parameters, state, minute: 0 }
    }

    fn output(&self) -> f64 {
        match self.equations {
            Equations::Tanks | Equations::Reactor => self.state[1],
            Equations::Zone | Equations::Spring => self.state[0],
        }
    }

    fn step(&mut self, input: f64) {
        let [x, y] = self.state;
        let [a, b, c, d, e, f] = self.parameters;
        self.state = match self.equations {
            Equations::Tanks => {
                let (between, leaving) = (a * x.max(0.0).sqrt(), b * y.max(0.0).sqrt());
                [(x + c * input.max(0.0) - between).clamp(0.0, 6.0), (y + between - leaving).clamp(0.0, 6.0)]
            }
            Equations::Zone => {
                let outside = (std::f64::consts::TAU * self.minute as f64 / 96.0 + f).sin();
                let heating = e * input.clamp(0.0, 1.5);
                [x + (c * (y - x) + d * (outside - x) + heating) / a, y + c * (x - y) / b]
            }
            Equations::Spring => {
                let bent = x.clamp(-3.0, 3.0);
                let force = a * a * (input - x - c * bent.powi(3)) - 2.0 * b * a * y;
                [(x + y).clamp(-4.0, 4.0), (y + force).clamp(-2.0, 2.0)]
            }
            Equations::Reactor => reactor(self.state, [a, b, c, d, e], 300.0 + 10.0 * (input - 1.0)),
        };
        self.minute += 1;
    }
}

/// Exothermic stirred tank (Seborg et al.): concentration and temperature a tenth of a minute on.
fn reactor([mut x, mut y]: [f64; 2], [flow, heat, reaction, rate, cooling]: [f64; 5], coolant: f64) -> [f64; 2] {
    const VOLUME: f64 = 100.0;
    const SUBSTEP: f64 = 0.1 / 4.0;
    for _ in 0..4 {
        let speed = rate * (-8_750.0 / y.clamp(250.0, 500.0)).exp() * x;
        let warming = flow / VOLUME * (350.0 - y) + reaction / heat * speed + cooling / (VOLUME * heat) * (coolant - y);
        (x, y) = (x + SUBSTEP * (flow / VOLUME * (1.0 - x) - speed), (y + SUBSTEP * warming).clamp(260.0, 480.0));
    }
    [x, y]
}

/// One plant of a suite; `closed` puts its history under a PI controller with a little dither.
pub(super) fn experiment(equations: Equations, closed: bool, seed: u64, index: u64) -> Experiment {
    let mut key = [0_u8; 32];
    for (part, word) in key.chunks_exact_mut(8).zip([seed, index, equations as u64, u64::from(closed)]) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    let mut draw = Draw(ChaCha8Rng::from_seed(key));
    let (middle, size) = equations.input();
    let mut plant = Plant::new(equations, &mut draw);
    let (mean, deviation) = burn_in(&mut plant, &mut draw, middle, size);

    let (mut hold, mut wanted, mut integral, mut load) = (0.0, mean, 0.0_f64, 0.0);
    let (mut input, mut output) = (Vec::with_capacity(WARM + HISTORY), Vec::with_capacity(WARM + HISTORY));
    for _ in 0..WARM + HISTORY {
        let seen = plant.output();
        if draw.chance(0.03) {
            hold = draw.normal();
            wanted = mean + 0.8 * deviation * draw.normal();
        }
        let set = if closed {
            let error = (wanted - seen) / deviation;
            integral = (integral + 0.02 * error).clamp(-1.5, 1.5);
            middle + size * (error + integral).clamp(-2.0, 2.0) + 0.15 * size * draw.normal()
        } else {
            middle + size * hold
        };
        let set = equations.allowed(set);
        // What nobody measures pushes the plant as well, harder where a controller hides it.
        load = 0.98 * load + 0.02 * draw.normal() * if closed { 1.5 } else { 0.5 };
        input.push(set);
        output.push(seen);
        plant.step(set + size * load);
    }
    let held = input[input.len() - HELD..].iter().sum::<f64>() / HELD as f64;
    let futures =
        [0.0, 1.0, -1.0].map(|change| future(plant.clone(), equations.allowed(held + change * size), size, load));
    let measured = output[WARM..].iter().map(|value| value + 0.02 * deviation * draw.normal()).collect();
    Experiment { input: input[WARM..].to_vec(), output: measured, futures, deviation }
}

/// Mean and deviation of the output while the input moves freely; the plant goes on from there.
fn burn_in(plant: &mut Plant, draw: &mut Draw, middle: f64, size: f64) -> (f64, f64) {
    let mut set = middle + size * draw.normal();
    let mut seen = Vec::with_capacity(BURN_IN);
    for _ in 0..BURN_IN {
        if draw.chance(0.02) {
            set = middle + size * draw.normal();
        }
        plant.step(set);
        seen.push(plant.output());
    }
    let (mean, deviation) = super::task::moments(&seen[WARM..]);
    (mean, deviation + 1e-6)
}

/// Input and output while the input is held and the load fades.
fn future(mut plant: Plant, input: f64, size: f64, mut load: f64) -> (Vec<f64>, Vec<f64>) {
    let output = (0..STEPS).map(|_| {
        let seen = plant.output();
        load *= 0.98;
        plant.step(input + size * load);
        seen
    });
    let output = output.collect();
    (vec![input; STEPS], output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_input_means_more_output_on_every_plant_and_the_seed_decides_all() {
        for equations in Equations::all() {
            for closed in [false, true] {
                let plant = experiment(equations, closed, 1, 2);
                let end = |future: usize| plant.futures[future].1[STEPS - 1];
                assert!(end(1) >= end(0) && end(0) >= end(2), "{equations:?} {closed}");
                assert!(plant.output.iter().all(|value| value.is_finite()));
                let same = experiment(equations, closed, 1, 2);
                assert_eq!((same.output, same.input), (plant.output.clone(), plant.input.clone()));
                assert_ne!(experiment(equations, closed, 2, 2).output, plant.output);
            }
        }
    }
}
