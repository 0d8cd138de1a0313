//! ARX: a linear difference equation fitted on the training part and run free.
//!
//! `y(t) = sum A_i y(t-i) + sum B_k u(t-k) + c`, the targets of one plant together. Orders and ridge
//! are those with the least free-run error on the validation part.

use std::ops::Range;

use super::forecaster::Point;
use super::series::Series;
use super::solve::{Sums, dot};
use super::task::{Span, Task};

/// Answers stay within this many deviations.
const LIMIT: f64 = 20.0;
/// Orders that are tried where there are inputs: past targets, then input values.
const TARGET_LAGS: &[usize] = &[1, 2, 4, 8];
const INPUT_LAGS: &[usize] = &[1, 4, 16, 48];
/// Past targets that are tried without inputs.
const ALONE: &[usize] = &[1, 2, 4, 8, 24, 48, 168];
const RIDGES: &[f64] = &[1e-6, 1e-2, 1.0];
/// Rows at most; more are thinned evenly.
const ROWS: usize = 20_000;

/// How far an equation looks back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) target_lags: usize,
    /// The present value included; 0 without inputs.
    pub(super) input_lags: usize,
}

/// Equations, one for each target.
pub(super) struct Arx {
    series: Series,
    groups: Vec<Group>,
}

/// Targets with one state.
struct Group {
    targets: Vec<usize>,
    order: Order,
    /// For each target: newest lag first, target by target, input by input, then the intercept.
    weights: Vec<Vec<f64>>,
}

impl Arx {
    /// Chooses on the validation part.
    pub(super) fn choose(task: &Task) -> Option<Self> {
        let series = Series::of(task);
        let train = task.protocol.train.clone();
        let spans = task.validation_spans();
        let groups = series.groups().into_iter().map(|targets| choose(&series, &train, &targets, &spans));
        let groups = groups.collect::<Option<_>>()?;
        Some(Self { series, groups })
    }

    /// One order, without a choice.
    pub(super) fn fit(series: Series, train: &Range<usize>, order: Order, ridge_per_row: f64) -> Option<Self> {
        let groups = series.groups().into_iter().map(|targets| {
            let mut sums = sums(&series, train, &targets, order);
            let ridge = ridge_per_row * sums.rows() as f64;
            let weights = sums.solve(&features(order, order, targets.len(), series.inputs.len()), ridge)?;
            Some(Group { targets, order, weights })
        });
        let groups = groups.collect::<Option<_>>()?;
        Some(Self { series, groups })
    }

    /// What it looks at.
    pub(super) fn series_mut(&mut self) -> &mut Series {
        &mut self.series
    }

    /// The same orders on more steps.
    pub(super) fn refit(&mut self, steps: &Range<usize>) {
        for group in &mut self.groups {
            let mut sums = sums(&self.series, steps, &group.targets, group.order);
            let features = features(group.order, group.order, group.targets.len(), self.series.inputs.len());
            if let Some(weights) = sums.solve(&features, RIDGES[0]) {
                group.weights = weights;
            }
        }
    }
}

impl Point for Arx {
    fn predict(&self, span: Span) -> Vec<Vec<f64>> {
        let mut answers = vec![Vec::new(); self.series.targets.len()];
        for group in &self.groups {
            for (target, answer) in group.targets.iter().zip(group.run(&self.series, span)) {
                answers[*target] = answer.into_iter().map(|value| self.series.undo(*target, value)).collect();
            }
        }
        answers
    }
}

impl Group {
    /// Runs free from an origin, in normalised units.
    fn run(&self, series: &Series, span: Span) -> Vec<Vec<f64>> {
        let Order { target_lags, input_lags } = self.order;
        let (from, mut known) = series.known(&self.targets, span, target_lags.max(input_lags));
        let mut lags = Vec::new();
        for step in span.origin..span.origin + span.steps {
            let at = |lag: usize| step.saturating_sub(lag).max(from);
            lags.clear();
            for row in &known {
                lags.extend((1..=target_lags).map(|lag| row[at(lag) - from]));
            }
            for row in &series.inputs {
                lags.extend((0..input_lags).map(|lag| row[at(lag)]));
            }
            lags.push(1.0);
            for (row, weights) in known.iter_mut().zip(&self.weights) {
                row.push(dot(weights, &lags).clamp(-LIMIT, LIMIT));
            }
        }
        known.into_iter().map(|row| row[span.origin - from..].to_vec()).collect()
    }
}

fn choose(series: &Series, train: &Range<usize>, targets: &[usize], spans: &[Span]) -> Option<Group> {
    let inputs = series.inputs.len();
    let room = train.len() / 3;
    let fitting = |lags: &'static [usize]| lags.iter().copied().filter(move |lags| *lags <= room);
    let target_lags: Vec<usize> = fitting(if inputs == 0 { ALONE } else { TARGET_LAGS }).collect();
    let input_lags: Vec<usize> = if inputs == 0 { vec![0] } else { fitting(INPUT_LAGS).collect() };
    let largest = Order { target_lags: *target_lags.last()?, input_lags: *input_lags.last()? };
    let mut sums = sums(series, train, targets, largest);
    let mut best: Option<(f64, Group)> = None;
    for target_lags in &target_lags {
        for input_lags in &input_lags {
            let order = Order { target_lags: *target_lags, input_lags: *input_lags };
            let features = features(order, largest, targets.len(), inputs);
            for ridge in RIDGES {
                let Some(weights) = sums.solve(&features, *ridge) else { continue };
                let group = Group { targets: targets.to_vec(), order, weights };
                let error = spans.iter().map(|span| group.error(series, *span)).sum::<f64>();
                if error.is_finite() && best.as_ref().is_none_or(|(least, _)| error < *least) {
                    best = Some((error, group));
                }
            }
        }
    }
    best.map(|(_, group)| group)
}

impl Group {
    fn error(&self, series: &Series, span: Span) -> f64 {
        let answers = self.run(series, span);
        self.targets.iter().zip(&answers).map(|(target, answer)| series.error(*target, span, answer)).sum()
    }
}

/// Sums over the rows of `train` with the lags of `order`.
fn sums(series: &Series, train: &Range<usize>, targets: &[usize], order: Order) -> Sums {
    let lags = order.target_lags.max(order.input_lags.saturating_sub(1));
    let width = targets.len() * order.target_lags + series.inputs.len() * order.input_lags + 1;
    let mut sums = Sums::new(width, targets.len());
    for step in (train.start..train.end).step_by(train.len().div_ceil(ROWS).max(1)) {
        if step < train.start.max(series.start_of(step)) + lags {
            continue;
        }
        sums.row(|row| {
            for target in targets {
                row.extend(series.targets[*target][step - order.target_lags..step].iter().rev());
            }
            for input in &series.inputs {
                row.extend(input[step + 1 - order.input_lags..=step].iter().rev());
            }
            row.push(1.0);
            row.extend(targets.iter().map(|target| series.targets[*target][step]));
        });
    }
    sums
}

/// Places of the features of `order` among those of `largest`.
fn features(order: Order, largest: Order, targets: usize, inputs: usize) -> Vec<usize> {
    let mut chosen = Vec::new();
    for target in 0..targets {
        chosen.extend((0..order.target_lags).map(|lag| target * largest.target_lags + lag));
    }
    let behind = targets * largest.target_lags;
    for input in 0..inputs {
        chosen.extend((0..order.input_lags).map(|lag| behind + input * largest.input_lags + lag));
    }
    chosen.push(behind + inputs * largest.input_lags);
    chosen
}
