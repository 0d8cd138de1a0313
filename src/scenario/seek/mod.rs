//! Goal seek: the control schedule over the horizon that serves an aim best and keeps limits with
//! their probabilities, within what the serving model has seen.
//!
//! A population search (CMA-ES) over a few knots for each control; each generation is one batch
//! through the engine, as a what-if is. The best schedules are then judged anew, on sample paths of
//! another luck. The answer is synchronous: a search takes seconds, ends at its deadline, and ends
//! with the next generation when the caller hangs up. Whoever asks for a stream of events is told how far
//! it has come. Gradients through the network are deliberately
//! absent: with a few knots a population needs a few hundred schedules, and it does not care for a
//! constraint's corners, the sensor's limits, or a sign that changes.

pub mod ask;
pub mod cma;
pub mod objective;
pub mod outcome;
mod problem;
mod progress;
mod routes;
pub mod schedule;
pub mod search;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use self::ask::{Budget, MAX_WORK};
pub use self::ask::{Control, GoalSeek};
pub use self::objective::{Objective, Setpoint};
use self::outcome::{Court, Ended, SearchReport};
pub use self::outcome::{Schedule, SeekOutcome};
use self::problem::Problem;
pub use self::progress::{Heard, SeekProgress};
pub use self::routes::router;
use self::search::{Search, Worth};
use super::audit::ignored::{Ignored, moved};
use super::support::{self, Judge};
use crate::features::{FEWEST, FEWEST_SEEN};
use crate::forecast::{
    ForecastError, Forecasts, Future, Lots, Said, Sampling, Situation, Source, checked_levels, frequency, units,
};
use crate::model::{EngineError, Quantiles};

/// Searches at a time: one more is told to come back, so that predictions go on.
const SEARCHES: usize = 2;
/// Sample paths that a schedule is judged on while the search goes on.
const SEARCH_SAMPLES: usize = 96;
/// The best schedules, however alike, that are judged anew beside those that differ.
const FINALISTS: usize = 6;

/// Handle on goal seek; clones share everything.
#[derive(Clone, Debug)]
pub struct Seeks {
    forecasts: Forecasts,
    ignored: Ignored,
    room: Arc<Semaphore>,
}

impl Seeks {
    /// Puts the room together.
    #[must_use]
    pub fn new(forecasts: Forecasts) -> Self {
        Self { forecasts, ignored: Ignored::default(), room: Arc::new(Semaphore::new(SEARCHES)) }
    }

    /// Searches. Dropping the future ends the search with the generation that is under way.
    pub async fn seek(&self, asset: &str, ask: &GoalSeek) -> Result<SeekOutcome, ForecastError> {
        self.search(asset, ask, |_| ()).await
    }

    /// Searches and tells how far it has come after each generation.
    async fn search(
        &self,
        asset: &str,
        ask: &GoalSeek,
        mut told: impl FnMut(SeekProgress) + Send,
    ) -> Result<SeekOutcome, ForecastError> {
        let (began, budget) = (Instant::now(), ask.budget()?);
        let levels = checked_levels(ask.quantiles.as_deref())?;
        let _permit = self.room.try_acquire().map_err(|_| ForecastError::Engine(EngineError::Busy))?;
        let situation = self.forecasts.situation(asset, ask.as_of, ask.horizon).await?;
        let (situation, judge) = support::judge_of(situation).await?;
        let situation = Arc::new(situation);
        let work = budget.evaluations * situation.horizon * situation.layout.targets.len();
        if work > MAX_WORK {
            let most = MAX_WORK / (situation.horizon * situation.layout.targets.len());
            let detail = format!("with this horizon and these outputs at most {most} schedules are tried");
            return Err(ForecastError::Invalid(vec![("/evaluations".into(), detail)]));
        }
        if judge.is_none() && !ask.allow_outside_support {
            return Err(ForecastError::TooShort { have: situation.grid.len(), need: FEWEST_SEEN });
        }
        let names = names(&situation);
        let (mut problem, mut search) = Self::prepare(ask, budget, &situation, judge.as_ref(), &names)?;
        let unmodified = self.forecasts.answer(&situation, std::slice::from_ref(&problem.baseline)).await?;
        if unmodified.model.source == Source::Fallback {
            return Err(ForecastError::TooShort { have: situation.grid.len(), need: FEWEST });
        }
        problem.excuse(&unmodified.answers[0]);
        let problem = Arc::new(problem);
        let deadline = began + Duration::from_secs_f64(budget.deadline_s);
        let mut ended = Ended::Evaluations;
        while search.count() < budget.evaluations {
            if search.count() > 0 && Instant::now() >= deadline {
                ended = Ended::Deadline;
                break;
            }
            let futures: Vec<Future> =
                search.ask().to_vec().iter().map(|knots| problem.future(&search, knots)).collect();
            let said = self.forecasts.answer(&situation, &futures).await?;
            let worths = worths(&problem, &search, futures, said.answers).await?;
            search.tell(&worths);
            if let Some(progress) = SeekProgress::of(&problem, &search, budget.evaluations, &names) {
                told(progress);
            }
        }
        let report = SearchReport {
            evaluations: search.count(),
            restarts: search.restarts(),
            ended,
            took_s: began.elapsed().as_secs_f64(),
        };
        self.judge(budget, &problem, &search, judge, levels, report).await
    }

    fn prepare(
        ask: &GoalSeek,
        budget: Budget,
        situation: &Arc<Situation>,
        judge: Option<&Judge>,
        names: &[String],
    ) -> Result<(Problem, Search), ForecastError> {
        let baseline = situation.baseline(&ask.inputs)?;
        let freedoms = ask.freedoms(situation, judge)?;
        let given = freedoms.iter().map(|freedom| &names[freedom.row]).find(|name| ask.inputs.contains_key(*name));
        if let Some(name) = given {
            let detail = format!("{name} is free: it cannot be given as well");
            return Err(ForecastError::Invalid(vec![(format!("/inputs/{name}"), detail)]));
        }
        let aim = ask.objective.aim(situation, names)?;
        let unit = |row: usize| {
            let signals = situation.layout.inputs.iter().chain(&situation.layout.targets);
            let values = signals.map(|signal| &situation.grid.values[*signal]).nth(row);
            values.map_or(1.0, |values| deviation(values))
        };
        let constraints =
            ask.constrained(names)?.into_iter().map(|(row, constraint)| (row, constraint, unit(row))).collect();
        let lots = luck(situation, SEARCH_SAMPLES, budget.seed)?;
        let strict = judge.filter(|_| !ask.allow_outside_support).cloned();
        let search = Search::new(freedoms, situation.horizon, budget.seed);
        let problem = Problem {
            situation: Arc::clone(situation),
            baseline,
            aim,
            constraints,
            move_penalty: budget.move_penalty,
            strict,
            excused: 0.0,
            lots,
        };
        Ok((problem, search))
    }

    /// Judges the best schedules anew, in one batch, with other luck.
    async fn judge(
        &self,
        budget: Budget,
        problem: &Arc<Problem>,
        search: &Search,
        judge: Option<Judge>,
        levels: Vec<f64>,
        report: SearchReport,
    ) -> Result<SeekOutcome, ForecastError> {
        let mut knots: Vec<Vec<f64>> =
            search.best(1 + 2 * budget.alternatives).into_iter().map(|t| t.knots.clone()).collect();
        knots.extend(search.ranked(FINALISTS).into_iter().map(|tried| tried.knots.clone()));
        knots.dedup();
        let mut futures = vec![problem.baseline.clone()];
        futures.extend(knots.iter().map(|knots| problem.future(search, knots)));
        let situation = &problem.situation;
        let said = self.forecasts.answer(situation, &futures).await?;
        let ignored = self.ignored.of(&self.forecasts, situation, &said).await?;
        let Said { answers, model, skill, .. } = said;
        let (of, all, fresh) =
            (Arc::clone(problem), futures.clone(), luck(situation, budget.samples, budget.seed + 1)?);
        let judged = tokio::task::spawn_blocking(move || {
            let court = Court { problem: &of, lots: &fresh, judge: judge.as_ref(), levels: &levels };
            let baseline = court.schedule(&all[0], &answers[0], None);
            let others = all[1..].iter().zip(&answers[1..]);
            let schedules: Vec<Schedule> =
                others.map(|(future, answers)| court.schedule(future, answers, baseline.support.as_ref())).collect();
            (baseline, schedules)
        });
        let (baseline, mut schedules) = judged.await.map_err(|_| ForecastError::Ending)?;
        for (schedule, future) in schedules.iter_mut().zip(&futures[1..]) {
            schedule.unresponsive = moved(&ignored, situation, &problem.baseline, future);
        }
        let mut order: Vec<usize> = (0..schedules.len()).collect();
        let rank = |at: &usize| {
            let schedule = &schedules[*at];
            (!schedule.met, if schedule.met { 0.0 } else { schedule.shortfall() }, schedule.cost(&problem.aim))
        };
        order.sort_by(|one, other| {
            let (a, b) = (rank(one), rank(other));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2))
        });
        let best = *order.first().ok_or(ForecastError::Ending)?;
        let mut kept = vec![best];
        for at in &order[1..] {
            let differs = kept.iter().all(|other| search::distance(&knots[*other], &knots[*at]) >= search::DISTINCT);
            if differs && schedules[*at].met && kept.len() <= budget.alternatives {
                kept.push(*at);
            }
        }
        let mut kept = kept.into_iter().map(|at| schedules[at].clone());
        let best = kept.next().ok_or(ForecastError::Ending)?;
        Ok(SeekOutcome {
            asset: situation.asset.key.clone(),
            model,
            state: situation.state(self.forecasts.clock()),
            frequency: frequency(situation.grid.step_s),
            timestamps: situation.timestamps(),
            met: best.met,
            best,
            alternatives: kept.collect(),
            baseline,
            search: report,
            units: units(&situation.asset, situation.layout.targets.iter().chain(&situation.layout.inputs)),
            skill,
        })
    }
}

/// What the schedules of a generation are worth, computed off the runtime's threads.
async fn worths(
    problem: &Arc<Problem>,
    search: &Search,
    futures: Vec<Future>,
    answers: Vec<Vec<Quantiles>>,
) -> Result<Vec<Worth>, ForecastError> {
    let (problem, freedoms) = (Arc::clone(problem), search.freedoms().to_vec());
    let computed = tokio::task::spawn_blocking(move || {
        futures.iter().zip(&answers).map(|(future, answers)| problem.worth(&freedoms, future, answers)).collect()
    });
    computed.await.map_err(|_| ForecastError::Ending)
}

/// Names of inputs, then outputs, in the order of the layout.
fn names(situation: &Situation) -> Vec<String> {
    let signals = situation.layout.inputs.iter().chain(&situation.layout.targets);
    signals.map(|signal| situation.signal(*signal).name.clone()).collect()
}

fn luck(situation: &Situation, samples: usize, seed: u64) -> Result<Lots, ForecastError> {
    let sampling = Sampling::checked(Some(samples), Some(seed))?.ok_or(ForecastError::Ending)?;
    sampling.draw(situation, 1)
}

/// Deviation of a row, never 0.
fn deviation(row: &[f64]) -> f64 {
    let count = row.len().max(1) as f64;
    let mean = row.iter().sum::<f64>() / count;
    let found = (row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    if found > 1e-9 * mean.abs().max(1.0) { found } else { mean.abs().max(1.0) }
}
