//! Our own forecasters: the one place where evaluation meets bank, features, network and
//! calibration. A fine-tuned head is what a fine-tune job makes ([`Teacher`]), served as the engine
//! serves it, with bands that follow what they turned out to be.
//!
//! Always true: a forecast is made from a grid that ends before its origin and from the inputs of
//! its horizon, and its bands from forecasts that ended before it, so nothing else can reach it.

mod followed;
mod what_if;

use std::cell::RefCell;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use self::followed::Followed;
pub(super) use self::what_if::what_if;
use super::forecaster::Forecaster;
use super::task::{Span, Task};
use super::{EvaluateError, cpu};
use crate::expert::{self, Scale};
use crate::features::{Banks, FEWEST, FRESH, Fit, Grid, Layout, Setups, Split, Subject, TargetExamples, examples};
use crate::forecast::calibration::{Answered, Calibration};
use crate::model::trainee::{self, Example, Lesson};
use crate::model::window::{Window, future_steps};
use crate::model::{Base, BaseChoice, LEVELS, NORMAL, Quantiles, Recipe, scratch};
use crate::training::Bases;
use crate::training::learner::{Assignment, Learner as _};
use crate::training::teacher::Teacher;

/// Spans whose windows one thread makes in a row, with one fit for [`FRESH`] steps.
const CHUNK: usize = 64;
/// Steps and windows of the lesson of a network from scratch, as those of a fine-tune job.
const LESSON_STEPS: usize = 64;
const LESSON_WINDOWS: (usize, usize) = (720, 240);

/// A window, and what undoes its units.
type View = (Window, Scale);

/// Windows of every span of a task, made once for all forecasters that need them.
pub(super) struct Views {
    spans: Vec<Span>,
    /// For each span, for each target.
    made: Vec<Vec<View>>,
    /// CPU-seconds of bank and windows per span.
    seconds: f64,
    threads: usize,
    /// The same spans through the setups of a version: all seeds of a fine-tune job share them.
    tuned: RefCell<Option<(Vec<u8>, Rc<Views>)>>,
}

impl Views {
    /// Fits the banks of the base model and makes the windows, on `threads` threads. The numbers do not
    /// depend on how many there are.
    pub(super) fn new(task: &Task, spans: &[Span], threads: usize) -> Self {
        Self::through(task, spans, threads, &Setups::default())
    }

    /// The same spans with the banks of a version.
    fn tuned(&self, task: &Task, setups: &Setups) -> Rc<Self> {
        let key = setups.to_bytes();
        let mut tuned = self.tuned.borrow_mut();
        if let Some((_, views)) = tuned.as_ref().filter(|(known, _)| *known == key) {
            return views.clone();
        }
        let views = Rc::new(Self::through(task, &self.spans, self.threads, setups));
        *tuned = Some((key, views.clone()));
        views
    }

    fn through(task: &Task, spans: &[Span], threads: usize, setups: &Setups) -> Self {
        let before = cpu::seconds();
        let chunks: Vec<&[Span]> = spans.chunks(CHUNK).collect();
        let jobs: Vec<(usize, usize)> = (0..chunks.len())
            .flat_map(|chunk| (0..task.layout.targets.len()).map(move |place| (chunk, place)))
            .collect();
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, Vec<View>)>> = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| {
                    while let Some((chunk, place)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let made = target_views(task, *place, chunks[*chunk], setups);
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        done.push((chunk * task.layout.targets.len() + place, made));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(job, _)| *job);
        let mut views: Vec<Vec<View>> = vec![Vec::new(); spans.len()];
        for (job, made) in done {
            let first = job / task.layout.targets.len() * CHUNK;
            made.into_iter().enumerate().for_each(|(place, view)| views[first + place].push(view));
        }
        let seconds = (cpu::seconds() - before) / spans.len().max(1) as f64;
        Self { spans: spans.to_vec(), made: views, seconds, threads, tuned: RefCell::default() }
    }

    fn of(&self, span: Span) -> Result<&[View], EvaluateError> {
        let place = self.spans.iter().position(|known| *known == span);
        place.map(|place| self.made[place].as_slice()).ok_or(EvaluateError::Broken("a span without windows".into()))
    }
}

/// Windows of one target at ascending spans.
fn target_views(task: &Task, place: usize, spans: &[Span], setups: &Setups) -> Vec<View> {
    let (grid, layout, target) = (&task.grid, &task.layout, task.layout.targets[place]);
    let asset_type = &task.asset.asset_type;
    let setup = setups.of(task.target(place));
    let reach = task.protocol.look_back.unwrap_or(expert::CONTEXT + FRESH);
    let mut fit: Option<(usize, Fit)> = None;
    spans
        .iter()
        .map(|span| {
            let known = part(grid, span.origin.saturating_sub(reach)..span.origin);
            let steps = future_steps(span.steps);
            let kept = fit.take().filter(|(at, _)| {
                let began = grid.starts.iter().any(|start| (at + 1..=span.origin).contains(start));
                // A protocol that limits what may be seen limits what may be fitted.
                task.protocol.look_back.is_none() && span.origin - at < FRESH && !began
            });
            let (at, current) = kept.unwrap_or_else(|| {
                let subject = Subject { asset_type, grid: &known, layout };
                (span.origin, Fit::new(subject, target, known.len(), steps, &setup))
            });
            let future = future(grid, layout, *span, steps);
            let window = current.windows(&known, known.len(), &[future], steps).pop();
            let view = (window.expect("one future, one window"), current.scale());
            fit = Some((at, current));
            view
        })
        .collect()
}

/// The inputs of a span, the last one held to the end of the patch.
fn future(grid: &Grid, layout: &Layout, span: Span, steps: usize) -> Vec<Vec<f64>> {
    let row = |input: &usize| {
        let values = &grid.values[*input][span.origin..span.origin + span.steps];
        let last = values.last().copied().unwrap_or_default();
        values.iter().copied().chain(std::iter::repeat(last)).take(steps).collect()
    };
    layout.inputs.iter().map(row).collect()
}

/// A stretch of a grid as a grid of its own.
pub(super) fn part(grid: &Grid, steps: Range<usize>) -> Grid {
    let inside = grid.starts.iter().filter(|start| (steps.start + 1..steps.end).contains(start));
    Grid {
        step_s: grid.step_s,
        end: grid.instants[steps.end - 1],
        instants: grid.instants[steps.clone()].to_vec(),
        values: grid.values.iter().map(|row| row[steps.clone()].to_vec()).collect(),
        measured: grid.measured.iter().map(|row| row[steps.clone()].to_vec()).collect(),
        starts: std::iter::once(0).chain(inside.map(|start| start - steps.start)).collect(),
    }
}

/// The bank with Gaussian bands.
pub(super) struct BankOnly {
    views: Rc<Views>,
    limits: Vec<(f64, f64)>,
}

impl BankOnly {
    pub(super) fn new(task: &Task, views: &Rc<Views>) -> Self {
        Self { views: views.clone(), limits: limits(task) }
    }
}

impl BankOnly {
    /// The bank as a fine-tune job builds it: its context, and the study of the whole past.
    pub(super) fn studied(task: &Task, views: &Rc<Views>) -> Result<Self, EvaluateError> {
        let asset_type = &task.asset.asset_type;
        let grid = Grid::new(asset_type, &task.frames_of(&task.protocol.taught));
        let grid = grid.ok_or(EvaluateError::Broken("no rows to learn from".into()))?;
        let setups = Teacher::setups(asset_type, &grid).map_err(|error| EvaluateError::Broken(error.to_string()))?;
        Ok(Self::new(task, &views.tuned(task, &setups)))
    }
}

/// What a fine-tune job is given of a task.
pub(super) fn assignment(task: &Task, seed: u64) -> Assignment {
    Assignment {
        asset: task.asset.clone(),
        frames: task.frames_of(&task.protocol.taught),
        recipe: Recipe { seed, ..Recipe::default() },
        champion: None,
        labels: Vec::new(),
        bases: Bases::default(),
        fleet: Vec::new(),
    }
}

impl Forecaster for BankOnly {
    fn forecast(&mut self, spans: &[Span]) -> Result<Vec<Vec<Quantiles>>, EvaluateError> {
        spans
            .iter()
            .map(|span| {
                let views = self.views.of(*span)?.iter().zip(&self.limits);
                Ok(views
                    .map(|((window, scale), limits)| {
                        let mut answer = gaussian(window);
                        in_units(&mut answer, scale, *limits);
                        answer.truncate(span.steps);
                        answer
                    })
                    .collect())
            })
            .collect()
    }

    fn spent(&self) -> f64 {
        self.views.seconds
    }
}

/// What an untrained head would say.
fn gaussian(window: &Window) -> Quantiles {
    let scale = f64::from(window.scale);
    window.bank[window.context..].iter().map(|mean| NORMAL.map(|z| f64::from(*mean) + scale * z)).collect()
}

/// Bank and network: the base model, a head of its own on it, or another network.
pub(super) struct Corrected {
    views: Rc<Views>,
    limits: Vec<(f64, f64)>,
    names: Vec<String>,
    base: Base,
    head: Option<Vec<u8>>,
    calibration: Calibration,
    followed: Option<Followed>,
}

impl Corrected {
    fn new(task: &Task, views: &Rc<Views>, base: Base) -> Self {
        let names = (0..task.layout.targets.len()).map(|place| task.target(place).to_owned()).collect();
        Self {
            views: views.clone(),
            limits: limits(task),
            names,
            base,
            head: None,
            calibration: Calibration::default(),
            followed: None,
        }
    }

    /// The base model as it is.
    pub(super) fn zero_shot(task: &Task, views: &Rc<Views>, base: &BaseChoice) -> Result<Self, EvaluateError> {
        Ok(Self::new(task, views, loaded(base)?))
    }

    /// The head and the bands of a fine-tune job.
    pub(super) fn fine_tuned(
        task: &Task,
        views: &Rc<Views>,
        base: &BaseChoice,
        seed: u64,
    ) -> Result<Self, EvaluateError> {
        let learned = Teacher::of(base.clone()).learn(assignment(task, seed), &mut |_| ControlFlow::Continue(()));
        let learned = learned.map_err(|error| EvaluateError::Broken(error.to_string()))?;
        let calibration = serde_json::from_value(learned.calibration);
        let tuned = views.tuned(task, &Setups::attached_to(&learned.weights));
        Ok(Self {
            head: Some(learned.weights),
            followed: Some(Followed::new(task, &tuned.spans)),
            calibration: calibration.map_err(|error| EvaluateError::Broken(error.to_string()))?,
            ..Self::new(task, &tuned, loaded(base)?)
        })
    }

    /// The same network without pretraining, on the windows of a fine-tune job.
    pub(super) fn from_scratch(
        task: &Task,
        views: &Rc<Views>,
        material: &Material,
        base: &BaseChoice,
        seed: u64,
    ) -> Result<Self, EvaluateError> {
        let recipe = Recipe { seed, ..Recipe::default() };
        let base = scratch::learn(base.card(), &material.lesson, &recipe, &mut |_| ControlFlow::Continue(()));
        let base = base.map_err(|error| EvaluateError::Broken(error.to_string()))?;
        let mut made = Self::new(task, views, base);
        for part in &material.validation {
            let windows: Vec<&Window> = part.examples.iter().map(|example| &example.window).collect();
            let said = trainee::answer(&made.base, None, &windows)
                .map_err(|error| EvaluateError::Broken(error.to_string()))?;
            let truth = |example: &Example| example.truth.iter().map(|value| f64::from(*value)).collect();
            let truths: Vec<Vec<f64>> = part.examples.iter().map(truth).collect();
            let name = &task.asset.asset_type.document.signals[part.target].name;
            let slice = Answered { answers: &said, truths: &truths, origins: &part.origins };
            made.calibration.fit(name, slice, None);
        }
        Ok(made)
    }
}

impl Forecaster for Corrected {
    fn forecast(&mut self, spans: &[Span]) -> Result<Vec<Vec<Quantiles>>, EvaluateError> {
        let views: Vec<&[View]> = spans.iter().map(|span| self.views.of(*span)).collect::<Result<_, _>>()?;
        let windows: Vec<&Window> = views.iter().copied().flatten().map(|(window, _)| window).collect();
        let said = trainee::answer(&self.base, self.head.as_deref(), &windows);
        let mut said = said.map_err(|error| EvaluateError::Broken(error.to_string()))?.into_iter();
        let mut answers = Vec::with_capacity(spans.len());
        for (span, views) in spans.iter().zip(views) {
            if let Some(followed) = &mut self.followed {
                followed.arrive(span.origin);
            }
            let targets = views.iter().zip(self.names.iter().zip(&self.limits)).zip(said.by_ref()).enumerate();
            let row = targets.map(|(place, (((_, scale), (name, limits)), mut answer))| {
                self.calibration.apply(name, &mut answer);
                if let Some(followed) = &self.followed {
                    followed.apply(place, &mut answer);
                }
                in_units(&mut answer, scale, *limits);
                answer.truncate(span.steps);
                answer
            });
            let row: Vec<Quantiles> = row.collect();
            if let Some(followed) = &mut self.followed {
                followed.serve(*span, &row);
            }
            answers.push(row);
        }
        Ok(answers)
    }

    fn spent(&self) -> f64 {
        self.views.seconds
    }
}

/// What a network from scratch learns from.
pub(super) struct Material {
    lesson: Lesson,
    validation: Vec<TargetExamples>,
}

impl Material {
    /// The windows of a fine-tune job on the same rows.
    pub(super) fn new(task: &Task) -> Result<Self, EvaluateError> {
        let frames = task.frames_of(&task.protocol.taught);
        let asset_type = &task.asset.asset_type;
        let grid = Grid::new(asset_type, &frames).ok_or(EvaluateError::Broken("no rows to learn from".into()))?;
        let (n, targets) = (grid.len(), task.layout.targets.len());
        let (learned, validated) = (n * 6 / 10, n * 8 / 10);
        let subject = Subject { asset_type, grid: &grid, layout: &task.layout };
        let take = |from, to, windows: usize| -> Vec<TargetExamples> {
            let split = Split { from, to, windows: (windows / targets).max(32) };
            let of = |target: &usize| examples(subject, *target, split, LESSON_STEPS, &Banks::default());
            task.layout.targets.iter().map(of).collect()
        };
        let all = |parts: &[TargetExamples]| parts.iter().flat_map(|part| part.examples.iter().cloned()).collect();
        let train = all(&take(FEWEST, learned, LESSON_WINDOWS.0));
        let validation = take(learned, validated, LESSON_WINDOWS.1);
        Ok(Self { lesson: Lesson { train, validation: all(&validation), ..Lesson::default() }, validation })
    }
}

/// A base model on this thread.
pub(super) fn loaded(base: &BaseChoice) -> Result<Base, EvaluateError> {
    base.load().map_err(|error| EvaluateError::Broken(error.to_string()))
}

/// What can be measured, for each target.
pub(super) fn limits(task: &Task) -> Vec<(f64, f64)> {
    let signals = &task.asset.asset_type.document.signals;
    let limit = |target: &usize| {
        let signal = &signals[*target];
        (signal.min.unwrap_or(f64::NEG_INFINITY), signal.max.unwrap_or(f64::INFINITY))
    };
    task.layout.targets.iter().map(limit).collect()
}

fn in_units(answer: &mut Quantiles, scale: &Scale, (low, high): (f64, f64)) {
    for row in answer {
        *row = row.map(|value| scale.undo(value).clamp(low, high));
    }
}

const _: () = assert!(LEVELS.len() == NORMAL.len(), "a normal score for each level");
