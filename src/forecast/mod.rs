//! Predictions: from the stored live state to quantiles that people can use.
//!
//! The caller sends no history. A [`Situation`] is everything an answer starts from: the asset's
//! grid, fresh fits of the bank, and the version that serves; [`Forecasts::answer`] turns futures
//! of the inputs into quantiles, all of them in one forward pass, and falls back to the naive
//! forecast, saying so, rather than to nothing. Every served prediction is kept as a vintage; when
//! it has come true it is compared with what happened, and the bands follow (`hindsight`, `online`);
//! how all of them turned out is summed up in the `ledger`.

mod aftermath;
pub mod anomaly;
mod answer;
mod breach;
pub mod calibration;
mod copula;
mod duel;
mod frozen;
mod future;
mod faults;
mod grids;
mod health;
mod hindsight;
pub mod ledger;
pub mod naive;
mod named;
pub mod online;
mod paths;
mod probe;
pub mod refresher;
mod remaining;
mod risk;
mod routes;
mod sampling;
mod serving;
mod situation;
pub mod store;
mod truth;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::Semaphore;

pub use self::aftermath::{Aftermath, Past};
use self::anomaly::Watches;
pub use self::answer::{
    Answerer, Bands, InputFuture, InputSource, Prediction, Source, StateOf, bands, frequency, level_key, quantile,
    tidy, tidy_all, timestamps, units,
};
pub use self::breach::{Breach, TimeToLimit, first_break};
pub use self::duel::{Bout, Duel};
use self::faults::KnownFaults;
pub use self::frozen::Frozen;
pub use self::future::Future;
use self::grids::Grids;
use self::remaining::Beginnings;
pub use self::routes::router;
pub use self::sampling::{Lots, Sampling};
use self::serving::{ServedBands, Versions};
pub use self::serving::{ServedSkill, Skill};
pub use self::situation::{Said, Situation};
use crate::asset::{AssetError, Assets};
use crate::clock::Clock;
use crate::features::Fits;
use crate::ids::PredictionId;
use crate::model::{Bases, Engine, EngineError};
use crate::reading::{ReadingError, Readings};

/// The farthest that anything is predicted, in steps.
pub const MAX_HORIZON: usize = 512;
/// Vintages that may be on their way to the database while their answers are out already.
const KEEPING: usize = 64;
/// Quantile levels when none are asked for.
pub const DEFAULT_QUANTILES: [f64; 3] = [0.1, 0.5, 0.9];
/// Quantile levels of the twins' own forecasts: median, 80 and 95 % band.
const TWIN_QUANTILES: [f64; 5] = [0.025, 0.1, 0.5, 0.9, 0.975];

/// Settings of predictions.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Steps ahead when a request does not say, and of the twins' own forecasts.
    #[arg(long, env = "COUNTERPART_FORECAST_HORIZON", default_value_t = 60)]
    pub forecast_horizon: usize,
    /// Seconds between two forecasts that a twin makes of its own accord.
    #[arg(long, env = "COUNTERPART_FORECAST_EVERY_S", default_value_t = 5.0)]
    pub forecast_every_s: f64,
    /// Days that vintages are kept.
    #[arg(long, env = "COUNTERPART_FORECAST_KEEP_DAYS", default_value_t = 30)]
    pub forecast_keep_days: u32,
}

/// Why there is no prediction.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    /// No such asset, or the database is away.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The readings could not be had.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// The asset has no reading at all, at or before the instant asked for.
    #[error("the asset has no readings to start from")]
    NoReadings,
    /// The asset's type has no output, or none was ever measured.
    #[error("the asset has no measured signal with the role output")]
    NoOutputs,
    /// There are readings, but fewer than the question needs.
    #[error("there are {have} steps of history and {need} are needed")]
    TooShort {
        /// Steps of history.
        have: usize,
        /// Steps that are needed.
        need: usize,
    },
    /// The asset has no such version.
    #[error("the asset has no model version {0}")]
    NoVersion(i32),
    /// The version that was asked for cannot answer.
    #[error("the version's weights are damaged, or belong to another base model")]
    Unusable,
    /// Something in the request cannot be carried out: pointer and reason.
    #[error("the request is not valid")]
    Invalid(Vec<(String, String)>),
    /// More than can be given is asked for.
    #[error("{detail}")]
    Beyond {
        /// To the value that is too large, or that holds too much.
        pointer: String,
        /// Why.
        detail: String,
        /// What it can be at most.
        max: usize,
    },
    /// What an answer is to be repeated with is no longer there.
    #[error("{0} that answered then is no longer there, so the answer cannot be given again")]
    Gone(String),
    /// The model engine cannot take more.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The database said no.
    #[error("the database said no")]
    Database(#[from] sqlx::Error),
    /// The computation was given up because the server ends.
    #[error("the server is ending")]
    Ending,
}

/// Handle on predictions; clones share everything.
#[derive(Clone, Debug)]
pub struct Forecasts {
    db: PgPool,
    clock: Clock,
    assets: Assets,
    readings: Readings,
    engine: Engine,
    bases: Bases,
    fits: Fits,
    faults: KnownFaults,
    grids: Grids,
    /// Vintages on their way to the database.
    keeping: Arc<Semaphore>,
    versions: Versions,
    bands: ServedBands,
    beginnings: Beginnings,
    watches: Watches,
    config: Arc<Config>,
}

/// What to predict.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Steps ahead.
    pub horizon: Option<usize>,
    /// Quantile levels.
    pub quantiles: Option<Vec<f64>>,
    /// From a past instant instead of now.
    pub as_of: Option<DateTime<Utc>>,
    /// Futures of inputs, by signal.
    pub inputs: std::collections::BTreeMap<String, Vec<f64>>,
    /// Joint sample paths of each output.
    pub samples: Option<usize>,
    /// Decides the samples.
    pub seed: Option<u64>,
    /// Whether to name the health class, now and ahead.
    pub health: bool,
    /// Whether to say how likely limits are broken, and when.
    pub limits: bool,
}

/// Why a prediction was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The twin's own forecast after new readings.
    Refresh,
    /// Somebody asked.
    Request,
}

impl Forecasts {
    /// Puts the room together.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock, assets: Assets, readings: Readings, engine: Engine, config: Config) -> Self {
        let bases = Bases::new(db.clone(), clock.clone());
        let (fits, versions) = (Fits::default(), Versions::on(bases.clone()));
        let keeping = Arc::new(Semaphore::new(KEEPING));
        let (grids, bands, watches) = (Grids::default(), ServedBands::default(), Watches::default());
        let (config, beginnings) = (Arc::new(config), Beginnings::default());
        Self {
            db,
            clock,
            assets,
            readings,
            engine,
            bases,
            fits,
            faults: KnownFaults::default(),
            grids,
            keeping,
            versions,
            bands,
            beginnings,
            watches,
            config,
        }
    }

    /// Predicts, and keeps the prediction as a vintage, a moment after the answer if somebody waits
    /// for it.
    pub async fn predict(&self, asset: &str, ask: &Ask, cause: Cause) -> Result<Prediction, ForecastError> {
        let levels = checked_levels(ask.quantiles.as_deref())?;
        let sampling = Sampling::checked(ask.samples, ask.seed)?;
        let situation = self.situation(asset, ask.as_of, ask.horizon).await?;
        let future = situation.baseline(&ask.inputs)?;
        let lots = sampling.map(|sampling| sampling.draw(&situation, 1)).transpose()?;
        let said = self.answer(&situation, std::slice::from_ref(&future)).await?;
        let steps = situation.horizon;
        let id = PredictionId::mint(&self.clock);
        let targets = &situation.layout.targets;
        let signals = targets
            .iter()
            .zip(&said.answers[0])
            .map(|(target, answer)| (situation.signal(*target).name.clone(), bands(answer, &levels, steps)))
            .collect();
        let mut prediction = Prediction {
            id,
            asset: situation.asset.key.clone(),
            created_at: self.clock.now(),
            state: situation.state(&self.clock),
            frequency: frequency(situation.grid.step_s),
            timestamps: timestamps(situation.grid.end, situation.grid.step_s, steps),
            inputs: situation.inputs(&future),
            signals,
            paths: None,
            units: units(&situation.asset, targets.iter().chain(&situation.layout.inputs)),
            skill: said.skill,
            model: said.model,
            health: None,
            risk: None,
        };
        let state_at = situation.grid.end;
        let due_at = ledger::due_at(&prediction.timestamps, situation.is_past());
        match (cause, Arc::clone(&self.keeping).try_acquire_owned()) {
            // Nobody waits for their answer to be filed; when too many are on their way, one does.
            (Cause::Request, Ok(permit)) => {
                let (db, asset, prediction) = (self.db.clone(), situation.asset.id, prediction.clone());
                tokio::spawn(async move {
                    if let Err(error) =
                        store::keep(&db, asset, &prediction, (state_at, due_at), said.version, cause).await
                    {
                        tracing::warn!(error = &error as &dyn std::error::Error, "a vintage was not kept");
                    }
                    drop(permit);
                });
            }
            _ => {
                store::keep(&self.db, situation.asset.id, &prediction, (state_at, due_at), said.version, cause).await?;
            }
        }
        // A vintage is scored by its quantiles; its paths are the caller's alone, and so is what follows.
        let mut answers = said.answers;
        prediction.paths = lots.map(|lots| lots.paths(&situation, &answers[0]));
        match cause {
            Cause::Request => {
                if ask.health {
                    // A forecast without a class is better than none.
                    prediction.health = Box::pin(self.health_of(&situation)).await.unwrap_or_else(|error| {
                        tracing::warn!(asset.key = asset, error = &error as &dyn std::error::Error, "health not named");
                        None
                    });
                }
                if ask.limits {
                    prediction.risk = self.risk(situation, answers.swap_remove(0), id).await?.map(Into::into);
                }
            }
            Cause::Refresh => {
                // A forecast without a risk is better than none.
                if let Err(error) = self.note_risk(situation, answers.swap_remove(0), id).await {
                    tracing::warn!(asset.key = asset, error = &error as &dyn std::error::Error, "risk not assessed");
                }
            }
        }
        Ok(prediction)
    }

    /// Steps ahead when a request does not say.
    #[must_use]
    pub fn default_horizon(&self) -> usize {
        self.config.forecast_horizon
    }

    /// The assets, for rooms above.
    #[must_use]
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// The clock, for rooms above.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}

/// Levels in ascending order, each within what the network answers.
pub fn checked_levels(levels: Option<&[f64]>) -> Result<Vec<f64>, ForecastError> {
    let mut levels = levels.map_or_else(|| DEFAULT_QUANTILES.to_vec(), <[f64]>::to_vec);
    let wrong =
        |index: usize, detail: &str| Err(ForecastError::Invalid(vec![(format!("/quantiles/{index}"), detail.into())]));
    if levels.is_empty() || levels.len() > 99 {
        return Err(ForecastError::Invalid(vec![("/quantiles".into(), "give 1 to 99 quantile levels".into())]));
    }
    for (index, level) in levels.iter().enumerate() {
        if !(0.01..=0.99).contains(level) {
            return wrong(index, "a quantile level lies between 0.01 and 0.99");
        }
        if levels[..index].iter().any(|other| (other - level).abs() < 1e-9) {
            return wrong(index, "this quantile level is there already");
        }
    }
    levels.sort_by(f64::total_cmp);
    Ok(levels)
}
