//! A state that a version answers which was named, whether or not it serves.

use chrono::{DateTime, Utc};

use super::situation::Standing;
use super::{ForecastError, Forecasts, Situation, store};
use crate::model::registry::without_version;
use crate::model::store as models;

impl Forecasts {
    /// Looks at an asset as [`Self::situation`] does, for the version with this number; 0 is the base model. One
    /// whose weights cannot be used is an error: nobody else answers in its place. What served bands turned out
    /// to be counts where the version is the one that serves.
    pub async fn situation_by(
        &self,
        key: &str,
        as_of: Option<DateTime<Utc>>,
        horizon: Option<usize>,
        number: i32,
    ) -> Result<Situation, ForecastError> {
        let horizon = self.checked_horizon(horizon)?;
        let asset = self.assets.find(key).await?;
        let served = store::served(&self.db, asset.id).await?;
        let (twin, _) = served.filter(|(twin, _)| twin.observed_at.is_some()).ok_or(ForecastError::NoReadings)?;
        let model = match number {
            0 => None,
            number => {
                let found = models::numbered(&self.db, asset.id, number).await?;
                Some(found.ok_or(ForecastError::NoVersion(number))?)
            }
        };
        let version = match model {
            Some(model) => Some(self.version(model).await?),
            None => None,
        };
        let own = || without_version(asset.asset_type.document.base_model.as_deref());
        let base = version.as_ref().map_or_else(own, |version| &*version.base);
        let base_skill = match &version {
            Some(_) => None,
            None => self.versions.base_skill(&self.db, &self.clock, asset.id, base).await?,
        };
        let followed = self.bands.of(&self.db, &self.clock, asset.id).await?;
        let online = followed.and_then(|followed| followed.of(model, base));
        self.prepared(asset, Standing { twin, version, base_skill, online }, as_of, horizon).await
    }
}
