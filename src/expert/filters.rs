//! Leaky averages: the memory that the direct expert regresses on.
//!
//! `s(t) = a s(t-1) + (1-a) x(t)` with `a = exp(-1/tau)`, started as if the first sample had
//! always been there. Strictly causal; stepping twice from one state gives the same bits.

/// Time constants in steps (prototype `TU`).
const TAUS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
/// Time constants of the target's averages (prototype `TY`); 0 is the value itself.
const TARGET_TAUS: [f64; 4] = [0.0, 4.0, 16.0, 64.0];
/// First-order averages of an input.
const FIRST: usize = TAUS.len();
/// Averages of averages: seven with the same time constant twice, five with four times it.
const SECOND: usize = 12;
/// Which first-order averages are held at the origin (prototype `ki`).
const HELD: [usize; 4] = [1, 3, 5, 7];

/// Features of one input at the instant that is predicted.
pub(super) const PER_INPUT: usize = 1 + FIRST + SECOND;
/// Features of the target, and of each input, that are held at the origin.
pub(super) const HELD_EACH: usize = TARGET_TAUS.len();

fn decay(tau: f64) -> f64 {
    if tau > 0.0 { (-1.0 / tau).exp() } else { 0.0 }
}

/// The coefficients, computed once per use.
#[derive(Clone, Debug)]
pub(super) struct Coefficients {
    first: [f64; FIRST],
    second: [f64; SECOND],
    target: [f64; HELD_EACH],
}

impl Coefficients {
    pub(super) fn new() -> Self {
        Self {
            first: TAUS.map(decay),
            second: std::array::from_fn(|i| decay(if i < 7 { TAUS[i + 1] } else { TAUS[i - 4] })),
            target: TARGET_TAUS.map(decay),
        }
    }
}

/// The averages of one input.
#[derive(Clone, Copy, Debug)]
pub(super) struct InputMemory {
    now: f64,
    first: [f64; FIRST],
    second: [f64; SECOND],
}

impl InputMemory {
    /// The memory of an input that has always been `value`.
    pub(super) fn still(value: f64) -> Self {
        Self { now: value, first: [value; FIRST], second: [value; SECOND] }
    }

    /// Takes the next sample.
    pub(super) fn step(&mut self, by: &Coefficients, value: f64) {
        self.now = value;
        for (s, a) in self.first.iter_mut().zip(&by.first) {
            *s = a * *s + (1.0 - a) * value;
        }
        let drive: [f64; SECOND] = std::array::from_fn(|i| self.first[if i < 7 { i + 1 } else { i - 6 }]);
        for ((s, a), x) in self.second.iter_mut().zip(&by.second).zip(drive) {
            *s = a * *s + (1.0 - a) * x;
        }
    }

    /// Appends the features at the present instant.
    pub(super) fn features(&self, into: &mut Vec<f64>) {
        into.push(self.now);
        into.extend_from_slice(&self.first);
        into.extend_from_slice(&self.second);
    }

    /// The features at the present instant, weighted (as many weights as [`PER_INPUT`]).
    pub(super) fn weighted(&self, weights: &[f64]) -> f64 {
        use super::algebra::dot;
        let (first, second) = weights[1..].split_at(FIRST);
        weights[0] * self.now + dot(first, &self.first) + dot(second, &self.second)
    }

    /// The averages that are held at an origin.
    pub(super) fn held(&self) -> [f64; HELD_EACH] {
        HELD.map(|k| self.first[k])
    }
}

/// The averages of the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct TargetMemory([f64; HELD_EACH]);

impl TargetMemory {
    /// The memory of a target that has always been `value`.
    pub(super) fn still(value: f64) -> Self {
        Self([value; HELD_EACH])
    }

    /// Takes the next sample.
    pub(super) fn step(&mut self, by: &Coefficients, value: f64) {
        for (s, a) in self.0.iter_mut().zip(&by.target) {
            *s = a * *s + (1.0 - a) * value;
        }
    }

    /// The averages that are held at an origin.
    pub(super) fn held(&self) -> [f64; HELD_EACH] {
        self.0
    }
}

/// Everything remembered at one instant.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) target: TargetMemory,
    pub(super) inputs: Vec<InputMemory>,
    pub(super) others: Vec<TargetMemory>,
}

impl Memory {
    /// The memory at the first sample of a segment.
    pub(super) fn begin(target: f64, inputs: &[&[f64]], others: &[&[f64]], at: usize) -> Self {
        Self {
            target: TargetMemory::still(target),
            inputs: inputs.iter().map(|row| InputMemory::still(row[at])).collect(),
            others: others.iter().map(|row| TargetMemory::still(row[at])).collect(),
        }
    }

    /// Takes the sample at index `at`.
    pub(super) fn step(&mut self, by: &Coefficients, target: f64, inputs: &[&[f64]], others: &[&[f64]], at: usize) {
        self.target.step(by, target);
        for (memory, row) in self.others.iter_mut().zip(others) {
            memory.step(by, row[at]);
        }
        for (memory, row) in self.inputs.iter_mut().zip(inputs) {
            memory.step(by, row[at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_is_remembered_exactly_as_it_is() {
        let by = Coefficients::new();
        let mut memory = InputMemory::still(0.7);
        for _ in 0..50 {
            memory.step(&by, 0.7);
        }
        let mut features = Vec::new();
        memory.features(&mut features);
        assert_eq!(features.len(), PER_INPUT);
        assert!(features.iter().all(|f| (f - 0.7).abs() < 1e-12));
    }

    #[test]
    fn a_step_reaches_63_percent_after_one_time_constant() {
        let by = Coefficients::new();
        let mut memory = InputMemory::still(0.0);
        for _ in 0..8 {
            memory.step(&by, 1.0);
        }
        assert!((memory.held()[1] - (1.0 - (-1.0_f64).exp())).abs() < 1e-12);
    }
}
