//! A user's own file: CSV, and a role file that says what its columns are.
//!
//! Every fault names the field it is in, as a JSON pointer.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::columns::{number, read};
use super::task::{Protocol, Task, Unit, asset_type, signal};
use super::{Config, EvaluateError};
use crate::asset::{Role, Template};
use crate::features::Grid;
use crate::reading::{Frame, instant};

/// Steps ahead by default.
const HORIZON: usize = 64;
/// Most steps ahead that can be asked for.
const MAX_HORIZON: usize = 2_048;
/// Parts by default.
const SHARES: [f64; 3] = [0.6, 0.2, 0.2];
/// Targets that are taken for one plant; with more of them a joint regression gets out of hand.
const JOINT: usize = 4;

/// The role file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleFile {
    /// The column of instants: seconds, or text as RFC 3339 has it.
    time: String,
    /// Nominal seconds between rows; found in the file if not given.
    #[serde(default)]
    interval_s: Option<f64>,
    signals: BTreeMap<String, SignalRole>,
    #[serde(default)]
    horizon: Option<usize>,
    #[serde(default)]
    train: Option<f64>,
    #[serde(default)]
    validation: Option<f64>,
    #[serde(default)]
    test: Option<f64>,
    /// A physics template of the bank.
    #[serde(default)]
    template: Option<Template>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignalRole {
    role: Role,
    #[serde(default)]
    min: Option<f64>,
    #[serde(default)]
    max: Option<f64>,
}

/// Reads a file with its roles.
pub(super) fn open(csv: &Path, roles: &Path, config: &Config) -> Result<Task, EvaluateError> {
    let text = read(roles)?;
    let wrong = |pointer: String, detail: String| EvaluateError::Role { path: roles.to_owned(), pointer, detail };
    let file = parse(&text).map_err(|(pointer, detail)| wrong(pointer, detail))?;
    let frames = frames(csv, &file).map_err(|fault| match fault {
        Fault::Column(pointer, detail) => wrong(pointer, detail),
        Fault::Data(error) => error,
    })?;
    let interval_s = file.interval_s.unwrap_or_else(|| usual_gap(&frames));
    let signals = file.signals.iter().map(|(name, role)| signal(name, role.role, role.min.zip(role.max))).collect();
    let name = csv.file_stem().map_or_else(|| "csv".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let cut = |grid: &Grid| Ok(protocol(&file, grid, config));
    let mut asset_type = asset_type(&name, interval_s, signals);
    asset_type.document.template = file.template;
    Task::new(&name, asset_type, frames, cut, config.most_windows())
}

/// Parses and checks a role file; a fault is a JSON pointer and what is wrong there.
fn parse(text: &str) -> Result<RoleFile, (String, String)> {
    let mut document = serde_json::Deserializer::from_str(text);
    let file: RoleFile = serde_path_to_error::deserialize(&mut document).map_err(|error| {
        let segments = error.path().iter().map(ToString::to_string).collect::<Vec<_>>();
        let pointer = format!("/{}", segments.join("/"));
        (pointer, error.inner().to_string())
    })?;
    let fault = |pointer: &str, detail: &str| Err((pointer.to_owned(), detail.to_owned()));
    if !file.signals.values().any(|signal| signal.role == Role::Output) {
        return fault("/signals", "none has the role output: there is nothing to predict");
    }
    if file.signals.contains_key(&file.time) {
        return Err((format!("/signals/{}", file.time), "is the column of instants".into()));
    }
    for (name, signal) in &file.signals {
        if signal.min.zip(signal.max).is_some_and(|(min, max)| min >= max) {
            return Err((format!("/signals/{name}/max"), "must be more than min".into()));
        }
    }
    if file.interval_s.is_some_and(|interval| !(interval > 0.0 && interval.is_finite())) {
        return fault("/interval_s", "must be more than 0");
    }
    if file.horizon.is_some_and(|horizon| !(1..=MAX_HORIZON).contains(&horizon)) {
        return Err(("/horizon".into(), format!("must be 1 to {MAX_HORIZON}")));
    }
    let [train, validation, test] = shares(&file);
    for (pointer, share) in [("/train", train), ("/validation", validation), ("/test", test)] {
        if !(share > 0.0 && share < 1.0) {
            return fault(pointer, "must be more than 0 and less than 1");
        }
    }
    if train + validation + test > 1.0 + 1e-9 {
        return fault("/test", "the parts sum to more than 1");
    }
    Ok(file)
}

fn shares(file: &RoleFile) -> [f64; 3] {
    let [train, validation, test] = SHARES;
    [file.train.unwrap_or(train), file.validation.unwrap_or(validation), file.test.unwrap_or(test)]
}

/// The newest rows are the test part; what the shares leave over lies unused at the beginning.
fn protocol(file: &RoleFile, grid: &Grid, config: &Config) -> Protocol {
    let n = grid.len();
    let [train, validation, test] = shares(file).map(|share| (share * n as f64) as usize);
    let (b, first) = (n - test, (n - test).saturating_sub(train + validation));
    let a = b.saturating_sub(validation);
    let horizon = file.horizon.unwrap_or(HORIZON);
    let outputs = file.signals.values().filter(|signal| signal.role == Role::Output).count();
    Protocol {
        horizon,
        train: first..a,
        validation: a..b,
        test: b..n,
        stride: config.stride(),
        taught: first..b,
        look_back: config.look_back,
        joint: outputs <= JOINT,
        season: None,
        unit: Unit::TrainDeviation,
        words: format!(
            "{} training, {} validation and {} test rows in time, {horizon} steps ahead",
            a - first,
            b - a,
            n - b
        ),
    }
}

/// What is wrong with a file: a field of the role file, or the data.
enum Fault {
    Column(String, String),
    Data(EvaluateError),
}

fn frames(path: &Path, file: &RoleFile) -> Result<Vec<Frame>, Fault> {
    let text = read(path).map_err(Fault::Data)?;
    let format = |detail: String| Fault::Data(EvaluateError::Format { path: path.to_owned(), detail });
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| format(error.to_string()))?.clone();
    let find = |name: &str, pointer: String| {
        header.iter().position(|known| known == name).ok_or_else(|| {
            let known = header.iter().collect::<Vec<_>>().join(", ");
            Fault::Column(pointer, format!("the file has no column {name}; it has {known}"))
        })
    };
    let time = find(&file.time, "/time".into())?;
    let columns: Vec<usize> =
        file.signals.keys().map(|name| find(name, format!("/signals/{name}"))).collect::<Result<_, _>>()?;
    let mut frames: Vec<Frame> = Vec::new();
    for (row, record) in reader.records().enumerate() {
        let record = record.map_err(|error| format(error.to_string()))?;
        let cell = record.get(time).unwrap_or_default();
        let observed_at =
            parse_instant(cell).ok_or_else(|| format(format!("row {}: {cell:?} is not an instant", row + 2)))?;
        let values = columns.iter().map(|column| number(record.get(*column).unwrap_or_default())).collect();
        frames.push(Frame { observed_at, values, quality: None });
    }
    frames.sort_by_key(|frame| frame.observed_at);
    if frames.len() < 2 {
        return Err(format("fewer than two rows".into()));
    }
    Ok(frames)
}

/// Seconds since the epoch (or since anything), or text with a date; without an offset it is UTC.
fn parse_instant(cell: &str) -> Option<DateTime<Utc>> {
    if let Ok(seconds) = cell.parse::<f64>() {
        return seconds.is_finite().then(|| DateTime::from_timestamp_micros((seconds * 1e6).round() as i64))?;
    }
    let text = cell.replacen(' ', "T", 1);
    let forms = [text.clone(), format!("{text}Z"), format!("{text}:00Z"), format!("{text}T00:00:00Z")];
    forms.iter().find_map(|form| instant::parse(form).ok()).and_then(DateTime::from_timestamp_micros)
}

/// The median gap between rows in seconds.
fn usual_gap(frames: &[Frame]) -> f64 {
    let gap = |pair: &[Frame]| (pair[1].observed_at - pair[0].observed_at).num_microseconds().unwrap_or(i64::MAX);
    let mut gaps: Vec<i64> = frames.windows(2).map(gap).filter(|gap| *gap > 0).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).map_or(1.0, |gap| *gap as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text).expect_err("a fault").0
    }

    #[test]
    fn a_fault_names_its_field() {
        let outputs = r#""signals": { "level": { "role": "output" } }"#;
        assert_eq!(fault(&format!(r#"{{ "time": 3, {outputs} }}"#)), "/time");
        assert_eq!(fault(r#"{ "time": "t", "signals": { "level": { "role": "sensor" } } }"#), "/signals/level/role");
        assert_eq!(fault(r#"{ "time": "t", "signals": { "pump": { "role": "control_input" } } }"#), "/signals");
        assert_eq!(
            fault(r#"{ "time": "t", "signals": { "level": { "role": "output", "min": 2, "max": 1 } } }"#),
            "/signals/level/max"
        );
        assert_eq!(fault(&format!(r#"{{ "time": "level", {outputs} }}"#)), "/signals/level");
        for (field, value) in [("horizon", "0"), ("train", "1.5"), ("validation", "0"), ("interval_s", "-1")] {
            assert_eq!(fault(&format!(r#"{{ "time": "t", {outputs}, "{field}": {value} }}"#)), format!("/{field}"));
        }
        assert_eq!(fault(&format!(r#"{{ "time": "t", {outputs}, "train": 0.9 }}"#)), "/test");
        assert!(parse(&format!(r#"{{ "time": "t", {outputs}, "horizont": 3 }}"#)).is_err());
        assert!(parse(&format!(r#"{{ "time": "t", {outputs} }}"#)).is_ok());
    }

    #[test]
    fn instants_come_in_many_forms() {
        let expected = DateTime::from_timestamp(1_704_067_200, 0);
        for text in
            ["1704067200", "2024-01-01T00:00:00Z", "2024-01-01 00:00:00", "2024-01-01T01:00:00+01:00", "2024-01-01"]
        {
            assert_eq!(parse_instant(text), expected, "{text}");
        }
        assert_eq!(parse_instant("yesterday"), None);
    }
}
