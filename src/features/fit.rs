//! A bank fitted to one target signal, and the windows made with it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::grid::silences;
use super::{Grid, Setup};
use crate::asset::{AssetType, Role};
use crate::expert::study::{Study, Trial};
use crate::expert::{Bank, Crew, FRESH, History, Prepared, Scale, linear};
use crate::ids::AssetId;
use crate::model::window::{CONTEXT, SLOTS, Window};

/// Samples that the bank is fitted on at most.
const BANK_CONTEXT: usize = crate::expert::CONTEXT;
/// Other outputs that a study of one looks back on at most.
const OTHERS: usize = 4;
/// With fewer steps than this there is no fit, only persistence.
pub const FEWEST: usize = 64;
/// Fits kept in memory; one is about 100 kB.
const KEPT: usize = 2_000;

/// Which signals are predicted from which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Signals with the role output.
    pub targets: Vec<usize>,
    /// Control inputs, then disturbances: the order of the network's input slots.
    pub inputs: Vec<usize>,
}

impl Layout {
    /// Of a type's signals, leaving out inputs that `grid` never saw.
    #[must_use]
    pub fn new(asset_type: &AssetType, grid: &Grid) -> Self {
        let role = |role: Role| {
            let seen = |signal: &usize| grid.values[*signal].last().is_some_and(|value| value.is_finite());
            asset_type.with_role(role).map(|(index, _)| index).filter(seen).collect::<Vec<_>>()
        };
        let mut inputs = role(Role::ControlInput);
        inputs.extend(role(Role::Disturbance));
        inputs.truncate(SLOTS);
        Self { targets: role(Role::Output), inputs }
    }

    /// The other outputs that an answer for `target` may look back on; nobody knows their future.
    #[must_use]
    pub fn others(&self, target: usize) -> Vec<usize> {
        self.targets.iter().copied().filter(|other| *other != target).take(OTHERS).collect()
    }
}

/// What banks are fitted to and windows are cut from: an asset's steps, and what they mean.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its type.
    pub asset_type: &'a AssetType,
    /// What was measured.
    pub grid: &'a Grid,
    /// What is predicted from what.
    pub layout: &'a Layout,
}

/// A bank for one target, with the scales it was fitted in.
#[derive(Debug)]
pub struct Fit {
    bank: Bank,
    target: usize,
    layout: Layout,
    scales: Scales,
    setup: Setup,
    steps: usize,
    step_s: f64,
    /// Instant of the last step that it knows.
    end: DateTime<Utc>,
}

impl Fit {
    /// Fits the bank to the grid up to (not including) step `until`, for forecasts of `steps`.
    #[must_use]
    pub fn new(subject: Subject<'_>, target: usize, until: usize, steps: usize, setup: &Setup) -> Self {
        Self::among(subject, target, until, steps, setup, &mut Crew::default())
    }

    /// The same, sharing the work with other fits to the same steps of the same grid, for the same target, horizon and
    /// context, beside other studies.
    #[must_use]
    pub fn among(
        subject: Subject<'_>,
        target: usize,
        until: usize,
        steps: usize,
        setup: &Setup,
        crew: &mut Crew,
    ) -> Self {
        let start = until.saturating_sub(BANK_CONTEXT);
        let Subject { grid, layout, .. } = subject;
        let scales = Scales::of(subject, target, start, until);
        let stretch = Stretch::new(grid, layout, target, &scales, start, until);
        let newest = grid.instants[until - 1];
        let study = setup.study.as_ref().and_then(|study| {
            let known = |learned| grid.instants.partition_point(|instant| *instant <= learned);
            let unseen = until.saturating_sub(setup.learned_until.map_or(0, known));
            study.seen(scales.target, &scales.inputs, &scales.others, unseen)
        });
        Self {
            bank: Bank::fit_among(&stretch.history(), steps, setup.context, study.as_ref(), crew),
            target,
            layout: layout.clone(),
            scales,
            setup: setup.clone(),
            steps,
            step_s: grid.step_s,
            end: newest,
        }
    }

    /// The signal that it predicts.
    #[must_use]
    pub fn target(&self) -> usize {
        self.target
    }

    /// Mean and deviation of the target: undoes the network's units.
    #[must_use]
    pub fn scale(&self) -> Scale {
        self.scales.target
    }

    /// The bank.
    #[must_use]
    pub fn bank(&self) -> &Bank {
        &self.bank
    }

    /// Windows at the end of step `until - 1`, one for each future. A future holds a row per input
    /// of the layout with at least `steps` values, in the signals' units.
    #[must_use]
    pub fn windows(&self, grid: &Grid, until: usize, futures: &[Vec<Vec<f64>>], steps: usize) -> Vec<Window> {
        let read = self.read(grid, &[until]);
        futures.iter().map(|future| read.window(0, future, steps)).collect()
    }

    /// Reads a grid before each of the `origins` (ascending), between which no segment begins that the fit does not know.
    #[must_use]
    pub fn read(&self, grid: &Grid, origins: &[usize]) -> Read<'_> {
        let [first, last] = [origins.first(), origins.last()].map(|origin| origin.copied().unwrap_or_default());
        let start = first.saturating_sub(BANK_CONTEXT);
        let stretch = Stretch::new(grid, &self.layout, self.target, &self.scales, start, last);
        let ends: Vec<usize> = origins.iter().map(|origin| origin - start).collect();
        let prepared = self.bank.prepare_each(&stretch.history(), &ends);
        let ages = origins.iter().map(|origin| self.age(grid, *origin).unwrap_or(0)).collect();
        Read { fit: self, stretch, ends, prepared, ages }
    }

    /// What a linear difference equation alone, fitted at the end of step `until - 1`, says of `future` (as in
    /// [`Fit::windows`]): mean and deviation of each of the `steps` steps, in the target's unit. `None` where
    /// there is too little to fit it on.
    #[must_use]
    pub fn linear(&self, grid: &Grid, until: usize, future: &[Vec<f64>], steps: usize) -> Option<Vec<(f64, f64)>> {
        let start = until.saturating_sub(BANK_CONTEXT);
        let stretch = Stretch::new(grid, &self.layout, self.target, &self.scales, start, until);
        let rows = future.iter().zip(&self.scales.inputs);
        let scaled: Vec<Vec<f64>> =
            rows.map(|(row, scale)| row.iter().map(|value| scale.input(*value)).collect()).collect();
        let said = linear(&stretch.history(), &scaled, steps)?;
        let scale = self.scales.target;
        Some(said.into_iter().map(|(mean, spread)| (scale.undo(mean), scale.undo_difference(spread))).collect())
    }

    /// Errors of the bank in its back-tests, oldest origin first, in normalised units: the step of the
    /// grid that each begins at and a row, NaN where nothing was measured. None when the grid no longer
    /// shows where the fit was made.
    #[must_use]
    pub fn errors(&self, grid: &Grid, until: usize) -> Vec<(usize, Vec<f64>)> {
        let Some(fitted) = self.age(grid, until).map(|age| until - age) else { return Vec::new() };
        let error = |first: usize, (ahead, value): (usize, &f64)| {
            let at = first + ahead;
            let measured = grid.measured[self.target][at];
            if measured { self.scales.target.target(grid.values[self.target][at]) - value } else { f64::NAN }
        };
        let rows = self.bank.traces().iter().filter_map(|trace| {
            let first = fitted.checked_sub(trace.start_back)?;
            Some((first, trace.values.iter().enumerate().map(|step| error(first, step)).collect()))
        });
        rows.collect()
    }

    /// Steps of the grid between the fit and step `until - 1`; `None` when the grid no longer
    /// shows where it was made, or has another step.
    fn age(&self, grid: &Grid, until: usize) -> Option<usize> {
        let newest = *grid.instants.get(until.checked_sub(1)?)?;
        let same_step = (grid.step_s - self.step_s).abs() < 1e-9;
        if !same_step || self.end > newest || self.end < grid.instants[0] {
            return None;
        }
        // Grids are laid from their end, so the instants of two of them may differ by half a step.
        let at = grid.instants[..until].partition_point(|instant| {
            (*instant - self.end).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6 <= self.step_s / 2.0
        });
        Some(until - at.max(1))
    }

    fn serves(&self, grid: &Grid, layout: &Layout, steps: usize, setup: &Setup) -> bool {
        let until = grid.len();
        // Without inputs the experts answer the horizon they were fitted for.
        let long_enough = if layout.inputs.is_empty() { self.steps == steps } else { self.steps >= steps.min(64) };
        let new_segment = grid.starts.last().is_some_and(|start| grid.instants[*start] > self.end);
        let same = self.layout == *layout && self.setup.is(setup);
        same && long_enough && !new_segment && self.age(grid, until).is_some_and(|age| age <= FRESH)
    }
}

/// What a fit has read of a grid before some origins: answers begin here.
#[derive(Debug)]
pub struct Read<'f> {
    fit: &'f Fit,
    stretch: Stretch,
    /// The origins, as steps of the stretch.
    ends: Vec<usize>,
    prepared: Vec<Prepared<'f>>,
    /// Steps since the fit was made, at each origin.
    ages: Vec<usize>,
}

impl Read<'_> {
    /// The window at an origin, by its place. A future holds a row per input of the layout with at least `steps`
    /// values, in the signals' units.
    #[must_use]
    pub fn window(&self, place: usize, future: &[Vec<f64>], steps: usize) -> Window {
        let scaled = self.scaled(future, steps);
        let outlook = self.prepared[place].forecast(&scaled);
        let history = self.stretch.history().until(self.ends[place]);
        Window::new(&self.fit.bank, &outlook, &history, self.ages[place], &scaled, CONTEXT)
    }

    /// What the bank alone and each member of its study say of the steps from each origin on, given what the inputs do
    /// there and the truths (in the units of the fit), beside what the members of a study say that `learned` from these
    /// steps; a study whose shares are not yet known leaves the bank alone.
    #[must_use]
    pub fn trials(&self, ahead: Vec<(Vec<Vec<f64>>, Vec<f64>)>, learned: Option<&Arc<Study>>) -> Vec<Trial> {
        let Scales { target, inputs, others } = &self.fit.scales;
        let learned = learned.and_then(|study| study.seen(*target, inputs, others, 0));
        let ahead: Vec<(Vec<Vec<f64>>, Vec<f64>)> =
            ahead.into_iter().map(|(future, truth)| (self.scaled(&future, truth.len()), truth)).collect();
        let asked = ahead.iter().map(|(future, truth)| (future.as_slice(), truth.len()));
        let said = learned.map(|study| study.answers_each(&self.stretch.history(), &self.ends, asked));
        let said = said.unwrap_or_else(|| vec![Default::default(); self.ends.len()]);
        let told = self.prepared.iter().zip(ahead).zip(said);
        told.map(|((prepared, (future, truth)), said)| prepared.trial(&future, said, truth)).collect()
    }

    /// A future in the units of the fit.
    fn scaled(&self, future: &[Vec<f64>], steps: usize) -> Vec<Vec<f64>> {
        let rows = future.iter().zip(&self.fit.scales.inputs);
        rows.map(|(row, scale)| row[..steps].iter().map(|value| scale.input(*value)).collect()).collect()
    }
}

/// What undoes the units of a fit.
#[derive(Clone, Debug)]
struct Scales {
    target: Scale,
    inputs: Vec<Scale>,
    others: Vec<Scale>,
}

impl Scales {
    fn of(Subject { asset_type, grid, layout }: Subject<'_>, target: usize, start: usize, until: usize) -> Self {
        let of = |signal: usize| {
            let declared = &asset_type.document.signals[signal];
            Scale::of(&grid.values[signal][start..until], declared.min.zip(declared.max))
        };
        Self {
            target: {
                let declared = &asset_type.document.signals[target];
                Scale::of_target(&grid.values[target][start..until], declared.min.zip(declared.max))
            },
            inputs: layout.inputs.iter().map(|input| of(*input)).collect(),
            others: layout.others(target).into_iter().map(of).collect(),
        }
    }
}

/// A stretch of a grid in a fit's units.
#[derive(Debug)]
struct Stretch {
    target: Vec<f64>,
    inputs: Vec<Vec<f64>>,
    others: Vec<Vec<f64>>,
    starts: Vec<usize>,
    silent: Vec<Range<usize>>,
}

impl Stretch {
    fn new(grid: &Grid, layout: &Layout, target: usize, scales: &Scales, start: usize, until: usize) -> Self {
        let rows = |signals: &[usize], scales: &[Scale]| -> Vec<Vec<f64>> {
            let row = |(signal, scale): (&usize, &Scale)| {
                grid.values[*signal][start..until].iter().map(|value| scale.input(*value)).collect()
            };
            signals.iter().zip(scales).map(row).collect()
        };
        Self {
            target: grid.values[target][start..until].iter().map(|value| scales.target.target(*value)).collect(),
            inputs: rows(&layout.inputs, &scales.inputs),
            others: rows(&layout.others(target), &scales.others),
            starts: std::iter::once(0)
                .chain(grid.starts.iter().filter(|first| (start + 1..until).contains(first)).map(|first| first - start))
                .collect(),
            silent: silences(&grid.measured[target][start..until]),
        }
    }

    fn history(&self) -> History<'_> {
        History {
            target: &self.target,
            inputs: &self.inputs,
            others: &self.others,
            starts: &self.starts,
            silent: &self.silent,
        }
    }
}

/// Fits by asset and target, kept while they are fresh.
#[derive(Clone, Debug, Default)]
pub struct Fits(Arc<Mutex<Kept>>);

type Kept = HashMap<Key, Arc<Fit>>;
/// Asset, target, and whether the horizon is a long one.
type Key = (AssetId, usize, bool);

fn key(asset: AssetId, target: usize, steps: usize) -> Key {
    (asset, target, steps > 64)
}

impl Fits {
    /// The fit that is kept for the end of the grid, while it is fresh.
    #[must_use]
    pub fn kept(
        &self,
        asset: AssetId,
        grid: &Grid,
        layout: &Layout,
        target: usize,
        steps: usize,
        setup: &Setup,
    ) -> Option<Arc<Fit>> {
        let kept = self.lock().get(&key(asset, target, steps)).cloned();
        kept.filter(|fit| fit.serves(grid, layout, steps, setup))
    }

    /// A fresh fit for the end of the grid, made now if there is none. Costs milliseconds of CPU
    /// when it is made: call it off the runtime's threads.
    #[must_use]
    pub fn fresh(&self, asset: AssetId, subject: Subject<'_>, target: usize, steps: usize, setup: &Setup) -> Arc<Fit> {
        let Subject { grid, layout, .. } = subject;
        if let Some(fit) = self.kept(asset, grid, layout, target, steps, setup) {
            return fit;
        }
        let fit = Arc::new(Fit::new(subject, target, grid.len(), steps, setup));
        let mut fits = self.lock();
        if fits.len() >= KEPT {
            let oldest = fits.iter().min_by_key(|(_, fit)| fit.end).map(|(key, _)| *key);
            if let Some(key) = oldest {
                fits.remove(&key);
            }
        }
        fits.insert(key(asset, target, steps), fit.clone());
        fit
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
