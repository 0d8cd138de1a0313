//! Remaining useful life of turbofan engines (C-MAPSS FD001; Saxena et al. 2008).
//!
//! A model of remaining time learns as a fine-tune job teaches it: what is remembered of each run, bins of
//! five cycles, 125 the horizon. The seed draws which training engines stop the learning from which others.
//! What it brings to see engines along their directions of wear is shown by seeing them signal by signal, and
//! what it brings there to know how each run began by leaving that out. Judged are the last row of every test engine, as the literature does, and all their rows.
//! Classes are cut at 125 and 30 cycles; each row is named by where most of the probability lies, or, where a
//! method gives one number, by cuts of it that are best on the training rows.

mod material;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use serde_json::json;

use self::material::{Material, Part, Row, engines, lesson, table};
use super::record::{Document, Record};
use super::sets::Set;
use super::solve::{Sums, dot};
use super::{Config, EvaluateError, News, cpu};
use crate::model::remaining::{Lesson, Manner, foretell, learn_best};
use crate::model::{Recipe, digest, hex};
use crate::score::{ClassCard, RemainingCard, RemainingTime};
use crate::training::remaining::BINS;

/// Operating settings, and sensors.
const SETTINGS: usize = 3;
const SIGNALS: usize = SETTINGS + 21;
/// Cycles from which on an engine counts as healthy, and below which as near failure.
const HORIZON: f64 = 125.0;
const NEAR: f64 = 30.0;
const CLASSES: [&str; 3] = ["healthy", "degrading", "near failure"];
/// Weight of the ridge, in rows.
const RIDGE: f64 = 10.0;

/// What tells the remaining cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    Mean,
    Age,
    Ridge,
    Changes,
    Signals,
    Ours,
}

impl Method {
    pub(super) fn all() -> [Self; 6] {
        [Self::Mean, Self::Age, Self::Ridge, Self::Changes, Self::Signals, Self::Ours]
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Mean => "mean of the training rows",
            Self::Age => "mean life less the age",
            Self::Ridge => "ridge, signal by signal",
            Self::Changes => "ours, signal by signal, changes alone",
            Self::Signals => "ours, signal by signal",
            Self::Ours => "ours",
        }
    }

    fn seeds(self, config: &Config) -> u64 {
        if self.ways().is_empty() { 1 } else { config.seeds }
    }

    /// Ways to see the rows, of which it learns the one that tells most of training engines held out.
    fn ways(self) -> &'static [Way] {
        match self {
            Self::Mean | Self::Age | Self::Ridge => &[],
            Self::Changes => &[Way::Changes],
            Self::Signals => &[Way::Signals],
            Self::Ours => &[Way::Signals, Way::Along],
        }
    }
}

/// A way to see a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Changes,
    Signals,
    Along,
}

impl Way {
    fn sees(self, row: &Row) -> Vec<f32> {
        match self {
            Self::Changes => row.changes(),
            Self::Signals => row.seen.clone(),
            Self::Along => row.along.clone(),
        }
    }

    /// As a fine-tune job learns from what is seen so.
    fn manner(self) -> Manner {
        if self == Self::Along { Manner::OF_FEW } else { Manner::OF_MANY }
    }
}

/// One method with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RemainingRun {
    pub(super) method: Method,
    pub(super) seed: u64,
    /// CPU-seconds of learning, the features left out.
    pub(super) fit_cpu_s: f64,
    /// Of the last row of each test engine.
    pub(super) last: Figures,
    /// Of all rows of the test engines.
    pub(super) all: Figures,
}

/// How well rows were told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    /// In cycles, both sides capped at 125.
    pub(super) rmse: f64,
    /// Sum of the asymmetric costs of the challenge (Saxena et al. 2008): late is worse than early.
    pub(super) score: f64,
    /// In cycles, and the share of the truths below 125 that the 80 % band holds: of methods that give a
    /// distribution.
    pub(super) crps: Option<f64>,
    pub(super) coverage_80: Option<f64>,
    pub(super) classes: ClassCard,
}

/// A method that has learned: what it says of the rows of a part.
type Teller = Box<dyn Fn(&Part) -> Result<Vec<Said>, EvaluateError>>;

/// What a method says of a row.
enum Said {
    Number(f64),
    Time(RemainingTime),
}

pub(super) fn run(config: &Config, news: &mut dyn FnMut(News<'_>)) -> Result<Document, EvaluateError> {
    let set = Set::Cmapss.name();
    let folder = config.data.as_ref().ok_or(EvaluateError::NoData(set))?;
    if !folder.is_dir() {
        return Err(EvaluateError::NoFolder(folder.clone()));
    }
    let read = |name: &str, width: usize| table(&folder.join("cmapss").join(name), width);
    let width = 2 + SIGNALS;
    let (train, test) = (read("train_FD001.txt", width)?, read("test_FD001.txt", width)?);
    let left: Vec<f64> = read("RUL_FD001.txt", 1)?.into_iter().flatten().collect();
    let (train, test) = (engines(train), engines(test));
    if test.len() != left.len() {
        let detail = format!("{} test engines and {} remaining lives", test.len(), left.len());
        return Err(EvaluateError::Protocol { set: set.to_owned(), detail });
    }
    let mut record: Record<RemainingRun> = Record::open(&config.out, set, settings(&train, &test), config.again)?;
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
                None => Material::of(&train, &test, &left)?,
            };
            record.add(&config.out, one(method, seed, &known)?)?;
            material = Some(known);
        }
        news(News::Done);
    }
    Ok(Document::Remaining(record))
}

fn one(method: Method, seed: u64, material: &Material) -> Result<RemainingRun, EvaluateError> {
    let Material { train, test } = material;
    let before = cpu::seconds();
    let said: Teller = match method {
        Method::Mean => {
            let mean = train.rows.iter().map(Row::capped).sum::<f64>() / train.rows.len() as f64;
            Box::new(move |part| Ok(part.rows.iter().map(|_| Said::Number(mean)).collect()))
        }
        Method::Age => {
            let lives = train.rows.iter().filter(|row| row.age == 0.0).map(|row| row.left);
            let life = lives.sum::<f64>() / train.ends.len() as f64;
            Box::new(move |part| {
                Ok(part.rows.iter().map(|row| Said::Number((life - row.age).clamp(0.0, HORIZON))).collect())
            })
        }
        Method::Ridge => {
            let weights = ridge(train).ok_or_else(|| EvaluateError::Broken("the rows are singular".into()))?;
            let of = move |row: &Row| Said::Number(dot(&row.wide(), &weights).clamp(0.0, HORIZON));
            Box::new(move |part| Ok(part.rows.iter().map(&of).collect()))
        }
        Method::Changes | Method::Signals | Method::Ours => learned(method, seed, train)?,
    };
    let fit_cpu_s = cpu::seconds() - before;
    let cuts = cuts(&said(train)?, &train.rows);
    let (said, every) = (said(test)?, test.rows.iter().collect::<Vec<_>>());
    let ends: Vec<usize> = test.ends.iter().map(|end| end - 1).collect();
    let pick = |rows: &[usize]| rows.iter().map(|row| (&said[*row], every[*row])).collect::<Vec<_>>();
    let all: Vec<usize> = (0..every.len()).collect();
    Ok(RemainingRun { method, seed, fit_cpu_s, last: figures(&pick(&ends), cuts), all: figures(&pick(&all), cuts) })
}

/// Networks that have learned as a fine-tune job teaches them.
fn learned(method: Method, seed: u64, train: &Part) -> Result<Teller, EvaluateError> {
    let recipe = Recipe { seed, ..Recipe::default() };
    let ways: Vec<Way> = method.ways().iter().copied().filter(|way| !way.sees(&train.rows[0]).is_empty()).collect();
    let teach = |way: &Way| Lesson { runs: lesson(train, seed, |row| way.sees(row)), manner: way.manner() };
    let lessons: Vec<Lesson> = ways.iter().map(teach).collect();
    let taught = learn_best(BINS, &lessons, &recipe, &mut || ControlFlow::Continue(()));
    let (chosen, taught) = taught.map_err(|error| EvaluateError::Broken(error.to_string()))?;
    let (way, head) = (ways[chosen], taught.head);
    Ok(Box::new(move |part| {
        let rows: Vec<Vec<f32>> = part.rows.iter().map(|row| way.sees(row)).collect();
        let said = foretell(&head, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let times = said.map_err(|error| EvaluateError::Broken(error.to_string()))?.into_iter();
        Ok(times.filter_map(|masses| RemainingTime::new(width(), masses)).map(Said::Time).collect())
    }))
}

/// Cycles of a bin.
fn width() -> f64 {
    HORIZON / (BINS - 1) as f64
}

/// The class of remaining cycles under cuts of the healthy and of those near failure.
fn class(left: f64, (healthy, near): (f64, f64)) -> usize {
    if left >= healthy { 0 } else { 1 + usize::from(left < near) }
}

impl Row {
    fn capped(&self) -> f64 {
        self.left.min(HORIZON)
    }

    fn class(&self) -> usize {
        class(self.left, (HORIZON, NEAR))
    }

    /// Features without the level of each signal when the run began, which stand before the age.
    fn changes(&self) -> Vec<f32> {
        let (age, before) = self.seen.split_last().expect("the age is there");
        before[..before.len() - SIGNALS].iter().chain([age]).copied().collect()
    }

    /// Features with an intercept.
    fn wide(&self) -> Vec<f64> {
        self.seen.iter().map(|value| f64::from(*value)).chain([1.0]).collect()
    }
}

impl Said {
    fn number(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Time(time) => time.mean(),
        }
    }

    fn shares(&self, cuts: (f64, f64)) -> Vec<f64> {
        match self {
            Self::Number(number) => {
                let named = class(*number, cuts);
                (0..CLASSES.len()).map(|class| f64::from(u8::from(class == named))).collect()
            }
            Self::Time(time) => {
                let (near, healthy) = (time.by(NEAR), time.beyond());
                vec![healthy, 1.0 - healthy - near, near]
            }
        }
    }
}

/// The cuts of one number that name the classes of rows best.
fn cuts(said: &[Said], rows: &[Row]) -> (f64, f64) {
    let truths: Vec<usize> = rows.iter().map(Row::class).collect();
    let candidates = (90..=125_u32)
        .step_by(5)
        .flat_map(|healthy| (20..=60_u32).step_by(5).map(move |near| (f64::from(healthy), f64::from(near))));
    let f1 = |cuts: &(f64, f64)| {
        let mut confusion = crate::score::Confusion::new(CLASSES.len());
        said.iter().zip(&truths).for_each(|(said, truth)| confusion.record(*truth, class(said.number(), *cuts)));
        confusion.f1_macro().unwrap_or(0.0)
    };
    candidates.max_by(|one, other| f1(one).total_cmp(&f1(other))).unwrap_or((HORIZON, NEAR))
}

fn figures(told: &[(&Said, &Row)], cuts: (f64, f64)) -> Figures {
    let errors: Vec<f64> = told.iter().map(|(said, row)| said.number() - row.capped()).collect();
    let cost = |error: &f64| if *error < 0.0 { (-error / 13.0).exp() - 1.0 } else { (error / 10.0).exp() - 1.0 };
    let times: Vec<RemainingTime> = told
        .iter()
        .filter_map(|(said, _)| if let Said::Time(time) = said { Some(time.clone()) } else { None })
        .collect();
    let truths: Vec<f64> = told.iter().map(|(_, row)| row.left).collect();
    let card = (times.len() == told.len()).then(|| RemainingCard::of(&times, &truths, HORIZON));
    let names: Vec<String> = CLASSES.iter().map(|name| (*name).to_owned()).collect();
    let classes: Vec<usize> = told.iter().map(|(_, row)| row.class()).collect();
    let shares: Vec<Vec<f64>> = told.iter().map(|(said, _)| said.shares(cuts)).collect();
    Figures {
        rmse: (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt(),
        score: errors.iter().map(cost).sum(),
        crps: card.as_ref().map(|card| card.crps_s),
        coverage_80: card.and_then(|card| card.coverage_80),
        classes: ClassCard::of(&names, &classes, &shares),
    }
}

fn ridge(train: &Part) -> Option<Vec<f64>> {
    let features = train.rows.first()?.seen.len() + 1;
    let mut sums = Sums::new(features, 1);
    for row in &train.rows {
        sums.row(|wide| wide.extend(row.wide().into_iter().chain([row.capped()])));
    }
    sums.solve(&(0..features).collect::<Vec<_>>(), RIDGE)?.pop()
}

fn settings(train: &[Vec<Vec<f64>>], test: &[Vec<Vec<f64>>]) -> serde_json::Value {
    let values = train.iter().chain(test).flatten().flatten();
    let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": "FD001: learned from 100 engines that ran to failure; judged on 100 engines that were stopped before, \
            remaining cycles capped at 125: on the last row of each, and on all rows. Classes healthy, degrading and near \
            failure are cut at 125 and 30 cycles",
        "data_sha256": hex(&digest(&bytes)),
    })
}
