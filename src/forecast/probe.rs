//! Step probes of a version on its asset's own history, batched through the engine.

use std::sync::Arc;

use super::serving::Version;
use super::situation::FRAMES;
use super::{ForecastError, Forecasts, store};
use crate::asset::Asset;
use crate::expert::Scale;
use crate::features::responses::{Medians, PROBED, Point, Responses, points};
use crate::features::{FEWEST, Fit, Grid, Layout, Setups, Subject};
use crate::ids::ModelId;
use crate::model::registry::without_version;
use crate::model::window::Window;
use crate::model::{MEDIAN, Quantiles};

/// Everything that is asked of the engine, and what undoes its units.
struct Asked {
    grid: Grid,
    layout: Layout,
    points: Vec<Point>,
    /// Point by point, target by target, future by future.
    windows: Vec<Window>,
    /// For each point, for each target.
    scales: Vec<Vec<Scale>>,
}

impl Forecasts {
    /// How a version of an asset answers its control inputs; the base model without one.
    pub async fn probe(&self, asset: &Arc<Asset>, model: Option<ModelId>) -> Result<Responses, ForecastError> {
        let served = store::served(&self.db, asset.id).await?;
        let (twin, _) = served.filter(|(twin, _)| twin.observed_at.is_some()).ok_or(ForecastError::NoReadings)?;
        let version = match model {
            Some(model) => Some(self.version(model).await?),
            None => None,
        };
        let frames = self.readings.recent(asset.id, twin.seq, FRAMES).await?;
        let (of, setups) =
            (Arc::clone(asset), version.as_ref().map(|version| version.setups.clone()).unwrap_or_default());
        let asked = tokio::task::spawn_blocking(move || {
            let grid = Grid::new(&of.asset_type, &frames).ok_or(ForecastError::NoReadings)?;
            ask(&of, grid, &setups)
        });
        let mut asked = asked.await.map_err(|_| ForecastError::Ending)??;
        let windows = std::mem::take(&mut asked.windows);
        let base = match &version {
            Some(version) => version.base.as_str(),
            None => without_version(asset.asset_type.document.base_model.as_deref()),
        };
        let base = self.bases.of(base).await?.ok_or(ForecastError::Unusable)?;
        let said = self.engine.answer(&base, windows, version.map(|version| version.head.clone())).await?;
        let answers = asked.medians(&said);
        Ok(Responses::read(&asset.asset_type, &asked.grid, &asked.layout, &asked.points, &answers))
    }

    /// A version that is asked for by name, loaded.
    pub(super) async fn version(&self, model: ModelId) -> Result<Arc<Version>, ForecastError> {
        let loaded = self.versions.load(&self.db, model).await;
        let loaded = loaded.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "a version could not be loaded");
            ForecastError::Unusable
        })?;
        loaded.ok_or(ForecastError::Unusable)
    }
}

fn ask(asset: &Asset, grid: Grid, setups: &Setups) -> Result<Asked, ForecastError> {
    let layout = Layout::new(&asset.asset_type, &grid);
    if layout.targets.is_empty() {
        return Err(ForecastError::NoOutputs);
    }
    if grid.len() < FEWEST + 1 {
        let (have, need) = (grid.len(), FEWEST + 1);
        return Err(ForecastError::TooShort { have, need });
    }
    let points = points(&asset.asset_type, &grid, &layout);
    let subject = Subject { asset_type: &asset.asset_type, grid: &grid, layout: &layout };
    let (mut windows, mut scales) = (Vec::new(), Vec::new());
    for point in &points {
        let mut own = Vec::with_capacity(layout.targets.len());
        for target in &layout.targets {
            let setup = setups.of(&asset.asset_type.document.signals[*target].name);
            let fit = Fit::new(subject, *target, point.origin, PROBED, &setup);
            windows.extend(fit.windows(&grid, point.origin, &point.futures, PROBED));
            own.push(fit.scale());
        }
        scales.push(own);
    }
    Ok(Asked { grid, layout, points, windows, scales })
}

impl Asked {
    fn medians(&self, said: &[Quantiles]) -> Vec<Medians> {
        let mut said = said.iter();
        self.points
            .iter()
            .zip(&self.scales)
            .map(|(point, scales)| {
                let of = |scale: &Scale| {
                    let row = |answer: &Quantiles| answer.iter().map(|row| scale.undo(row[MEDIAN])).collect();
                    said.by_ref().take(point.futures.len()).map(row).collect()
                };
                scales.iter().map(of).collect()
            })
            .collect()
    }
}
