//! A plant of our own that streams telemetry, so that a newcomer sees a live twin in a minute.
//!
//! The plant's minutes pass sixty times as fast: one frame a second, stamped with the present. At
//! the start the two hours before now are simulated as well, or what is missing since the demo
//! last ran. Everything goes the way of any other telemetry; nothing here writes to the database.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::asset::{Asset, AssetError, Assets, Key, NewAsset, TypeForm};
use crate::clock::Clock;
use crate::event::{Events, EventsError};
use crate::ingest::{Form, Ingest, IngestError, Options};
use crate::prior::{Controls, Operator, Plant, Sample};
use crate::twin::{TwinError, Twins};

/// Key of the demo's asset.
const ASSET: &str = "demo-plant";
/// Key of its type.
const TYPE: &str = "two-tank-plant";
/// Frames of one request while the past is made up.
const CHUNK: usize = 600;
/// Between two frames.
const INTERVAL: TimeDelta = TimeDelta::seconds(1);
/// Steps that the plant runs before anybody looks.
const SETTLING: usize = 300;

/// Settings of the demo.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Seed of the plant and of its operator.
    #[arg(long, env = "COUNTERPART_DEMO_SEED", default_value_t = 7)]
    pub demo_seed: u64,
    /// Minutes of history that are made up at the first start.
    #[arg(long, env = "COUNTERPART_DEMO_HISTORY_MINUTES", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub demo_history_minutes: u32,
}

/// Why the demo ended.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The asset could not be made.
    #[error("the demo's asset could not be made")]
    Asset(#[from] AssetError),
    /// Its state could not be read.
    #[error("the demo's state could not be read")]
    Twin(#[from] TwinError),
    /// Readings were not taken.
    #[error("the demo's readings were not taken")]
    Ingest(#[from] IngestError),
    /// Labels were not taken.
    #[error("the demo's labels were not taken")]
    Events(#[from] EventsError),
    /// The demo's own documents are wrong.
    #[error("the demo's documents are wrong")]
    Document(#[from] serde_json::Error),
    /// A key of the demo's is wrong.
    #[error("the demo's keys are wrong: {0}")]
    Key(String),
}

/// The plant, its operator, and the way in.
pub struct Demo {
    assets: Assets,
    twins: Twins,
    events: Events,
    ingest: Ingest,
    clock: Clock,
    plant: Plant,
    operator: Operator,
    last: Option<Sample>,
    /// Since when the plant has been as it is: whether the second tank leaks.
    spell: Option<(DateTime<Utc>, bool)>,
    history: TimeDelta,
}

impl Demo {
    /// A settled plant.
    #[must_use]
    pub fn new(assets: Assets, twins: Twins, events: Events, ingest: Ingest, clock: Clock, config: &Config) -> Self {
        let history = TimeDelta::minutes(i64::from(config.demo_history_minutes));
        let (plant, operator) = (Plant::new(config.demo_seed), Operator::new(config.demo_seed));
        let mut demo = Self { assets, twins, events, ingest, clock, plant, operator, last: None, spell: None, history };
        for _ in 0..SETTLING {
            demo.step();
        }
        demo
    }

    /// Makes the asset, tells the past, then streams until the end.
    pub async fn run(mut self, end: CancellationToken) -> Result<(), DemoError> {
        let asset = self.prepare().await?;
        let mut told = self.tell_the_past(&asset).await?;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = end.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            let now = self.clock.now();
            // A second that was missed is told late rather than never.
            let (frames, labels) = self.until(&mut told, now);
            if let Err(error) = self.send(&asset, &frames, &labels).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the demo plant could not be heard");
            }
        }
    }

    /// The demo's asset, made if need be.
    async fn prepare(&self) -> Result<Arc<Asset>, DemoError> {
        let key = |text: &str| text.parse::<Key>().map_err(|error| DemoError::Key(error.to_string()));
        let form: TypeForm = serde_json::from_value(document())?;
        self.assets.create_type(&key(TYPE)?, form).await?;
        let new = NewAsset {
            key: key(ASSET)?,
            asset_type: key(TYPE)?,
            type_version: None,
            name: Some("Two-tank plant (demo)".to_owned()),
            attributes: Map::from_iter([("demo".to_owned(), Value::Bool(true))]),
        };
        match self.assets.create(new).await {
            Ok(_) | Err(AssetError::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.assets.find(ASSET).await?)
    }

    /// Up to now, from where the last run ended; says where it ended itself.
    async fn tell_the_past(&mut self, asset: &Arc<Asset>) -> Result<DateTime<Utc>, DemoError> {
        let now = self.clock.now();
        let known = self.twins.get(asset.id).await?.and_then(|twin| twin.observed_at);
        let mut told = known.map_or(now - self.history, |known| known.max(now - self.history).min(now));
        while told + INTERVAL <= self.clock.now() {
            let (frames, labels) = self.until(&mut told, self.clock.now());
            self.send(asset, &frames, &labels).await?;
        }
        Ok(told)
    }

    /// Frames from `told` up to `now`, and labels of what changed; moves `told`.
    fn until(&mut self, told: &mut DateTime<Utc>, now: DateTime<Utc>) -> (Vec<Value>, Vec<Value>) {
        let (mut frames, mut labels) = (Vec::new(), Vec::new());
        while *told + INTERVAL <= now && frames.len() < CHUNK {
            *told += INTERVAL;
            let sample = self.step();
            frames.push(frame(*told, &sample));
            if self.spell.is_none_or(|(_, leak)| leak != sample.leak) {
                labels.extend(self.spell.map(|(since, leak)| label(since, Some(*told), leak)));
                labels.push(label(*told, None, sample.leak));
                self.spell = Some((*told, sample.leak));
            }
        }
        (frames, labels)
    }

    /// One plant minute.
    fn step(&mut self) -> Sample {
        let start = Controls { pump: 0.5, valve: 0.5, heater: 3.0 };
        let controls = self.last.as_ref().map_or(start, |last| self.operator.next(last));
        let sample = self.plant.step(&controls);
        self.last = Some(sample);
        sample
    }

    async fn send(&self, asset: &Arc<Asset>, frames: &[Value], labels: &[Value]) -> Result<(), DemoError> {
        if frames.is_empty() {
            return Ok(());
        }
        let body = serde_json::to_vec(frames)?;
        let mut hold = self.ingest.admit(body.len())?;
        let receipt = self.ingest.take(Some(asset.clone()), Form::Json, &body, &Options::default(), &mut hold).await?;
        if receipt.rejected > 0 {
            tracing::warn!(readings = receipt.rejected, "readings of the demo plant were refused");
        }
        if !labels.is_empty() {
            self.events.take(ASSET, &serde_json::to_vec(labels)?, true).await?;
        }
        Ok(())
    }
}

/// A frame as any device would send it; a sensor that dropped out is left out.
fn frame(at: DateTime<Utc>, sample: &Sample) -> Value {
    let sensors = [("level_1", sample.level_1), ("level_2", sample.level_2), ("temperature", sample.temperature)];
    let mut values: Map<String, Value> =
        sensors.into_iter().filter_map(|(name, value)| Some((name.to_owned(), rounded(value?)))).collect();
    for (name, value) in
        [("pump", sample.pump), ("valve", sample.valve), ("heater", sample.heater), ("ambient", sample.ambient)]
    {
        values.insert(name.to_owned(), rounded(value));
    }
    json!({ "ts": at.timestamp_millis(), "values": values })
}

/// What a shift foreman would write into the log: the same id again says when it ended.
fn label(since: DateTime<Utc>, until: Option<DateTime<Utc>>, leak: bool) -> Value {
    let class = if leak { "leaking" } else { "sound" };
    let id = format!("demo-{}", since.timestamp_millis());
    json!({ "id": id, "kind": "label", "class": class, "start": since.timestamp_millis(), "end": until.map(|end| end.timestamp_millis()) })
}

/// Sensors do not send sixteen digits.
fn rounded(value: f64) -> Value {
    json!((value * 1e4).round() / 1e4)
}

/// What the type of the demo says.
pub(crate) fn document() -> Value {
    json!({
        "description": "A pump fills two tanks in series; a valve drains the second, a heater warms it.",
        "interval": "PT1S",
        "health_classes": ["sound", "leaking"],
        "signals": [
            { "name": "pump", "unit": "1", "role": "control_input", "min": 0, "max": 1, "description": "Speed of the pump" },
            { "name": "valve", "unit": "1", "role": "control_input", "min": 0, "max": 1, "description": "Opening of the outlet valve" },
            { "name": "heater", "unit": "kW", "role": "control_input", "min": 0, "max": 6, "description": "Power of the heater" },
            { "name": "ambient", "unit": "Cel", "role": "disturbance", "min": -40, "max": 60, "description": "Temperature of the surroundings" },
            { "name": "level_1", "unit": "m", "role": "output", "min": -0.2, "max": 4.2, "description": "Level of the first tank" },
            { "name": "level_2", "unit": "m", "role": "output", "min": -0.2, "max": 4.2, "description": "Level of the second tank" },
            { "name": "temperature", "unit": "Cel", "role": "output", "min": -10, "max": 100, "description": "Temperature of the second tank" }
        ],
        "attributes": [ { "name": "demo", "kind": "boolean", "description": "The plant is simulated" } ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_a_type() {
        let form: TypeForm = serde_json::from_value(document()).unwrap();
        assert_eq!(form.signals.len(), 7);
    }

    #[test]
    fn a_label_that_ends_keeps_its_name() {
        let since = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let (open, closed) = (label(since, None, true), label(since, Some(since + TimeDelta::seconds(9)), true));
        assert_eq!((&open["id"], &open["class"], &open["end"]), (&closed["id"], &json!("leaking"), &Value::Null));
        assert!(closed["end"].is_number() && label(since, None, false)["class"] == "sound");
    }

    #[test]
    fn a_sensor_that_dropped_out_is_left_out() {
        let mut plant = Plant::new(1);
        let mut sample = plant.step(&Controls { pump: 0.5, valve: 0.5, heater: 3.0 });
        sample.level_1 = None;
        let frame = frame(DateTime::UNIX_EPOCH, &sample);
        assert!(frame["values"].get("level_1").is_none());
        assert!(frame["values"]["ambient"].is_number());
    }
}
