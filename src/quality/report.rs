//! What the tests found, for people: counts, stretches, and in words what is done about it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Assessment, Basis, Checked, Counts, Flag, Test};
use crate::asset::{AssetType, Role};
use crate::reading::Frame;

/// Stretches that are told of a signal, the newest.
const STRETCHES: usize = 100;

/// What can be said of an asset's readings.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ReadingsHealth)]
pub struct Health {
    /// Frames that were looked at.
    pub frames: usize,
    /// Instant of the first.
    pub first: Option<DateTime<Utc>>,
    /// Instant of the last.
    pub last: Option<DateTime<Utc>>,
    /// Seconds between them.
    pub span_s: f64,
    /// Seconds of the step that the asset keeps to: its type's interval, or a multiple of it.
    pub step_s: f64,
    /// Share of the steps between first and last that have a frame.
    pub coverage: f64,
    /// When frames came.
    pub timing: Timing,
    /// What they brought, in the order of the type's signals.
    pub signals: Vec<SignalHealth>,
}

/// Whether frames came when they should.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = FrameTiming)]
pub struct Timing {
    /// Steps without a frame.
    pub silent_steps: usize,
    /// The tests of the frames themselves.
    pub tests: Vec<TestHealth>,
    /// Where they found something, newest first, and where no frame came; at most 100.
    pub stretches: Vec<Stretch>,
}

/// What can be said of a signal's readings.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct SignalHealth {
    /// Its name.
    pub signal: String,
    /// Its unit.
    pub unit: String,
    /// Its role.
    pub role: Role,
    /// Values by flag; where several tests looked at one value the flag that counts most: 4, 3, 1, 2.
    pub counts: Counts,
    /// The flag that counts most among them, by its number: 4, 3, 1, 2, 9.
    #[schema(value_type = u8)]
    pub worst: Flag,
    /// Share of the values due between first and last frame that are there and do not fail.
    pub usable: f64,
    /// The tests.
    pub tests: Vec<TestHealth>,
    /// Where they found something, newest first; at most 100.
    pub stretches: Vec<Stretch>,
    /// What is done about it.
    pub action: String,
}

/// What one test found.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = QualityTestResult)]
pub struct TestHealth {
    /// Which.
    pub test: Test,
    /// Values by flag. What a test before it failed is missing to it.
    pub counts: Counts,
    /// Its thresholds by name: limits in the signal's unit, rates per second, runs in values.
    #[schema(value_type = BTreeMap<String, f64>)]
    pub thresholds: BTreeMap<&'static str, f64>,
    /// Where they come from.
    pub basis: Basis,
}

/// Values in a row with the same flag of the same test.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = FlaggedStretch)]
pub struct Stretch {
    /// Instant of the first; of a silence, the last frame before it.
    pub start: DateTime<Utc>,
    /// Instant of the last; of a silence, the first frame after it.
    pub end: DateTime<Utc>,
    /// The test.
    pub test: Test,
    /// The QARTOD flag, by its number: 3 suspect, 4 fail, 9 missing.
    #[schema(value_type = u8)]
    pub flag: Flag,
    /// Values, or steps of a silence.
    pub values: usize,
}

/// What was left out of learning from a signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = RemovedReadings)]
pub struct Removed {
    /// Its name.
    pub signal: String,
    /// Its values by flag.
    pub counts: Counts,
    /// Values left out, by the test that failed them; tests that failed none are not there.
    pub removed: BTreeMap<String, usize>,
}

/// Sums up an assessment of frames.
#[must_use]
pub fn health(asset_type: &AssetType, frames: &[Frame], assessment: &Assessment) -> Health {
    let Assessment { step_s, silent, due, frames: frame_tests, signals } = assessment;
    let silent_steps: usize = silent.iter().sum();
    let steps = (frames.len() + silent_steps).max(1) as f64;
    let ends = frames.first().zip(frames.last());
    let declared = asset_type.document.signals.iter().enumerate().zip(signals);
    let signals = declared.map(|((place, declared), tests)| {
        let flags = assessment.flags(place);
        let counts = Counts::of(&flags);
        // Of a signal with an interval of its own fewer values are due, in silences too.
        let interval_s = asset_type.document.interval_of(declared).seconds().max(*step_s);
        let silent_due = (silent_steps as f64 * step_s / interval_s).round() as usize;
        let flag = |(frame, due): (&Frame, &bool)| match (frame.values[place].is_nan(), due) {
            (false, _) => Flag::Pass,
            (true, true) => Flag::Missing,
            (true, false) => Flag::NotEvaluated,
        };
        let gap = Checked {
            test: Test::Gap,
            flags: frames.iter().zip(&due[place]).map(flag).collect(),
            thresholds: BTreeMap::from([("interval_s", interval_s)]),
            basis: Basis::Declared,
        };
        let due = due[place].iter().filter(|due| **due).count();
        let stretches = tests.iter().chain([&gap]).flat_map(|checked| stretches(frames, checked));
        let mut all: Vec<TestHealth> = std::iter::once(&gap).chain(tests).map(TestHealth::of).collect();
        all[0].counts.missing += silent_due;
        SignalHealth {
            signal: declared.name.clone(),
            unit: declared.unit.clone(),
            role: declared.role,
            counts,
            worst: counts.worst(),
            usable: (due - counts.missing - counts.fail) as f64 / (due + silent_due).max(1) as f64,
            tests: all,
            stretches: newest(stretches.collect()),
            action: action(counts, &removed(tests)),
        }
    });
    let silences = silent.iter().enumerate().filter(|(_, steps)| **steps > 0).map(|(at, steps)| Stretch {
        start: frames[at - 1].observed_at,
        end: frames[at].observed_at,
        test: Test::Gap,
        flag: Flag::Missing,
        values: *steps,
    });
    let found = frame_tests.iter().flat_map(|checked| stretches(frames, checked));
    Health {
        frames: frames.len(),
        first: frames.first().map(|frame| frame.observed_at),
        last: frames.last().map(|frame| frame.observed_at),
        span_s: ends.map_or(0.0, |(first, last)| super::timing::elapsed_s(first, last)),
        step_s: *step_s,
        coverage: frames.len() as f64 / steps,
        timing: Timing {
            silent_steps,
            tests: frame_tests.iter().map(TestHealth::of).collect(),
            stretches: newest(silences.chain(found).collect()),
        },
        signals: signals.collect(),
    }
}

impl Assessment {
    /// What [`Assessment::clean`] leaves out, for each signal of the type.
    #[must_use]
    pub fn removed(&self, asset_type: &AssetType) -> Vec<Removed> {
        let signals = asset_type.document.signals.iter().zip(&self.signals).enumerate();
        signals
            .map(|(place, (declared, tests))| Removed {
                signal: declared.name.clone(),
                counts: Counts::of(&self.flags(place)),
                removed: removed(tests),
            })
            .collect()
    }
}

impl TestHealth {
    fn of(checked: &Checked) -> Self {
        let Checked { test, flags, thresholds, basis } = checked;
        Self { test: *test, counts: Counts::of(flags), thresholds: thresholds.clone(), basis: *basis }
    }
}

/// Values that fail, by test.
fn removed(tests: &[Checked]) -> BTreeMap<String, usize> {
    let failed = tests.iter().map(|checked| (name(checked.test), Counts::of(&checked.flags).fail));
    failed.filter(|(_, count)| *count > 0).collect()
}

/// As it is written in answers.
fn name(test: Test) -> String {
    serde_json::to_value(test).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn stretches(frames: &[Frame], checked: &Checked) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    let mut last = None;
    for (at, flag) in checked.flags.iter().enumerate() {
        // What is missing is told once, by the test for gaps.
        let told = matches!(flag, Flag::Suspect | Flag::Fail) || (*flag == Flag::Missing && checked.test == Test::Gap);
        if !told {
            continue;
        }
        match found.last_mut() {
            Some(stretch) if stretch.flag == *flag && last == at.checked_sub(1) => {
                (stretch.end, stretch.values) = (frames[at].observed_at, stretch.values + 1);
            }
            _ => {
                let at = frames[at].observed_at;
                found.push(Stretch { start: at, end: at, test: checked.test, flag: *flag, values: 1 });
            }
        }
        last = Some(at);
    }
    found
}

fn newest(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    stretches.sort_by_key(|stretch| std::cmp::Reverse((stretch.end, stretch.start)));
    stretches.truncate(STRETCHES);
    stretches
}

fn action(counts: Counts, removed: &BTreeMap<String, usize>) -> String {
    let mut words = Vec::new();
    if counts.fail > 0 {
        let tests: Vec<String> =
            removed.iter().map(|(test, count)| format!("{} {count}", test.replace('_', " "))).collect();
        words.push(format!(
            "{} values fail ({}) and are left out of fine-tuning, as if they had not been measured",
            counts.fail,
            tests.join(", ")
        ));
    }
    if counts.suspect > 0 {
        words.push(format!("{} are suspect and stay", counts.suspect));
    }
    if counts.missing > 0 {
        words.push(format!(
            "{} are missing: the last value stands for ten steps, and nothing is judged there",
            counts.missing
        ));
    }
    if words.is_empty() { "nothing: all values are used as they are".to_owned() } else { words.join("; ") }
}
