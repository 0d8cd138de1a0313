//! The health of an asset: its class, named by the classifier that travels with the version that serves,
//! and the time that remains until it fails.
//!
//! Looked at when a twin is refreshed, and written beside it, where the state reads it. Without a
//! classifier there is no class; nothing is made up.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{ForecastError, Forecasts, store};
use crate::asset::Asset;
use crate::features::{Grid, HealthModel, LOOK};
use crate::model::store::WeightsError;
use crate::score::class::named;
use crate::twin::{self, Looked};

/// Newest frames that are laid on a grid: more than a look, since the step is found from them.
const FRAMES: usize = 4 * LOOK;

/// The likeliest class with the probabilities of all, and the step that was looked at.
type Named = (DateTime<Utc>, (String, BTreeMap<String, f64>));

impl Forecasts {
    /// Looks at the newest step of an asset.
    pub(super) async fn note_health(&self, asset: &Arc<Asset>) -> Result<(), ForecastError> {
        let Some((twin, Some(id))) = store::served(&self.db, asset.id).await? else { return Ok(()) };
        let version = match self.versions.load(&self.db, id).await {
            Ok(version) => version,
            // It does not serve either.
            Err(WeightsError::Damaged(_)) => None,
            Err(WeightsError::Database(error)) => return Err(error.into()),
        };
        let Some(version) = version.filter(|version| version.health.is_some() || version.remaining.is_some()) else {
            return Ok(());
        };
        let class = match &version.health {
            Some(model) => self.class(asset, twin.seq, (&version.base, model)).await?,
            None => None,
        };
        let remaining = match &version.remaining {
            Some(model) => self.remaining(asset, twin.seq, id, model).await?,
            None => None,
        };
        if class.is_none() && version.remaining.is_none() {
            return Ok(());
        }
        let seen = class.as_ref().map(|(at, _)| *at).max(remaining.as_ref().map(|(at, _)| *at));
        // Of an asset that is down nothing remains, whatever was said before.
        let Some(at) = seen.or(twin.observed_at) else { return Ok(()) };
        let (class, remaining) = (class.map(|(_, class)| class), remaining.map(|(_, remaining)| remaining));
        let looked = Looked { model: version.head.id, at, class, remaining };
        Ok(twin::store::set_health(&self.db, asset.id, &looked, self.clock.now()).await?)
    }

    /// Names the class of the newest step by a model on its version's base model; `None` where it cannot be
    /// seen.
    async fn class(
        &self,
        asset: &Arc<Asset>,
        seq: i64,
        (base, model): (&str, &Arc<HealthModel>),
    ) -> Result<Option<Named>, ForecastError> {
        let Some(base) = self.bases.of(base).await? else { return Ok(None) };
        let recent = self.readings.recent(asset.id, seq, FRAMES).await?;
        let (of, eye) = (Arc::clone(asset), Arc::clone(model));
        let seen = tokio::task::spawn_blocking(move || {
            let grid = Grid::new(&of.asset_type, &recent)?;
            let last = grid.len() - 1;
            Some((grid.instants[last], eye.eye.upon(&of.asset_type, &grid)?.sketch(last)?))
        });
        let Some((at, sketch)) = seen.await.map_err(|_| ForecastError::Ending)? else { return Ok(None) };
        let classifier = Arc::new(model.classifier.clone());
        let said = self.engine.name(&base, classifier, sketch.statistics, sketch.windows).await?;
        let class = model.classes.get(named(&said)).cloned().unwrap_or_default();
        let probabilities = model.classes.iter().cloned().zip(said.iter().copied()).collect();
        Ok(Some((at, (class, probabilities))))
    }
}
