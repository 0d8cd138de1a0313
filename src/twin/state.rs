//! How readings move the state, and how the state is shown. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::asset::{Asset, Interval, Kind};
use crate::ids::ModelId;
use crate::reading::Block;
use crate::reading::instant::{self, instant};
use crate::twin::{Anomaly, ClassAhead, Desired, HealthOutlook, Judged, Looked, Risk, TimeToClass, Twin};

/// A state is stale when it is older than this many nominal intervals, and than [`STALE_AT_LEAST`].
const STALE_INTERVALS: i32 = 10;
/// A state younger than this is not stale however fast the asset reports.
const STALE_AT_LEAST: TimeDelta = TimeDelta::seconds(60);

/// Newest value of each signal with its instant, in microseconds since 1970. NaN: none yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// Of the newest frame.
    pub newest: Option<i64>,
    /// In signal order.
    pub values: Vec<f64>,
    /// In signal order; `i64::MIN` where there is no value.
    pub at: Vec<i64>,
}

impl Reported {
    /// Of an asset that never reported.
    #[must_use]
    pub fn empty(width: usize) -> Self {
        Self { newest: None, values: vec![f64::NAN; width], at: vec![i64::MIN; width] }
    }

    /// Takes in one frame. Event time decides, signal by signal; of equal instants the later
    /// arrival wins.
    pub fn observe(&mut self, at: i64, values: &[f64]) {
        self.newest = self.newest.max(Some(at));
        for (signal, &value) in values.iter().enumerate().take(self.values.len()) {
            if !value.is_nan() && at >= self.at[signal] {
                self.values[signal] = value;
                self.at[signal] = at;
            }
        }
    }

    /// Takes in a sorted block: from its end until every signal has a value that no earlier frame
    /// could replace.
    pub fn observe_block(&mut self, block: &Block) {
        self.newest = self.newest.max(block.last());
        let mut open = vec![true; self.values.len()];
        let mut left = open.len();
        for row in (0..block.len()).rev() {
            if left == 0 {
                return;
            }
            let at = block.instants()[row];
            for (signal, &value) in block.values(row).iter().enumerate() {
                if !value.is_nan() && open[signal] {
                    open[signal] = false;
                    left -= 1;
                    if at >= self.at[signal] {
                        self.values[signal] = value;
                        self.at[signal] = at;
                    }
                }
            }
        }
    }
}

/// Whether a state, or a value of it, is of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    /// Younger than ten nominal intervals, or than a minute.
    Live,
    /// Older than that.
    Stale,
    /// Nothing was ever reported.
    Empty,
}

impl Freshness {
    /// Of something so old that comes at this interval.
    pub(super) fn of(age: TimeDelta, interval: Interval) -> Self {
        let patience = interval.delta().checked_mul(STALE_INTERVALS).unwrap_or(TimeDelta::MAX).max(STALE_AT_LEAST);
        if age > patience { Self::Stale } else { Self::Live }
    }
}

/// A value of the state.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ReportedValue {
    /// A number, a boolean, or the label of an enum signal.
    pub value: Value,
    /// When it was so.
    pub observed_at: String,
    /// Whether it is of now, by the signal's own interval.
    pub freshness: Freshness,
    /// UCUM unit of the signal.
    pub unit: String,
}

/// The live state of an asset as it is answered.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = AssetState)]
pub struct State {
    /// Key of the asset.
    pub asset: String,
    /// Counts the commits that changed the asset's readings.
    pub seq: i64,
    /// Instant of the newest frame.
    pub observed_at: Option<String>,
    /// Seconds since then.
    pub age_s: Option<f64>,
    /// Whether the state is of now.
    pub freshness: Freshness,
    /// Newest value of each signal that ever had one.
    pub reported: BTreeMap<String, ReportedValue>,
    /// What people want, by signal.
    pub desired: BTreeMap<String, Desired>,
    /// How far the newest judged step lies from normal operation, in units of the threshold: 1 is
    /// exceeded by normal operation with the false-alarm rate. Absent while there is too little history,
    /// and for a state in the past.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomaly_score: Option<f64>,
    /// What each output has to do with the score: their sum is the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contributions: Option<BTreeMap<String, f64>>,
    /// Instant of the step that was judged; it follows `observed_at` within seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomaly_at: Option<String>,
    /// The health class that the asset is in, and how long it is until it fails. Absent without a classifier
    /// or a model of remaining time, which a fine-tune job makes where there are labels, and for a state in
    /// the past.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// How likely a limit is broken within the horizon of the asset's own newest forecast. Absent without
    /// limits, and for a state in the past.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
}

/// The health of an asset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AssetHealth)]
pub struct Health {
    /// The likeliest class; absent where only the remaining time is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Probability of each class that the classifier knows; they sum to 1. Absent without a classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<BTreeMap<String, f64>>,
    /// The class at a few instants ahead, the nearest first; between them nothing is said. Absent where the
    /// classifier was not taught it: too few labelled steps follow one another, or the version is older than
    /// this. Lists of many assets leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Vec<ClassAhead>>,
    /// When the asset is first in each class that it is not in now, as a distribution over the same instants.
    /// Absent where `ahead` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_class: Option<BTreeMap<String, TimeToClass>>,
    /// How long it is until the class that ends runs. Absent where too few runs to failure are known, and
    /// while the asset is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_time: Option<Remaining>,
    /// Instant of the step that was looked at; it follows the state's within seconds.
    pub at: String,
    /// The model version that looked.
    pub model: ModelId,
}

impl Health {
    /// What was seen of an asset, as it is shown.
    #[must_use]
    pub fn of(looked: Looked) -> Self {
        let Looked { model, at, class, outlook, remaining } = looked;
        let (class, probabilities) = class.unzip();
        let (ahead, time_to_class) =
            outlook.map(|HealthOutlook { ahead, time_to_class }| (ahead, time_to_class)).unzip();
        Self { class, probabilities, ahead, time_to_class, remaining_time: remaining, at: instant::text(at), model }
    }

    /// The same without what will become of the class.
    #[must_use]
    pub fn now(self) -> Self {
        Self { ahead: None, time_to_class: None, ..self }
    }
}

/// How long it is until a health class begins, as a distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = RemainingTime)]
pub struct Remaining {
    /// The class that ends the run.
    pub class: String,
    /// Durations that are not exceeded with the probability of their key, `0.1`, `0.5` and `0.9`: ISO 8601
    /// such as `PT3H20M`; null beyond the horizon.
    pub quantiles: BTreeMap<String, Option<String>>,
    /// How far it is known: ISO 8601.
    pub horizon: String,
    /// Probability that it is longer than the horizon.
    pub beyond_horizon: f64,
}

impl State {
    /// The state now.
    #[must_use]
    pub fn of(asset: &Asset, twin: Option<&Twin>, now: DateTime<Utc>) -> Self {
        let Some(twin) = twin else {
            return Self::shown(asset, &Reported::empty(0), 0, now);
        };
        let reported = Reported {
            newest: twin.observed_at.map(|at| at.timestamp_micros()),
            values: twin.reported.clone(),
            at: twin.reported_at.iter().map(|at| at.map_or(i64::MIN, |at| at.timestamp_micros())).collect(),
        };
        Self { desired: twin.desired.clone(), ..Self::shown(asset, &reported, twin.seq, now) }
    }

    /// The state at an instant in the past. What was desired then is not kept.
    #[must_use]
    pub fn past(asset: &Asset, reported: &Reported, seq: i64, as_of: DateTime<Utc>) -> Self {
        Self::shown(asset, reported, seq, as_of)
    }

    /// The same with what is judged of it.
    #[must_use]
    pub fn with_judged(self, judged: Judged) -> Self {
        let Judged { anomaly, health, risk } = judged;
        let judged = Self { health, risk, ..self };
        let Some(Anomaly { observed_at, score, contributions }) = anomaly else { return judged };
        let anomaly_at = Some(instant::text(observed_at));
        Self { anomaly_score: Some(score), contributions: Some(contributions), anomaly_at, ..judged }
    }

    fn shown(asset: &Asset, reported: &Reported, seq: i64, now: DateTime<Utc>) -> Self {
        let newest = reported.newest.map(instant);
        let age = newest.map(|newest| now - newest);
        let document = &asset.asset_type.document;
        let signals = document.signals.iter().zip(reported.values.iter().zip(&reported.at));
        Self {
            asset: asset.key.clone(),
            seq,
            observed_at: newest.map(instant::text),
            age_s: age.map(|age| age.num_microseconds().unwrap_or(i64::MAX) as f64 / 1e6),
            freshness: age.map_or(Freshness::Empty, |age| Freshness::of(age, document.interval)),
            reported: signals
                .filter(|(_, (value, _))| !value.is_nan())
                .map(|(signal, (value, at))| {
                    let at = instant(*at);
                    let value = ReportedValue {
                        value: shown_value(&signal.kind, *value),
                        observed_at: instant::text(at),
                        freshness: Freshness::of(now - at, document.interval_of(signal)),
                        unit: signal.unit.clone(),
                    };
                    (signal.name.clone(), value)
                })
                .collect(),
            desired: BTreeMap::new(),
            anomaly_score: None,
            contributions: None,
            anomaly_at: None,
            health: None,
            risk: None,
        }
    }
}

/// A stored number as people know it: booleans as such, enum values as their label.
#[must_use]
pub(super) fn shown_value(kind: &Kind, value: f64) -> Value {
    match kind {
        Kind::Boolean => Value::Bool(value != 0.0),
        Kind::Enum { labels } => match labels.get(value as usize) {
            Some(label) => Value::String(label.clone()),
            None => Value::from(value),
        },
        Kind::Number => Value::from(value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Vec<(i64, Vec<f64>)>> {
        let value = prop_oneof![2 => -5.0..5.0, 1 => Just(f64::NAN)];
        proptest::collection::vec((0_i64..20, proptest::collection::vec(value, 3)), 0..30)
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(mut given in frames(), turn in 0_usize..30) {
            // Equal instants are settled by arrival, so each instant comes once.
            given.sort_by_key(|(at, _)| *at);
            given.dedup_by_key(|(at, _)| *at);
            let mut forward = Reported::empty(3);
            given.iter().for_each(|(at, values)| forward.observe(*at, values));
            let middle = turn.min(given.len());
            given.rotate_left(middle);
            let mut turned = Reported::empty(3);
            given.iter().for_each(|(at, values)| turned.observe(*at, values));
            prop_assert_eq!(format!("{forward:?}"), format!("{turned:?}"));
        }

        #[test]
        fn a_block_moves_the_state_as_its_frames_do(first in frames(), second in frames()) {
            let mut by_frame = Reported::empty(3);
            first.iter().for_each(|(at, values)| by_frame.observe(*at, values));
            let mut by_block = by_frame.clone();
            let mut block = Block::new(3);
            for (at, values) in &second {
                let row = block.push_empty(*at);
                for (signal, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                    block.set(row, signal, *value, 0);
                }
            }
            block.tidy();
            by_block.observe_block(&block);
            second.iter().for_each(|(at, values)| by_frame.observe(*at, values));
            prop_assert_eq!(format!("{by_frame:?}"), format!("{by_block:?}"));
        }
    }
}
