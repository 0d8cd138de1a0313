//! Sample path for sample path: what limits and KPIs of an asset downstream are judged on.
//!
//! Each path of what feeds an asset is a future of its inputs; its answer and the asset's own luck make one path
//! of its outputs, and so on down the chain. So the third tank overflows as often as the first one is uncertain,
//! not only as often as the third one itself is. Always true: path number k of every asset, of the baseline and
//! of every scenario belong together, each asset has a luck of its own, and a scenario that changes nothing has
//! the bits of the baseline. Only assets that are judged and those that lead to them are driven.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Answered;
use super::ask::{Checked, WhatIf};
use super::constraint::ConstraintOutcome;
use super::downstream::{fed, held};
use super::risk::{Found, KpiOutcome, Risk, Rows};
use super::standing::Standing;
use crate::asset::Edge;
use crate::forecast::{ForecastError, Forecasts, Future, InputSource, Lots, Sampling, Situation, tidy_all};
use crate::model::Quantiles;

/// Sample paths when the request does not say.
const USUAL: usize = 200;
/// The fewest, where there are many scenarios.
const FEWEST: usize = 25;
/// Futures of one asset from which on fewer samples are drawn, if nobody said how many.
const MANY: usize = 1_024;
/// Futures of all assets together at most: samples x (scenarios and baseline) x driven assets.
const MOST: usize = 8_192;
/// Futures that are answered in one forward pass.
const PASS: usize = 64;

/// An asset downstream that was answered with the medians of what feeds it.
pub(super) struct Below<'e> {
    pub(super) answered: Answered,
    pub(super) feeds: Vec<&'e Edge>,
    /// What is judged of it.
    pub(super) risk: Option<Risk>,
    /// Whether it is judged, or leads to one that is.
    pub(super) driven: bool,
}

/// Paths of one asset in some samples: by sample, future and target.
type Paths = Vec<Vec<Vec<Vec<f64>>>>;

/// What one future does in all samples: by signal a row for each, or a single one that holds in all.
#[derive(Clone, Debug, Default, PartialEq)]
struct Course {
    targets: Vec<Vec<Vec<f64>>>,
    inputs: Vec<Vec<Vec<f64>>>,
}

/// What a driven asset starts from.
struct Driven<'a> {
    below: &'a Below<'a>,
    own: Future,
    instants: Vec<DateTime<Utc>>,
    lots: Lots,
    /// By future; empty where nobody looks.
    courses: Vec<Course>,
}

/// What was found of one asset.
struct Judged {
    /// By future.
    constraints: Vec<Vec<ConstraintOutcome>>,
    kpis: Vec<BTreeMap<String, KpiOutcome>>,
    standings: Vec<Standing>,
}

/// Judges the assets downstream on paths that are driven by those of the first one, and writes down what is
/// found in their outcomes.
pub(super) async fn judge(
    forecasts: &Forecasts,
    ask: &WhatIf,
    checked: &Checked,
    first: &Answered,
    below: &mut [Below<'_>],
) -> Result<(), ForecastError> {
    let driven = below.iter().filter(|below| below.driven).count();
    if driven == 0 {
        return Ok(());
    }
    let samples = samples(ask.samples, ask.scenarios.len() + 1, driven)?;
    let sampling = Sampling::within(ask.samples, ask.seed, samples)?;
    let shown = checked.shown.is_some();
    let courses = drive(forecasts, sampling, first, below, shown).await?;
    for (below, courses) in below.iter_mut().zip(courses).filter(|(_, courses)| !courses.is_empty()) {
        if shown {
            show(below, &courses);
        }
        if let Some(risk) = below.risk.take() {
            let (situation, ask, levels) = (&below.answered.situation, ask.clone(), checked.levels.clone());
            let (steps, step_s) = (situation.horizon, situation.grid.step_s);
            let judged = tokio::task::spawn_blocking(move || {
                Judged::of(&risk, &courses, (samples, steps, step_s), &ask, &levels)
            });
            write_down(below, judged.await.map_err(|_| ForecastError::Ending)?, samples);
        }
    }
    Ok(())
}

/// Samples that so many futures of so many assets are driven by: what was asked for, else as many as are usual
/// unless that would take long.
pub(super) fn samples(asked: Option<usize>, futures: usize, assets: usize) -> Result<usize, ForecastError> {
    let most = MOST / (futures * assets);
    let Some(asked) = asked else { return Ok((MANY / futures).clamp(FEWEST, USUAL).min(most).max(1)) };
    if asked <= most {
        return Ok(asked);
    }
    let detail = format!("for limits and KPIs downstream of so many scenarios at most {most} samples are drawn");
    Err(ForecastError::Beyond { pointer: "/samples".into(), detail, max: most })
}

/// What all futures of each asset do in all samples; nothing of an asset that nobody looks at.
async fn drive(
    forecasts: &Forecasts,
    sampling: Sampling,
    first: &Answered,
    below: &[Below<'_>],
    shown: bool,
) -> Result<Vec<Vec<Course>>, ForecastError> {
    let futures = first.answers.len();
    let own_luck = sampling.lots(&first.situation);
    let mut all: Vec<Option<Driven<'_>>> = below
        .iter()
        .enumerate()
        .map(|(place, below)| {
            below.driven.then(|| Driven::of(below, sampling.apart(place + 1), futures, shown)).transpose()
        })
        .collect::<Result<_, _>>()?;
    let each = (PASS / futures).max(1);
    for from in (0..sampling.samples()).step_by(each) {
        let block = from..(from + each).min(sampling.samples());
        let of_first = block.clone().map(|sample| paths(&first.situation, &own_luck, sample, &first.answers)).collect();
        let mut told: BTreeMap<&str, (&Situation, Paths)> = BTreeMap::new();
        told.insert(&first.situation.asset.key, (&first.situation, of_first));
        for driven in all.iter_mut().flatten() {
            let situation = &driven.below.answered.situation;
            let groups = driven.futures(&told, block.len(), futures)?;
            let answers = forecasts.answer_groups(situation, &groups).await?;
            let samples = block.clone().zip(&answers);
            let found: Paths = samples.map(|(sample, group)| paths(situation, &driven.lots, sample, group)).collect();
            driven.note(&groups, &found);
            told.insert(&situation.asset.key, (situation, found));
        }
    }
    Ok(all.into_iter().map(|driven| driven.map(|driven| driven.courses).unwrap_or_default()).collect())
}

/// The paths of one sample: by future and target.
fn paths(situation: &Situation, lots: &Lots, sample: usize, answers: &[Vec<Quantiles>]) -> Vec<Vec<Vec<f64>>> {
    let of_future = |answers: &Vec<Quantiles>| {
        answers.iter().enumerate().map(|(place, answer)| lots.of_sample(situation, place, sample, answer)).collect()
    };
    answers.iter().map(of_future).collect()
}

/// What an edge brings in a sample and a future at an asset's steps; `None` where its output is not predicted.
fn brought(
    told: &BTreeMap<&str, (&Situation, Paths)>,
    edge: &Edge,
    (sample, future): (usize, usize),
    instants: &[DateTime<Utc>],
) -> Option<Vec<f64>> {
    let (source, paths) = told.get(edge.source.as_str())?;
    let targets = &source.layout.targets;
    let place = targets.iter().position(|target| source.signal(*target).name == edge.from_signal)?;
    let present = source.grid.values[targets[place]].last().copied().unwrap_or(0.0);
    Some(held(present, &paths[sample][future][place], (source.grid.end, source.grid.step_s), instants))
}

impl<'a> Driven<'a> {
    fn of(below: &'a Below<'a>, sampling: Sampling, futures: usize, shown: bool) -> Result<Self, ForecastError> {
        let situation = &below.answered.situation;
        let looked_at = shown || below.risk.is_some();
        Ok(Self {
            own: situation.baseline(&BTreeMap::new())?,
            instants: situation.timestamps(),
            lots: sampling.lots(situation),
            courses: if looked_at { vec![Course::default(); futures] } else { Vec::new() },
            below,
        })
    }

    /// By sample of a block and by future.
    fn futures(
        &self,
        told: &BTreeMap<&str, (&Situation, Paths)>,
        samples: usize,
        futures: usize,
    ) -> Result<Vec<Vec<Future>>, ForecastError> {
        let Self { below: Below { answered, feeds, .. }, own, instants, .. } = self;
        let one = |sample: usize, future: usize| {
            fed(&answered.situation, own, feeds, |edge| brought(told, edge, (sample, future), instants))
        };
        (0..samples).map(|sample| (0..futures).map(|future| one(sample, future)).collect()).collect()
    }

    /// Takes note of a block of samples.
    fn note(&mut self, groups: &[Vec<Future>], found: &Paths) {
        let steps = self.below.answered.situation.horizon;
        for (group, paths) in groups.iter().zip(found) {
            for (course, (future, targets)) in self.courses.iter_mut().zip(group.iter().zip(paths)) {
                course.add(future, targets, steps);
            }
        }
    }
}

impl Course {
    /// Adds what a sample does.
    fn add(&mut self, future: &Future, targets: &[Vec<f64>], steps: usize) {
        self.targets.resize(targets.len(), Vec::new());
        self.targets.iter_mut().zip(targets).for_each(|(rows, row)| rows.push(row.clone()));
        self.inputs.resize(future.rows.len(), Vec::new());
        for (rows, (row, source)) in self.inputs.iter_mut().zip(future.rows.iter().zip(&future.sources)) {
            // What nothing feeds is the same in every sample.
            if rows.is_empty() || *source == InputSource::Fed {
                rows.push(row[..steps].to_vec());
            }
        }
    }

    /// Targets, then inputs.
    fn rows(&self) -> Vec<Rows<'_>> {
        self.targets.iter().chain(&self.inputs).map(|rows| rows.iter().map(Vec::as_slice).collect()).collect()
    }
}

impl Judged {
    fn of(
        risk: &Risk,
        courses: &[Course],
        (samples, steps, step_s): (usize, usize, f64),
        ask: &WhatIf,
        levels: &[f64],
    ) -> Self {
        let found: Vec<Found> =
            courses.iter().map(|course| risk.judge_rows(&course.rows(), samples, steps, step_s)).collect();
        let kpis = |(place, own): (usize, &Found)| risk.kpis(own, found.first().filter(|_| place > 0), levels);
        Self {
            kpis: found.iter().enumerate().map(kpis).collect(),
            standings: risk.standings(&found[1..], ask.rank_by.as_ref()),
            constraints: found.iter().map(|found| found.constraints.clone()).collect(),
        }
    }
}

/// Puts what was found into the outcome of an asset.
fn write_down(below: &mut Below<'_>, judged: Judged, samples: usize) {
    let outcome = &mut below.answered.outcome;
    outcome.risk_samples = Some(samples);
    let mut found = judged.constraints.into_iter().zip(judged.kpis);
    if let Some((constraints, kpis)) = found.next() {
        (outcome.baseline.constraints, outcome.baseline.kpis) = (constraints, kpis);
    }
    for (scenario, (constraints, kpis)) in outcome.scenarios.iter_mut().zip(found) {
        (scenario.constraints, scenario.kpis) = (constraints, kpis);
    }
    below.answered.standings = judged.standings;
}

/// Shows the paths that an asset was judged on.
fn show(below: &mut Below<'_>, courses: &[Course]) {
    let Answered { situation, outcome, .. } = &mut below.answered;
    let of = |course: &Course| -> BTreeMap<String, Vec<Vec<f64>>> {
        let targets = situation.layout.targets.iter().zip(&course.targets);
        let one = |(target, rows): (&usize, &Vec<Vec<f64>>)| {
            let mut rows = rows.clone();
            rows.iter_mut().for_each(|row| tidy_all(row));
            (situation.signal(*target).name.clone(), rows)
        };
        targets.map(one).collect()
    };
    let Some((first, others)) = courses.split_first() else { return };
    outcome.baseline.paths = Some(of(first));
    outcome.scenarios.iter_mut().zip(others).for_each(|(scenario, course)| scenario.paths = Some(of(course)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_futures_are_driven_by_fewer_samples_unless_somebody_said_how_many() {
        assert_eq!(
            [(2, 1), (11, 3), (65, 1), (65, 15)].map(|(futures, assets)| samples(None, futures, assets).unwrap()),
            [200, 93, 25, 8]
        );
        assert_eq!(samples(Some(600), 2, 2).unwrap(), 600);
        assert!(matches!(samples(Some(600), 11, 2), Err(ForecastError::Beyond { max: 372, .. })));
    }

    #[test]
    fn what_is_fed_has_a_row_for_each_sample_and_the_rest_one() {
        let mut course = Course::default();
        let future = |inflow: f64| Future {
            rows: vec![vec![50.0; 4], vec![inflow; 4]],
            sources: vec![InputSource::Hold, InputSource::Fed],
        };
        course.add(&future(1.0), &[vec![3.0, 4.0]], 2);
        course.add(&future(2.0), &[vec![5.0, 6.0]], 2);
        assert_eq!(course.targets, [vec![vec![3.0, 4.0], vec![5.0, 6.0]]]);
        assert_eq!(course.inputs, [vec![vec![50.0; 2]], vec![vec![1.0; 2], vec![2.0; 2]]]);
        let rows: Vec<usize> = course.rows().iter().map(Vec::len).collect();
        assert_eq!(rows, [2, 1, 2]);
    }
}
