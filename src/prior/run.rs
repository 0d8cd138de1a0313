//! One simulated plant through time: inputs in, output out, with everything that may happen on the
//! way (restart, feedback, wear, unmeasured load, an intervention that forks the future).
//!
//! Always true: the output at `t` depends on inputs up to `t` only; two runs that differ in
//! [`Fork::applied`] alone are bitwise equal before [`Fork::at`], and see the same weather after.

use super::draw::Draw;
use super::feedback::Feedback;
use super::signals::{moments, signal};
use super::wear::{Condition, Wear};

/// Most inputs that a record has.
pub(super) const SLOTS: usize = 4;

/// The inputs of one step; unused slots are 0.
pub(super) type Step = [f64; SLOTS];

/// Samples whose mean an intervention takes as "where the input stood".
const HOLD_STEPS: usize = 16;
/// Samples whose deviation an intervention is measured in.
const LOOK_BACK: usize = 512;

/// A plant in discrete time.
pub(super) trait System: Clone {
    /// Jumps to another random state, as after a shut-down.
    fn restart(&mut self, weather: &mut Draw);
    /// The true output in the present state, before any sensor.
    fn output(&self) -> f64;
    /// One step further under these inputs. Draws the same count of numbers in every step.
    fn advance(&mut self, inputs: &Step, condition: Condition, weather: &mut Draw);
    /// Whether wear can show as a leak ([`Condition::leak`]).
    const LEAKS: bool = false;
    /// Whether wear can show as slowness ([`Condition::pace`]).
    const SLOWS: bool = true;
}

/// One input over the whole record, before any controller takes it over.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) values: Vec<f64>,
    /// Physical limits; an intervention and a controller stay inside.
    pub(super) limits: (f64, f64),
    /// Whether a person can set it; ambient conditions cannot be set.
    pub(super) controlled: bool,
}

impl Row {
    /// A controlled input without limits, mean 0 and deviation about 1.
    pub(super) fn free(draw: &mut Draw, steps: usize) -> Self {
        Self { values: signal(draw, steps), limits: (f64::NEG_INFINITY, f64::INFINITY), controlled: true }
    }

    /// An input that nobody can set.
    pub(super) fn given(values: Vec<f64>) -> Self {
        Self { values, limits: (f64::NEG_INFINITY, f64::INFINITY), controlled: false }
    }

    /// A controlled input around `middle` with deviation `spread`, clipped to `limits`.
    pub(super) fn within(draw: &mut Draw, steps: usize, middle: f64, spread: f64, limits: (f64, f64)) -> Self {
        let mut row = Self::free(draw, steps);
        row.limits = limits;
        for v in &mut row.values {
            *v = (middle + spread * *v).clamp(limits.0, limits.1);
        }
        row
    }
}

/// How one run goes. Times count from the first simulated step.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// Steps that are simulated but not recorded.
    pub(super) warm: usize,
    /// Steps that are recorded.
    pub(super) steps: usize,
    /// Inputs that reach the plant; rows behind them are decoys, recorded without effect.
    pub(super) used: usize,
    /// The output at `t` already answers the input at `t` (averaging sensors, late stamps).
    pub(super) prompt: bool,
    /// When the state jumps.
    pub(super) restart: Option<usize>,
    /// Drives the first input for a while.
    pub(super) feedback: Option<Feedback>,
    pub(super) wear: Option<Wear>,
    /// Unmeasured addition to the first input, one value per simulated step; empty for none.
    pub(super) load: Vec<f64>,
}

/// A change of one controlled input from a moment on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fork {
    /// First simulated step that differs.
    pub(super) at: usize,
    /// Which input changes.
    pub(super) row: usize,
    /// Both futures hold the controlled inputs where they stood, instead of following their signals.
    pub(super) hold: bool,
    /// Size of the change in deviations of that input.
    pub(super) size: f64,
    /// Steps until the change has its full size; 1 is a step.
    pub(super) rise: usize,
    /// Steps after which the change is taken back; `usize::MAX` for never.
    pub(super) length: usize,
    /// Whether this run is the one that changes.
    pub(super) applied: bool,
}

/// What a run leaves behind, without the warm-up.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// True output, in the plant's own scale.
    pub(super) output: Vec<f64>,
    /// Inputs as they were applied and recorded.
    pub(super) inputs: Vec<Vec<f64>>,
}

/// Simulates one run. Every row has `course.warm + course.steps` values, and there are at most
/// [`SLOTS`] rows.
pub(super) fn run<S: System>(
    mut system: S,
    rows: &[Row],
    course: &Course,
    fork: Option<Fork>,
    mut weather: Draw,
) -> Run {
    let total = course.warm + course.steps;
    let mut controller = course.feedback.clone();
    let mut output = Vec::with_capacity(total);
    let mut inputs = vec![Vec::with_capacity(total); rows.len()];
    let mut plan = None;
    for t in 0..total {
        if course.restart == Some(t) {
            system.restart(&mut weather);
        }
        let seen = system.output();
        let mut step: Step = [0.0; SLOTS];
        for (slot, row) in step.iter_mut().zip(rows) {
            *slot = row.values[t];
        }
        if let Some(controller) = controller.as_mut().filter(|c| t < c.until) {
            step[0] = controller.decide(t, seen, step[0]);
        }
        if let Some(fork) = fork.filter(|f| t >= f.at) {
            plan.get_or_insert_with(|| Plan::at_fork(fork, rows, &inputs, step)).apply(rows, t - fork.at, &mut step);
        }
        for (record, value) in inputs.iter_mut().zip(step) {
            record.push(value);
        }
        let condition = course.wear.as_ref().map_or(Condition::NEW, |w| w.at(t));
        let mut effective = step;
        effective[course.used.min(SLOTS)..].fill(0.0);
        effective[0] = effective[0] * condition.gain + course.load.get(t).copied().unwrap_or(0.0);
        system.advance(&effective, condition, &mut weather);
        output.push(if course.prompt { system.output() } else { seen });
    }
    output.drain(..course.warm);
    for record in &mut inputs {
        record.drain(..course.warm);
    }
    Run { output, inputs }
}

/// A fork in the units of the plant, fixed at the moment it happens.
struct Plan {
    fork: Fork,
    held: Step,
    size: f64,
}

impl Plan {
    fn at_fork(fork: Fork, rows: &[Row], past: &[Vec<f64>], now: Step) -> Self {
        let mut held = now;
        for (level, record) in held.iter_mut().zip(past) {
            let recent = &record[record.len().saturating_sub(HOLD_STEPS)..];
            if !recent.is_empty() {
                *level = moments(recent).0;
            }
        }
        let record = &past[fork.row];
        let (low, high) = rows[fork.row].limits;
        let mut unit = moments(&record[record.len().saturating_sub(LOOK_BACK)..]).1;
        if unit < 1e-3 {
            unit = if (high - low).is_finite() { 0.25 * (high - low) } else { 1.0 };
        }
        let size = fork.size * unit;
        let from = if fork.hold { held } else { now }[fork.row];
        // Against a limit the change would be no change: then it goes the other way.
        let blocked = ((from + size).clamp(low, high) - from).abs() < 0.5 * size.abs();
        let size = if blocked { -size } else { size };
        Self { fork, held, size }
    }

    fn apply(&self, rows: &[Row], since: usize, step: &mut Step) {
        let Fork { row, hold, .. } = self.fork;
        if hold {
            for (slot, (level, _)) in
                step.iter_mut().zip(self.held.iter().zip(rows)).filter(|(_, (_, row))| row.controlled)
            {
                *slot = *level;
            }
        }
        if self.fork.applied && since < self.fork.length {
            let share = ((since + 1) as f64 / self.fork.rise as f64).min(1.0);
            let (low, high) = rows[row].limits;
            step[row] = (step[row] + share * self.size).clamp(low, high);
        }
    }
}
