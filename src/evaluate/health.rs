//! Fault classes of the Tennessee Eastman process (Downs and Vogel 1993): faults 0, 1, 4, 5, 6 and 14.
//!
//! A classifier learns as a fine-tune job teaches it: portraits of [`LOOK`] samples on the frozen backbone.
//! Of each training file the last fifth decides when to stop. The training files of faults are faulty from
//! their first row; so that the classifier has seen faults begin, each is also begun after random stretches
//! of the normal file. Every row of the test files from the first whole look on is judged by what it is: the
//! fault begins at row 160. What the statistics and the backbone bring is shown by leaving out the other.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ours::loaded;
use super::record::{Document, Record};
use super::sets::Set;
use super::task::{asset_type, signal};
use super::{Config, EvaluateError, News, cpu};
use crate::asset::{AssetType, Role};
use crate::features::{Eye, Grid, LOOK, Sketch};
use crate::model::health::{Classroom, Portrait, Sample, classify, learn};
use crate::model::{Base, BaseChoice, Recipe, digest, hex};
use crate::reading::Frame;
use crate::score::ClassCard;

/// Faults, the first being none.
const FAULTS: [u32; 6] = [0, 1, 4, 5, 6, 14];
/// Measured and manipulated variables.
const SIGNALS: usize = 52;
/// Row of the test files at which the fault begins.
const ONSET: usize = 160;
/// Share of each training file that teaches.
const TAUGHT: f64 = 0.8;
/// Beginnings of each fault for every number of rows since.
const BEGINNINGS: usize = 2;
/// Seconds between two samples, and between two files on the grid.
const INTERVAL: i64 = 180;
const GAP: i64 = 1_000 * INTERVAL;

/// What a classifier may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    Commonest,
    States,
    Statistics,
    Ours,
}

impl Method {
    pub(super) fn all() -> [Self; 4] {
        [Self::Commonest, Self::States, Self::Statistics, Self::Ours]
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Commonest => "commonest class",
            Self::States => "ours, backbone alone",
            Self::Statistics => "ours, statistics alone",
            Self::Ours => "ours",
        }
    }

    fn seeds(self, config: &Config) -> u64 {
        if self == Self::Commonest { 1 } else { config.seeds }
    }

    fn sees(self, mut portrait: Portrait) -> Portrait {
        match self {
            Self::States => portrait.statistics.fill(0.0),
            Self::Statistics => portrait.states.fill(0.0),
            Self::Commonest | Self::Ours => {}
        }
        portrait
    }
}

/// One classifier with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ClassRun {
    pub(super) method: Method,
    pub(super) seed: u64,
    /// CPU-seconds of learning, the backbone's reading left out.
    pub(super) fit_cpu_s: f64,
    pub(super) card: ClassCard,
}

/// Portraits of all parts.
struct Material {
    /// Of the base model that saw.
    width: usize,
    train: Vec<Sample>,
    validation: Vec<Sample>,
    test: Vec<Sample>,
}

pub(super) fn run(config: &Config, news: &mut dyn FnMut(News<'_>)) -> Result<Document, EvaluateError> {
    let set = Set::Tep.name();
    let folder = config.data.as_ref().ok_or(EvaluateError::NoData(set))?;
    if !folder.is_dir() {
        return Err(EvaluateError::NoFolder(folder.clone()));
    }
    let read = |suffix: &str| -> Result<Vec<Vec<Vec<f64>>>, EvaluateError> {
        FAULTS.iter().map(|fault| rows(&folder.join(format!("tep/d{fault:02}{suffix}.dat")))).collect()
    };
    let (train, test) = (read("")?, read("_te")?);
    let mut record: Record<ClassRun> =
        Record::open(&config.out, set, settings(&config.base()?, &train, &test), config.again)?;
    let runs: Vec<(Method, u64)> = Method::all()
        .into_iter()
        .flat_map(|method| (1..=method.seeds(config)).map(move |seed| (method, seed)))
        .collect();
    news(News::Set(set, runs.len()));
    let mut material = None;
    for (method, seed) in runs {
        if record.runs.iter().all(|run| (run.method, run.seed) != (method, seed)) {
            news(News::Begins(method.label().to_owned()));
            let known = match material.take() {
                Some(known) => known,
                None => Material::of(&loaded(&config.base()?)?, &train, &test)?,
            };
            record.add(&config.out, one(method, seed, &known)?)?;
            material = Some(known);
        }
        news(News::Done);
    }
    Ok(Document::Classes(record))
}

fn one(method: Method, seed: u64, material: &Material) -> Result<ClassRun, EvaluateError> {
    let names: Vec<String> = FAULTS.iter().map(|fault| format!("fault {fault}")).collect();
    let truths: Vec<usize> = material.test.iter().map(|sample| sample.class).collect();
    let card = |said: &[Vec<f64>]| ClassCard::of(&names, &truths, said);
    if method == Method::Commonest {
        let share = |class: usize| material.train.iter().filter(|sample| sample.class == class).count() as f64;
        let said: Vec<f64> = (0..FAULTS.len()).map(|class| share(class) / material.train.len() as f64).collect();
        return Ok(ClassRun { method, seed, fit_cpu_s: 0.0, card: card(&vec![said; truths.len()]) });
    }
    let see = |samples: &[Sample]| -> Vec<Sample> {
        let seen = |sample: &Sample| Sample { portrait: method.sees(sample.portrait.clone()), class: sample.class };
        samples.iter().map(seen).collect()
    };
    let room = Classroom { width: material.width, train: see(&material.train), validation: see(&material.validation) };
    let before = cpu::seconds();
    let taught = learn(FAULTS.len(), &room, &Recipe { seed, ..Recipe::default() }, &mut || ControlFlow::Continue(()));
    let taught = taught.map_err(|error| EvaluateError::Broken(error.to_string()))?;
    let fit_cpu_s = cpu::seconds() - before;
    let test = see(&material.test);
    let portraits: Vec<&Portrait> = test.iter().map(|sample| &sample.portrait).collect();
    let said = classify(&taught.classifier, &portraits).map_err(|error| EvaluateError::Broken(error.to_string()))?;
    Ok(ClassRun { method, seed, fit_cpu_s, card: card(&said) })
}

impl Material {
    fn of(base: &Base, train: &[Vec<Vec<f64>>], test: &[Vec<Vec<f64>>]) -> Result<Self, EvaluateError> {
        let kind = kind();
        let (grid, classes) = laid(&kind, train)?;
        let eye = Eye::of(&kind, &grid, &classes);
        let draw = |sketches: Vec<(Sketch, usize)>| -> Result<Vec<Sample>, EvaluateError> {
            let (sketches, classes): (Vec<Sketch>, Vec<usize>) = sketches.into_iter().unzip();
            let portraits =
                Eye::portraits(base, &sketches).map_err(|error| EvaluateError::Broken(error.to_string()))?;
            Ok(portraits.into_iter().zip(classes).map(|(portrait, class)| Sample { portrait, class }).collect())
        };
        let looks = |rows: &[Vec<f64>], from: usize, to: usize| -> Vec<(usize, Sketch)> {
            (from + LOOK - 1..to).map(|row| (row, eye.sketch_of(&columns(&rows[row + 1 - LOOK..=row], &[])))).collect()
        };
        let mut parts = [Vec::new(), Vec::new(), Vec::new()];
        for (class, (taught, judged)) in train.iter().zip(test).enumerate() {
            let cut = (TAUGHT * taught.len() as f64) as usize;
            parts[0].extend(looks(taught, 0, cut).into_iter().map(|(_, sketch)| (sketch, class)));
            parts[1].extend(looks(taught, cut, taught.len()).into_iter().map(|(_, sketch)| (sketch, class)));
            let truth = |row: usize| if row >= ONSET { class } else { 0 };
            parts[2].extend(looks(judged, 0, judged.len()).into_iter().map(|(row, sketch)| (sketch, truth(row))));
        }
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let normal = &train[0][..(TAUGHT * train[0].len() as f64) as usize];
        for (class, rows) in train.iter().enumerate().skip(1) {
            for since in (1..LOOK).flat_map(|since| [since; BEGINNINGS]) {
                let first = random.random_range(0..=normal.len() - LOOK);
                let before = &normal[first..first + LOOK - since];
                parts[0].push((eye.sketch_of(&columns(before, &rows[..since])), class));
            }
        }
        let [train, validation, test] = parts;
        Ok(Self {
            width: base.card.size.width as usize,
            train: draw(train)?,
            validation: draw(validation)?,
            test: draw(test)?,
        })
    }
}

/// Rows as one look a signal.
fn columns(rows: &[Vec<f64>], more: &[Vec<f64>]) -> Vec<Vec<f64>> {
    (0..SIGNALS).map(|signal| rows.iter().chain(more).map(|row| row[signal]).collect()).collect()
}

fn kind() -> AssetType {
    let name = |place: usize| if place < 41 { format!("xmeas_{}", place + 1) } else { format!("xmv_{}", place - 40) };
    let role = |place: usize| if place < 41 { Role::Output } else { Role::ControlInput };
    let signals = (0..SIGNALS).map(|place| signal(&name(place), role(place), None)).collect();
    asset_type("tep", INTERVAL as f64, signals)
}

/// The training files one after another on a grid, far enough apart, with the class of each step.
fn laid(kind: &AssetType, files: &[Vec<Vec<f64>>]) -> Result<(Grid, Vec<Option<usize>>), EvaluateError> {
    let (mut frames, mut classes, mut at) = (Vec::new(), Vec::new(), 1_000_000_000);
    for (class, rows) in files.iter().enumerate() {
        for row in rows {
            let observed_at = DateTime::from_timestamp(at, 0).unwrap_or_default();
            frames.push(Frame { observed_at, values: row.clone(), quality: None });
            classes.push(Some(class));
            at += INTERVAL;
        }
        at += GAP;
    }
    let grid = Grid::new(kind, &frames).ok_or(EvaluateError::Broken("the training files are empty".into()))?;
    Ok((grid, classes))
}

/// Rows of 52 values. One file of the set is stored with a line for each variable.
fn rows(path: &Path) -> Result<Vec<Vec<f64>>, EvaluateError> {
    let read = |path: PathBuf| std::fs::read_to_string(&path).map_err(|source| EvaluateError::Read { path, source });
    let text = read(path.to_owned())?;
    let wrong = |detail: String| EvaluateError::Format { path: path.to_owned(), detail };
    let lines = text.lines().filter(|line| !line.trim().is_empty()).enumerate();
    let lines: Vec<Vec<f64>> = lines
        .map(|(line, text)| {
            let cells = text.split_whitespace().map(str::parse::<f64>).collect::<Result<Vec<f64>, _>>();
            cells.map_err(|error| wrong(format!("line {}: {error}", line + 1)))
        })
        .collect::<Result<_, _>>()?;
    let width = lines.first().map_or(0, Vec::len);
    if lines.iter().any(|line| line.len() != width) {
        return Err(wrong("its lines are not equally long".to_owned()));
    }
    if width == SIGNALS && lines.len() > LOOK {
        Ok(lines)
    } else if lines.len() == SIGNALS && width > LOOK {
        Ok((0..width).map(|row| lines.iter().map(|line| line[row]).collect()).collect())
    } else {
        Err(wrong(format!("{} lines of {width} values; {SIGNALS} variables are expected", lines.len())))
    }
}

fn settings(base: &BaseChoice, train: &[Vec<Vec<f64>>], test: &[Vec<Vec<f64>>]) -> serde_json::Value {
    let values = train.iter().chain(test).flatten().flatten();
    let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
    let card = base.card();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": format!(
            "faults 0, 1, 4, 5, 6 and 14 from windows of {LOOK} samples of 52 variables; learned from the files d00 to d14, \
             every row of the _te files is judged, faulty from row {ONSET} on"
        ),
        "base": card.name,
        "base_sha256": card.sha256,
        "data_sha256": hex(&digest(&bytes)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise about levels that the class moves.
    fn file(class: usize, count: usize, seed: u64) -> Vec<Vec<f64>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..count)
            .map(|_| {
                let level = |signal: usize| if signal == class { 3.0 } else { 0.0 };
                (0..SIGNALS).map(|signal| level(signal) + random.random_range(-1.0..1.0)).collect()
            })
            .collect()
    }

    #[test]
    fn every_method_judges_the_same_rows_and_ours_tells_the_classes_apart() {
        let train: Vec<_> = (0..FAULTS.len()).map(|class| file(class, 200, class as u64)).collect();
        let test: Vec<_> = (0..FAULTS.len())
            .map(|class| [file(0, ONSET, 90 + class as u64), file(class, 90, 50 + class as u64)].concat())
            .collect();
        let material = Material::of(&Base::shipped().unwrap(), &train, &test).unwrap();
        let taught = 6 * (160 - LOOK + 1) + 5 * BEGINNINGS * (LOOK - 1);
        assert_eq!((material.train.len(), material.validation.len()), (taught, 6 * (40 - LOOK + 1)));
        for method in Method::all() {
            let run = one(method, 1, &material).unwrap();
            assert_eq!(run.card.cases, 6 * (ONSET + 90 - LOOK + 1));
            assert_eq!(run.card.classes["fault 1"].support, 90);
            match method {
                Method::Commonest => assert!(run.card.macro_f1 < 0.2, "{:?}", run.card),
                Method::Ours | Method::Statistics => assert!(run.card.macro_f1 > 0.9, "{method:?} {:?}", run.card),
                // Nothing is claimed of them here: a level in noise is not what a forecaster's states are about.
                Method::States => {}
            }
        }
    }
}
