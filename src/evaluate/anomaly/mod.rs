//! Outliers in the water circulation loop of the Skoltech Anomaly Benchmark (SKAB v0.9).
//!
//! Its own protocol: of each of the 34 files the first 400 rows are normal operation to learn from,
//! the rest is judged row by row, and all files are counted together. Everybody is asked for the same
//! false-alarm rate and takes the threshold from those 400 rows; no label is read but to count. The
//! window and the rate of ours were chosen on every other file: the report shows the files that were
//! not looked at apart.

mod baselines;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::columns::Columns;
use super::record::{Document, Record};
use super::sets::Set;
use super::{Config, EvaluateError, News};
use crate::model::{digest, hex};
use crate::score::anomaly::{Detector, Settings};

/// Rows of normal operation at the beginning of each file.
const TRAIN: usize = 400;
/// False alarms a row that everybody is asked for: those of Shewhart's three deviations.
const RATE: f64 = 0.0027;
/// Rows that ours averages over.
const WINDOW: usize = 10;
/// Folders with the number of their files.
const FOLDERS: [(&str, usize); 3] = [("valve1", 16), ("valve2", 4), ("other", 14)];
const SIGNALS: [&str; 8] = [
    "Accelerometer1RMS",
    "Accelerometer2RMS",
    "Current",
    "Pressure",
    "Temperature",
    "Thermocouple",
    "Voltage",
    "Volume Flow RateRMS",
];
/// All files together.
const ALL: &str = "all";
/// The files that nothing was chosen on.
const UNSEEN: &str = "not looked at";

/// Who says which rows are outliers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    Ones,
    Zeros,
    ZScore,
    Pca,
    Ours,
}

impl Method {
    pub(super) fn all() -> [Self; 5] {
        [Self::Ones, Self::Zeros, Self::ZScore, Self::Pca, Self::Ours]
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Ones => "everything is one",
            Self::Zeros => "nothing is one",
            Self::ZScore => "static z-score",
            Self::Pca => "PCA, T2 and Q",
            Self::Ours => "ours",
        }
    }

    /// A verdict for each row of a file, by what its training rows show.
    fn judge(self, file: &File) -> Result<Vec<bool>, EvaluateError> {
        let rows = file.signals[0].len();
        match self {
            Self::Ones => Ok(vec![true; rows]),
            Self::Zeros => Ok(vec![false; rows]),
            Self::ZScore => Ok(baselines::z_score(&file.signals, TRAIN, RATE)),
            Self::Pca => baselines::pca(&file.signals, TRAIN, RATE)
                .ok_or_else(|| EvaluateError::Broken("the training rows have no principal components".into())),
            Self::Ours => ours(file),
        }
    }
}

/// Rows of some files by what they are and what was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) hits: usize,
    pub(super) false_alarms: usize,
    pub(super) missed: usize,
    pub(super) quiet: usize,
}

impl Counts {
    fn add(&mut self, said: bool, is: bool) {
        let place = match (said, is) {
            (true, true) => &mut self.hits,
            (true, false) => &mut self.false_alarms,
            (false, true) => &mut self.missed,
            (false, false) => &mut self.quiet,
        };
        *place += 1;
    }

    pub(super) fn rows(&self) -> usize {
        self.hits + self.false_alarms + self.missed + self.quiet
    }

    /// Harmonic mean of precision and recall; 0 where nothing was found.
    pub(super) fn f1(&self) -> f64 {
        share(2 * self.hits, 2 * self.hits + self.false_alarms + self.missed)
    }

    /// Share of the normal rows that an alarm was given for.
    pub(super) fn false_alarm_rate(&self) -> f64 {
        share(self.false_alarms, self.false_alarms + self.quiet)
    }

    /// Share of the outliers that no alarm was given for.
    pub(super) fn missed_alarm_rate(&self) -> f64 {
        share(self.missed, self.missed + self.hits)
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// One method on some of the files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OutlierRun {
    /// A folder, all of them, or the files that nothing was chosen on.
    pub(super) files: String,
    pub(super) method: Method,
    pub(super) counts: Counts,
}

/// One experiment.
struct File {
    folder: &'static str,
    /// Whether anything was chosen by it.
    looked_at: bool,
    /// A column per signal.
    signals: Vec<Vec<f64>>,
    outlier: Vec<bool>,
}

/// All methods on all files.
pub(super) fn run(config: &Config, news: &mut dyn FnMut(News<'_>)) -> Result<Document, EvaluateError> {
    let set = Set::Skab.name();
    let folder = config.data.as_ref().ok_or(EvaluateError::NoData(set))?;
    if !folder.is_dir() {
        return Err(EvaluateError::NoFolder(folder.clone()));
    }
    let files = read(&folder.join("skab/data"))?;
    let mut record: Record<OutlierRun> = Record::open(&config.out, set, settings(&files), config.again)?;
    let methods = Method::all();
    news(News::Set(set, methods.len()));
    let missing: Vec<Method> =
        methods.into_iter().filter(|method| record.runs.iter().all(|run| run.method != *method)).collect();
    for method in methods {
        if missing.contains(&method) {
            news(News::Begins(method.label().to_owned()));
            for run in count(method, &files)? {
                record.add(&config.out, run)?;
            }
        }
        news(News::Done);
    }
    Ok(Document::Outliers(record))
}

fn settings(files: &[File]) -> serde_json::Value {
    let values = files.iter().flat_map(|file| file.signals.iter().flatten());
    let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": format!(
            "34 files of 8 signals each second; of each file the first {TRAIN} rows are learned from, the others \
             judged and counted together; every threshold from the training rows, for a false-alarm rate of {RATE}"
        ),
        "rate": RATE,
        "window": WINDOW,
        "data_sha256": hex(&digest(&bytes)),
    })
}

/// What a method says of the test rows, by folder and in all.
fn count(method: Method, files: &[File]) -> Result<Vec<OutlierRun>, EvaluateError> {
    let groups = FOLDERS.iter().map(|(folder, _)| *folder).chain([UNSEEN, ALL]);
    let mut runs: Vec<OutlierRun> =
        groups.map(|files| OutlierRun { files: files.to_owned(), method, counts: Counts::default() }).collect();
    for file in files {
        let said = method.judge(file)?;
        let belongs = |group: &str| group == ALL || group == file.folder || (group == UNSEEN && !file.looked_at);
        for run in runs.iter_mut().filter(|run| belongs(&run.files)) {
            said.iter().zip(&file.outlier).skip(TRAIN).for_each(|(said, is)| run.counts.add(*said, *is));
        }
    }
    Ok(runs)
}

/// The residuals about the level of the training rows, which is the forecast of a signal whose inputs
/// nobody knows; the level may wander.
fn ours(file: &File) -> Result<Vec<bool>, EvaluateError> {
    let history: Vec<Vec<f64>> = file.signals.iter().map(|signal| signal[..TRAIN].to_vec()).collect();
    let detector = Detector::learn(&history, Settings { window: WINDOW, wanders: true })
        .map_err(|error| EvaluateError::Broken(error.to_string()))?;
    let threshold = detector.threshold(RATE);
    Ok(detector.scores(&file.signals, 0).distances.iter().map(|distance| *distance > threshold).collect())
}

fn read(data: &Path) -> Result<Vec<File>, EvaluateError> {
    let names = FOLDERS.iter().flat_map(|(folder, count)| {
        // The numbers of one folder begin at 1.
        let first = usize::from(*folder == "other");
        (first..first + count).map(move |number| (*folder, data.join(folder).join(format!("{number}.csv"))))
    });
    names.enumerate().map(|(place, (folder, path))| file(folder, place % 2 == 0, path)).collect()
}

fn file(folder: &'static str, looked_at: bool, path: PathBuf) -> Result<File, EvaluateError> {
    let columns = Columns::separated(&path, b';')?;
    let signals: Vec<Vec<f64>> =
        SIGNALS.iter().map(|name| Ok(columns.column(&path, name)?.to_vec())).collect::<Result<_, EvaluateError>>()?;
    let outlier: Vec<bool> = columns.column(&path, "anomaly")?.iter().map(|label| *label > 0.5).collect();
    if outlier.len() <= TRAIN {
        let detail = format!("{} rows; the protocol needs more than {TRAIN}", outlier.len());
        return Err(EvaluateError::Format { path, detail });
    }
    Ok(File { folder, looked_at, signals, outlier })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that hold still with a little noise, and one signal that leaves its level for a while.
    fn file_with_a_step() -> File {
        let mut state = 1_u64;
        let mut noise = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        let rows = 900;
        let outlier: Vec<bool> = (0..rows).map(|row| (600..750).contains(&row)).collect();
        let signals = (0..8)
            .map(|signal| {
                let step = |row: usize| if signal == 7 && outlier[row] { 1.5 } else { 0.0 };
                (0..rows).map(|row| noise() + step(row)).collect()
            })
            .collect();
        File { folder: "other", looked_at: false, signals, outlier }
    }

    #[test]
    fn counts_are_what_was_said_against_what_is() {
        let mut counts = Counts::default();
        for (said, is) in [(true, true), (true, true), (true, false), (false, true), (false, false), (false, false)] {
            counts.add(said, is);
        }
        assert_eq!(counts.rows(), 6);
        assert!((counts.f1() - 2.0 / 3.0).abs() < 1e-12);
        assert!((counts.false_alarm_rate() - 1.0 / 3.0).abs() < 1e-12);
        assert!((counts.missed_alarm_rate() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(Counts::default().f1(), 0.0);
    }

    #[test]
    fn every_method_counts_the_same_rows_and_ours_finds_the_step() {
        let files = [file_with_a_step()];
        for method in Method::all() {
            let runs = count(method, &files).unwrap();
            let all = runs.iter().find(|run| run.files == ALL).unwrap();
            assert_eq!(all.counts.rows(), 500);
            assert_eq!(runs.iter().find(|run| run.files == UNSEEN).unwrap().counts, all.counts);
            assert_eq!(runs.iter().find(|run| run.files == "valve1").unwrap().counts.rows(), 0);
            match method {
                Method::Ones => assert_eq!((all.counts.hits, all.counts.false_alarms), (150, 350)),
                Method::Zeros => assert_eq!((all.counts.missed, all.counts.quiet), (150, 350)),
                Method::ZScore | Method::Pca => assert!(all.counts.f1() > 0.5, "{all:?}"),
                Method::Ours => {
                    assert!(all.counts.f1() > 0.9 && all.counts.false_alarm_rate() < 0.05, "{all:?}");
                }
            }
        }
    }
}
