//! Results on disk: one JSON document per set, which grows run by run and lets a broken-off
//! evaluation go on where it was.

use std::io::Write as _;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::anomaly::OutlierRun;
use super::health::ClassRun;
use super::kind::Kind;
use super::remaining::RemainingRun;
use super::sets::Set;
use super::tally::Figures;
use super::what_if::{Effect, Method};
use super::{EvaluateError, prepare};

/// One forecaster with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) forecaster: Kind,
    /// Where it decides anything.
    pub(super) seed: Option<u64>,
    /// CPU-seconds of learning, the choice of orders and the bands included.
    pub(super) fit_cpu_s: f64,
    /// CPU-seconds of one forecast of all targets.
    pub(super) forecast_cpu_s: f64,
    pub(super) figures: Option<Figures>,
    /// Why there are none.
    pub(super) failed: Option<String>,
}

/// One method on one suite of plants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct EffectRun {
    /// Kind of plant and loop of its history.
    pub(super) suite: String,
    pub(super) method: Method,
    /// Of the plants.
    pub(super) seed: u64,
    pub(super) effect: Effect,
}

/// All runs of a set under the same settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record<R> {
    pub(super) set: String,
    /// What the runs depend on.
    pub(super) settings: Value,
    pub(super) runs: Vec<R>,
}

/// A document as it lies in the folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Document {
    Series(Record<Run>),
    Effects(Record<EffectRun>),
    Outliers(Record<OutlierRun>),
    Classes(Record<ClassRun>),
    Remaining(Record<RemainingRun>),
}

impl Document {
    pub(super) fn set(&self) -> &str {
        match self {
            Self::Series(record) => &record.set,
            Self::Effects(record) => &record.set,
            Self::Outliers(record) => &record.set,
            Self::Classes(record) => &record.set,
            Self::Remaining(record) => &record.set,
        }
    }
}

/// What a document is made of.
pub(super) trait Kept: Clone + DeserializeOwned {
    fn document(record: Record<Self>) -> Document;
    fn record(document: Document) -> Option<Record<Self>>;
}

impl Kept for Run {
    fn document(record: Record<Self>) -> Document {
        Document::Series(record)
    }

    fn record(document: Document) -> Option<Record<Self>> {
        if let Document::Series(record) = document { Some(record) } else { None }
    }
}

impl Kept for EffectRun {
    fn document(record: Record<Self>) -> Document {
        Document::Effects(record)
    }

    fn record(document: Document) -> Option<Record<Self>> {
        if let Document::Effects(record) = document { Some(record) } else { None }
    }
}

impl Kept for OutlierRun {
    fn document(record: Record<Self>) -> Document {
        Document::Outliers(record)
    }

    fn record(document: Document) -> Option<Record<Self>> {
        if let Document::Outliers(record) = document { Some(record) } else { None }
    }
}

impl Kept for ClassRun {
    fn document(record: Record<Self>) -> Document {
        Document::Classes(record)
    }

    fn record(document: Document) -> Option<Record<Self>> {
        if let Document::Classes(record) = document { Some(record) } else { None }
    }
}

impl Kept for RemainingRun {
    fn document(record: Record<Self>) -> Document {
        Document::Remaining(record)
    }

    fn record(document: Document) -> Option<Record<Self>> {
        if let Document::Remaining(record) = document { Some(record) } else { None }
    }
}

impl<R: Kept> Record<R> {
    /// What the folder holds of a set under these settings; empty if it holds nothing of the kind.
    pub(super) fn open(out: &Path, set: &str, settings: Value, again: bool) -> Result<Self, EvaluateError> {
        prepare(out)?;
        let kept = read(&out.join(format!("{set}.json"))).and_then(R::record);
        let kept = kept.filter(|record| !again && record.set == set && record.settings == settings);
        Ok(kept.unwrap_or_else(|| Self { set: set.to_owned(), settings, runs: Vec::new() }))
    }

    /// Adds a run and writes the document.
    pub(super) fn add(&mut self, out: &Path, run: R) -> Result<(), EvaluateError> {
        self.runs.push(run);
        let path = out.join(format!("{}.json", self.set));
        let document = serde_json::to_vec_pretty(&R::document(self.clone()));
        let document = document.map_err(|error| EvaluateError::Write { path: path.clone(), source: error.into() })?;
        write(&path, &document)
    }
}

fn read(path: &Path) -> Option<Document> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Every document in the folder, the known sets first.
pub(super) fn all(out: &Path) -> Vec<Document> {
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    let json = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let mut documents: Vec<Document> = json.filter_map(|path| read(&path)).collect();
    let place = |document: &Document| {
        let known = Set::all().iter().position(|set| set.name() == document.set());
        (known.unwrap_or(usize::MAX), document.set().to_owned())
    };
    documents.sort_by_key(place);
    documents
}

/// Temporary file, then rename: a run that is killed leaves the old document whole.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), EvaluateError> {
    let partial = path.with_extension("partial");
    let written = || {
        let mut file = std::fs::File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    };
    written().map_err(|source| EvaluateError::Write { path: path.to_owned(), source })
}
