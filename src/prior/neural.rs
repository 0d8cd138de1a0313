//! Random neural ODEs: four states pulled by a small random network of states and inputs, each with
//! its own time constant. The family that stands for plants nobody has thought of.
//!
//! Always true: states stay bounded, since the network's output is.

use super::draw::Draw;
use super::filters::squash;
use super::run::{SLOTS, Step, System};
use super::wear::Condition;

const STATES: usize = 4;
const HIDDEN: usize = 12;
/// How strongly the network pulls (prototype `fam_node`); above 1 it may oscillate by itself.
const PULL: f64 = 1.5;

/// One random network with its state.
#[derive(Clone, Debug)]
pub(super) struct NeuralOde {
    from_state: [[f64; STATES]; HIDDEN],
    from_input: [[f64; SLOTS]; HIDDEN],
    offset: [f64; HIDDEN],
    to_state: [[f64; HIDDEN]; STATES],
    /// 1 / time constant.
    rate: [f64; STATES],
    /// Process noise per step.
    noise: [f64; STATES],
    sensor: [f64; STATES],
    state: [f64; STATES],
}

impl NeuralOde {
    /// A random plant with `inputs` inputs.
    pub(super) fn draw(draw: &mut Draw, inputs: usize) -> Self {
        let shrink = 1.3 / (HIDDEN as f64).sqrt();
        let mut plant = Self {
            from_state: [[0.0; STATES]; HIDDEN],
            from_input: [[0.0; SLOTS]; HIDDEN],
            offset: [0.0; HIDDEN],
            to_state: [[0.0; HIDDEN]; STATES],
            rate: [0.0; STATES],
            noise: [0.0; STATES],
            sensor: [0.0; STATES],
            state: [0.0; STATES],
        };
        for k in 0..HIDDEN {
            plant.from_state[k] = std::array::from_fn(|_| 1.2 * draw.normal());
            for weight in plant.from_input[k].iter_mut().take(inputs) {
                *weight = draw.normal();
            }
            plant.offset[k] = 0.5 * draw.normal();
        }
        let weather = draw.log_uniform(1e-4, 0.05);
        for k in 0..STATES {
            plant.to_state[k] = std::array::from_fn(|_| PULL * shrink * draw.normal());
            plant.rate[k] = 1.0 / draw.log_uniform(3.0, 150.0);
            plant.noise[k] = weather * plant.rate[k].sqrt();
            plant.sensor[k] = draw.normal();
        }
        plant.sensor[0] += 1.5;
        plant.restart(draw);
        plant
    }
}

impl System for NeuralOde {
    fn restart(&mut self, weather: &mut Draw) {
        self.state = std::array::from_fn(|_| weather.normal());
    }

    fn output(&self) -> f64 {
        self.sensor.iter().zip(self.state).map(|(c, x)| c * x).sum()
    }

    fn advance(&mut self, inputs: &Step, condition: Condition, weather: &mut Draw) {
        let mut hidden = self.offset;
        for (k, value) in hidden.iter_mut().enumerate() {
            for (weight, x) in self.from_state[k].iter().zip(self.state) {
                *value += weight * x;
            }
            for (weight, u) in self.from_input[k].iter().zip(inputs) {
                *value += weight * u;
            }
            *value = squash(*value);
        }
        for k in 0..STATES {
            let pull: f64 = self.to_state[k].iter().zip(hidden).map(|(w, h)| w * h).sum();
            self.state[k] += (pull - self.state[k]) * self.rate[k] * condition.pace + self.noise[k] * weather.normal();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw::Purpose;
    use super::super::signals::moments;
    use super::*;

    #[test]
    fn states_stay_bounded_and_most_plants_answer_their_input() {
        let mut answering = 0;
        for index in 0..60 {
            let mut draw = Draw::new(22, index, 0, Purpose::System);
            let plant = NeuralOde::draw(&mut draw, 1);
            let weather = Draw::new(22, index, 0, Purpose::Weather);
            let settle = |input: f64| {
                let (mut plant, mut weather) = (plant.clone(), weather.clone());
                let outputs: Vec<f64> = (0..1_500)
                    .map(|_| {
                        plant.advance(&[input, 0.0, 0.0, 0.0], Condition::NEW, &mut weather);
                        assert!(plant.state.iter().all(|x| x.abs() < 30.0), "plant {index}");
                        plant.output()
                    })
                    .collect();
                moments(&outputs[1_000..]).0
            };
            answering += usize::from((settle(1.5) - settle(-1.5)).abs() > 0.1);
        }
        assert!(answering > 45, "{answering} of 60");
    }
}
