//! What the features of the curved expert remember: of the inputs, which go on into an assumed future,
//! and of everything measured, which stops at the origin.

use std::ops::Range;

use super::super::filters::{InputMemory, TargetMemory};
use super::basis::{Basis, HINGES, POOLS, TARGET_TAPS, Uses, WAVES};

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
    /// The hinges and their averages; none where nothing asks for them.
    pub(super) hinges: Vec<[f64; 1 + POOLS.len()]>,
    /// What the inputs add to the phase of every wave; none where nothing asks for them.
    pub(super) waves: Vec<f64>,
}

/// Instants whose hinges and waves are found in one product: one by one they took a quarter of a fine-tune job.
const TOGETHER: usize = 64;

impl Drive {
    /// Inputs that have always been where they are.
    pub(super) fn begin(basis: &Basis, uses: Uses, input: impl Fn(usize) -> f64) -> Self {
        let inputs = 0..basis.inputs();
        let mut drive = Self {
            memories: inputs.clone().map(|i| InputMemory::still(input(i))).collect(),
            lines: inputs.map(|i| Line([input(i); 41])).collect(),
            values: Vec::with_capacity(basis.drive_width()),
            hinges: Vec::new(),
            waves: Vec::new(),
        };
        drive.gather(basis);
        drive.see(basis, uses);
        drive
    }

    /// Begins to see what `uses` asks for too, as if the inputs had always been where they are.
    pub(super) fn see(&mut self, basis: &Basis, uses: Uses) {
        if uses.hinges {
            self.hinges = basis.hinges(&self.values).into_iter().map(|now| [now; 1 + POOLS.len()]).collect();
        }
        if uses.waves {
            let mut seen = Vec::new();
            self.append_seen(&mut seen);
            self.waves = basis.phases(&seen);
        }
    }

    /// Takes the inputs of the instants `span` one after another; `at` sees the drive at each.
    pub(super) fn follow(
        &mut self,
        basis: &Basis,
        span: Range<usize>,
        input: impl Fn(usize, usize) -> f64,
        mut at: impl FnMut(usize, &Self),
    ) {
        for first in span.clone().step_by(TOGETHER) {
            let instants = first..span.end.min(first + TOGETHER);
            let (hinges, waves) = self.ahead(basis, instants.clone(), &input);
            let (mut hinges, mut waves) = (hinges.chunks_exact(HINGES), waves.chunks_exact(WAVES));
            for t in instants {
                self.move_inputs(basis, |i| input(i, t));
                self.gather(basis);
                if let Some(now) = hinges.next() {
                    self.move_hinges(now);
                }
                if let Some(now) = waves.next() {
                    self.waves.copy_from_slice(now);
                }
                at(t, self);
            }
        }
    }

    /// The hinges and what the inputs add to the waves at each of the instants that come next; nothing where nobody asks
    /// for them.
    fn ahead(&self, basis: &Basis, span: Range<usize>, input: impl Fn(usize, usize) -> f64) -> (Vec<f64>, Vec<f64>) {
        if self.hinges.is_empty() && self.waves.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let mut ahead = self.clone();
        let (mut values, mut seen) = (Vec::with_capacity(span.len() * basis.drive_width()), Vec::new());
        for t in span {
            ahead.move_inputs(basis, |i| input(i, t));
            if !self.hinges.is_empty() {
                ahead.append(basis, &mut values);
            }
            if !self.waves.is_empty() {
                ahead.append_seen(&mut seen);
            }
        }
        (basis.hinges(&values), basis.phases(&seen))
    }

    /// Takes the hinges of the next instant into their averages.
    fn move_hinges(&mut self, now: &[f64]) {
        let rates = POOLS.map(|tau| (-1.0 / tau).exp());
        for ([first, pools @ ..], &now) in self.hinges.iter_mut().zip(now) {
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
        let mut values = std::mem::take(&mut self.values);
        values.clear();
        self.append(basis, &mut values);
        self.values = values;
    }

    fn append(&self, basis: &Basis, values: &mut Vec<f64>) {
        for (memory, line) in self.memories.iter().zip(&self.lines) {
            memory.features(values);
            values.extend(basis.taps().iter().map(|tap| line.0[*tap]));
        }
    }

    /// Appends the features of all answers at this instant: those that depend on nothing else.
    pub(super) fn features(&self, into: &mut Vec<f64>) {
        into.extend_from_slice(&self.values);
        into.push(1.0);
        into.extend(self.hinges.iter().flatten());
    }

    /// Appends what the waves see of the inputs.
    fn append_seen(&self, seen: &mut Vec<f64>) {
        for (memory, line) in self.memories.iter().zip(&self.lines) {
            seen.push(line.0[0]);
            seen.extend(memory.held());
        }
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
    pub(super) fn hold(&self, basis: &Basis, drive: &Drive) -> Held {
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
        let phases = if drive.waves.is_empty() { Vec::new() } else { basis.phases_at(&seen) };
        Held { values, phases }
    }
}

/// What an origin is remembered by.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Faded with the horizon in the linear features.
    pub(super) values: Vec<f64>,
    /// The phase that it gives every wave; none where nothing asks for them.
    pub(super) phases: Vec<f64>,
}
