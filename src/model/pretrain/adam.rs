//! `AdamW` (Loshchilov and Hutter 2019) whose moments can be saved: those of libtorch's own optimisers
//! cannot be reached from here.
//!
//! Always true: parameters are visited in the order of their names, so sums round alike in every
//! run; biases and norms do not decay.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

pub(super) const FIRST: f64 = 0.9;
pub(super) const SECOND: f64 = 0.98;
pub(super) const TINY: f64 = 1e-8;
/// Longest gradient over all parameters.
pub(super) const CLIP: f64 = 1.0;
/// Decay per unit of learning rate.
pub(super) const WEIGHT_DECAY: f64 = 0.03;

/// One parameter with what the optimiser remembers of its gradients.
#[derive(Debug)]
struct Parameter {
    value: Tensor,
    first: Tensor,
    second: Tensor,
    decay: f64,
}

/// The optimiser of some stores.
#[derive(Debug)]
pub(super) struct Adam {
    parameters: BTreeMap<String, Parameter>,
    steps: i32,
}

impl Adam {
    /// An optimiser of named parameters that has not taken a step.
    pub(super) fn new(named: Vec<(String, Tensor)>) -> Self {
        let parameters = named.into_iter().map(|(name, value)| {
            let (first, second) = (value.zeros_like().detach(), value.zeros_like().detach());
            let decay = if value.dim() > 1 { WEIGHT_DECAY } else { 0.0 };
            (name, Parameter { value, first, second, decay })
        });
        Self { parameters: parameters.collect(), steps: 0 }
    }

    /// Steps taken.
    pub(super) fn steps(&self) -> i32 {
        self.steps
    }

    /// Everything that the next step depends on, by name: values and both moments.
    pub(super) fn state(&self) -> Vec<(String, Tensor)> {
        let named = self.parameters.iter().flat_map(|(name, parameter)| {
            [("value", &parameter.value), ("first", &parameter.first), ("second", &parameter.second)]
                .map(|(kind, tensor)| (format!("{kind}.{name}"), tensor.detach()))
        });
        named.collect()
    }

    /// Says that the tensors of [`Self::state`] have been filled from a run of so many steps.
    pub(super) fn taken_up(&mut self, steps: i32) {
        self.steps = steps;
    }

    /// Adds the gradients of a copy to those of the parameters, and clears them there.
    pub(super) fn add_gradients(&self, copy: Vec<(String, Tensor)>) {
        tch::no_grad(|| {
            for (name, other) in copy {
                let (mut own, mut other) = (self.parameters[&name].value.grad(), other.grad());
                if own.defined() && other.defined() {
                    own += &other;
                    let _ = other.zero_();
                }
            }
        });
    }

    /// Gives a copy the values of the parameters.
    pub(super) fn copy_to(&self, copy: Vec<(String, Tensor)>) {
        tch::no_grad(|| copy.into_iter().for_each(|(name, mut other)| other.copy_(&self.parameters[&name].value)));
    }

    /// One step down the gradients that the parameters hold, which are cleared.
    pub(super) fn step(&mut self, rate: f64) {
        self.steps += 1;
        let (first_left, second_left) = (1.0 - FIRST.powi(self.steps), 1.0 - SECOND.powi(self.steps));
        tch::no_grad(|| {
            let shrink = self.shrink();
            for parameter in self.parameters.values_mut() {
                let mut gradient = parameter.value.grad();
                if !gradient.defined() {
                    continue;
                }
                gradient *= &shrink;
                parameter.first *= FIRST;
                parameter.first += &gradient * (1.0 - FIRST);
                parameter.second *= SECOND;
                parameter.second += gradient.square() * (1.0 - SECOND);
                let unit = parameter.second.sqrt() / second_left.sqrt() + TINY;
                parameter.value *= 1.0 - rate * parameter.decay;
                parameter.value -= (&parameter.first / unit) * (rate / first_left);
                let _ = gradient.zero_();
            }
        });
    }

    /// What gradients are multiplied with so that together they are no longer than [`CLIP`].
    fn shrink(&self) -> Tensor {
        let gradients = self.parameters.values().map(|parameter| parameter.value.grad()).filter(Tensor::defined);
        let squares: Vec<Tensor> = gradients.map(|gradient| gradient.square().sum(Kind::Float)).collect();
        let length = Tensor::stack(&squares, 0).sum(Kind::Float).sqrt();
        (CLIP / (length + 1e-6)).clamp_max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::{Init, OptimizerConfig as _, VarStore};

    use super::*;

    #[test]
    fn it_takes_the_steps_of_libtorchs_own() {
        let stores = [VarStore::new(Device::Cpu), VarStore::new(Device::Cpu)];
        let start = Tensor::from_slice(&[0.3f32, -0.2, 0.5, 0.1]).view([2, 2]);
        let variables: Vec<Tensor> = stores
            .iter()
            .map(|store| {
                let mut variable = store.root().var("weight", &[2, 2], Init::Const(0.0));
                tch::no_grad(|| variable.copy_(&start));
                variable
            })
            .collect();
        let theirs = tch::nn::AdamW { wd: WEIGHT_DECAY, beta2: SECOND, ..tch::nn::AdamW::default() };
        let mut theirs = theirs.build(&stores[0], 1e-2).unwrap();
        let mut ours = Adam::new(vec![("a".into(), variables[1].shallow_clone())]);
        for _ in 0..20 {
            let losses: Vec<Tensor> =
                variables.iter().map(|variable| (variable - 0.1).square().sum(Kind::Float) * 0.1).collect();
            theirs.zero_grad();
            losses.iter().for_each(Tensor::backward);
            theirs.step();
            ours.step(1e-2);
        }
        let gap = (&variables[0] - &variables[1]).abs().max().double_value(&[]);
        assert!(gap < 1e-6, "{gap}");
        assert!((&variables[0] - start).abs().max().double_value(&[]) > 0.05);
    }
}
