//! The controller that runs a plant until an intervention: thermostat, P or PI on the first input.
//!
//! Always true: it pushes the right way, because it is tuned on two trial runs of a copy of the
//! plant; a plant whose output does not answer its first input gets no controller.

use super::draw::Draw;
use super::run::{Row, SLOTS, Step, System};
use super::signals::{moments, signal};
use super::wear::Condition;

/// Steps of a trial run.
const TRIAL_STEPS: usize = 192;
/// The end of a trial run that counts as its answer.
const SETTLED_STEPS: usize = 48;
/// How much of the original signal rides on the controller's output, as every real loop is excited a
/// little (prototype `fam_node`).
const DITHER: f64 = 0.1;
/// Largest deflection of a controller, in deviations of its input.
const REACH: f64 = 2.5;

/// A tuned controller with its state.
#[derive(Clone, Debug)]
pub(super) struct Feedback {
    /// First simulated step that it no longer drives.
    pub(super) until: usize,
    law: Law,
    /// Wanted output, in the plant's own scale, one per simulated step.
    wanted: Vec<f64>,
    /// Answer of the output to one deviation of the input, signed.
    answer: f64,
    middle: f64,
    spread: f64,
    limits: (f64, f64),
    integral: f64,
    on: bool,
}

#[derive(Clone, Copy, Debug)]
enum Law {
    /// On and off with a hysteresis, in units of the answer.
    OnOff { hysteresis: f64 },
    /// Proportional and integral gain (0 for none), in units of the answer.
    Steady { proportional: f64, integral: f64 },
}

impl Feedback {
    /// A controller for the plant's first input, or none where that input has no effect.
    /// `draw` chooses law and set-points, `trial` is the weather of the trial runs.
    pub(super) fn tune<S: System>(system: &S, rows: &[Row], draw: &mut Draw, trial: &Draw) -> Option<Self> {
        let first = rows.first()?;
        let total = first.values.len();
        let (middle, spread) = moments(&first.values);
        let (low, high) = first.limits;
        let (up, down) = ((middle + spread).clamp(low, high), (middle - spread).clamp(low, high));
        let high_answer = trial_run(system.clone(), rows, up, trial.clone());
        let low_answer = trial_run(system.clone(), rows, down, trial.clone());
        let answer = 0.5 * (high_answer - low_answer);
        if !answer.is_finite() || answer.abs() < 1e-6 {
            return None;
        }
        let law = if draw.chance(0.25) {
            Law::OnOff { hysteresis: draw.uniform(0.05, 0.4) }
        } else {
            let with_integral = draw.chance(0.7);
            Law::Steady {
                proportional: draw.log_uniform(0.2, 3.0),
                integral: if with_integral { draw.log_uniform(0.002, 0.05) } else { 0.0 },
            }
        };
        let centre = 0.5 * (high_answer + low_answer) + 0.5 * draw.normal() * answer.abs();
        let travel = draw.uniform(0.0, 0.8) * answer.abs();
        let wanted = signal(draw, total).into_iter().map(|v| centre + travel * v).collect();
        Some(Self {
            until: draw.whole(3 * total / 10, 9 * total / 10),
            law,
            wanted,
            answer,
            middle,
            spread,
            limits: first.limits,
            integral: 0.0,
            on: false,
        })
    }

    /// The first input at step `t`, given the true output and what the input would have been.
    pub(super) fn decide(&mut self, t: usize, output: f64, original: f64) -> f64 {
        // In units of the answer, so that a positive error always asks for more input.
        let error = (self.wanted[t] - output) / self.answer;
        let push = match self.law {
            Law::OnOff { hysteresis } => {
                if error > hysteresis {
                    self.on = true;
                } else if error < -hysteresis {
                    self.on = false;
                }
                if self.on { 1.5 } else { -1.5 }
            }
            Law::Steady { proportional, integral } => {
                self.integral = (self.integral + integral * error).clamp(-2.0, 2.0);
                (proportional * error + self.integral).clamp(-REACH, REACH)
            }
        };
        let dither = DITHER * (original - self.middle);
        (self.middle + self.spread * push + dither).clamp(self.limits.0, self.limits.1)
    }
}

/// Where the output settles with the first input at `level` and the others at their means.
fn trial_run<S: System>(mut system: S, rows: &[Row], level: f64, mut weather: Draw) -> f64 {
    let mut step: Step = [0.0; SLOTS];
    for (slot, row) in step.iter_mut().zip(rows).skip(1) {
        *slot = moments(&row.values).0;
    }
    step[0] = level;
    let mut sum = 0.0;
    for t in 0..TRIAL_STEPS {
        system.advance(&step, Condition::NEW, &mut weather);
        if t >= TRIAL_STEPS - SETTLED_STEPS {
            sum += system.output();
        }
    }
    sum / SETTLED_STEPS as f64
}
