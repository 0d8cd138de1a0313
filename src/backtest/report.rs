//! What comes of a backtest.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::score::{ClassCard, Paired, ScoreCard};

/// Who forecasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BacktestForecaster)]
pub enum Forecaster {
    /// The version that is examined, as it would be served: its own bank, fitted at each window's start, its
    /// head and its bands.
    Model,
    /// The last value holds.
    Naive,
    /// The last season repeats itself; the last value holds where the history has no season.
    SeasonalNaive,
    /// A linear difference equation with the inputs (ARX), fitted at each window's start and run free; the
    /// last value holds where there is too little to fit it on.
    Arx,
}

impl Forecaster {
    /// Its name, as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Naive => "naive",
            Self::SeasonalNaive => "seasonal_naive",
            Self::Arx => "arx",
        }
    }
}

/// All of them, in the order in which they are told.
pub(super) const FORECASTERS: [Forecaster; 4] =
    [Forecaster::Model, Forecaster::Naive, Forecaster::SeasonalNaive, Forecaster::Arx];

/// How good forecasters would have been on the last windows of an asset's history. At each window's start
/// they knew the readings up to it and no later one; what the examined version had learned before is told in
/// `learned`.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BacktestResult)]
pub struct Report {
    /// Seconds of a step.
    pub step_s: f64,
    /// Which of the windows the examined version had learned from.
    pub learned: Learned,
    /// The forecasters' scores.
    pub forecasters: Vec<Judged>,
    /// Steps of the season of each output as it was found at the start of the last window; null where there
    /// was none.
    pub seasons: BTreeMap<String, Option<usize>>,
    /// Forecasts of one output that the version could not give and the naive forecast stood in for, as it does
    /// when it is served.
    pub fallbacks: usize,
    /// How well the version names health classes.
    pub health: HealthReport,
    /// The windows in the order of time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
}

/// What an examined version had learned from.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = BacktestLearned)]
pub struct Learned {
    /// Windows that were forecast.
    pub windows: usize,
    /// Of them, those of which at least a step lies in what the version learned from, was judged on or made
    /// its bands honest on. The version's scores there are better than it would do on new readings.
    pub seen_by_model: usize,
    /// Instant of the first frame that it learned from; null where that is not known, and for the base model.
    pub from: Option<DateTime<Utc>>,
    /// Instant of the last one; null for the base model, which learned from no asset.
    pub until: Option<DateTime<Utc>>,
    /// The same in words.
    pub summary: String,
}

/// One window.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BacktestOrigin)]
pub struct Origin {
    /// Instant of the newest step that was known.
    pub at: DateTime<Utc>,
    /// Instant of its last step.
    pub until: DateTime<Utc>,
    /// Whether the examined version had learned from any of it.
    pub seen_by_model: bool,
    /// CRPS of each forecaster over all outputs, in deviations of the output.
    pub crps: BTreeMap<&'static str, f64>,
}

/// One forecaster's scores.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BacktestScores)]
pub struct Judged {
    /// Who.
    pub forecaster: Forecaster,
    /// On all windows.
    pub all: Part,
    /// On those that the examined version had not learned from; null where it had learned from none or from
    /// all of them.
    pub unseen: Option<Part>,
}

/// Scores on some of the windows.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BacktestPart)]
pub struct Part {
    /// Over all outputs, in deviations of the output, and for each output in its unit.
    pub scores: ScoreCard,
    /// Share of the naive forecast's CRPS that this one saves over all outputs, with the interval that holds it
    /// with 95 % probability by a paired bootstrap of blocks of windows. Null for the naive forecast itself,
    /// and where there are fewer than three windows or the naive forecast made no error.
    pub vs_naive: Option<Paired>,
    /// The same for each output; one that cannot be compared is not there.
    pub vs_naive_by_target: BTreeMap<String, Paired>,
}

/// How well health classes are named at labelled steps of the windows, each from the readings up to it.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
#[schema(as = BacktestHealth)]
pub struct HealthReport {
    /// Labelled steps that were judged; they are thinned evenly where there are many.
    pub steps: usize,
    /// Of them, those that the version had learned from.
    pub seen_by_model: usize,
    /// What cannot be said, and why; null where everything can.
    pub reason: Option<String>,
    /// The examined version; null where it names no classes or nothing is labelled.
    pub model: Option<ClassCard>,
    /// The same on the labelled steps that it had not learned from; null where it had learned from none or
    /// from all of them.
    pub model_unseen: Option<ClassCard>,
    /// How often each class was labelled before the first window, whatever is seen; null where nothing was.
    pub naive: Option<ClassCard>,
}
