//! The engines: read, laid on a grid, and remembered row by row.

use std::path::Path;

use chrono::DateTime;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::{HORIZON, SETTINGS, SIGNALS, width};
use crate::asset::{AssetType, Role};
use crate::evaluate::EvaluateError;
use crate::evaluate::task::{asset_type, signal};
use crate::features::{Grid, Looks, Memory, Run};
use crate::model::remaining::{Left, Moment};
use crate::reading::Frame;
use crate::training::remaining::UNITS;

/// Seconds between two engines on the grid, where a cycle is a second.
const GAP: i64 = 1_000;

/// Rows of engines: numbers, age and remaining cycles of each.
pub(super) struct Part {
    pub(super) rows: Vec<Row>,
    /// Where each engine's rows end.
    pub(super) ends: Vec<usize>,
}

pub(super) struct Row {
    /// Signal by signal.
    pub(super) seen: Vec<f32>,
    /// Along the directions of wear; empty where there are none.
    pub(super) along: Vec<f32>,
    pub(super) age: f64,
    pub(super) left: f64,
}

/// Those that teach and those that are judged.
pub(super) struct Material {
    pub(super) train: Part,
    pub(super) test: Part,
}

/// The training engines in an order that the seed draws: it decides which of them teach together.
pub(super) fn lesson(train: &Part, seed: u64, sees: impl Fn(&Row) -> Vec<f32>) -> Vec<Vec<Moment>> {
    let mut engines: Vec<usize> = (0..train.ends.len()).collect();
    engines.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let moments = |engine: usize| {
        let first = engine.checked_sub(1).map_or(0, |before| train.ends[before]);
        let rows = train.rows[first..train.ends[engine]].iter();
        rows.map(|row| Moment { seen: sees(row), left: Left::Exactly(row.left / width()) }).collect()
    };
    engines.into_iter().map(moments).collect()
}

impl Material {
    /// `left` are the cycles that remain after the last row of each test engine.
    pub(super) fn of(train: &[Vec<Vec<f64>>], test: &[Vec<Vec<f64>>], left: &[f64]) -> Result<Self, EvaluateError> {
        let kind = kind();
        let (grid, asked) = (laid(&kind, train)?, laid(&kind, test)?);
        let by_signal = Memory::of(&kind, &grid, grid.len(), HORIZON / UNITS, true);
        let along = by_signal.along(&kind, &grid, &looks(train));
        let part = |memory: Memory| seen(&kind, memory, (&grid, train), (&asked, test));
        let [known, told] = part(by_signal)?;
        let [known_along, told_along] = match along {
            Some(along) => part(along)?,
            None => [vec![Vec::new(); known.len()], vec![Vec::new(); told.len()]],
        };
        let left_after = |place: usize| left[place];
        Ok(Self {
            train: Part::of(train, (known, known_along), |_| 0.0),
            test: Part::of(test, (told, told_along), left_after),
        })
    }
}

impl Part {
    /// `after` are the cycles that remain after an engine's last row.
    fn of(
        engines: &[Vec<Vec<f64>>],
        (seen, along): (Vec<Vec<f32>>, Vec<Vec<f32>>),
        after: impl Fn(usize) -> f64,
    ) -> Self {
        let (mut rows, mut ends) = (Vec::with_capacity(seen.len()), Vec::with_capacity(engines.len()));
        let mut seen = seen.into_iter().zip(along);
        for (place, engine) in engines.iter().enumerate() {
            for (age, (seen, along)) in seen.by_ref().take(engine.len()).enumerate() {
                let left = (engine.len() - 1 - age) as f64 + after(place);
                rows.push(Row { seen, along, age: age as f64, left });
            }
            ends.push(rows.len());
        }
        Self { rows, ends }
    }
}

/// All rows of engines that lie one after another.
fn looks(engines: &[Vec<Vec<f64>>]) -> Vec<Looks> {
    let mut first = 0;
    let look = |engine: &Vec<Vec<f64>>| {
        let steps = first..first + engine.len();
        first = steps.end;
        Looks { first: steps.start, steps: steps.collect() }
    };
    engines.iter().map(look).collect()
}

/// Engines on their grid.
type Laid<'a> = (&'a Grid, &'a [Vec<Vec<f64>>]);

/// What a memory, which gets its scales from the training engines, shows of their rows and of the test engines'.
fn seen(
    kind: &AssetType,
    mut memory: Memory,
    (grid, train): Laid<'_>,
    (asked, test): Laid<'_>,
) -> Result<[Vec<Vec<f32>>; 2], EvaluateError> {
    let known = remembered(kind, &memory, grid, train)?;
    memory.scale(&known);
    let told = remembered(kind, &memory, asked, test)?;
    let scaled = |rows: Vec<Vec<f64>>| rows.iter().map(|row| memory.scaled(row)).collect();
    Ok([scaled(known), scaled(told)])
}

/// What is remembered at every row of the engines on their grid.
fn remembered(
    kind: &AssetType,
    memory: &Memory,
    grid: &Grid,
    engines: &[Vec<Vec<f64>>],
) -> Result<Vec<Vec<f64>>, EvaluateError> {
    let blind = || EvaluateError::Broken("a row has no values".into());
    let recall = memory.upon(kind, grid).ok_or_else(blind)?;
    let (mut rows, mut first) = (Vec::new(), 0);
    for engine in engines {
        let run = Run { first, beginning: None };
        for age in 0..engine.len() {
            rows.push(recall.at(first + age, run, age as f64).ok_or_else(blind)?);
        }
        first += engine.len();
    }
    Ok(rows)
}

fn kind() -> AssetType {
    let settings = (1..=SETTINGS).map(|place| signal(&format!("setting_{place}"), Role::ControlInput, None));
    let sensors = (1..=SIGNALS - SETTINGS).map(|place| signal(&format!("sensor_{place}"), Role::Output, None));
    asset_type("turbofan", 1.0, settings.chain(sensors).collect())
}

/// Engines one after another on a grid, far enough apart.
fn laid(kind: &AssetType, engines: &[Vec<Vec<f64>>]) -> Result<Grid, EvaluateError> {
    let (mut frames, mut at) = (Vec::new(), 1_000_000_000);
    for engine in engines {
        for row in engine {
            let observed_at = DateTime::from_timestamp(at, 0).unwrap_or_default();
            frames.push(Frame { observed_at, values: row.clone(), quality: None });
            at += 1;
        }
        at += GAP;
    }
    Grid::new(kind, &frames).ok_or(EvaluateError::Broken("there are no rows".into()))
}

/// Rows by engine, without its number and its cycle.
pub(super) fn engines(rows: Vec<Vec<f64>>) -> Vec<Vec<Vec<f64>>> {
    let mut engines: Vec<Vec<Vec<f64>>> = Vec::new();
    let mut last = f64::NAN;
    for row in rows {
        if row[0] != last {
            engines.push(Vec::new());
            last = row[0];
        }
        let values = row[2..].to_vec();
        engines.last_mut().expect("one was just added").push(values);
    }
    engines
}

/// Lines of numbers.
pub(super) fn table(path: &Path, width: usize) -> Result<Vec<Vec<f64>>, EvaluateError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| EvaluateError::Read { path: path.to_owned(), source })?;
    let wrong = |line: usize, detail: String| EvaluateError::Format {
        path: path.to_owned(),
        detail: format!("line {}: {detail}", line + 1),
    };
    let lines = text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty());
    lines
        .map(|(line, text)| {
            let cells = text.split_whitespace().map(str::parse::<f64>).collect::<Result<Vec<f64>, _>>();
            let cells = cells.map_err(|error| wrong(line, error.to_string()))?;
            if cells.len() == width {
                Ok(cells)
            } else {
                Err(wrong(line, format!("{} values, not {width}", cells.len())))
            }
        })
        .collect()
}
