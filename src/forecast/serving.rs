//! Which model serves an asset, kept loaded as plain bytes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::calibration::Calibration;
use super::online::Online;
use super::store::bands_of;
use crate::clock::Clock;
use crate::features::{HealthModel, RemainingModel, Seen, Setups};
use crate::ids::{AssetId, ModelId};
use crate::model::store::{self, WeightsError};
use crate::model::{Bases, HeadArtefact};
use crate::score::LeadCoverage;

/// Versions kept in memory; one is about 0.3 MB.
const KEPT: usize = 256;
/// Bytes of their weights kept in memory: a version that learned more than a head is some megabytes.
const KEPT_BYTES: usize = 256 << 20;

/// Assets whose served bands are kept in memory; one is about 1 kB.
const FOLLOWED: usize = 10_000;
/// Between two looks for a first judgement of the base model, or for what served bands turned out
/// to be.
const ASKED_AGAIN: TimeDelta = TimeDelta::seconds(2);

/// How the serving model did on windows that it had not learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Skill {
    /// 1 - CRPS / CRPS of the naive forecast: 0 is as good, 1 perfect.
    pub vs_naive: f64,
    /// Share of truths that its 80 % band held.
    pub coverage_80: f64,
    /// Share of truths that its 95 % band held; null for a version that was judged before this
    /// was measured.
    #[serde(default)]
    pub coverage_95: Option<f64>,
    /// How often its bands held by lead time; empty for a version that was judged before this was
    /// measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_lead: Vec<LeadCoverage>,
    /// Windows that it was judged on.
    pub windows: u64,
    /// How its served forecasts did that have come true since; null before the first.
    #[serde(default)]
    pub served: Option<ServedSkill>,
    /// The same by lead time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub served_by_lead: Vec<LeadCoverage>,
}

/// How served forecasts did that have come true: the twin's own, as long as the control inputs did
/// what was assumed of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServedSkill {
    /// Share of truths that the 80 % band held. Bands follow it: missed too often, they widen.
    pub coverage_80: f64,
    /// Truths compared.
    pub truths: u64,
}

/// A model version ready to serve.
#[derive(Debug)]
pub(super) struct Version {
    /// For the engine.
    pub(super) head: Arc<HeadArtefact>,
    /// Number within the asset.
    pub(super) number: i32,
    /// Base model whose backbone the head belongs to.
    pub(super) base: String,
    /// Widths of its bands.
    pub(super) calibration: Calibration,
    /// What its evaluation found.
    pub(super) skill: Option<Skill>,
    /// How the banks of its targets are built.
    pub(super) setups: Setups,
    /// The data that it was trained on, in brief; `None` for a version born before this was kept.
    pub(super) seen: Option<Arc<Seen>>,
    /// Why nothing was learned, when its head is the base model's own.
    pub(super) note: Option<String>,
    /// What names the asset's health class, if the version has it.
    pub(super) health: Option<Arc<HealthModel>>,
    /// What tells how long it is until the asset fails, if the version has it.
    pub(super) remaining: Option<Arc<RemainingModel>>,
}

/// Loaded versions by id. A version never changes, so nothing here can be stale; which one serves
/// is asked of the database every time.
#[derive(Clone, Debug)]
pub(super) struct Versions {
    bases: Bases,
    loaded: Arc<Mutex<HashMap<ModelId, Arc<Version>>>>,
    base: Arc<Mutex<BaseSkills>>,
}

/// What was found of the base model, which one it was where that is known, and when.
type BaseSkills = HashMap<AssetId, (DateTime<Utc>, Option<(Skill, Option<String>)>)>;

impl Versions {
    /// None loaded yet, on these base models.
    pub(super) fn on(bases: Bases) -> Self {
        Self { bases, loaded: Arc::default(), base: Arc::default() }
    }

    /// A version, loaded; `None` when it is gone or its base model is.
    pub(super) async fn load(&self, db: &PgPool, id: ModelId) -> Result<Option<Arc<Version>>, WeightsError> {
        if let Some(version) = self.lock().get(&id) {
            return Ok(Some(version.clone()));
        }
        let Some(model) = store::weights(db, id).await? else { return Ok(None) };
        if self.bases.of(&model.base).await?.is_none() {
            tracing::warn!(model.version = model.version, model.base, "version belongs to an unknown base model");
            return Ok(None);
        }
        let version = Arc::new(Version {
            head: Arc::new(HeadArtefact {
                id: model.id,
                weights: model.weights.to_vec(),
                sha256: model.sha256.to_vec(),
            }),
            number: model.version,
            base: model.base,
            calibration: serde_json::from_value(model.calibration).unwrap_or_default(),
            skill: skill(&model.scores, "candidate"),
            setups: Setups::attached_to(&model.weights),
            seen: Seen::attached_to(&model.weights).map(Arc::new),
            note: model.note,
            health: HealthModel::attached_to(&model.weights).map(Arc::new),
            remaining: RemainingModel::attached_to(&model.weights).map(Arc::new),
        });
        let mut kept = self.lock();
        let bytes: usize = kept.values().chain([&version]).map(|version| version.head.weights.len()).sum();
        if kept.len() >= KEPT || bytes > KEPT_BYTES {
            kept.clear();
        }
        kept.insert(model.id, version.clone());
        Ok(Some(version))
    }

    /// How a base model did on the asset, once a job has judged it: what served when the first version was
    /// born was one, which says nothing of others. Asked again after [`ASKED_AGAIN`].
    pub(super) async fn base_skill(
        &self,
        db: &PgPool,
        clock: &Clock,
        asset: AssetId,
        base: &str,
    ) -> sqlx::Result<Option<Skill>> {
        let now = clock.now();
        let of = |found: Option<(Skill, Option<String>)>| {
            found.filter(|(_, own)| own.as_ref().is_none_or(|own| own == base)).map(|(skill, _)| skill)
        };
        let known = self.base.lock().unwrap_or_else(PoisonError::into_inner).get(&asset).cloned();
        if let Some((_, found)) = known.filter(|(at, found)| found.is_some() || now - *at < ASKED_AGAIN) {
            return Ok(of(found));
        }
        let scores = store::first_scores(db, asset).await?;
        let found = scores.and_then(|(scores, own)| Some((skill(&scores, "champion")?, own)));
        let mut kept = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(asset, (now, found.clone()));
        Ok(of(found))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ModelId, Arc<Version>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was found of served bands, by asset. Asked of the database again after [`ASKED_AGAIN`]:
/// another server may have compared forecasts.
#[derive(Clone, Debug, Default)]
pub(super) struct ServedBands(Arc<Mutex<HashMap<AssetId, Followed>>>);

#[derive(Clone, Debug)]
struct Followed {
    at: DateTime<Utc>,
    known: Option<KnownBands>,
}

/// Whose bands were followed, and what was found of them.
#[derive(Clone, Debug)]
pub(super) struct KnownBands {
    /// The version; `None` for a base model.
    pub(super) model: Option<ModelId>,
    /// The base model that answered; `None` where that was not kept.
    pub(super) base: Option<String>,
    pub(super) online: Arc<Online>,
}

impl KnownBands {
    /// What it says of who answers with this version, or without one by this base model: nothing of others.
    pub(super) fn of(self, model: Option<ModelId>, base: &str) -> Option<Arc<Online>> {
        let same = self.model == model && self.base.is_none_or(|own| own == base);
        same.then_some(self.online)
    }
}

impl ServedBands {
    /// What is known of the bands of an asset, and whose they were; `None` before the first comparison.
    pub(super) async fn of(&self, db: &PgPool, clock: &Clock, asset: AssetId) -> sqlx::Result<Option<KnownBands>> {
        let now = clock.now();
        if let Some(kept) = self.lock().get(&asset).filter(|kept| now - kept.at < ASKED_AGAIN) {
            return Ok(kept.known.clone());
        }
        let known = bands_of(db, asset).await?;
        self.keep(asset, Followed { at: now, known: known.clone() });
        Ok(known)
    }

    /// Takes note of what was just found and kept.
    pub(super) fn note(&self, asset: AssetId, now: DateTime<Utc>, known: KnownBands) {
        self.keep(asset, Followed { at: now, known: Some(known) });
    }

    fn keep(&self, asset: AssetId, followed: Followed) {
        let mut kept = self.lock();
        if kept.len() >= FOLLOWED {
            kept.clear();
        }
        kept.insert(asset, followed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AssetId, Followed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a forecaster's skill from the score cards of a version.
fn skill(scores: &serde_json::Value, whose: &str) -> Option<Skill> {
    let own = &scores[whose];
    let crps = own["crps"].as_f64()?;
    let naive = scores["naive"]["crps"].as_f64().filter(|crps| *crps > 0.0)?;
    Some(Skill {
        vs_naive: 1.0 - crps / naive,
        coverage_80: own["coverage_80"].as_f64()?,
        coverage_95: own["coverage_95"].as_f64(),
        by_lead: serde_json::from_value(own["by_lead"].clone()).unwrap_or_default(),
        windows: own["windows"].as_u64()?,
        served: None,
        served_by_lead: Vec::new(),
    })
}
