//! The data card of a version: what it learned from, and what was left out.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::bases::Tried;
use super::dataset::{Dataset, Exam, count};
use super::spread::{self, Spread};
use crate::asset::AssetType;
use crate::features::Grid;
use crate::quality::{Counts, Removed, assess};
use crate::reading::Frame;

/// What a version learned from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DataCard {
    /// Frames that the job took, the asset's newest.
    pub frames: usize,
    /// Of them, those left out as a whole: where an output failed for long, or time did not go on.
    pub dropped_frames: usize,
    /// Instant of the first one.
    pub first: Option<DateTime<Utc>>,
    /// Instant of the last one.
    pub last: Option<DateTime<Utc>>,
    /// Seconds of a step.
    pub step_s: f64,
    /// Steps learned from and judged on.
    pub steps: usize,
    /// Stretches without a long silence that they form.
    pub segments: usize,
    /// For each signal, its values by QARTOD flag and what was left out.
    pub signals: Vec<Removed>,
    /// Frames by flag of the clock's test.
    pub clock: Counts,
    /// Frames by flag of the test for duplicates.
    pub duplicates: Counts,
    /// Windows over all outputs.
    pub windows: PartWindows,
    /// How the values of inputs and outputs were spread, against which newer ones are held; empty where
    /// there were too few frames, and for versions made before this was kept. Lists leave it out.
    #[serde(default)]
    #[schema(ignore)]
    pub spreads: Vec<Spread>,
    /// Frames of a stretch that is held against them; 0 without them.
    #[serde(default)]
    pub stretch: usize,
    /// Base models that were tried on the validation windows to choose the one to learn on; empty where the
    /// type names one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bases: Vec<Tried>,
    /// The base model that answered for the asset where no version served; null for versions made before
    /// there were several.
    #[serde(default)]
    pub without: Option<String>,
}

/// Windows of each part of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PartWindows {
    /// The newest that teach.
    pub fresh: usize,
    /// Older ones that are replayed.
    pub replay: usize,
    /// Those that stop the training.
    pub stopping: usize,
    /// Those that the bands are made honest on.
    pub calibrating: usize,
    /// Those that judge.
    pub holdout: usize,
    /// Older ones that tell what was forgotten.
    pub older: usize,
}

/// Leaves out of frames what fails, and says so in a card without windows yet.
pub(super) fn clean(asset_type: &AssetType, frames: Vec<Frame>) -> (Vec<Frame>, DataCard) {
    let assessment = assess(asset_type, &frames);
    let [clock, duplicates] = [0, 1].map(|test: usize| Counts::of(&assessment.frames[test].flags));
    let card = DataCard {
        frames: frames.len(),
        first: frames.first().map(|frame| frame.observed_at),
        last: frames.last().map(|frame| frame.observed_at),
        step_s: assessment.step_s,
        signals: assessment.removed(asset_type),
        clock,
        duplicates,
        ..DataCard::default()
    };
    let cleaned = assessment.clean(asset_type, frames);
    let spreads = spread::spreads(asset_type, &cleaned.frames);
    let stretch = spread::stretch(cleaned.frames.len()).filter(|_| !spreads.is_empty()).unwrap_or_default();
    (cleaned.frames, DataCard { dropped_frames: cleaned.dropped, spreads, stretch, ..card })
}

impl DataCard {
    /// Fills in what was cut from the grid.
    pub(super) fn complete(&mut self, grid: &Grid, dataset: &Dataset, exam: &Exam) {
        (self.steps, self.segments, self.step_s) = (grid.len(), grid.starts.len(), grid.step_s);
        self.windows = PartWindows {
            fresh: count(&dataset.fresh),
            replay: count(&dataset.replay),
            stopping: count(&dataset.stopping),
            calibrating: count(&dataset.calibrating),
            holdout: count(&exam.holdout),
            older: count(&exam.older),
        };
    }
}
