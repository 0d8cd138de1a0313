//! What the features of the curved expert remember: of the inputs, which go on into an assumed future,
//! and of everything measured, which stops at the origin.

use super::super::filters::{InputMemory, TargetMemory};
use super::basis::{Basis, HINGES, POOLS, TARGET_TAPS};

/// The newest values of one input, newest first.
#[derive(Clone, Debug)]
pub(super) struct Line(pub(super) [f64; 41]);

impl Line {
    fn push(&mut self, value: f64) {
        self.0.copy_within(0..40, 1);
        self.0[0] = value;
    }
}

/// What follows the inputs, into an assumed future as well.
#[derive(Clone, Debug)]
pub(super) struct Drive {
    pub(super) memories: Vec<InputMemory>,
    pub(super) lines: Vec<Line>,
    /// Averages and taps of every input at this instant: what the projections see.
    pub(super) values: Vec<f64>,
    /// The hinges and their averages.
    pub(super) hinges: Vec<[f64; 1 + POOLS.len()]>,
}

impl Drive {
    /// Inputs that have always been where they are.
    pub(super) fn begin(basis: &Basis, input: impl Fn(usize) -> f64) -> Self {
        let inputs = 0..basis.inputs();
        let mut drive = Self {
            memories: inputs.clone().map(|i| InputMemory::still(input(i))).collect(),
            lines: inputs.map(|i| Line([input(i); 41])).collect(),
            values: Vec::with_capacity(basis.drive_width()),
            hinges: Vec::new(),
        };
        drive.gather(basis);
        drive.hinges = (0..HINGES).map(|k| [drive.hinge(basis, k); 1 + POOLS.len()]).collect();
        drive
    }

    /// Takes the inputs of the next instant.
    pub(super) fn step(&mut self, basis: &Basis, input: impl Fn(usize) -> f64) {
        self.move_inputs(basis, input);
        self.gather(basis);
        let rates = POOLS.map(|tau| (-1.0 / tau).exp());
        for k in 0..HINGES {
            let now = self.hinge(basis, k);
            let [first, pools @ ..] = &mut self.hinges[k];
            *first = now;
            for (pool, rate) in pools.iter_mut().zip(rates) {
                *pool = rate * *pool + (1.0 - rate) * now;
            }
        }
    }

    /// Takes the inputs of the next instant into the averages and taps alone.
    pub(super) fn move_inputs(&mut self, basis: &Basis, input: impl Fn(usize) -> f64) {
        for (i, (memory, line)) in self.memories.iter_mut().zip(&mut self.lines).enumerate() {
            let value = input(i);
            memory.step(basis.coefficients(), value);
            line.push(value);
        }
    }

    /// Puts averages and taps where the projections see them.
    pub(super) fn gather(&mut self, basis: &Basis) {
        self.values.clear();
        for (memory, line) in self.memories.iter().zip(&self.lines) {
            memory.features(&mut self.values);
            self.values.extend(basis.taps().iter().map(|tap| line.0[*tap]));
        }
    }

    fn hinge(&self, basis: &Basis, k: usize) -> f64 {
        basis.hinge(k, &self.values)
    }
}

/// What is known at an origin and held from there on.
#[derive(Clone, Debug)]
pub(super) struct Known {
    target: TargetMemory,
    line: [f64; 6],
    others: Vec<TargetMemory>,
}

impl Known {
    /// Signals that have always been where they are.
    pub(super) fn begin(target: f64, others: impl Iterator<Item = f64>) -> Self {
        Self {
            target: TargetMemory::still(target),
            line: [target; 6],
            others: others.map(TargetMemory::still).collect(),
        }
    }

    /// Takes the next samples.
    pub(super) fn step(&mut self, basis: &Basis, target: f64, others: impl Iterator<Item = f64>) {
        self.target.step(basis.coefficients(), target);
        self.line.copy_within(0..5, 1);
        self.line[0] = target;
        for (memory, value) in self.others.iter_mut().zip(others) {
            memory.step(basis.coefficients(), value);
        }
    }

    /// The values that are held at an origin where the inputs stand as `drive` says.
    pub(super) fn hold(&self, drive: &Drive) -> Held {
        let mut values: Vec<f64> = self.target.held().to_vec();
        values.extend(TARGET_TAPS.map(|tap| self.line[tap]));
        for memory in &drive.memories {
            values.extend(memory.held());
        }
        let mut seen: Vec<f64> = self.target.held().to_vec();
        seen.extend(drive.memories.iter().flat_map(InputMemory::held));
        for memory in &self.others {
            values.extend(memory.held());
            seen.push(memory.held()[0]);
        }
        Held { values, seen }
    }
}

/// What an origin is remembered by.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Faded with the horizon in the linear features.
    pub(super) values: Vec<f64>,
    /// What the waves see of it.
    pub(super) seen: Vec<f64>,
}
