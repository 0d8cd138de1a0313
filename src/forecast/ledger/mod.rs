//! The ledger of outcomes: what became of every served prediction.
//!
//! When readings have reached the last step of a prediction it is scored per lead time, and the scores
//! are added to sums by day, version, output and lead time, in one transaction that marks it as scored:
//! a crash, a second server or a repeated look counts nothing twice. What is due is read from the
//! database, so a lost wake-up changes nothing either. Readings that arrive after that are shown beside
//! a prediction, but not added. Predictions from a past instant are not scored: their future was known.

pub mod actual;
pub mod applied;
mod routes;
mod store;
pub mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;

use self::actual::{Kept, PlanAndActual, Said};
use self::store::{Due, Entry, Settled};
use self::tally::{OutcomeScores, Tally, steps_of};
use super::truth::step;
use super::{ForecastError, Forecasts, Prediction, Source};
use crate::asset::Asset;
use crate::ids::AssetId;
use crate::reading::{Frame, Recent, TAIL_FRAMES};

pub(super) use self::routes::{checked_cause, router};

/// Predictions scored in one round, and of one asset.
const ROUND: i64 = 256;
const EACH: i64 = 16;
/// Frames before a state that the naive forecast wants.
const BEFORE: usize = 600;
/// With fewer of them in memory they are read from the table.
const ENOUGH: usize = 64;
/// Days that sums are kept.
pub const KEPT_DAYS: u32 = 400;

/// Which outcomes.
#[derive(Clone, Copy, Debug)]
pub struct OutcomesAsk<'a> {
    /// Days back from today that the predictions were made in, today included.
    pub days: u32,
    /// `refresh` or `request`; both when `None`.
    pub cause: Option<&'a str>,
    /// A version's number, 0 for the base model and the fallback; all when `None`.
    pub version: Option<i32>,
}

/// How served predictions of an asset turned out.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Outcomes {
    /// The asset's key.
    pub asset: String,
    /// When the predictions were made.
    pub window: OutcomeWindow,
    /// By output and answerer.
    pub items: Vec<SignalOutcomes>,
}

/// When predictions were made.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
pub struct OutcomeWindow {
    /// First day (UTC).
    pub from: NaiveDate,
    /// Last day, today.
    pub to: NaiveDate,
}

/// How one output was predicted by one version.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct SignalOutcomes {
    /// The output.
    pub signal: String,
    /// Its UCUM unit, that of the errors; null for a signal that the type no longer has.
    pub unit: Option<String>,
    /// Number of the version; 0 for the base model and the fallback.
    pub version: i32,
    /// `model`, `base` or `fallback`.
    pub source: String,
    /// Predictions of which at least one value was compared.
    pub predictions: i64,
    /// Over all lead times.
    pub overall: OutcomeScores,
    /// By lead time, ascending.
    pub leads: Vec<LeadOutcomes>,
}

/// One lead time.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LeadOutcomes {
    /// First step ahead, from 1.
    pub from_step: usize,
    /// Last step ahead.
    pub to_step: usize,
    /// Predictions with a compared value there.
    pub predictions: i64,
    /// What was found.
    pub scores: OutcomeScores,
}

impl Forecasts {
    /// Scores a round of predictions that are due; how many there were.
    pub async fn settle(&self) -> Result<usize, ForecastError> {
        let due = store::due(&self.db, EACH, ROUND).await?;
        let mut work: Vec<(Due, Arc<Asset>, Recent)> = Vec::with_capacity(due.len());
        for due in due {
            let Some(asset) = self.assets.by_id(due.asset).await? else { continue };
            // Kept in memory for live assets: no query for each.
            let recent = self.readings.recent(due.asset, due.seq, TAIL_FRAMES).await?;
            let state_at = due.prediction.state.observed_at;
            let before = recent.partition_point(|frame| frame.observed_at <= state_at);
            let frames = if before >= ENOUGH || recent.len() < TAIL_FRAMES {
                recent
            } else {
                self.frames_around(due.asset, state_at, &due.prediction.timestamps).await?.into()
            };
            work.push((due, asset, frames));
        }
        if work.is_empty() {
            return Ok(0);
        }
        let compared = tokio::task::spawn_blocking(move || {
            work.iter().map(|(due, asset, frames)| settled(due, asset, frames)).collect::<Vec<Settled>>()
        });
        let settled = compared.await.map_err(|_| ForecastError::Ending)?;
        let mut transaction = self.db.begin().await?;
        let count = store::settle(&mut transaction, &settled, self.clock.now()).await?;
        transaction.commit().await?;
        Ok(count)
    }

    /// What has become of a prediction so far; `None` before its first step has come to pass.
    pub async fn actual(&self, asset: &Asset, prediction: &Prediction) -> Result<Option<PlanAndActual>, ForecastError> {
        let Some(mut actual) = self.actual_of(asset, Kept::from(prediction), 0).await? else { return Ok(None) };
        actual.scored_at = store::scored_at(&self.db, asset.id, prediction.id).await?;
        Ok(Some(actual))
    }

    /// What has become of anything that was said of an asset's future; its inputs may have been applied
    /// up to `slack` steps early or late. `None` before the first step has come to pass.
    pub async fn actual_of(
        &self,
        asset: &Asset,
        kept: Kept,
        slack: usize,
    ) -> Result<Option<PlanAndActual>, ForecastError> {
        let frames = self.frames_around(asset.id, kept.state_at, &kept.timestamps).await?;
        if frames.last().is_none_or(|newest| newest.observed_at <= kept.state_at) {
            return Ok(None);
        }
        let asset_type = Arc::clone(&asset.asset_type);
        let compared = tokio::task::spawn_blocking(move || {
            let comparison = kept.said().compare(&asset_type, &frames, slack);
            (comparison.passed > 0).then(|| comparison.shown(kept.timestamps.len(), None))
        });
        compared.await.map_err(|_| ForecastError::Ending)
    }

    /// How served predictions of an asset turned out.
    pub async fn outcomes(&self, key: &str, ask: &OutcomesAsk<'_>) -> Result<Outcomes, ForecastError> {
        let asset = self.assets.find(key).await?;
        let to = self.clock.now().date_naive();
        let from = to - TimeDelta::days(i64::from(ask.days.saturating_sub(1)));
        let rows = store::summaries(&self.db, asset.id, from, ask.cause, ask.version).await?;
        let mut items: BTreeMap<(String, String, i32), Vec<(i16, Tally)>> = BTreeMap::new();
        for row in rows {
            items.entry((row.signal, row.source, row.version)).or_default().push((row.lead, row.tally));
        }
        let item = |((signal, source, version), leads): ((String, String, i32), Vec<(i16, Tally)>)| {
            let mut overall = Tally::default();
            leads.iter().for_each(|(_, tally)| overall.add(tally));
            SignalOutcomes {
                unit: asset.asset_type.signal(&signal).map(|(_, signal)| signal.unit.clone()),
                signal,
                version,
                source,
                predictions: leads.iter().map(|(_, tally)| tally.vintages).max().unwrap_or_default(),
                overall: overall.scores(),
                leads: leads.iter().map(|(lead, tally)| at_lead(*lead, tally)).collect(),
            }
        };
        Ok(Outcomes {
            asset: asset.key.clone(),
            window: OutcomeWindow { from, to },
            items: items.into_iter().map(item).collect(),
        })
    }

    /// Forgets sums that are older than [`KEPT_DAYS`].
    pub(super) async fn forget_outcomes(&self) -> sqlx::Result<u64> {
        store::forget_before(&self.db, self.clock.now().date_naive() - TimeDelta::days(i64::from(KEPT_DAYS))).await
    }

    /// Frames from some before a state to the last of the steps after it.
    async fn frames_around(
        &self,
        asset: AssetId,
        state_at: DateTime<Utc>,
        timestamps: &[DateTime<Utc>],
    ) -> Result<Vec<Frame>, ForecastError> {
        let half = step(timestamps, state_at) / 2;
        let end = timestamps.last().map_or(state_at, |last| *last + half + TimeDelta::microseconds(1));
        let mut frames = self.readings.until(asset, state_at, BEFORE).await?;
        let after = self.readings.range(asset, state_at, end).await?;
        frames.extend(after.into_iter().filter(|frame| frame.observed_at > state_at));
        Ok(frames)
    }
}

fn at_lead(lead: i16, tally: &Tally) -> LeadOutcomes {
    let (from_step, to_step) = steps_of(usize::try_from(lead).unwrap_or_default());
    LeadOutcomes { from_step, to_step, predictions: tally.vintages, scores: tally.scores() }
}

/// Scores one prediction.
fn settled(due: &Due, asset: &Asset, frames: &[Frame]) -> Settled {
    let Due { asset: id, prediction, cause, .. } = due;
    let comparison = Said::from(prediction).compare(&asset.asset_type, frames, 0);
    let day = prediction.state.observed_at.date_naive();
    let source = match prediction.model.source {
        Source::Model => "model",
        Source::Base => "base",
        Source::Fallback => "fallback",
    };
    let entry = |((signal, lead), tally): ((String, usize), Tally)| Entry {
        day,
        cause: cause.clone(),
        source,
        version: if prediction.model.source == Source::Model { prediction.model.version } else { 0 },
        signal,
        lead: lead as i16,
        tally,
    };
    Settled {
        asset: *id,
        id: prediction.id,
        applied: comparison.applied.steps as i32,
        entries: comparison.tallies().into_iter().map(entry).collect(),
    }
}

/// Instant from which on a prediction is due; `None` when its future was known.
pub(super) fn due_at(timestamps: &[DateTime<Utc>], past: bool) -> Option<DateTime<Utc>> {
    timestamps.last().copied().filter(|_| !past)
}
