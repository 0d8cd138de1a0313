//! The demo's plant as a set: simulated in memory, and written out for other tools.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::task::{Protocol, Task, Unit, asset_type, frames};
use super::{Config, EvaluateError};
use crate::asset::{Role, TypeDocument, TypeForm};
use crate::prior::{Controls, Operator, Plant, Sample};

/// Minutes of the plant: three days or so.
const ROWS: usize = 5_000;
/// Minutes that it runs before the record begins.
const SETTLING: usize = 300;
/// Seed of plant and operator, as `counterpart demo` has it.
pub(super) const SEED: u64 = 7;
const HORIZON: usize = 64;

/// The record with the protocol that a user's own file gets by default.
pub(super) fn task(name: &str, config: &Config) -> Result<Task, EvaluateError> {
    let document = document()?;
    let (a, b) = (ROWS * 6 / 10, ROWS * 8 / 10);
    let protocol = Protocol {
        horizon: HORIZON,
        train: 0..a,
        validation: a..b,
        test: b..ROWS,
        stride: config.stride(),
        taught: 0..b,
        look_back: None,
        joint: true,
        season: None,
        unit: Unit::TrainDeviation,
        words: format!("{ROWS} simulated minutes under an operator, 60/20/20 in time, 64 steps ahead, three outputs"),
    };
    let interval = document.interval.seconds();
    let asset_type = asset_type(name, interval, document.signals);
    Task::new(name, asset_type, frames(rows(config.plant_seed), interval, &[]), |_| Ok(protocol), config.most_windows())
}

/// Writes the record as CSV, and its roles beside it; says where the roles are.
pub(super) fn export(path: &Path, seed: u64) -> Result<PathBuf, EvaluateError> {
    let document = document()?;
    let roles_path = path.with_extension("roles.json");
    let mut text = String::from("second");
    for signal in &document.signals {
        text.push(',');
        text.push_str(&signal.name);
    }
    text.push('\n');
    for (second, row) in rows(seed).into_iter().enumerate() {
        text.push_str(&second.to_string());
        for value in row {
            text.push(',');
            if value.is_finite() {
                text.push_str(&value.to_string());
            }
        }
        text.push('\n');
    }
    let signals: Map<String, Value> = document
        .signals
        .iter()
        .map(|signal| {
            let entry = json!({ "role": role(signal.role), "min": signal.min, "max": signal.max });
            (signal.name.clone(), entry)
        })
        .collect();
    let roles = json!({ "time": "second", "interval_s": 1, "signals": signals, "horizon": HORIZON });
    for (path, bytes) in
        [(path, text.into_bytes()), (&roles_path, serde_json::to_vec_pretty(&roles).unwrap_or_default())]
    {
        std::fs::write(path, bytes).map_err(|source| EvaluateError::Write { path: path.to_owned(), source })?;
    }
    Ok(roles_path)
}

fn role(role: Role) -> Value {
    serde_json::to_value(role).unwrap_or_default()
}

fn document() -> Result<TypeDocument, EvaluateError> {
    let wrong = |detail: String| EvaluateError::Protocol { set: "demo_plant".into(), detail };
    let form: TypeForm = serde_json::from_value(crate::demo::document()).map_err(|error| wrong(error.to_string()))?;
    TypeDocument::build(form, None).map_err(|faults| wrong(format!("{faults:?}")))
}

/// In the order of the document's signals; NaN while a sensor is out.
fn rows(seed: u64) -> Vec<Vec<f64>> {
    let (mut plant, mut operator) = (Plant::new(seed), Operator::new(seed));
    let mut last: Option<Sample> = None;
    let mut step = || {
        let start = Controls { pump: 0.5, valve: 0.5, heater: 3.0 };
        let sample = plant.step(&last.as_ref().map_or(start, |last| operator.next(last)));
        last = Some(sample);
        let seen = |value: Option<f64>| value.unwrap_or(f64::NAN);
        vec![
            sample.pump,
            sample.valve,
            sample.heater,
            sample.ambient,
            seen(sample.level_1),
            seen(sample.level_2),
            seen(sample.temperature),
        ]
    };
    for _ in 0..SETTLING {
        step();
    }
    (0..ROWS).map(|_| step()).collect()
}
