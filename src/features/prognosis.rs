//! What tells how long it is until an asset fails: its memory, and the head that reads it.

use serde::{Deserialize, Serialize};

use super::memory::{FormerMemory, Memory};
use crate::asset::EndOfLife;
use crate::model::remaining::Head;
use crate::model::{ArtefactError, attach, attached};
use crate::score::RemainingTime;

/// Name of it beside a head's variables.
const NAME: &str = "remaining";
/// First byte of a stored one: how the rest is to be read.
const FORMAT: u8 = 2;
/// That of models whose memory knew no directions.
const FORMER: u8 = 1;

/// A model of remaining time with all that is needed to ask it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemainingModel {
    /// What it remembers.
    pub memory: Memory,
    /// The class that it tells the time to.
    pub class: String,
    /// The class after which an asset is as new, beside that of failure.
    pub restored_by: Option<String>,
    /// Seconds of a bin.
    pub width_s: f64,
    /// Its layers.
    pub head: Head,
}

/// A model as [`FORMER`] wrote it.
#[derive(Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct FormerModel {
    memory: FormerMemory,
    class: String,
    restored_by: Option<String>,
    width_s: f64,
    head: Head,
}

impl From<FormerModel> for RemainingModel {
    fn from(former: FormerModel) -> Self {
        let FormerModel { memory, class, restored_by, width_s, head } = former;
        Self { memory: memory.into(), class, restored_by, width_s, head }
    }
}

impl RemainingModel {
    /// Seconds that it knows.
    #[must_use]
    pub fn horizon_s(&self) -> f64 {
        self.width_s * self.head.shape.bins.saturating_sub(1) as f64
    }

    /// The end that it was taught.
    #[must_use]
    pub fn end(&self) -> EndOfLife {
        EndOfLife { class: self.class.clone(), restored_by: self.restored_by.clone() }
    }

    /// Probabilities of its bins, in seconds.
    #[must_use]
    pub fn time(&self, masses: Vec<f64>) -> Option<RemainingTime> {
        RemainingTime::new(self.width_s, masses)
    }

    /// A version's artefact with the model attached, in place of any other.
    pub fn attach_to(&self, artefact: &[u8]) -> Result<Vec<u8>, ArtefactError> {
        let bytes = postcard::to_extend(self, vec![FORMAT]);
        attach(artefact, NAME, &bytes.expect("numbers, names and bytes can always be written"))
    }

    /// The model attached to a version's artefact, if there is one that this build can read.
    #[must_use]
    pub fn attached_to(artefact: &[u8]) -> Option<Self> {
        let (format, rest) = attached(artefact, NAME)?.split_first()?;
        let model: Self = match *format {
            FORMAT => postcard::from_bytes(rest).ok()?,
            FORMER => postcard::from_bytes::<FormerModel>(rest).ok()?.into(),
            _ => return None,
        };
        let whole = model.head.shape.features == model.memory.width()
            && model.head.shape.bins >= 2
            && model.width_s > 0.0
            && model.head.temperature > 0.0;
        whole.then_some(model)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::asset::testing::asset_type;
    use crate::features::Grid;
    use crate::model::Base;
    use crate::model::remaining::Shape;
    use crate::model::trainee::untaught;
    use crate::reading::Frame;

    #[test]
    fn a_model_is_read_back_as_it_was_and_one_of_another_build_is_none() {
        let kind = asset_type(1.0, &["pump", "level"]);
        let at = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let grid = Grid::new(&kind, &[Frame { observed_at: at, values: vec![1.0, 2.0], quality: None }]).unwrap();
        let mut memory = Memory::of(&kind, &grid, 1, 2.0, false);
        memory.scale(&[vec![0.0; memory.width()]]);
        let shape = Shape { features: memory.width(), bins: 26, members: 2 };
        let head = Head { shape, temperature: 1.0, weights: vec![1, 2, 3] };
        let model = RemainingModel { memory, class: "failed".into(), restored_by: None, width_s: 60.0, head };
        assert_eq!(model.horizon_s(), 1_500.0);
        let base = untaught(&Base::shipped().unwrap()).weights;
        let whole = model.attach_to(&base).unwrap();
        assert_eq!(RemainingModel::attached_to(&whole), Some(model.clone()));
        assert_eq!(RemainingModel::attached_to(&base), None);
        let other = attach(&base, NAME, &[FORMAT + 1, 1, 2]).unwrap();
        assert_eq!(RemainingModel::attached_to(&other), None);
        let RemainingModel { memory, class, restored_by, width_s, head } = model.clone();
        let former = FormerModel { memory: memory.former(), class, restored_by, width_s, head };
        let stored = attach(&base, NAME, &postcard::to_extend(&former, vec![FORMER]).unwrap()).unwrap();
        assert_eq!(RemainingModel::attached_to(&stored), Some(model.clone()), "of a former build");
        let mut broken = model;
        broken.head.shape.features += 1;
        assert_eq!(RemainingModel::attached_to(&broken.attach_to(&base).unwrap()), None, "it does not fit");
    }
}
