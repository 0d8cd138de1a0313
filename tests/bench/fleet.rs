//! What a fleet lends: plants like the demo's, each with pump, valve and heater of its own strength, learn
//! their histories. Then each in turn is left out: it has only a short history, and what came after is
//! forecast by the base model's head, by the pooled head of the others, and by heads of its own that began
//! from either. Nothing of what is forecast was seen by anything, and nothing is chosen by it.
//!
//! Below 384 frames the server makes no version: there both heads are asked as they are, without bands of
//! the asset's own. From 384 to some 700 nothing is learned, but bands are. All heads of one length have the
//! same experts. Ratios are means over the plants of a head's score over that of the base model's head.
//!
//! `cargo bench --bench fleet`; with `-- SEED` for other plants.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot go on stops, and prints its result")]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use chrono::DateTime;
use counterpart::asset::{Asset, AssetType, TypeDocument, TypeForm};
use counterpart::backtest::examiner::{Assignment as Exam, Version};
use counterpart::backtest::{Bench, Examiner as _, Forecaster, Inputs, Plan};
use counterpart::clock::Clock;
use counterpart::ids::{AssetId, ModelId};
use counterpart::model::pool::Pool;
use counterpart::model::store::LearnedFrom;
use counterpart::model::{Base, BaseChoice, Recipe, StartFrom};
use counterpart::prior::{Controls, HEATER_LIMIT, Operator, Plant};
use counterpart::reading::Frame;
use counterpart::score::ScoreCard;
use counterpart::training::teacher::Teacher;
use counterpart::training::{Assignment, Bases, Candidate, Kin, Learner as _};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// Plants, and the frames that those which lend have learned from.
const PLANTS: u64 = 6;
const LENT: usize = 1_500;
/// Frames of the plant that is left out: too few for a version, for learning, and enough.
const SHORT: [usize; 3] = [150, 400, 800];
/// How what comes after is forecast: the last window ends `PLAN.span()` frames after the short history.
const PLAN: Plan = Plan { windows: 49, step_size: 8, horizon: 64, inputs: Inputs::Measured };
/// Steps that a plant runs before anybody looks.
const SETTLING: usize = 300;
/// How far pump, valve and heater of a plant are from those of the demo's.
const APART: f64 = 0.2;

/// One plant with all of its frames.
struct Unit {
    asset: Arc<Asset>,
    frames: Vec<Frame>,
}

/// What one head scored on each plant, by its name.
struct Row {
    head: &'static str,
    cards: Vec<ScoreCard>,
}

fn main() {
    counterpart::model::use_one_thread();
    let seed = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(11);
    let began = Instant::now();
    let units: Vec<Unit> = (0..PLANTS).map(|place| unit(seed, place)).collect();
    let kin: Vec<Kin> = units.iter().map(|unit| lend(learn(unit, LENT, Recipe::default(), &[]))).collect();
    println!(
        "| frames | head | CRPS | RMSE | CRPS to the base head's | RMSE to the base head's | better on | 80 % band holds |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for short in SHORT {
        let mut rows: Vec<Row> = Vec::new();
        let mut chosen = 0;
        for (place, unit) in units.iter().enumerate() {
            let others: Vec<Kin> =
                kin.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, kin)| kin.clone()).collect();
            let (scored, pooled) = left_out(unit, short, &others);
            chosen += usize::from(pooled);
            for (head, card) in scored {
                match rows.iter_mut().find(|row| row.head == head) {
                    Some(row) => row.cards.push(card),
                    None => rows.push(Row { head, cards: vec![card] }),
                }
            }
        }
        rows.iter().for_each(|row| row.print(short, &rows[0]));
        if short > SHORT[0] {
            println!("\nWith {short} frames `auto` began from the pooled head on {chosen} of {PLANTS} plants.\n");
        }
    }
    println!("{:.0} s", began.elapsed().as_secs_f64());
}

impl Row {
    fn print(&self, short: usize, base: &Self) {
        let mean = |of: &dyn Fn(&ScoreCard) -> f64| self.cards.iter().map(of).sum::<f64>() / self.cards.len() as f64;
        let ratio = |of: &dyn Fn(&ScoreCard) -> f64| {
            let ratios = self.cards.iter().zip(&base.cards).map(|(own, base)| of(own) / of(base));
            ratios.sum::<f64>() / self.cards.len() as f64
        };
        let better = self.cards.iter().zip(&base.cards).filter(|(own, base)| own.crps < base.crps).count();
        println!(
            "| {short} | {} | {:.4} | {:.4} | {:.3} | {:.3} | {better} of {PLANTS} | {:.1} % |",
            self.head,
            mean(&|card| card.crps),
            mean(&|card| card.rmse),
            ratio(&|card| card.crps),
            ratio(&|card| card.rmse),
            100.0 * mean(&|card| card.coverage_80),
        );
    }
}

/// What heads with and without the fleet score on what comes after a short history, and whether the pooled
/// one is begun from when nobody says.
fn left_out(unit: &Unit, short: usize, others: &[Kin]) -> (Vec<(&'static str, ScoreCard)>, bool) {
    if short == SHORT[0] {
        let heads: Vec<&[u8]> = others.iter().map(|kin| &kin.weights[..]).collect();
        let pool = Pool::of(&Base::shipped().unwrap(), &heads).unwrap();
        let as_is = |weights: Vec<u8>| examine(unit, short, Some((weights, Value::Null)));
        return (vec![("base", examine(unit, short, None)), ("pooled", as_is(pool.weights))], false);
    }
    let learned = |recipe: Recipe| learn(unit, short, recipe, others);
    let scored =
        |candidate: &Candidate| examine(unit, short, Some((candidate.weights.clone(), candidate.calibration.clone())));
    // A step too short to lead anywhere: the head stays what it was, and has bands of this asset's own.
    let still = |start| Recipe { start, learning_rate: Some(1e-9), max_steps: 1, ..Recipe::default() };
    let mut rows = vec![
        ("base", scored(&learned(still(StartFrom::Base)))),
        ("pooled", scored(&learned(still(StartFrom::Pooled)))),
    ];
    let auto = learned(Recipe::default());
    if auto.note.is_none() {
        for (name, start) in [("own, from the base", StartFrom::Base), ("own, from the pooled", StartFrom::Pooled)] {
            rows.push((name, scored(&learned(Recipe { start, ..Recipe::default() }))));
        }
    }
    rows.push(("what a job makes", scored(&auto)));
    (rows, auto.ancestry.is_some_and(|ancestry| ancestry.is_pooled()))
}

/// What a fine-tune job makes of the first frames of a plant.
fn learn(unit: &Unit, frames: usize, recipe: Recipe, fleet: &[Kin]) -> Candidate {
    let assignment = Assignment {
        asset: Arc::clone(&unit.asset),
        frames: unit.frames[..frames].to_vec(),
        recipe,
        champion: None,
        labels: Vec::new(),
        bases: Bases::default(),
        fleet: fleet.to_vec(),
    };
    Teacher::default().learn(assignment, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn lend(candidate: Candidate) -> Kin {
    Kin { id: ModelId::mint(&Clock::system()), base: candidate.base, weights: candidate.weights.into() }
}

/// Scores a head with its bands, or the base model, on what comes after the first frames of a plant.
fn examine(unit: &Unit, short: usize, head: Option<(Vec<u8>, Value)>) -> ScoreCard {
    let learned = LearnedFrom { first: None, last: unit.frames[short - 1].observed_at };
    let base = counterpart::model::MODEL_CARD_NAME.to_owned();
    let version =
        head.map(|(weights, calibration)| Version { number: 1, base, weights: weights.into(), calibration, learned });
    let exam = Exam {
        asset: Arc::clone(&unit.asset),
        frames: unit.frames[..short + PLAN.span()].to_vec(),
        plan: PLAN,
        version,
        labels: Vec::new(),
        base: BaseChoice::default(),
    };
    let report = Bench.examine(exam, &mut |_| ControlFlow::Continue(())).unwrap();
    let own = report.forecasters.into_iter().find(|judged| judged.forecaster == Forecaster::Model);
    own.unwrap().all.scores
}

/// A plant of the fleet, operated for as long as it takes.
fn unit(seed: u64, place: u64) -> Unit {
    let own = 100 * seed + place;
    let mut draw = ChaCha8Rng::seed_from_u64(own);
    let [pump, valve, heater] = std::array::from_fn(|_| 1.0 + draw.random_range(-APART..APART));
    let (mut plant, mut operator) = (Plant::new(own), Operator::new(own));
    let mut asked = Controls { pump: 0.5, valve: 0.5, heater: 3.0 };
    let steps = LENT.max(SHORT[2] + PLAN.span());
    let mut frames = Vec::with_capacity(steps);
    for step in 0..SETTLING + steps {
        let applied = Controls {
            pump: (asked.pump * pump).clamp(0.0, 1.0),
            valve: (asked.valve * valve).clamp(0.0, 1.0),
            heater: (asked.heater * heater).clamp(0.0, HEATER_LIMIT),
        };
        let sample = plant.step(&applied);
        let seen = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let [first, second, temperature] = [sample.level_1, sample.level_2, sample.temperature].map(seen);
        if step >= SETTLING {
            frames.push(Frame {
                observed_at: DateTime::from_timestamp(1_790_000_000 + step as i64, 0).unwrap(),
                // What was asked for is what is known: how strong an actuator is has to be learned.
                values: vec![asked.pump, asked.valve, asked.heater, sample.ambient, first, second, temperature],
                quality: None,
            });
        }
        asked = operator.next(&sample);
    }
    let asset = Asset {
        id: AssetId(1 + place.cast_signed()),
        key: format!("plant-{place}"),
        asset_type: Arc::new(plant_type()),
        name: None,
        attributes: Map::new(),
        revision: 1,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    };
    Unit { asset: Arc::new(asset), frames }
}

fn plant_type() -> AssetType {
    let form: TypeForm = serde_json::from_value(json!({
        "interval": "PT1S",
        "signals": [
            { "name": "pump", "unit": "1", "role": "control_input", "min": 0, "max": 1 },
            { "name": "valve", "unit": "1", "role": "control_input", "min": 0, "max": 1 },
            { "name": "heater", "unit": "kW", "role": "control_input", "min": 0, "max": 6 },
            { "name": "ambient", "unit": "Cel", "role": "disturbance", "min": -40, "max": 60 },
            { "name": "level_1", "unit": "m", "role": "output", "min": -0.2, "max": 4.2 },
            { "name": "level_2", "unit": "m", "role": "output", "min": -0.2, "max": 4.2 },
            { "name": "temperature", "unit": "Cel", "role": "output", "min": -10, "max": 100 }
        ],
    }))
    .unwrap();
    let document = TypeDocument::build(form, None).unwrap();
    AssetType { id: 1, key: "plant".to_owned(), version: 1, document, created_at: DateTime::UNIX_EPOCH }
}
