//! The health class of an asset, named by the classifier that travels with the version that serves.
//!
//! Looked at when a twin is refreshed, and written beside it, where the state reads it. Without a
//! classifier there is no class; nothing is made up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ForecastError, Forecasts, store};
use crate::asset::Asset;
use crate::features::{Grid, LOOK};
use crate::model::store::WeightsError;
use crate::score::class::named;
use crate::twin;

/// Newest frames that are laid on a grid: more than a look, since the step is found from them.
const FRAMES: usize = 4 * LOOK;

impl Forecasts {
    /// Names the class of the newest step of an asset.
    pub(super) async fn note_health(&self, asset: &Arc<Asset>) -> Result<(), ForecastError> {
        let Some((twin, Some(id))) = store::served(&self.db, asset.id).await? else { return Ok(()) };
        let version = match self.versions.load(&self.db, id).await {
            Ok(version) => version,
            // It does not serve either.
            Err(WeightsError::Damaged(_)) => None,
            Err(WeightsError::Database(error)) => return Err(error.into()),
        };
        let Some((version, model)) = version.as_ref().and_then(|version| Some((version, version.health.as_ref()?)))
        else {
            return Ok(());
        };
        let recent = self.readings.recent(asset.id, twin.seq, FRAMES).await?;
        let (of, eye) = (Arc::clone(asset), Arc::clone(model));
        let seen = tokio::task::spawn_blocking(move || {
            let grid = Grid::new(&of.asset_type, &recent)?;
            let last = grid.len() - 1;
            Some((grid.instants[last], eye.eye.upon(&of.asset_type, &grid)?.sketch(last)?))
        });
        let Some((at, sketch)) = seen.await.map_err(|_| ForecastError::Ending)? else { return Ok(()) };
        let classifier = Arc::new(model.classifier.clone());
        let said = self.engine.name(classifier, sketch.statistics, sketch.windows).await?;
        let class = model.classes.get(named(&said)).map_or("", String::as_str);
        let probabilities: BTreeMap<String, f64> = model.classes.iter().cloned().zip(said.iter().copied()).collect();
        let who = (version.head.id, class);
        Ok(twin::store::set_health(&self.db, asset.id, at, who, &probabilities, self.clock.now()).await?)
    }
}
