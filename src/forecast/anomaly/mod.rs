//! Anomalies of an asset: how far what was measured lies from what was expected of it.
//!
//! A watch is learned from the newest frames of an asset that are not flagged (bad readings, steps in
//! alarm, gross outliers) and kept in memory for as long as the same version serves and it has not
//! become old. It is asked about any stretch of history; the refresher asks about the newest step and
//! writes the answer beside the twin, where the state reads it. Scores are in units of the threshold:
//! 1 is exceeded by normal operation with the false-alarm rate. An asset with too little history has
//! no score; nothing is made up.

mod predictor;
pub(super) mod routes;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

pub use self::watch::Kind;
use self::watch::{Judged, Watch};
use super::{ForecastError, Forecasts, frequency, store};
use crate::asset::Asset;
use crate::features::{Grid, Layout};
use crate::ids::{AssetId, ModelId};
use crate::reading::{self, Frame, instant};
use crate::score::anomaly::{FEWEST_WINDOWS, TooFew};
use crate::twin;

/// False alarms a step, when nothing else is asked for.
pub const DEFAULT_RATE: f64 = 0.001;
/// Rates that can be asked for.
const RATES: std::ops::RangeInclusive<f64> = 1e-5..=0.05;
/// Frames that a watch is learned from.
const HISTORY: usize = 4_096;
/// Steps after which a watch is learned anew.
const OLD: f64 = 1_024.0;
/// Frames before a range that filters and sums settle on.
const SETTLING: usize = 512;
/// Frames of one question at most.
const MOST_FRAMES: i64 = 100_000;
/// Values (steps x watched signals) of one question at most.
const MOST_VALUES: usize = 4_000_000;
/// Points of an answer, when nothing else is asked for.
const DEFAULT_POINTS: usize = 1_000;
/// The range without `from`, before `to`.
const DEFAULT_SPAN: TimeDelta = TimeDelta::days(1);
/// Watches kept in memory; one is about 0.1 MB.
const KEPT: usize = 1_024;

/// Which stretch of history.
#[derive(Clone, Debug, Default)]
pub struct AnomalyAsk {
    /// Begin of the range; a day before its end by default.
    pub from: Option<DateTime<Utc>>,
    /// End of the range, not part of it; just behind the newest frame by default.
    pub to: Option<DateTime<Utc>>,
    /// False alarms a step of normal operation.
    pub false_alarm_rate: Option<f64>,
    /// Points that the scores are thinned to.
    pub max_points: Option<usize>,
}

/// Anomalies of a stretch of history.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Anomalies {
    /// Key of the asset.
    pub asset: String,
    /// Begin of the range.
    pub from: String,
    /// End of the range, not part of it.
    pub to: String,
    /// Duration of a step.
    pub frequency: String,
    /// Signals that are watched.
    pub signals: Vec<String>,
    /// The score from which on a step is anomalous: 1, since scores are in units of it.
    pub threshold: f64,
    /// Probability that a step of normal operation scores higher.
    pub false_alarm_rate: f64,
    /// Steps of normal operation between two false alarms of the search for drifts, on average.
    pub drift_run_length: usize,
    /// What normal operation was learned from.
    pub learned: Learned,
    /// Steps that were judged.
    pub steps: usize,
    /// Instants of the scores; of a range that was thinned, the highest of each stretch.
    pub timestamps: Vec<String>,
    /// One an instant; null where nothing was measured.
    pub scores: Vec<Option<f64>>,
    /// For each signal, what it has to do with each score: they are not negative, and their sum is the
    /// score. Null where nothing was measured.
    pub contributions: BTreeMap<String, Vec<Option<f64>>>,
    /// Steps that are anomalous together, in order; never thinned.
    pub intervals: Vec<AnomalyInterval>,
}

/// What a watch was learned from.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Learned {
    /// Its first step.
    pub from: String,
    /// Its last step.
    pub to: String,
    /// Steps of normal operation in it.
    pub steps: usize,
    /// The model version that served then; null for the base model.
    pub model: Option<ModelId>,
}

/// Steps that are anomalous together.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct AnomalyInterval {
    /// Its first step.
    pub start: String,
    /// Its last step.
    pub end: String,
    /// Whether it had not ended with the range.
    pub open: bool,
    /// What shows it most.
    pub kind: Kind,
    /// Instant of the largest score.
    pub peak_at: String,
    /// That score, in units of the threshold; for a drift it is the sum in units of its own threshold,
    /// which is held at 1.1.
    pub score: f64,
    /// What each signal has to do with it.
    pub contributions: BTreeMap<String, f64>,
}

/// Watches by asset, each of one version.
#[derive(Clone, Debug, Default)]
pub(super) struct Watches(Arc<Mutex<HashMap<AssetId, Watched>>>);

/// A watch, and the version that it was made for.
type Watched = (Option<ModelId>, Arc<Watch>);

impl Watches {
    fn of(&self, asset: AssetId) -> Option<Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&asset).cloned()
    }

    fn keep(&self, asset: AssetId, model: Option<ModelId>, watch: &Arc<Watch>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT && !kept.contains_key(&asset) {
            kept.clear();
        }
        kept.insert(asset, (model, Arc::clone(watch)));
    }
}

impl From<TooFew> for ForecastError {
    fn from(few: TooFew) -> Self {
        Self::TooShort { have: few.have, need: few.need }
    }
}

impl Forecasts {
    /// Judges a stretch of an asset's history.
    pub async fn anomalies(&self, asset: &str, ask: &AnomalyAsk) -> Result<Anomalies, ForecastError> {
        let rate = checked_rate(ask.false_alarm_rate)?;
        let points = checked_points(ask.max_points)?;
        let asset = self.assets.find(asset).await?;
        let newest = reading::store::newest_at(&self.db, asset.id).await?.ok_or(ForecastError::NoReadings)?;
        let to = ask.to.unwrap_or(newest + TimeDelta::microseconds(1));
        let from = ask.from.unwrap_or(to - DEFAULT_SPAN);
        if from > to {
            return Err(wrong("from", format!("lies after `to`, {}", instant::text(to))));
        }
        let frames = reading::store::count(&self.db, asset.id, from, to, MOST_FRAMES + 1).await?;
        if frames > MOST_FRAMES || frames as usize * asset.asset_type.document.signals.len() > MOST_VALUES {
            let most = MOST_FRAMES.min((MOST_VALUES / asset.asset_type.document.signals.len().max(1)) as i64);
            let detail = format!("the range holds more than {most} frames; ask for a shorter one");
            return Err(ForecastError::Beyond { pointer: "from".into(), detail, max: most as usize });
        }
        let (model, watch) = self.watch(&asset).await?;
        let before = self.readings.until(asset.id, from - TimeDelta::microseconds(1), SETTLING).await?;
        let range = self.readings.range(asset.id, from, to).await?;
        tokio::task::spawn_blocking(move || judged(&asset, model, &watch, before, range, (from, to), rate, points))
            .await
            .map_err(|_| ForecastError::Ending)?
    }

    /// Judges the newest step of an asset and writes the score beside its twin; what it lacks the
    /// history for stays without.
    pub(super) async fn note_anomaly(&self, asset: &Arc<Asset>) -> Result<(), ForecastError> {
        let watch = match self.watch(asset).await {
            Ok((_, watch)) => watch,
            Err(ForecastError::TooShort { .. } | ForecastError::NoOutputs | ForecastError::NoReadings) => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(twin) = twin::store::find(&self.db, asset.id).await? else { return Ok(()) };
        let recent = self.readings.recent(asset.id, twin.seq, SETTLING).await?;
        let of = Arc::clone(asset);
        let newest = tokio::task::spawn_blocking(move || {
            let grid = Grid::new(&of.asset_type, &recent).filter(|grid| watch.has_step_of(grid))?;
            let Judged { scores, parts, .. } = watch.judge(&grid, DEFAULT_RATE);
            let step = scores.iter().rposition(Option::is_some)?;
            let contributions: BTreeMap<String, f64> =
                watch.names().iter().cloned().zip(parts[step].iter().copied()).collect();
            Some((grid.instants[step], scores[step]?, contributions))
        });
        if let Some((observed_at, score, contributions)) = newest.await.map_err(|_| ForecastError::Ending)? {
            let newest = twin::Anomaly { observed_at, score, contributions };
            twin::store::set_anomaly(&self.db, asset.id, &newest, self.clock.now()).await?;
        }
        Ok(())
    }

    /// The asset's watch, learned when there is none, or none of the version that serves, or an old
    /// one.
    async fn watch(&self, asset: &Arc<Asset>) -> Result<(Option<ModelId>, Arc<Watch>), ForecastError> {
        let served = store::served(&self.db, asset.id).await?;
        let (newest, model) =
            served.and_then(|(twin, champion)| Some((twin.observed_at?, champion))).ok_or(ForecastError::NoReadings)?;
        let kept = self.watches.of(asset.id);
        if let Some((of, watch)) = kept.as_ref().filter(|(of, watch)| *of == model && !watch.is_old(newest, OLD)) {
            return Ok((*of, Arc::clone(watch)));
        }
        let frames = self.readings.newest(asset.id, HISTORY).await?;
        let of = Arc::clone(asset);
        let learned = tokio::task::spawn_blocking(move || {
            let grid = Grid::new(&of.asset_type, &frames).ok_or(ForecastError::NoReadings)?;
            let layout = Layout::new(&of.asset_type, &grid);
            if layout.targets.is_empty() {
                return Err(ForecastError::NoOutputs);
            }
            let need = 10 * FEWEST_WINDOWS;
            if grid.len() < need {
                return Err(ForecastError::TooShort { have: grid.len(), need });
            }
            let older = kept.as_ref().map(|(_, watch)| watch.as_ref());
            Ok(Watch::learn(&of.asset_type, &grid, &layout, older)?)
        });
        let watch = Arc::new(learned.await.map_err(|_| ForecastError::Ending)??);
        self.watches.keep(asset.id, model, &watch);
        Ok((model, watch))
    }
}

/// The answer about a range, of which the frames `before` are only settled on.
#[expect(clippy::too_many_arguments, reason = "what a thread takes along to compute one answer")]
fn judged(
    asset: &Asset,
    model: Option<ModelId>,
    watch: &Watch,
    mut before: Vec<Frame>,
    range: Vec<Frame>,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    rate: f64,
    points: usize,
) -> Result<Anomalies, ForecastError> {
    let mut answer = Anomalies {
        asset: asset.key.clone(),
        from: instant::text(from),
        to: instant::text(to),
        frequency: frequency(watch.step_s),
        signals: watch.names().to_vec(),
        threshold: 1.0,
        false_alarm_rate: rate,
        drift_run_length: watch.run_length(),
        learned: Learned { from: instant::text(watch.begin), to: instant::text(watch.end), steps: watch.steps, model },
        steps: 0,
        timestamps: Vec::new(),
        scores: Vec::new(),
        contributions: watch.names().iter().map(|name| (name.clone(), Vec::new())).collect(),
        intervals: Vec::new(),
    };
    if range.is_empty() {
        return Ok(answer);
    }
    before.extend(range);
    let grid = Grid::new(&asset.asset_type, &before).ok_or(ForecastError::NoReadings)?;
    if !watch.has_step_of(&grid) {
        let detail = format!(
            "the asset reported every {} s then, and every {} s where normal operation was learned",
            grid.step_s, watch.step_s
        );
        return Err(wrong("from", detail));
    }
    let Judged { scores, parts, intervals } = watch.judge(&grid, rate);
    let first = grid.instants.partition_point(|at| *at < from);
    answer.steps = grid.len() - first;
    let at = |step: usize| instant::text(grid.instants[step]);
    for step in highest(&scores, first, points) {
        answer.timestamps.push(at(step));
        answer.scores.push(scores[step]);
        for (name, part) in watch.names().iter().zip(&parts[step]) {
            if let Some(row) = answer.contributions.get_mut(name) {
                row.push(scores[step].map(|_| *part));
            }
        }
    }
    let within = intervals.into_iter().filter(|interval| interval.last >= first);
    answer.intervals = within
        .map(|interval| AnomalyInterval {
            start: at(interval.first.max(first)),
            end: at(interval.last),
            open: interval.open,
            kind: interval.kind,
            peak_at: at(interval.peak),
            score: interval.score,
            contributions: interval.contributions,
        })
        .collect();
    Ok(answer)
}

/// Steps from `first` on, thinned to the highest of each of `points` stretches.
fn highest(scores: &[Option<f64>], first: usize, points: usize) -> Vec<usize> {
    let steps = scores.len() - first;
    let stretches = points.min(steps);
    let edge = |place: usize| first + place * steps / stretches.max(1);
    let score = |step: &usize| scores[*step].unwrap_or(-1.0);
    (0..stretches)
        .filter_map(|place| (edge(place)..edge(place + 1)).max_by(|a, b| score(a).total_cmp(&score(b))))
        .collect()
}

fn checked_rate(rate: Option<f64>) -> Result<f64, ForecastError> {
    let rate = rate.unwrap_or(DEFAULT_RATE);
    if RATES.contains(&rate) {
        return Ok(rate);
    }
    Err(wrong("false_alarm_rate", format!("lies between {} and {}", RATES.start(), RATES.end())))
}

fn checked_points(points: Option<usize>) -> Result<usize, ForecastError> {
    let most = reading::history::MAX_POINTS;
    let points = points.unwrap_or(DEFAULT_POINTS);
    if (1..=most).contains(&points) {
        Ok(points)
    } else {
        Err(wrong("max_points", format!("lies between 1 and {most}")))
    }
}

fn wrong(pointer: &str, detail: String) -> ForecastError {
    ForecastError::Invalid(vec![(pointer.to_owned(), detail)])
}
