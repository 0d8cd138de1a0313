//! Whether readings can be believed: checks over an asset's frames, and what is left out of learning.
//!
//! Tests and flags are those of QARTOD (IOOS manuals for real-time quality control): gap, gross range,
//! spike, rate of change and flat line, and beside them repeated frames, clocks that jump and units that
//! change. Limits come from the asset's type; where it says nothing thresholds come from the signal's own
//! history, and every answer gives them. What fails is missing to whoever learns, what is suspect stays.
//! A record in which nothing fails is passed on bit by bit. Pure functions: nothing here is stored, and
//! readings themselves are never changed.

mod check;
mod clean;
mod flag;
pub mod live;
#[cfg(test)]
mod oracle;
mod profile;
pub mod qartod;
mod report;
#[cfg(test)]
mod tests;
mod timing;
mod unit;

use std::collections::BTreeMap;

pub use check::{Basis, Checked, Test};
pub use clean::Cleaned;
pub use flag::{Counts, Flag};
pub use report::{Health, Removed, SignalHealth, Stretch, TestHealth, Timing, health};
pub use timing::step_s;

use crate::asset::{AssetType, Kind, Role};
use crate::reading::{Frame, QUALITY_BAD, QUALITY_UNCERTAIN};
use check::Surroundings;
use profile::Profile;
use qartod::Reference;

/// An input that changes by this factor may make an output change by any.
const LEAP: f64 = 3.0;

/// What all tests say of an asset's frames.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// Seconds of the step that the asset keeps to.
    pub step_s: f64,
    /// Of each frame: steps without any frame before it.
    pub silent: Vec<usize>,
    /// For each signal of the type: whether each frame should have a value of it, which those of a signal
    /// with an interval of its own need not.
    pub due: Vec<Vec<bool>>,
    /// Tests of the frames themselves.
    pub frames: Vec<Checked>,
    /// For each signal of the type, its tests.
    pub signals: Vec<Vec<Checked>>,
}

impl Assessment {
    /// The flag of each value of a signal: of all tests the one that counts most.
    #[must_use]
    pub fn flags(&self, signal: usize) -> Vec<Flag> {
        let unknown = |due: &bool| if *due { Flag::Missing } else { Flag::NotEvaluated };
        let mut flags: Vec<Flag> = self.due[signal].iter().map(unknown).collect();
        for checked in &self.signals[signal] {
            flags.iter_mut().zip(&checked.flags).for_each(|(flag, other)| *flag = (*flag).max(*other));
        }
        flags
    }
}

/// Carries out all tests on an asset's frames, which are in the order of time.
#[must_use]
pub fn assess(asset_type: &AssetType, frames: &[Frame]) -> Assessment {
    let signals = &asset_type.document.signals;
    let step_s = step_s(asset_type.interval_s(), frames);
    let seconds: Vec<f64> = frames.iter().map(|frame| timing::elapsed_s(&frames[0], frame)).collect();
    let columns: Vec<Vec<f64>> =
        (0..signals.len()).map(|signal| frames.iter().map(|frame| frame.values[signal]).collect()).collect();
    let context = Context::of(asset_type, &columns);
    let checks = signals.iter().zip(&columns).enumerate().map(|(place, (declared, values))| {
        let others = context.others(place);
        let around = Surroundings {
            seconds: &seconds,
            step_s,
            leapt: &context.leapt,
            pulsed: &context.pulsed,
            controlled: &context.controlled,
            others: &others,
        };
        check::signal(declared, values, source(frames, place), &around)
    });
    let due = signals.iter().zip(&columns).map(|(declared, values)| {
        let interval_s = asset_type.document.interval_of(declared).seconds();
        timing::due(&seconds, values, interval_s, step_s)
    });
    let due = due.collect();
    let signals = checks.collect();
    let fixed = |test, flags| Checked { test, flags, thresholds: BTreeMap::new(), basis: Basis::Fixed };
    let frame_tests = vec![
        fixed(Test::Clock, timing::clock(frames, step_s)),
        fixed(Test::Duplicate, timing::duplicates(frames, &context.restless)),
    ];
    Assessment { step_s, silent: timing::silent_steps(frames, step_s), due, frames: frame_tests, signals }
}

/// What the source said of the values of a signal.
fn source(frames: &[Frame], signal: usize) -> Checked {
    let flag = |frame: &Frame| {
        let quality = frame.quality.as_ref().and_then(|quality| quality.get(signal));
        match quality {
            _ if frame.values[signal].is_nan() => Flag::Missing,
            Some(&QUALITY_BAD) => Flag::Fail,
            Some(&QUALITY_UNCERTAIN) => Flag::Suspect,
            _ => Flag::Pass,
        }
    };
    let flags = frames.iter().map(flag).collect();
    Checked { test: Test::Source, flags, thresholds: BTreeMap::new(), basis: Basis::Fixed }
}

/// What goes on in the whole asset.
struct Context {
    /// Whether an input changed by a factor at a frame or beside it.
    leapt: Vec<bool>,
    /// Whether an input made an unusual move and came back at a frame or beside it.
    pulsed: Vec<bool>,
    /// Whether a control input moved at a frame.
    controlled: Vec<bool>,
    /// Of each signal that is measured and hardly ever repeats a value: whether it changed at a frame.
    changed: Vec<(usize, Vec<bool>)>,
    /// Signals that hardly ever repeat a value.
    restless: Vec<usize>,
}

impl Context {
    fn of(asset_type: &AssetType, columns: &[Vec<f64>]) -> Self {
        let count = columns.first().map_or(0, Vec::len);
        let [mut leapt, mut pulsed, mut controlled] = std::array::from_fn(|_| vec![false; count]);
        let (mut changed, mut restless) = (Vec::new(), Vec::new());
        for (place, (declared, values)) in asset_type.document.signals.iter().zip(columns).enumerate() {
            let Some(profile) = Profile::of(values) else { continue };
            let changes: Vec<f64> = changes(values);
            match declared.role {
                Role::ControlInput | Role::Disturbance => {
                    let unusual = |change: f64| change > 0.0 && change >= profile.unusual();
                    for at in (1..count).filter(|at| unusual(changes[*at])) {
                        let beside = at - 1..(at + 2).min(count);
                        if is_leap(values[at - 1], values[at]) {
                            leapt[beside.clone()].fill(true);
                        }
                        if qartod::spike_height(values, at, Reference::Differential).is_some_and(unusual) {
                            pulsed[beside].fill(true);
                        }
                    }
                    if declared.role == Role::ControlInput {
                        controlled.iter_mut().zip(&changes).for_each(|(moved, change)| *moved |= *change > 0.0);
                    }
                }
                Role::Output | Role::State if declared.kind == Kind::Number => {
                    changed.push((place, changes.iter().map(|change| *change > 0.0).collect()));
                }
                Role::Output | Role::State => {}
            }
            let known = changes.iter().filter(|change| change.is_finite()).count();
            let still = changes.iter().filter(|change| **change == 0.0).count();
            if declared.kind == Kind::Number && 20 * still < known {
                restless.push(place);
            }
        }
        Self { leapt, pulsed, controlled, changed, restless }
    }

    /// At which frames any output or state but this one changed.
    fn others(&self, signal: usize) -> Vec<bool> {
        let mut any = vec![false; self.leapt.len()];
        for (_, changed) in self.changed.iter().filter(|(place, _)| *place != signal) {
            any.iter_mut().zip(changed).for_each(|(any, changed)| *any |= changed);
        }
        any
    }
}

/// Whether an input went from one value to another that is several times as large, or as small.
fn is_leap(from: f64, to: f64) -> bool {
    from * to <= 0.0 || !(1.0 / LEAP..LEAP).contains(&(to / from))
}

/// Absolute change of each value since the one before; NaN where either is missing.
fn changes(values: &[f64]) -> Vec<f64> {
    let before = std::iter::once(&f64::NAN).chain(values);
    values.iter().zip(before).map(|(value, before)| (value - before).abs()).collect()
}
