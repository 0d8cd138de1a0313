//! Answers that can be given again: everything that an answer follows from besides the readings, kept.
//!
//! A live answer follows whatever serves at the time, and warm fits; asked later from the same state
//! it may differ in its last digits, or a lot after a promotion. A frozen one names the version that
//! serves, holds the adaptive widths of the bands and what was desired, fits anew, and is computed
//! apart from others: from the same readings it has the same bits.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::online::Online;
use super::serving::Skill;
use super::situation::Standing;
use super::{ForecastError, Forecasts, Situation, store};
use crate::ids::ModelId;
use crate::model::registry::without_version;
use crate::twin::Desired;

/// What answers follow from besides the readings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    /// Instant of the state.
    pub as_of: DateTime<Utc>,
    /// The version that serves; `None` for the base model.
    pub model: Option<ModelId>,
    /// The base model that answered; `None` is that of the version, or of the asset's type without one.
    base: Option<String>,
    /// What is desired of control inputs, which makes the baseline.
    desired: BTreeMap<String, Desired>,
    /// What the bands of who serves turned out to be.
    online: Option<Online>,
    /// Of the base model, while it serves.
    base_skill: Option<Skill>,
}

impl Forecasts {
    /// Freezes what serves an asset now, at its live state or at that of a past instant. What is desired
    /// now means nothing for the past.
    pub async fn freeze(&self, key: &str, as_of: Option<DateTime<Utc>>) -> Result<Frozen, ForecastError> {
        let asset = self.assets.find(key).await?;
        let (twin, champion) = store::served(&self.db, asset.id).await?.ok_or(ForecastError::NoReadings)?;
        let newest = match as_of {
            Some(at) => self.readings.until(asset.id, at, 1).await?.last().map(|frame| frame.observed_at),
            None => twin.observed_at,
        };
        // As when it is asked live: the base model serves where the champion cannot be loaded.
        let version = match champion {
            Some(id) => self.versions.load(&self.db, id).await.ok().flatten(),
            None => None,
        };
        let base = version.as_ref().map_or_else(
            || without_version(asset.asset_type.document.base_model.as_deref()).to_owned(),
            |version| version.base.clone(),
        );
        let champion = version.map(|version| version.head.id);
        let base_skill = match champion {
            Some(_) => None,
            None => self.versions.base_skill(&self.db, &self.clock, asset.id, &base).await?,
        };
        let followed = self.bands.of(&self.db, &self.clock, asset.id).await?;
        let online = followed.and_then(|followed| followed.of(champion, &base)).map(|online| (*online).clone());
        Ok(Frozen {
            as_of: newest.ok_or(ForecastError::NoReadings)?,
            model: champion,
            base: Some(base),
            desired: if as_of.is_none() { twin.desired } else { BTreeMap::new() },
            online,
            base_skill,
        })
    }

    /// Looks at an asset as it was frozen. Gone: the version, or the base model that it stands on.
    pub async fn frozen_situation(
        &self,
        key: &str,
        frozen: &Frozen,
        horizon: Option<usize>,
    ) -> Result<Situation, ForecastError> {
        let horizon = self.checked_horizon(horizon)?;
        let asset = self.assets.find(key).await?;
        let (mut twin, _) = store::served(&self.db, asset.id).await?.ok_or(ForecastError::NoReadings)?;
        twin.desired.clone_from(&frozen.desired);
        if let Some(base) = &frozen.base
            && self.bases.of(base).await?.is_none()
        {
            return Err(ForecastError::Gone(format!("the base model {base}")));
        }
        let version = match frozen.model {
            None => None,
            Some(id) => match self.versions.load(&self.db, id).await {
                Ok(Some(version)) => Some(version),
                Ok(None) => return Err(ForecastError::Gone("the model version".to_owned())),
                Err(error) => {
                    tracing::error!(
                        asset.key = key,
                        error = &error as &dyn std::error::Error,
                        "a version could not be loaded"
                    );
                    return Err(ForecastError::Gone("the model version, whose weights are damaged,".to_owned()));
                }
            },
        };
        let online = frozen.online.clone().map(Arc::new);
        let standing = Standing { twin, version, base_skill: frozen.base_skill.clone(), online };
        let mut situation = self.prepared(asset, standing, Some(frozen.as_of), horizon).await?;
        situation.past = false;
        situation.alone = true;
        situation.other_base.clone_from(&frozen.base);
        Ok(situation)
    }
}

impl Frozen {
    /// The same state and wishes, answered by another version, or by the base model without one. What the bands of
    /// who serves turned out to be says nothing about others.
    #[must_use]
    pub fn answered_by(&self, model: Option<ModelId>) -> Self {
        Self { model, base: None, online: None, base_skill: None, ..self.clone() }
    }
}

impl Situation {
    /// A digest of the state: the asset, its type, and every value, instant and gap that was looked at.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(&self.asset.key);
        digest.update([0]);
        digest.update(&self.asset.asset_type.key);
        digest.update([0]);
        digest.update(self.asset.asset_type.version.to_le_bytes());
        digest.update(self.grid.step_s.to_le_bytes());
        for instant in &self.grid.instants {
            digest.update(instant.timestamp_micros().to_le_bytes());
        }
        for (values, measured) in self.grid.values.iter().zip(&self.grid.measured) {
            for (value, measured) in values.iter().zip(measured) {
                digest.update(value.to_bits().to_le_bytes());
                digest.update([u8::from(*measured)]);
            }
        }
        digest.finalize().into()
    }
}
