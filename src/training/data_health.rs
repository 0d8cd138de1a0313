//! What can be said of an asset's readings before anything is learned from them.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::readiness::Readiness;
use super::{Training, TrainingError};
use crate::asset::Asset;
use crate::features::Grid;
use crate::quality::{Health, assess, health};
use crate::reading::{Frame, ReadingError, instant};

/// Frames that are looked at without a range: the newest.
const NEWEST: usize = 10_000;
/// Frames of a range, and values in them, at most.
const MOST_FRAMES: usize = 100_000;
const MOST_VALUES: usize = 4_000_000;

/// The data health of an asset.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct DataHealth {
    /// Key of the asset.
    pub asset: String,
    /// What the tests found.
    #[serde(flatten)]
    pub health: Health,
    /// Frames that fine-tuning would leave out as a whole.
    pub dropped_frames: usize,
    /// Whether the readings are enough to fine-tune, once what fails is left out.
    pub readiness: Readiness,
}

impl Training {
    /// Looks at an asset's readings: those of a range, or the newest that a job would take.
    pub async fn data_health(
        &self,
        asset: &str,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
    ) -> Result<DataHealth, TrainingError> {
        let asset = self.assets.find(asset).await?;
        let frames = self.frames(&asset, from, to).await?;
        let looked = tokio::task::spawn_blocking(move || look(&asset, frames)).await;
        // It does not panic; a server that goes home may drop it.
        looked.map_err(|_| sqlx::Error::WorkerCrashed.into())
    }

    async fn frames(
        &self,
        asset: &Asset,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
    ) -> Result<Vec<Frame>, TrainingError> {
        let invalid = |parameter, detail: String| TrainingError::Reading(ReadingError::Invalid { parameter, detail });
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(invalid("from", "is not before `to`".to_owned()));
        }
        let signals = asset.asset_type.document.signals.len().max(1);
        let newest = NEWEST.min(self.config.training_frames).min(MOST_VALUES / signals);
        let Some(from) = from else {
            return Ok(match to {
                Some(to) => self.readings.until(asset.id, to - TimeDelta::microseconds(1), newest).await?,
                None => self.readings.newest(asset.id, newest).await?,
            });
        };
        let most = MOST_FRAMES.min(MOST_VALUES / signals);
        let to = to.unwrap_or_else(|| instant::instant(self.readings.window().newest + 1));
        let frames = self.readings.oldest_of(asset.id, from, to, most + 1).await?;
        if frames.len() > most {
            return Err(invalid("from", format!("the range holds more than {most} frames: take a shorter one")));
        }
        Ok(frames)
    }
}

fn look(asset: &Asset, frames: Vec<Frame>) -> DataHealth {
    let kind = &asset.asset_type;
    let assessment = assess(kind, &frames);
    let health = health(kind, &frames, &assessment);
    let cleaned = assessment.clean(kind, frames);
    let readiness = Readiness::of(kind, Grid::new(kind, &cleaned.frames).as_ref());
    DataHealth { asset: asset.key.clone(), health, dropped_frames: cleaned.dropped, readiness }
}
