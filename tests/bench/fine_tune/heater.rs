//! A whole job on one output, without server and database.

use std::ops::ControlFlow;
use std::sync::Arc;

use chrono::DateTime;
use counterpart::asset::{Asset, AssetType, TypeDocument, TypeForm};
use counterpart::ids::AssetId;
use counterpart::model::{Freeze, Recipe};
use counterpart::reading::Frame;
use counterpart::training::learner::Stage;
use counterpart::training::teacher::Teacher;
use counterpart::training::{Assignment, Bases, Learner as _};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, json};

use super::{FRAMES, GOAL_S, cpu};

/// What a whole job costs, by stage.
pub(crate) fn job(seed: u64, freeze: Freeze) {
    let assignment = Assignment {
        asset: Arc::new(heater()),
        frames: frames(seed),
        recipe: Recipe { freeze: Some(freeze), ..Recipe::default() },
        champion: None,
        labels: Vec::new(),
        bases: Bases::default(),
        fleet: Vec::new(),
    };
    let began = cpu();
    let mut stages: Vec<(Stage, f64)> = vec![(Stage::Preparing, 0.0)];
    let mut last = began;
    let candidate = Teacher::default()
        .learn(assignment, &mut |progress| {
            let now = cpu();
            if let Some((_, spent)) = stages.last_mut() {
                *spent += now - last;
            }
            last = now;
            if stages.last().is_none_or(|(stage, _)| *stage != progress.stage) {
                stages.push((progress.stage, 0.0));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    let end = cpu();
    stages.last_mut().unwrap().1 += end - last;
    println!("One output, seven inputs: CPU-seconds of a job on {FRAMES} frames, in which learns: {freeze:?}");
    println!("| stage | CPU-s |");
    println!("|---|--:|");
    for (stage, spent) in &stages {
        println!("| {} | {spent:.2} |", format!("{stage:?}").to_lowercase());
    }
    println!("| all | {:.2} |", end - began);
    println!(
        "goal {GOAL_S} CPU-s; {} steps were taken by the attempt that was chosen",
        candidate.curve.last().unwrap().step
    );
}

/// Something that wanders around 0 and comes back, of deviation 1: what surrounds a plant.
struct Wanderer {
    value: f64,
    pace: f64,
}

impl Wanderer {
    fn next(&mut self, draw: &mut ChaCha8Rng) -> f64 {
        // Uniform noise of deviation 1.
        let noise = 3.0_f64.sqrt() * (2.0 * draw.random::<f64>() - 1.0);
        self.value += -self.pace * self.value + (2.0 * self.pace).sqrt() * noise;
        self.value
    }
}

/// A stream that a heater warms: power over flow, with a jacket in between, losses to the surroundings and a valve
/// whose flow is not in proportion. Frames in the order of the type's signals.
fn frames(seed: u64) -> Vec<Frame> {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let mut around = [0.004, 0.01, 0.02, 0.05, 0.002].map(|pace| Wanderer { value: 0.0, pace });
    let (mut power, mut valve) = (3.0_f64, 0.5_f64);
    let (mut jacket, mut stream) = (30.0_f64, 30.0_f64);
    let mut held = 0_u32;
    let mut frame = |step: usize| {
        if held == 0 {
            held = draw.random_range(20..120);
            power = draw.random_range(0.5..6.0);
            valve = draw.random_range(0.25..1.0);
        }
        held -= 1;
        let [ambient, inlet, pressure, humidity, vibration] = around.each_mut().map(|one| one.next(&mut draw));
        let (ambient, inlet, pressure) = (15.0 + 5.0 * ambient, 12.0 + 2.0 * inlet, 3.0 + 0.3 * pressure);
        let flow = valve.powf(1.5) * pressure.max(0.1).sqrt();
        jacket += 0.05 * (8.0 * power - (jacket - stream)) - 0.004 * (jacket - ambient);
        stream += 0.08 * (jacket - stream) - 0.06 * flow * (stream - inlet);
        let noise = 0.05 * (2.0 * draw.random::<f64>() - 1.0);
        Frame {
            observed_at: DateTime::from_timestamp(1_790_000_000 + step as i64, 0).unwrap(),
            values: vec![power, valve, ambient, inlet, pressure, 60.0 + 8.0 * humidity, vibration, stream + noise],
            quality: None,
        }
    };
    (0..FRAMES).map(&mut frame).collect()
}

fn heater() -> Asset {
    Asset {
        id: AssetId(1),
        key: "heater-1".to_owned(),
        asset_type: Arc::new(heater_type()),
        name: None,
        attributes: Map::new(),
        revision: 1,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}

fn heater_type() -> AssetType {
    let form: TypeForm = serde_json::from_value(json!({
        "interval": "PT1S",
        "signals": [
            { "name": "power", "unit": "kW", "role": "control_input", "min": 0, "max": 6 },
            { "name": "valve", "unit": "1", "role": "control_input", "min": 0, "max": 1 },
            { "name": "ambient", "unit": "Cel", "role": "disturbance", "min": -40, "max": 60 },
            { "name": "inlet", "unit": "Cel", "role": "disturbance", "min": -10, "max": 60 },
            { "name": "pressure", "unit": "bar", "role": "disturbance", "min": 0, "max": 10 },
            { "name": "humidity", "unit": "%", "role": "disturbance", "min": -50, "max": 150 },
            { "name": "vibration", "unit": "mm/s", "role": "disturbance", "min": -20, "max": 20 },
            { "name": "stream", "unit": "Cel", "role": "output", "min": -20, "max": 400 }
        ],
    }))
    .unwrap();
    let document = TypeDocument::build(form, None).unwrap();
    AssetType { id: 1, key: "heater".to_owned(), version: 1, document, created_at: DateTime::UNIX_EPOCH }
}
