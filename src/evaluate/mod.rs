//! `counterpart evaluate`: ours beside what a user would pick instead, on sets with a protocol.
//!
//! Every forecaster of a set answers the same windows and is scored by the same code; what is
//! random runs over several seeds. Everything is written to a folder (JSON, Markdown, SVG), and a
//! run that is there already with the same settings is not computed again. Reads no database.
//! Deliberately absent: choosing anything by the test part.

mod anomaly;
mod arx;
mod chart;
mod columns;
mod cpu;
mod demo_plant;
mod forecaster;
mod health;
mod kind;
mod naive;
mod ours;
mod plants;
mod record;
mod remaining;
mod report;
mod ridge;
mod roles;
mod series;
mod sets;
mod show;
mod solve;
mod tally;
mod task;
#[cfg(test)]
mod tests;
pub mod truth;
mod what_if;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::{Value, json};

pub use self::kind::Kind;
use self::kind::Ours;
use self::ours::{Material, Views};
use self::record::{Document, Record, Run};
pub use self::sets::Set;
pub use self::show::show;
use self::tally::figures;
use self::task::Task;
use crate::model::{self, BaseChoice, BaseFileError, Recipe, digest};

/// Settings of an evaluation.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Folder of the shared sets, with ett/ETTh1.csv and the others in it.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A set to run, again for more; all of them when neither this nor --csv is given.
    #[arg(long = "set", value_name = "NAME")]
    pub sets: Vec<Set>,
    /// A file of your own: CSV with a header.
    #[arg(long, value_name = "FILE", requires = "roles")]
    pub csv: Option<PathBuf>,
    /// What its columns are: JSON such as {"time": "ts", "signals": {"level": {"role": "output"}}}.
    #[arg(long, value_name = "FILE", requires = "csv")]
    pub roles: Option<PathBuf>,
    /// A forecaster to run, again for more; all of them by default. The what-if suites have their own.
    #[arg(long = "forecaster", value_name = "NAME")]
    pub forecasters: Vec<Kind>,
    /// Seeds of what is random: training, and the plants of the what-if suites.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub seeds: u64,
    /// Weights of another base model, FILE.safetensors as counterpart pretrain writes it, with its card FILE.json
    /// beside it; the shipped one by default.
    #[arg(long, value_name = "FILE")]
    pub base: Option<PathBuf>,
    /// Folder for results; runs that are there with the same settings are kept.
    #[arg(long, value_name = "DIR", default_value = "evaluation")]
    pub out: PathBuf,
    /// Windows of a set that are judged at most, evenly spread.
    #[arg(long, default_value_t = 600, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub max_windows: usize,
    /// Steps between two windows at least; a set's protocol may say more.
    #[arg(long, default_value_t = 4, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub stride: usize,
    /// Judge every window that the protocol has.
    #[arg(long, conflicts_with_all = ["max_windows", "stride"])]
    pub full: bool,
    /// Steps before an origin that our forecasters may look at, instead of the protocol's own.
    #[arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(64..))]
    pub look_back: Option<usize>,
    /// Threads for the windows; learning has one.
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// Compute everything again, whatever is in the folder.
    #[arg(long)]
    pub again: bool,
    /// Which plant and operator the set of the demo's plant is made of; the demo itself runs 7.
    #[arg(long, value_name = "SEED", default_value_t = demo_plant::SEED)]
    pub plant_seed: u64,
    /// Write the demo plant's record as CSV, with a role file beside it, and end.
    #[arg(long, value_name = "FILE")]
    pub export_demo: Option<PathBuf>,
}

impl Config {
    fn stride(&self) -> usize {
        if self.full { 1 } else { self.stride }
    }

    /// The base model that zero-shot forecasts and fine-tuned heads build on.
    fn base(&self) -> Result<BaseChoice, EvaluateError> {
        Ok(self.base.as_deref().map(BaseChoice::read).transpose()?.unwrap_or_default())
    }

    fn most_windows(&self) -> usize {
        if self.full { usize::MAX } else { self.max_windows }
    }
}

/// Why an evaluation ended.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A shared set was asked for without saying where it is.
    #[error("the set {0} lies in the data folder: say where with --data DIR")]
    NoData(&'static str),
    /// The data folder is not there.
    #[error("there is no data folder {}", .0.display())]
    NoFolder(PathBuf),
    /// The base model that was asked for is none.
    #[error(transparent)]
    Base(#[from] BaseFileError),
    /// A file could not be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {detail}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The role file is wrong.
    #[error("{}: {pointer} {detail}", path.display())]
    Role {
        /// Which file.
        path: PathBuf,
        /// JSON pointer of the field.
        pointer: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The set cannot be cut as asked.
    #[error("{set}: {detail}")]
    Protocol {
        /// Which set.
        set: String,
        /// Why.
        detail: String,
    },
    /// Results could not be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A forecaster gave no answer; the report says so, and the others go on.
    #[error("{0}")]
    Broken(String),
}

/// What a run tells while it goes on.
enum News<'a> {
    /// A set begins: its name and how many runs it will have.
    Set(&'a str, usize),
    /// A run begins.
    Begins(String),
    /// A run is done, or was there already.
    Done,
    /// A set is done.
    Finished(&'a Document),
}

/// Runs the sets one after another.
fn run(config: &Config, news: &mut dyn FnMut(News<'_>)) -> Result<(), EvaluateError> {
    let all = config.sets.is_empty() && config.csv.is_none();
    let sets: &[Set] = if all { Set::all() } else { &config.sets };
    if let Some(set) = sets.iter().find(|set| set.is_shared()).filter(|_| config.data.is_none()) {
        return Err(EvaluateError::NoData(set.name()));
    }
    let own = config.csv.as_ref().zip(config.roles.as_ref());
    for set in sets {
        let document = match set.open(config)? {
            Some(task) => series(&task, config, news)?,
            None if *set == Set::Skab => anomaly::run(config, news)?,
            None if *set == Set::Tep => health::run(config, news)?,
            None if *set == Set::Cmapss => remaining::run(config, news)?,
            None => what_if::run(config, news)?,
        };
        finish(&document, config, news)?;
    }
    if let Some((csv, roles)) = own {
        let task = roles::open(csv, roles, config)?;
        let document = series(&task, config, news)?;
        finish(&document, config, news)?;
    }
    Ok(())
}

/// Chart and report; the numbers are written run by run.
fn finish(document: &Document, config: &Config, news: &mut dyn FnMut(News<'_>)) -> Result<(), EvaluateError> {
    record::write(&config.out.join(format!("{}.svg", document.set())), chart::draw(document).as_bytes())?;
    record::write(&config.out.join("report.md"), report::markdown(&record::all(&config.out)).as_bytes())?;
    news(News::Finished(document));
    Ok(())
}

/// All forecasters on one task.
fn series(task: &Task, config: &Config, news: &mut dyn FnMut(News<'_>)) -> Result<Document, EvaluateError> {
    let base = config.base()?;
    let mut record: Record<Run> = Record::open(&config.out, &task.name, settings(task, &base), config.again)?;
    let kinds: &[Kind] = if config.forecasters.is_empty() { Kind::all() } else { &config.forecasters };
    let runs: Vec<(Kind, Option<u64>)> = kinds
        .iter()
        .flat_map(|kind| {
            let seeds = if kind.is_random() { (1..=config.seeds).map(Some).collect() } else { vec![None] };
            seeds.into_iter().map(|seed| (*kind, seed))
        })
        .collect();
    news(News::Set(&task.name, runs.len()));
    let mut shared = Shared::new(task, base, config.threads);
    for (kind, seed) in runs {
        if record.runs.iter().any(|run| run.forecaster == kind && run.seed == seed) {
            news(News::Done);
            continue;
        }
        news(News::Begins(kind.label().to_owned()));
        record.add(&config.out, judge(&mut shared, kind, seed))?;
        news(News::Done);
    }
    record.runs.sort_by_key(|run| (run.forecaster, run.seed));
    Ok(Document::Series(record))
}

/// What several forecasters of a task need, made when the first one asks.
struct Shared<'t> {
    task: &'t Task,
    base: BaseChoice,
    threads: usize,
    views: Option<Rc<Views>>,
    material: Option<Rc<Material>>,
}

impl<'t> Shared<'t> {
    fn new(task: &'t Task, base: BaseChoice, threads: usize) -> Self {
        Self { task, base, threads, views: None, material: None }
    }

    fn views(&mut self) -> Rc<Views> {
        let make = || Rc::new(Views::new(self.task, &self.task.spans, self.threads));
        self.views.get_or_insert_with(make).clone()
    }

    fn material(&mut self) -> Result<Rc<Material>, EvaluateError> {
        match &self.material {
            Some(material) => Ok(material.clone()),
            None => Ok(self.material.insert(Rc::new(Material::new(self.task)?)).clone()),
        }
    }
}

/// One forecaster with one seed: learned, asked, scored. What breaks is said in the run.
fn judge(shared: &mut Shared<'_>, forecaster: Kind, seed: Option<u64>) -> Run {
    let mut run = Run { forecaster, seed, fit_cpu_s: 0.0, forecast_cpu_s: 0.0, figures: None, failed: None };
    let mut score = || {
        let (task, spans) = (shared.task, &shared.task.spans);
        let views = if forecaster.needs_views() { Some(shared.views()) } else { None };
        let material = if forecaster == Kind::Scratch { Some(shared.material()?) } else { None };
        let before = cpu::seconds();
        let ours = Ours { base: &shared.base, views: views.as_ref(), material: material.as_deref() };
        let mut learned = forecaster.learn(task, &ours, seed.unwrap_or_default())?;
        let fitted = cpu::seconds();
        let answers = learned.forecast(spans)?;
        run.fit_cpu_s = fitted - before;
        run.forecast_cpu_s = (cpu::seconds() - fitted) / spans.len() as f64 + learned.spent();
        Ok::<_, EvaluateError>(figures(task, spans, &answers))
    };
    match score() {
        Ok(figures) if figures.rmse.is_finite() && figures.crps.is_finite() => run.figures = Some(figures),
        Ok(_) => run.failed = Some("an answer is not a finite number".into()),
        Err(error) => run.failed = Some(error.to_string()),
    }
    run
}

/// What the numbers depend on: another one of these makes all runs of a set void.
fn settings(task: &Task, base: &BaseChoice) -> Value {
    let protocol = &task.protocol;
    let bytes: Vec<u8> =
        task.frames.iter().flat_map(|frame| frame.values.iter().flat_map(|value| value.to_le_bytes())).collect();
    let data = model::hex(&digest(&bytes));
    let card = base.card();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": protocol.words,
        "unit": protocol.unit.name(),
        "horizon": protocol.horizon,
        "windows": task.spans.len(),
        "stride": task.spans.get(1).map(|second| second.origin - task.spans[0].origin),
        "look_back": protocol.look_back,
        "train": [protocol.train.start, protocol.train.end],
        "validation": [protocol.validation.start, protocol.validation.end],
        "test": [protocol.test.start, protocol.test.end],
        "taught": [protocol.taught.start, protocol.taught.end],
        "data_sha256": data,
        "base": card.name,
        "base_sha256": card.sha256,
        "recipe": Recipe::default(),
    })
}

/// Creates the folder for results.
fn prepare(out: &Path) -> Result<(), EvaluateError> {
    std::fs::create_dir_all(out).map_err(|source| EvaluateError::Write { path: out.to_owned(), source })
}
