//! Plants that get into trouble: what goes wrong is drawn from the seed before anything runs.

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::prior::{Controls, Operator, Plant, Sample};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// Between two frames.
pub(crate) const STEP_S: i64 = 4;
/// Steps that a plant runs before anybody looks.
const SETTLING: usize = 300;

/// What changes in a plant for good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Drift {
    /// The pump wears: it moves this share of what its speed says.
    WornPump(f64),
    /// The valve fouls: it opens this share of what it says.
    FouledValve(f64),
    /// The heater scales: this share of its power arrives.
    ScaledHeater(f64),
    /// The level gauges are recalibrated: they say so much more, in m.
    MovedGauge(f64),
}

/// What a sensor does for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The first level stands still.
    Stuck,
    /// Now and then the second level is five times what it is.
    Spikes,
    /// The temperature comes in kelvin.
    Kelvin,
    /// The second level is not sent.
    Silent,
}

/// One plant with its operator, its troubles and what it has said.
pub(crate) struct Site {
    /// Key of its asset.
    pub(crate) key: String,
    plant: Plant,
    operator: Operator,
    last: Option<Sample>,
    /// When its physics change, in steps.
    pub(crate) drift: Option<(usize, Drift)>,
    /// Stretches of steps in which a sensor lies.
    pub(crate) faults: Vec<(usize, usize, Fault)>,
    /// Share of its labels that name the wrong class.
    pub(crate) wrong_labels: f64,
    /// When somebody promotes a bad version, in steps.
    pub(crate) bad_version_at: Option<usize>,
    rng: ChaCha8Rng,
    step: usize,
    stuck_at: Option<f64>,
    /// Since when the plant has been as it is, whether it leaks, and what its label says.
    spell: Option<(DateTime<Utc>, bool, &'static str)>,
}

/// How many of the sites get what.
pub(crate) struct Plan {
    pub(crate) sites: usize,
    pub(crate) steps: usize,
    pub(crate) seed: u64,
}

impl Plan {
    /// The sites: three in ten drift, four in ten have sensor faults, one in five noisy labels, one in five gets
    /// a bad version.
    pub(crate) fn sites(&self) -> Vec<Site> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut sites: Vec<Site> = (0..self.sites).map(|index| Site::new(self.seed, index)).collect();
        let at = |rng: &mut ChaCha8Rng, from: f64, to: f64| (self.steps as f64 * rng.random_range(from..to)) as usize;
        for index in drawn(&mut rng, self.sites, 0.3) {
            let drift = match index % 4 {
                0 => Drift::WornPump(rng.random_range(0.65..0.8)),
                1 => Drift::FouledValve(rng.random_range(0.75..0.85)),
                2 => Drift::ScaledHeater(rng.random_range(0.5..0.7)),
                _ => Drift::MovedGauge(rng.random_range(0.3..0.6)),
            };
            sites[index].drift = Some((at(&mut rng, 0.35, 0.65), drift));
        }
        for index in drawn(&mut rng, self.sites, 0.4) {
            for _ in 0..3 {
                let fault = [Fault::Stuck, Fault::Spikes, Fault::Kelvin, Fault::Silent][rng.random_range(0..4)];
                let from = at(&mut rng, 0.05, 0.95);
                sites[index].faults.push((from, from + rng.random_range(60..300), fault));
            }
        }
        for index in drawn(&mut rng, self.sites, 0.2) {
            sites[index].wrong_labels = 0.2;
        }
        for index in drawn(&mut rng, self.sites, 0.2) {
            sites[index].bad_version_at = Some(at(&mut rng, 0.3, 0.9));
        }
        sites
    }
}

/// A share of the indices, in a drawn order.
fn drawn(rng: &mut ChaCha8Rng, count: usize, share: f64) -> Vec<usize> {
    let mut all: Vec<usize> = (0..count).collect();
    all.shuffle(rng);
    all.truncate((count as f64 * share).round() as usize);
    all
}

impl Site {
    fn new(seed: u64, index: usize) -> Self {
        let own = 1_000 * seed + index as u64;
        let mut site = Self {
            key: format!("plant-{index:02}"),
            plant: Plant::new(own),
            operator: Operator::new(own),
            last: None,
            drift: None,
            faults: Vec::new(),
            wrong_labels: 0.0,
            bad_version_at: None,
            rng: ChaCha8Rng::seed_from_u64(own),
            step: 0,
            stuck_at: None,
            spell: None,
        };
        for _ in 0..SETTLING {
            site.run_plant(None);
        }
        site
    }

    /// One step of the plant under what its operator does, as the sensors tell it.
    fn run_plant(&mut self, drift: Option<Drift>) -> Sample {
        let start = Controls { pump: 0.5, valve: 0.5, heater: 3.0 };
        let asked = self.last.as_ref().map_or(start, |last| self.operator.next(last));
        let mut done = asked;
        match drift {
            Some(Drift::WornPump(share)) => done.pump *= share,
            Some(Drift::FouledValve(share)) => done.valve *= share,
            Some(Drift::ScaledHeater(share)) => done.heater *= share,
            Some(Drift::MovedGauge(_)) | None => {}
        }
        let mut sample = self.plant.step(&done);
        (sample.pump, sample.valve, sample.heater) = (asked.pump, asked.valve, asked.heater);
        self.last = Some(sample);
        if let Some(Drift::MovedGauge(by)) = drift {
            sample.level_1 = sample.level_1.map(|level| level + by);
            sample.level_2 = sample.level_2.map(|level| level + by);
        }
        sample
    }

    /// The next frame, and the labels that its instant brings.
    pub(crate) fn next(&mut self, at: DateTime<Utc>) -> (Value, Vec<Value>) {
        let drift = self.drift.filter(|(from, _)| self.step >= *from).map(|(_, drift)| drift);
        let sample = self.run_plant(drift);
        let fault =
            self.faults.iter().find(|(from, to, _)| (*from..*to).contains(&self.step)).map(|(.., fault)| *fault);
        let frame = self.frame(at, sample, fault);
        self.step += 1;
        (frame, self.labels(at, sample.leak))
    }

    fn frame(&mut self, at: DateTime<Utc>, mut sample: Sample, fault: Option<Fault>) -> Value {
        match fault {
            Some(Fault::Stuck) => sample.level_1 = Some(*self.stuck_at.get_or_insert(sample.level_1.unwrap_or(1.5))),
            Some(Fault::Spikes) if self.rng.random_bool(0.05) => {
                sample.level_2 = sample.level_2.map(|level| (5.0 * level).min(4.2));
            }
            Some(Fault::Kelvin) => sample.temperature = sample.temperature.map(|celsius| celsius + 273.15),
            Some(Fault::Silent) => sample.level_2 = None,
            _ => {}
        }
        if fault != Some(Fault::Stuck) {
            self.stuck_at = None;
        }
        let rounded = |value: f64| json!((value * 1e4).round() / 1e4);
        let mut values: Map<String, Value> = Map::new();
        for (name, value) in
            [("pump", sample.pump), ("valve", sample.valve), ("heater", sample.heater), ("ambient", sample.ambient)]
        {
            values.insert(name.to_owned(), rounded(value));
        }
        for (name, value) in
            [("level_1", sample.level_1), ("level_2", sample.level_2), ("temperature", sample.temperature)]
        {
            values.extend(value.map(|value| (name.to_owned(), rounded(value))));
        }
        json!({"asset": self.key, "ts": at, "values": values})
    }

    /// A label where the leak opens or closes; some name the wrong class.
    fn labels(&mut self, at: DateTime<Utc>, leak: bool) -> Vec<Value> {
        if self.spell.is_some_and(|(_, before, _)| before == leak) {
            return Vec::new();
        }
        let wrong = self.rng.random_bool(self.wrong_labels);
        let class = if leak == wrong { "sound" } else { "leaking" };
        let label = |since: DateTime<Utc>, class: &str, end: Option<DateTime<Utc>>| {
            let id = format!("spell-{}", since.timestamp_millis());
            json!({"id": id, "kind": "label", "class": class, "start": since, "end": end})
        };
        let ended = self.spell.map(|(since, _, class)| label(since, class, Some(at)));
        self.spell = Some((at, leak, class));
        ended.into_iter().chain([label(at, class, None)]).collect()
    }

    /// Whether a sensor lies somewhere between these steps.
    pub(crate) fn is_clean(&self, from: usize, to: usize) -> bool {
        self.faults.iter().all(|(begin, end, _)| to < *begin || *end < from)
    }
}

/// The instant of a step.
pub(crate) fn instant(start: DateTime<Utc>, step: usize) -> DateTime<Utc> {
    start + TimeDelta::seconds(STEP_S * step as i64)
}
