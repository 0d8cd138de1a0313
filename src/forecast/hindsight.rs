//! Served forecasts that have come true, compared with what happened.
//!
//! Reads from the database which of the twins' own forecasts are due, a round at a time, so a crash
//! or a second server changes nothing but how often one is counted. Forecasts are taken a block
//! apart: nearer ones would say the same again. A band is not blamed for a future that nobody asked
//! about: once a control input has left what was assumed of it, the rest is not compared.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::calibration::BLOCK;
use super::ledger::applied::{Applied, Plan, TOLERANCE, tolerance};
use super::online::{Held, Online};
use super::serving::KnownBands;
use super::situation::FRAMES;
use super::truth::{step, truths};
use super::{Bands, ForecastError, Forecasts, Prediction, Source, store};
use crate::asset::{AssetType, Role};
use crate::ids::{AssetId, ModelId};
use crate::reading::{Frame, TAIL_FRAMES};

/// Forecasts compared in one round.
const ROUND: i64 = 64;
/// How far back a forecast may have been made.
const LOOK_BACK: TimeDelta = TimeDelta::hours(24);

/// A forecast whose last step has been measured.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) asset: AssetId,
    /// Of the twin, for its frames.
    pub(super) seq: i64,
    /// The version that serves and that made it; `None` for the base model.
    pub(super) model: Option<ModelId>,
    pub(super) prediction: Prediction,
    /// What is known so far of this version, or without one of a base model.
    pub(super) online: Option<Online>,
    /// Which base model that was; `None` where it is not known.
    pub(super) base: Option<String>,
}

/// What a comparison found, to be kept.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) asset: AssetId,
    pub(super) model: Option<ModelId>,
    /// The base model that answered.
    pub(super) base: String,
    /// Forecasts made before this are done with.
    pub(super) due_at: DateTime<Utc>,
    pub(super) online: Online,
}

impl Forecasts {
    /// Compares a round of forecasts that have come true, one of each asset, and moves the bands.
    /// How many there were.
    pub async fn look_back(&self) -> Result<usize, ForecastError> {
        let now = self.clock.now();
        let due = store::come_true(&self.db, now - LOOK_BACK, ROUND).await?;
        let mut found = Vec::with_capacity(due.len());
        for due in due {
            let Some(asset) = self.assets.by_id(due.asset).await? else { continue };
            // Kept in memory for live assets: no query for each.
            let frames = self.readings.recent(due.asset, due.seq, TAIL_FRAMES).await?;
            let faults = self.faults.clone();
            let compared = tokio::task::spawn_blocking(move || {
                // A band is not blamed for a sensor that lied.
                let left = faults.leave_out(asset.id, &asset.asset_type, &frames, FRAMES);
                compare(due, &asset.asset_type, left.as_deref().unwrap_or(&frames))
            });
            found.push(compared.await.map_err(|_| ForecastError::Ending)?);
        }
        store::keep_bands(&self.db, &found, now).await?;
        let count = found.len();
        for found in found {
            let Found { asset, model, base, online, .. } = found;
            self.bands.note(asset, now, KnownBands { model, base: Some(base), online: Arc::new(online) });
        }
        Ok(count)
    }
}

fn compare(due: Due, asset_type: &AssetType, frames: &[Frame]) -> Found {
    let Due { asset, model, prediction, online, base, .. } = due;
    // Another base model begins anew.
    let same = base.is_none_or(|base| base == prediction.model.base);
    let mut online = online.filter(|_| same).unwrap_or_default();
    let step = step(&prediction.timestamps, prediction.state.observed_at);
    let next = prediction.created_at + TimeDelta::microseconds(step.num_microseconds().unwrap_or(0) * BLOCK as i64);
    let first = frames.first().map_or(prediction.created_at, |frame| frame.observed_at);
    // What lies before the frames at hand cannot be compared: go on where they begin.
    let due_at = if prediction.state.observed_at < first { first.max(next) } else { next };
    if due_at == next && prediction.model.source != Source::Fallback {
        let comparable = comparable(&prediction, asset_type, frames, step);
        for (name, bands) in &prediction.signals {
            if let Some((index, _)) = asset_type.signal(name) {
                let truths = truths(&prediction.timestamps[..comparable], frames, index, step);
                online.observe(name, &held(bands, &truths));
            }
        }
    }
    Found { asset, model, base: prediction.model.base, due_at, online }
}

/// Steps until a control input leaves what was assumed of it.
fn comparable(prediction: &Prediction, asset_type: &AssetType, frames: &[Frame], step: TimeDelta) -> usize {
    let mut plans: Vec<Plan<'_>> = Vec::new();
    for (name, future) in &prediction.inputs {
        if let Some((index, signal)) = asset_type.signal(name).filter(|(_, signal)| signal.role == Role::ControlInput) {
            let tolerance = tolerance(signal, index, frames, TOLERANCE);
            plans.push(Plan { name, signal: index, values: &future.values, tolerance });
        }
    }
    Applied::find(&plans, &prediction.timestamps, step, frames, 0).steps
}

/// Truths of each block that the 80 % band of a forecast held. Without such a band none were seen.
fn held(bands: &Bands, truths: &[f64]) -> Vec<Held> {
    let (Some(low), Some(high)) = (bands.get("0.1"), bands.get("0.9")) else { return Vec::new() };
    Held::between(low.iter().copied(), high.iter().copied(), truths)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::asset::testing::asset_type;
    use crate::clock::Clock;
    use crate::forecast::{Answerer, InputFuture, InputSource, StateOf};
    use crate::ids::PredictionId;
    use crate::reading::QUALITY_BAD;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap()
    }

    /// A forecast of 32 steps from second 0: the level between 1 and 3, the pump at 5.
    fn due() -> Due {
        let bands = BTreeMap::from(
            [("0.1", 1.0), ("0.5", 2.0), ("0.9", 3.0)].map(|(level, value)| (level.to_owned(), vec![value; 32])),
        );
        let prediction = Prediction {
            id: PredictionId::mint(&Clock::manual(at(0))),
            asset: "pump".to_owned(),
            created_at: at(0),
            model: Answerer {
                version: 0,
                base: "small".to_owned(),
                source: Source::Base,
                trained_at: None,
                reason: None,
            },
            state: StateOf { observed_at: at(0), age_s: 0.0 },
            frequency: "PT1S".to_owned(),
            timestamps: (1..=32).map(at).collect(),
            inputs: BTreeMap::from([(
                "pump".to_owned(),
                InputFuture { source: InputSource::Hold, values: vec![5.0; 32] },
            )]),
            signals: BTreeMap::from([("level".to_owned(), bands)]),
            units: BTreeMap::new(),
            skill: None,
            paths: None,
            health: None,
            risk: None,
        };
        Due { asset: AssetId(1), seq: 1, model: None, prediction, online: None, base: None }
    }

    /// Frames from second -10 to 40.
    fn frames(pump: impl Fn(i64) -> f64, level: impl Fn(i64) -> f64) -> Vec<Frame> {
        (-10..=40)
            .map(|second| Frame { observed_at: at(second), values: vec![pump(second), level(second)], quality: None })
            .collect()
    }

    fn seen(frames: &[Frame]) -> Option<(f64, u64)> {
        compare(due(), &asset_type(1.0, &["pump", "level"]), frames).online.coverage()
    }

    #[test]
    fn truths_within_the_band_are_counted() {
        let level = |second: i64| if second <= 24 { 2.5 } else { 3.5 };
        assert_eq!(seen(&frames(|_| 5.0, level)), Some((0.75, 32)));
    }

    #[test]
    fn what_came_after_a_change_of_the_input_is_not_compared() {
        let pump = |second: i64| if second < 11 { 5.0 } else { 6.0 };
        assert_eq!(seen(&frames(pump, |_| 2.0)), Some((1.0, 10)));
    }

    #[test]
    fn what_was_not_measured_or_is_bad_is_not_compared() {
        let mut frames = frames(|_| 5.0, |second| if second == 3 { f64::NAN } else { 2.0 });
        frames.retain(|frame| frame.observed_at != at(7));
        let bad = frames.iter_mut().find(|frame| frame.observed_at == at(9)).unwrap();
        bad.quality = Some(vec![0, QUALITY_BAD]);
        assert_eq!(seen(&frames), Some((1.0, 29)));
    }

    #[test]
    fn the_next_one_is_a_block_later() {
        let frames = frames(|_| 5.0, |_| 2.0);
        let asset_type = asset_type(1.0, &["pump", "level"]);
        assert_eq!(compare(due(), &asset_type, &frames).due_at, at(16));
        let found = compare(due(), &asset_type, &frames[30..]);
        assert_eq!((found.due_at, found.online.coverage()), (at(20), None), "goes on where the frames begin");
    }

    #[test]
    fn another_base_model_begins_anew() {
        let (asset_type, frames) = (asset_type(1.0, &["pump", "level"]), frames(|_| 5.0, |_| 2.0));
        let first = compare(due(), &asset_type, &frames);
        assert_eq!((first.base.as_str(), first.online.coverage()), ("small", Some((1.0, 32))));
        let after = |base: Option<&str>| {
            let due = Due { online: Some(first.online.clone()), base: base.map(str::to_owned), ..due() };
            compare(due, &asset_type, &frames).online.coverage()
        };
        assert_eq!((after(Some("small")), after(None)), (Some((1.0, 64)), Some((1.0, 64))));
        assert_eq!(after(Some("other")), Some((1.0, 32)));
    }

    #[test]
    fn the_fallback_is_not_followed() {
        let mut due = due();
        due.prediction.model.source = Source::Fallback;
        let found = compare(due, &asset_type(1.0, &["pump", "level"]), &frames(|_| 5.0, |_| 2.0));
        assert_eq!(found.online, Online::default());
    }
}
