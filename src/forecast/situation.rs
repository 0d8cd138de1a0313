//! Everything that an answer starts from, and the answer itself.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::answer::{Answerer, Source, StateOf, timestamps};
use super::copula::Errors;
use super::future::{Future, share_beginnings};
use super::online::Online;
use super::serving::{ServedSkill, Skill, Version};
use super::{ForecastError, Forecasts, MAX_HORIZON, store};
use crate::asset::{Asset, Signal};
use crate::clock::Clock;
use crate::features::{FEWEST, Fit, Grid, Layout, Seen, Subject};
use crate::ids::ModelId;
use crate::model::registry::without_version;
use crate::model::window::{Window, future_steps};
use crate::model::{EngineError, Quantiles};
use crate::reading::Recent;
use crate::twin::Twin;

/// Frames that are looked back on; the bank sees as many.
pub(super) const FRAMES: usize = 2_048;

/// An asset as it stands, ready to be asked about any future of its inputs.
#[derive(Debug)]
pub struct Situation {
    /// Which asset.
    pub asset: Arc<Asset>,
    /// Its readings, ending at the state.
    pub grid: Arc<Grid>,
    /// What is predicted from what.
    pub layout: Layout,
    /// Steps ahead.
    pub horizon: usize,
    /// The live state; its desired values make the baseline.
    pub twin: Twin,
    /// Whether the state is a past one, for which today's desired values mean nothing.
    pub(super) past: bool,
    /// Whether its answers are computed apart from those of others, so that they can be repeated.
    pub(super) alone: bool,
    /// The base model that answers, where that is not the one of the version or of the asset's type.
    pub(super) other_base: Option<String>,
    version: Option<Arc<Version>>,
    /// Of the base model, while it serves.
    base_skill: Option<Skill>,
    /// What the bands of who serves turned out to be.
    online: Option<Arc<Online>>,
    /// One for each target; empty while there is too little history.
    fits: Vec<Arc<Fit>>,
}

/// What is believed of an asset, and who serves it.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) twin: Twin,
    pub(super) version: Option<Arc<Version>>,
    /// Of the base model, while it serves.
    pub(super) base_skill: Option<Skill>,
    /// What the bands of who serves turned out to be.
    pub(super) online: Option<Arc<Online>>,
}

/// Answers to several futures.
#[derive(Debug)]
pub struct Said {
    /// For each future, for each target: quantiles in the signal's unit, sorted.
    pub answers: Vec<Vec<Quantiles>>,
    /// Who answered.
    pub model: Answerer,
    /// The version's id, when a version answered.
    pub version: Option<ModelId>,
    /// How it did when it was judged.
    pub skill: Option<Skill>,
}

impl Situation {
    /// A signal of the asset's type.
    #[must_use]
    pub fn signal(&self, index: usize) -> &Signal {
        &self.asset.asset_type.document.signals[index]
    }

    /// Whether the state is a past one.
    #[must_use]
    pub fn is_past(&self) -> bool {
        self.past
    }

    /// Name of the base model that answers: the version's, or that of the asset's type.
    #[must_use]
    pub fn base(&self) -> &str {
        let own = self.version.as_ref().map(|version| &*version.base).or(self.other_base.as_deref());
        own.unwrap_or_else(|| without_version(self.asset.asset_type.document.base_model.as_deref()))
    }

    /// Whether there is too little history for a model to answer.
    #[must_use]
    pub fn is_too_short(&self) -> bool {
        self.fits.is_empty()
    }

    /// The data that the serving version was trained on, in brief; the recent past where the version
    /// does not say, and for the base model. Computing the latter takes milliseconds: call it off the
    /// runtime's threads. `None` when there is too little history.
    #[must_use]
    pub fn seen(&self) -> Option<Arc<Seen>> {
        let asset_type = &self.asset.asset_type;
        let known = self.version.as_ref().and_then(|version| version.seen.clone());
        let fits = known.filter(|seen| seen.is_of(asset_type, &self.layout));
        fits.or_else(|| Seen::of(asset_type, &self.grid, &self.layout).map(Arc::new))
    }

    /// The version that answers; `None` where the base model does.
    pub(super) fn version(&self) -> Option<&Version> {
        self.version.as_deref()
    }

    /// Instant and age of the state.
    #[must_use]
    pub fn state(&self, clock: &Clock) -> StateOf {
        let age = clock.now() - self.grid.end;
        StateOf { observed_at: self.grid.end, age_s: age.num_milliseconds() as f64 / 1e3 }
    }

    /// Instants of the steps ahead.
    #[must_use]
    pub fn timestamps(&self) -> Vec<DateTime<Utc>> {
        timestamps(self.grid.end, self.grid.step_s, self.horizon)
    }

    /// From the network's order (targets, futures within) and units to ours.
    fn in_units(&self, answers: Vec<Quantiles>, futures: usize) -> Vec<Vec<Quantiles>> {
        let mut sorted: Vec<Vec<Quantiles>> = vec![Vec::with_capacity(self.fits.len()); futures];
        for (index, mut answer) in answers.into_iter().enumerate() {
            let fit = &self.fits[index / futures];
            let signal = self.signal(fit.target());
            if let Some(version) = &self.version {
                version.calibration.apply(&signal.name, &mut answer);
            }
            if let Some(online) = &self.online {
                online.apply(&signal.name, &mut answer);
            }
            let (low, high) = (signal.min.unwrap_or(f64::NEG_INFINITY), signal.max.unwrap_or(f64::INFINITY));
            for row in &mut answer {
                // Limits of the sensor bound what can be measured.
                *row = row.map(|value| fit.scale().undo(value).clamp(low, high));
            }
            sorted[index % futures].push(answer);
        }
        sorted
    }

    /// Errors of the bank in the back-tests of the target at a place, a row each with the step of the
    /// grid that it begins at, in its deviations.
    pub(super) fn errors(&self, target: usize) -> Errors {
        self.fits.get(target).map_or_else(Vec::new, |fit| fit.errors(&self.grid, self.grid.len()))
    }

    /// How who answers did when it was judged, and what its bands turned out to be since.
    fn skill(&self) -> Option<Skill> {
        let judged = self.version.as_ref().map_or(&self.base_skill, |version| &version.skill).clone()?;
        let Some(online) = &self.online else { return Some(judged) };
        let served = online.coverage().map(|(coverage_80, truths)| ServedSkill { coverage_80, truths });
        Some(Skill { served, served_by_lead: online.by_lead(), ..judged })
    }

    fn windows(&self, futures: &[Future]) -> Vec<Window> {
        let steps = future_steps(self.horizon);
        let rows: Vec<Vec<Vec<f64>>> = futures.iter().map(|future| future.rows.clone()).collect();
        self.fits.iter().flat_map(|fit| fit.windows(&self.grid, self.grid.len(), &rows, steps)).collect()
    }
}

impl Forecasts {
    /// Looks at an asset, now or as it was known at a past instant.
    pub async fn situation(
        &self,
        key: &str,
        as_of: Option<DateTime<Utc>>,
        horizon: Option<usize>,
    ) -> Result<Situation, ForecastError> {
        let horizon = self.checked_horizon(horizon)?;
        let asset = self.assets.find(key).await?;
        let (served, followed) =
            tokio::join!(store::served(&self.db, asset.id), self.bands.of(&self.db, &self.clock, asset.id));
        let (twin, champion) =
            served?.filter(|(twin, _)| twin.observed_at.is_some()).ok_or(ForecastError::NoReadings)?;
        let version = match champion {
            Some(model) => self.versions.load(&self.db, model).await,
            None => Ok(None),
        };
        // Damaged weights must not stop the answer: the base model serves, and the log says why.
        let version = version.unwrap_or_else(|error| {
            tracing::error!(asset.key = key, error = &error as &dyn std::error::Error, "champion could not be loaded");
            None
        });
        let serving = version.as_ref().map(|version| version.head.id);
        let own = || without_version(asset.asset_type.document.base_model.as_deref());
        let base = version.as_ref().map_or_else(own, |version| &*version.base);
        let online = followed?.and_then(|followed| followed.of(serving, base));
        let base_skill = match &version {
            Some(_) => None,
            None => self.versions.base_skill(&self.db, &self.clock, asset.id, base).await?,
        };
        self.prepared(asset, Standing { twin, version, base_skill, online }, as_of, horizon).await
    }

    /// Looks at the readings of an asset, now or as they were at a past instant.
    pub(super) async fn prepared(
        &self,
        asset: Arc<Asset>,
        standing: Standing,
        as_of: Option<DateTime<Utc>>,
        horizon: usize,
    ) -> Result<Situation, ForecastError> {
        let seq = standing.twin.seq;
        let kept = as_of.is_none().then(|| self.grids.of(asset.id, seq)).flatten();
        let frames = match (as_of, &kept) {
            (Some(at), _) => Recent::from(self.readings.until(asset.id, at, FRAMES).await?),
            (None, None) => self.readings.recent(asset.id, seq, FRAMES).await?,
            (None, Some(_)) => Recent::default(),
        };
        let steps = future_steps(horizon);
        let (of, past) = (asset.clone(), as_of.is_some());
        let version = standing.version.clone();
        let setup = move |target: usize| {
            let name = &of.asset_type.document.signals[target].name;
            version.as_ref().map(|version| version.setups.of(name)).unwrap_or_default()
        };
        let of = asset.clone();
        let whole = move |grid: Arc<Grid>, layout: Layout, fits: Vec<Arc<Fit>>| {
            let Standing { twin, version, base_skill, online } = standing;
            let (alone, other_base) = (false, None);
            Situation {
                asset: of,
                grid,
                layout,
                horizon,
                twin,
                past,
                alone,
                other_base,
                version,
                base_skill,
                online,
                fits,
            }
        };
        // A state that was asked about before needs no computation, so no other thread.
        if let Some(grid) = &kept {
            let layout = Layout::new(&asset.asset_type, grid);
            let fit = |target: &usize| self.fits.kept(asset.id, grid, &layout, *target, steps, &setup(*target));
            if let Some(fits) =
                layout.targets.iter().map(fit).collect::<Option<Vec<_>>>().filter(|fits| !fits.is_empty())
            {
                return Ok(whole(grid.clone(), layout, fits));
            }
        }
        let (fits, grids, faults) = (self.fits.clone(), self.grids.clone(), self.faults.clone());
        let prepared = tokio::task::spawn_blocking(move || {
            let grid = match kept {
                Some(grid) => grid,
                None => {
                    let left = faults.leave_out(asset.id, &asset.asset_type, &frames, FRAMES);
                    let grid = Grid::new(&asset.asset_type, left.as_deref().unwrap_or(&frames));
                    Arc::new(grid.ok_or(ForecastError::NoReadings)?)
                }
            };
            // Whoever still reads the tail when the next frame joins it makes that copy it.
            drop(frames);
            if !past {
                grids.keep(asset.id, seq, &grid);
            }
            let layout = Layout::new(&asset.asset_type, &grid);
            if layout.targets.is_empty() {
                return Err(ForecastError::NoOutputs);
            }
            let subject = Subject { asset_type: &asset.asset_type, grid: &grid, layout: &layout };
            let fit = |target: &usize| {
                let setup = setup(*target);
                if past {
                    Arc::new(Fit::new(subject, *target, grid.len(), steps, &setup))
                } else {
                    fits.fresh(asset.id, subject, *target, steps, &setup)
                }
            };
            let fits = if grid.len() < FEWEST { Vec::new() } else { layout.targets.iter().map(fit).collect() };
            Ok(whole(grid, layout, fits))
        });
        prepared.await.map_err(|_| ForecastError::Ending)?
    }

    /// Steps ahead that were asked for, or as many as are usual.
    pub fn checked_horizon(&self, horizon: Option<usize>) -> Result<usize, ForecastError> {
        let horizon = horizon.unwrap_or(self.config.forecast_horizon);
        let detail = format!("a horizon has 1 to {MAX_HORIZON} steps");
        match horizon {
            0 => Err(ForecastError::Invalid(vec![("/horizon".into(), detail)])),
            1..=MAX_HORIZON => Ok(horizon),
            _ => Err(ForecastError::Beyond { pointer: "/horizon".into(), detail, max: MAX_HORIZON }),
        }
    }

    /// Answers any number of futures in one forward pass. Equal futures get equal bits.
    pub async fn answer(&self, situation: &Situation, futures: &[Future]) -> Result<Said, ForecastError> {
        let fallback = |reason: String| Said {
            answers: situation.naive(futures.len()),
            model: Answerer {
                version: 0,
                base: situation.base().to_owned(),
                source: Source::Fallback,
                trained_at: None,
                reason: Some(reason),
            },
            version: None,
            skill: None,
        };
        if situation.fits.is_empty() {
            let have = situation.grid.len();
            return Ok(fallback(format!("{have} steps of history; the model needs {FEWEST}")));
        }
        let Some(base) = self.bases.of(situation.base()).await? else {
            return Ok(fallback(format!("there is no base model {}", situation.base())));
        };
        // A repeated future is computed once: arithmetic in another row of a batch may differ in
        // its last bit, and a difference of nothing must be nothing.
        let mut distinct: Vec<&Future> = Vec::with_capacity(futures.len());
        let places: Vec<usize> = futures
            .iter()
            .map(|future| {
                distinct.iter().position(|known| known.rows == future.rows).unwrap_or_else(|| {
                    distinct.push(future);
                    distinct.len() - 1
                })
            })
            .collect();
        let owned: Vec<Future> = distinct.into_iter().cloned().collect();
        let windows = situation.windows(&owned);
        let version = situation.version.clone();
        let head = version.as_ref().map(|version| version.head.clone());
        let answered = if situation.alone {
            self.engine.answer_alone(&base, windows, head).await
        } else {
            self.engine.answer(&base, windows, head).await
        };
        let answers = match answered {
            Ok(answers) => answers,
            Err(error @ (EngineError::Busy | EngineError::Stopped)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(
                    asset.key = situation.asset.key,
                    error = &error as &dyn std::error::Error,
                    "model gave no answer"
                );
                return Ok(fallback(in_words(&error)));
            }
        };
        let mut distinct_answers = situation.in_units(answers, owned.len());
        share_beginnings(&owned, &mut distinct_answers);
        Ok(Said {
            answers: places.iter().map(|place| distinct_answers[*place].clone()).collect(),
            model: Answerer {
                version: version.as_ref().map_or(0, |version| version.number),
                base: base.name().to_owned(),
                source: if version.is_some() { Source::Model } else { Source::Base },
                trained_at: version.as_ref().and_then(|version| version.head.id.minted_at()),
                reason: version.as_ref().and_then(|version| version.note.clone()),
            },
            version: version.as_ref().map(|version| version.head.id),
            skill: situation.skill(),
        })
    }
}

/// Why the model gave no answer, for who is answered by the fallback.
fn in_words(error: &EngineError) -> String {
    match error {
        EngineError::Base(why) => format!("{error}: {why}"),
        error => error.to_string(),
    }
}
