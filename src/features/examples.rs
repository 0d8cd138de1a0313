//! Windows with what came after them: what fine-tuning learns from and is judged on.

use std::sync::Arc;

use super::{Banks, Fit, Grid, Known, Layout, Setup, Subject};
use crate::expert::study::Studies;
use crate::expert::{Crew, Scale};
use crate::model::trainee::Example;

/// Steps between two fits of the bank while examples are made: as old as they may be in serving.
const REFIT: usize = super::FRESH;

/// A stretch of a grid and how densely windows are taken from it.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// First step that a window may predict.
    pub from: usize,
    /// Step after the last one that a window may predict.
    pub to: usize,
    /// Windows wanted.
    pub windows: usize,
}

/// Examples of one target signal, in the order of time.
#[derive(Debug)]
pub struct TargetExamples {
    /// The signal.
    pub target: usize,
    /// Windows and truths.
    pub examples: Vec<Example>,
    /// Of each example: undoes its units.
    pub scales: Vec<Scale>,
    /// Of each example: the step after its last known one.
    pub origins: Vec<usize>,
}

/// Visits the origins of a split's windows in the order of time, those that share a fit together, each with a fit as old
/// as it may be in serving. A window sees everything before its origin and does not reach over a gap. Fits are made every
/// [`REFIT`] steps of the grid, wherever a split begins, so that splits share them.
fn visit(
    subject: Subject<'_>,
    target: usize,
    split: Split,
    steps: usize,
    banks: &Banks,
    mut at: impl FnMut(&[usize], &Fit),
) {
    let grid = subject.grid;
    let first = split.from.max(super::fit::FEWEST);
    let Some(last) = split.to.checked_sub(steps).filter(|last| *last >= first) else { return };
    let stride = ((last - first) / split.windows.max(1)).max(1);
    let origins = (first..=last).step_by(stride);
    let mut waiting: Option<(usize, Setup, Vec<usize>)> = None;
    let mut answer = |until: usize, setup: &Setup, origins: &[usize]| {
        let fit = |crew: &mut Crew| Fit::among(subject, target, until, steps, setup, crew);
        at(origins, &banks.crews.with((target, until, steps, setup.context), fit));
    };
    for origin in origins.filter(|origin| !grid.breaks_within(*origin, origin + steps)) {
        let setup = banks.at(grid, origin);
        let until = fitted_until(grid, origin);
        if let Some((fitted, with, origins)) = &mut waiting {
            let restarted = grid.starts.iter().any(|start| (*fitted + 1..=origin).contains(start));
            let young = *fitted >= until || until == origin && origin - *fitted < REFIT;
            if young && !restarted && with.is(&setup) {
                origins.push(origin);
                continue;
            }
            answer(*fitted, with, origins);
        }
        waiting = Some((until, setup, vec![origin]));
    }
    if let Some((fitted, with, origins)) = &waiting {
        answer(*fitted, with, origins);
    }
}

/// Step before which the fit of a window at `origin` ends: the same for all windows of [`REFIT`] steps, except after a
/// restart, of which a fit made before it knows nothing.
fn fitted_until(grid: &Grid, origin: usize) -> usize {
    let aligned = origin - origin % REFIT;
    let restart = grid.starts[..grid.starts.partition_point(|start| *start <= origin)].last().copied().unwrap_or(0);
    if aligned > restart && aligned >= super::fit::FEWEST { aligned } else { origin }
}

/// What the inputs of a layout did in `origin..origin + steps`.
fn inputs_after(grid: &Grid, layout: &Layout, origin: usize, steps: usize) -> Vec<Vec<f64>> {
    layout.inputs.iter().map(|input| grid.values[*input][origin..origin + steps].to_vec()).collect()
}

/// What was measured of a target in `origin..origin + steps`, in the units of `scale`; NaN where
/// nothing was.
fn truth_after(grid: &Grid, target: usize, origin: usize, steps: usize, scale: Scale) -> Vec<f64> {
    (origin..origin + steps)
        .map(|step| if grid.measured[target][step] { scale.target(grid.values[target][step]) } else { f64::NAN })
        .collect()
}

/// What the inputs do after each origin, and what came of a target, in the units of a fit.
fn ahead(
    Subject { grid, layout, .. }: Subject<'_>,
    target: usize,
    origins: &[usize],
    steps: usize,
    fit: &Fit,
) -> Vec<(Vec<Vec<f64>>, Vec<f64>)> {
    let at = |&origin: &usize| {
        (inputs_after(grid, layout, origin, steps), truth_after(grid, target, origin, steps, fit.scale()))
    };
    origins.iter().map(at).collect()
}

/// Takes windows of `steps` from a split for one target. A window sees everything before its
/// origin and is judged on measured values alone.
#[must_use]
pub fn examples(subject: Subject<'_>, target: usize, split: Split, steps: usize, banks: &Banks) -> TargetExamples {
    let Subject { grid, layout, .. } = subject;
    let mut made = TargetExamples { target, examples: Vec::new(), scales: Vec::new(), origins: Vec::new() };
    visit(subject, target, split, steps, banks, |origins, fit| {
        let (read, scale) = (fit.read(grid, origins), fit.scale());
        for (place, &origin) in origins.iter().enumerate() {
            let window = read.window(place, &inputs_after(grid, layout, origin, steps), steps);
            let truth = truth_after(grid, target, origin, steps, scale);
            let truth: Vec<f32> = truth.into_iter().map(|value| value as f32).collect();
            if window.is_finite() && truth.iter().any(|value| value.is_finite()) {
                made.examples.push(Example::new(window, truth));
                made.scales.push(scale);
                made.origins.push(origin);
            }
        }
    });
    made
}

/// Mean squared error of the banks alone on the windows of a split, in the target's unit squared. NaN without
/// windows.
#[must_use]
pub fn bank_error(subject: Subject<'_>, target: usize, split: Split, steps: usize, banks: &Banks) -> f64 {
    let (grid, (mut sum, mut count)) = (subject.grid, (0.0, 0.0));
    visit(subject, target, split, steps, banks, |origins, fit| {
        for trial in fit.read(grid, origins).trials(ahead(subject, target, origins, steps, fit), None) {
            for (said, truth) in trial.bank.iter().zip(&trial.truth).filter(|(_, truth)| truth.is_finite()) {
                sum += fit.scale().undo_difference(said - truth).powi(2);
                count += 1.0;
            }
        }
    });
    sum / count
}

/// Teaches how far the members of a target's studies are trusted beside the banks, on the windows of a
/// split (the validation part) that is answered by the study blind to it.
#[must_use]
pub fn weigh(
    studies: Studies,
    subject: Subject<'_>,
    target: usize,
    split: Split,
    steps: usize,
    banks: &Banks,
) -> Studies {
    let grid = subject.grid;
    let blind = Arc::new(studies);
    let banks = Banks { study: Known::Blind(blind.clone()), ..banks.clone() };
    let mut trials = Vec::new();
    visit(subject, target, split, steps, &banks, |origins, fit| {
        let from = |origin: &usize| blind.learned_from(*origin);
        for origins in origins.chunk_by(|one, other| Arc::ptr_eq(from(one), from(other))) {
            let ahead = ahead(subject, target, origins, steps, fit);
            let told = fit.read(grid, origins).trials(ahead, Some(from(&origins[0])));
            // Each fit has units of its own, in which an error in a calm stretch would count for more.
            let told = told.into_iter().map(|trial| trial.times(fit.scale().undo_difference(1.0)));
            trials.extend(origins.iter().copied().zip(told));
        }
    });
    drop(banks);
    let mut studies = Arc::unwrap_or_clone(blind);
    studies.weigh(&trials);
    studies
}
