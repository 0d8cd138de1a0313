//! Ridge: one linear regression for each step of the horizon, on lags of the targets and on the
//! inputs from the lags to the end of the horizon.
//!
//! A window is centred on its mean or on its last value; that, the lags and the ridge are those
//! with the least error on the validation part. A horizon beyond [`LONGEST`] is answered piece by
//! piece, on the answers so far.

use std::ops::Range;

use super::forecaster::Point;
use super::series::Series;
use super::solve::{Sums, dot};
use super::task::{Span, Task};

/// Steps that are regressed at once.
const LONGEST: usize = 96;
/// The same where a longer horizon is pieced together.
const PIECE: usize = 64;
/// Lags that are tried: where there are no inputs, and where there are.
const ALONE: &[usize] = &[512, 168];
const BESIDE_INPUTS: &[usize] = &[128, 32];
const RIDGES: &[f64] = &[1e-1, 1.0, 10.0, 100.0, 1e3, 1e4];
/// Rows at most; more are thinned evenly.
const ROWS: usize = 12_000;

/// What is subtracted from a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Centre {
    Mean,
    Last,
}

/// Regressions for every target.
pub(super) struct Ridge {
    series: Series,
    groups: Vec<Group>,
}

#[derive(Clone)]
struct Group {
    targets: Vec<usize>,
    shape: Shape,
    ridge: f64,
    /// For each target, for each step.
    weights: Vec<Vec<f64>>,
}

/// What a row looks like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) lags: usize,
    pub(super) steps: usize,
    pub(super) centre: Centre,
}

impl Ridge {
    /// Chooses on the validation part.
    pub(super) fn choose(task: &Task) -> Option<Self> {
        let series = Series::of(task);
        let horizon = task.protocol.horizon;
        let steps = if horizon <= LONGEST { horizon } else { PIECE };
        let spans = task.validation_spans();
        let train = task.protocol.train.clone();
        let groups = series.groups().into_iter().map(|targets| choose(&series, &train, &targets, steps, &spans));
        let groups = groups.collect::<Option<_>>()?;
        Some(Self { series, groups })
    }

    /// One shape, without a choice.
    pub(super) fn fit(series: Series, train: &Range<usize>, shape: Shape, ridge: f64) -> Option<Self> {
        let groups = series.groups().into_iter().map(|targets| {
            let weights = shape.sums(&series, train, &targets)?.solve(&shape.all(&series, targets.len()), ridge)?;
            Some(Group { targets, shape, ridge, weights })
        });
        let groups = groups.collect::<Option<_>>()?;
        Some(Self { series, groups })
    }

    /// What it looks at.
    pub(super) fn series_mut(&mut self) -> &mut Series {
        &mut self.series
    }

    /// The same shapes on more steps.
    pub(super) fn refit(&mut self, steps: &Range<usize>) {
        for group in &mut self.groups {
            let all = group.shape.all(&self.series, group.targets.len());
            let sums = group.shape.sums(&self.series, steps, &group.targets);
            if let Some(weights) = sums.and_then(|mut sums| sums.solve(&all, group.ridge)) {
                group.weights = weights;
            }
        }
    }
}

impl Point for Ridge {
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

fn choose(series: &Series, train: &Range<usize>, targets: &[usize], steps: usize, spans: &[Span]) -> Option<Group> {
    let lags = if series.inputs.is_empty() { ALONE } else { BESIDE_INPUTS };
    let mut best: Option<(f64, Group)> = None;
    for lags in lags {
        for centre in [Centre::Mean, Centre::Last] {
            let shape = Shape { lags: *lags, steps, centre };
            let Some(mut sums) = shape.sums(series, train, targets) else { continue };
            let all = shape.all(series, targets.len());
            for ridge in RIDGES {
                let Some(weights) = sums.solve(&all, *ridge) else { continue };
                let group = Group { targets: targets.to_vec(), shape, ridge: *ridge, weights };
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

    /// Answers in normalised units, piece by piece.
    fn run(&self, series: &Series, span: Span) -> Vec<Vec<f64>> {
        let end = span.origin + span.steps;
        let (from, mut known) = series.known(&self.targets, span, self.shape.lags);
        let mut row = Vec::new();
        for origin in (span.origin..end).step_by(self.shape.steps) {
            row.clear();
            let centres = self.shape.features(&mut row, &known, from, &series.inputs, origin, end);
            for (place, (known, centre)) in known.iter_mut().zip(centres).enumerate() {
                let weights = &self.weights[place * self.shape.steps..][..self.shape.steps.min(end - origin)];
                known.extend(weights.iter().map(|weights| dot(weights, &row) + centre));
            }
        }
        known.into_iter().map(|row| row[span.origin - from..].to_vec()).collect()
    }
}

impl Shape {
    fn width(&self, targets: usize, inputs: usize) -> usize {
        targets * (self.lags + 1) + inputs * (self.lags + self.steps) + 1
    }

    fn all(&self, series: &Series, targets: usize) -> Vec<usize> {
        (0..self.width(targets, series.inputs.len())).collect()
    }

    /// Writes lags without their centre, the centres, the inputs and the intercept; says the
    /// centres. `targets` begin at step `from`, before which the first value stands; behind `end`
    /// the last input does.
    fn features(
        &self,
        row: &mut Vec<f64>,
        targets: &[Vec<f64>],
        from: usize,
        inputs: &[Vec<f64>],
        origin: usize,
        end: usize,
    ) -> Vec<f64> {
        let at = |lag: usize| origin.saturating_sub(lag).max(from);
        let mut centres = Vec::with_capacity(targets.len());
        for target in targets {
            let lags = (1..=self.lags).map(|lag| target[at(lag) - from]);
            let centre = match self.centre {
                Centre::Last => target[at(1) - from],
                Centre::Mean => lags.clone().sum::<f64>() / self.lags as f64,
            };
            row.extend(lags.map(|value| value - centre));
            centres.push(centre);
        }
        row.extend(&centres);
        for input in inputs {
            row.extend((1..=self.lags).map(|lag| input[at(lag)]));
            row.extend((origin..origin + self.steps).map(|step| input[step.min(end - 1)]));
        }
        row.push(1.0);
        centres
    }

    /// Sums over the windows inside `train`; `None` when there are too few to teach anything.
    fn sums(&self, series: &Series, train: &Range<usize>, targets: &[usize]) -> Option<Sums> {
        let last = train.end.checked_sub(self.steps)?;
        let windows = last.checked_sub(train.start + self.lags)? + 1;
        if windows < 2 * self.steps {
            return None;
        }
        let rows: Vec<Vec<f64>> = targets.iter().map(|target| series.targets[*target][..train.end].to_vec()).collect();
        let mut sums = Sums::new(self.width(targets.len(), series.inputs.len()), targets.len() * self.steps);
        for origin in (train.start + self.lags..=last).step_by(windows.div_ceil(ROWS)) {
            let start = series.start_of(origin + self.steps - 1);
            if origin < start + self.lags {
                continue;
            }
            sums.row(|row| {
                let centres = self.features(row, &rows, 0, &series.inputs, origin, train.end);
                for (target, centre) in rows.iter().zip(centres) {
                    row.extend(target[origin..origin + self.steps].iter().map(|value| value - centre));
                }
            });
        }
        Some(sums)
    }
}
