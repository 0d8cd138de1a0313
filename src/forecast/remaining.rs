//! The time that remains until an asset fails, told by the model that travels with the version that serves.
//!
//! A run may be far longer than what is kept of it in memory: how it began is read once and remembered for
//! as long as it goes on. While the asset is down nothing remains.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::{ForecastError, Forecasts};
use crate::asset::{Asset, Interval};
use crate::event::store::newest_turn;
use crate::features::{Grid, RemainingModel, Run};
use crate::ids::{AssetId, ModelId};
use crate::reading::TAIL_FRAMES;
use crate::score::RemainingTime;
use crate::twin::Remaining;

/// Levels that the state shows.
const LEVELS: [(f64, &str); 3] = [(0.1, "0.1"), (0.5, "0.5"), (0.9, "0.9")];
/// Assets whose runs' beginnings are kept in memory; one is about 0.5 kB.
const KEPT: usize = 10_000;
/// Frames of a beginning at most, for each of its steps: signals may come one by one.
const FRAMES_A_STEP: usize = 4;

/// How the run of an asset began, as a version remembers it.
#[derive(Clone, Debug)]
struct Beginning {
    version: ModelId,
    /// When the label says that it was restored; `None` for its first run.
    restored: Option<DateTime<Utc>>,
    /// When it began.
    from: DateTime<Utc>,
    /// Means over its first steps, signal by signal.
    means: Arc<Vec<f64>>,
}

/// Beginnings by asset.
#[derive(Clone, Debug, Default)]
pub(super) struct Beginnings(Arc<Mutex<HashMap<AssetId, Beginning>>>);

impl Beginnings {
    fn of(&self, asset: AssetId, version: ModelId, restored: Option<DateTime<Utc>>) -> Option<Beginning> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&asset).filter(|known| (known.version, known.restored) == (version, restored)).cloned()
    }

    fn keep(&self, asset: AssetId, beginning: Beginning) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT && !kept.contains_key(&asset) {
            kept.clear();
        }
        kept.insert(asset, beginning);
    }
}

impl Forecasts {
    /// What remains of the asset's run at its newest step, and which step that is; `None` while it is down,
    /// or where it cannot be seen.
    pub(super) async fn remaining(
        &self,
        asset: &Arc<Asset>,
        seq: i64,
        version: ModelId,
        model: &Arc<RemainingModel>,
    ) -> Result<Option<(DateTime<Utc>, Remaining)>, ForecastError> {
        let Some(grid) = self.newest_grid(asset, seq).await? else { return Ok(None) };
        let last = grid.len() - 1;
        let at = grid.instants[last];
        let classes: Vec<&str> = std::iter::once(model.class.as_str()).chain(model.restored_by.as_deref()).collect();
        let restored = match newest_turn(&self.db, asset.id, &classes, at).await? {
            None => None,
            Some(turn) => match turn.end.filter(|end| *end <= at) {
                Some(end) => Some(end),
                None => return Ok(None),
            },
        };
        let first = restored.map_or(0, |from| grid.instants.partition_point(|instant| *instant < from));
        // Where it begins between two steps at hand, nothing before them belongs to it.
        let beginning =
            if first > 0 { None } else { self.beginning(asset, version, model, (restored, before(&grid))).await? };
        let from = beginning.as_ref().map(|known| known.from).or(restored).unwrap_or(grid.instants[first]);
        let (of, with, on) = (Arc::clone(asset), Arc::clone(model), Arc::clone(&grid));
        let seen = tokio::task::spawn_blocking(move || {
            let age = (at - from).num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6 / on.step_s;
            let means = beginning.as_ref().map(|known| known.means.as_slice());
            let row = with.memory.upon(&of.asset_type, &on)?.at(last, Run { first, beginning: means }, age)?;
            Some(with.memory.scaled(&row))
        });
        let Some(seen) = seen.await.map_err(|_| ForecastError::Ending)? else { return Ok(None) };
        let masses = self.engine.foretell(Arc::new(model.head.clone()), seen).await?;
        Ok(model.time(masses).map(|time| (at, shown(&model.class, &time))))
    }

    /// The grid of the newest state, as forecasts see it.
    async fn newest_grid(&self, asset: &Arc<Asset>, seq: i64) -> Result<Option<Arc<Grid>>, ForecastError> {
        if let Some(kept) = self.grids.of(asset.id, seq) {
            return Ok(Some(kept));
        }
        let (frames, of) = (self.readings.recent(asset.id, seq, TAIL_FRAMES).await?, Arc::clone(asset));
        let grid = tokio::task::spawn_blocking(move || Grid::new(&of.asset_type, &frames));
        Ok(grid.await.map_err(|_| ForecastError::Ending)?.map(Arc::new))
    }

    /// How a run began that is as old as what is at hand, or older; `None` where nothing of it came before
    /// that.
    async fn beginning(
        &self,
        asset: &Arc<Asset>,
        version: ModelId,
        model: &Arc<RemainingModel>,
        (restored, at_hand): (Option<DateTime<Utc>>, DateTime<Utc>),
    ) -> Result<Option<Beginning>, ForecastError> {
        if let Some(known) = self.beginnings.of(asset.id, version, restored) {
            return Ok(Some(known));
        }
        let count = FRAMES_A_STEP * model.memory.beginning_steps();
        let since = restored.unwrap_or(DateTime::UNIX_EPOCH);
        let frames = self.readings.oldest_of(asset.id, since, at_hand, count).await?;
        let Some(oldest) = frames.first().map(|frame| frame.observed_at) else { return Ok(None) };
        let more = self.readings.oldest_of(asset.id, at_hand, DateTime::<Utc>::MAX_UTC, count).await?;
        let (of, with) = (Arc::clone(asset), Arc::clone(model));
        let means = tokio::task::spawn_blocking(move || {
            let mut frames = frames;
            // Of a run that only just outgrew what is at hand the beginning reaches into it.
            if frames.len() < count {
                frames.extend(more);
            }
            let grid = Grid::new(&of.asset_type, &frames)?;
            let means = with.memory.upon(&of.asset_type, &grid)?.beginning(0, grid.len() - 1);
            means.iter().all(|mean| mean.is_finite()).then_some(means)
        });
        let Some(means) = means.await.map_err(|_| ForecastError::Ending)? else { return Ok(None) };
        let beginning = Beginning { version, restored, from: restored.unwrap_or(oldest), means: Arc::new(means) };
        self.beginnings.keep(asset.id, beginning.clone());
        Ok(Some(beginning))
    }
}

/// What is older than this lies before a grid, whose steps are up to half a step from their frames.
fn before(grid: &Grid) -> DateTime<Utc> {
    grid.instants[0] - TimeDelta::microseconds((grid.step_s * 1e6) as i64)
}

fn shown(class: &str, time: &RemainingTime) -> Remaining {
    let quantile = |(level, name): (f64, &str)| (name.to_owned(), time.quantile(level).map(duration));
    Remaining {
        class: class.to_owned(),
        quantiles: LEVELS.into_iter().map(quantile).collect::<BTreeMap<_, _>>(),
        horizon: duration(time.horizon()),
        beyond_horizon: time.beyond(),
    }
}

/// As ISO 8601 writes it, to the second where there are many, else to the millisecond.
fn duration(seconds: f64) -> String {
    let unit = if seconds >= 100.0 { TimeDelta::seconds(1) } else { TimeDelta::milliseconds(1) };
    let unit_us = unit.num_microseconds().unwrap_or(1) as f64;
    let micros = ((seconds * 1e6 / unit_us).round() * unit_us).max(1_000.0) as i64;
    Interval::from_micros(micros).map_or_else(|| "PT0S".to_owned(), |interval| interval.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_durations_and_null_beyond_the_horizon() {
        let time = RemainingTime::new(60.0, vec![0.05, 0.35, 0.3, 0.3]).unwrap();
        let shown = shown("failed", &time);
        assert_eq!((shown.horizon.as_str(), shown.beyond_horizon, shown.class.as_str()), ("PT3M", 0.3, "failed"));
        assert_eq!(shown.quantiles["0.1"].as_deref(), Some("PT1M8.571S"));
        assert_eq!(shown.quantiles["0.5"].as_deref(), Some("PT2M20S"));
        assert_eq!(shown.quantiles["0.9"], None);
        assert_eq!(duration(0.0), "PT0.001S");
        assert_eq!(duration(93_784.4), "P1DT2H3M4S");
    }
}
