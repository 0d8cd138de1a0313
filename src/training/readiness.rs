//! Whether an asset has readings enough to fine-tune: by the rules that a job itself goes by.

use chrono::{DateTime, TimeDelta};
use serde::Serialize;

use super::dataset::{NEEDED, Parts};
use super::teacher::USABLE;
use crate::asset::AssetType;
use crate::features::{Grid, Layout};

/// Further frames that are looked for at most.
const MOST: usize = 20_000;
/// Between two numbers of further frames that are tried.
const STRIDE: usize = 8;

/// Whether there are readings enough.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = TrainingReadiness)]
pub struct Readiness {
    /// For a version at all: experts and honest bands of the asset's own on the base model's head. Counts
    /// steps of the record.
    pub version: Need,
    /// For a head that learns. Counts windows that could teach, of each output.
    pub learning: Need,
    /// In words.
    pub summary: String,
}

/// What is there of something, and what is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = TrainingNeed)]
pub struct Need {
    /// What is there.
    pub have: usize,
    /// What is needed.
    pub need: usize,
    /// Whether that is enough.
    pub enough: bool,
    /// Frames still needed, one at every step; null where frames alone do not help.
    pub frames_needed: Option<usize>,
}

impl Readiness {
    /// Of a record that has been cleaned.
    pub(super) fn of(asset_type: &AssetType, grid: Option<&Grid>) -> Self {
        let steps = grid.map_or(0, Grid::len);
        let usable = grid.filter(|grid| grid.len() >= NEEDED).map_or(0, |grid| Parts::new(grid).usable(grid));
        let measured = grid.is_some_and(|grid| !Layout::new(asset_type, grid).targets.is_empty());
        let further = |fits: &dyn Fn(usize) -> bool| match grid {
            // Nothing can be predicted, however many frames of the same there are.
            Some(_) if !measured => None,
            _ => (0..MOST).step_by(STRIDE).find(|extra| fits(*extra)),
        };
        let version = Need {
            have: steps,
            need: NEEDED,
            enough: measured && steps >= NEEDED,
            frames_needed: further(&|_| true).map(|_| NEEDED.saturating_sub(steps)),
        };
        let learning = Need {
            have: usable,
            need: USABLE,
            enough: measured && usable >= USABLE,
            frames_needed: if usable >= USABLE && measured {
                Some(0)
            } else {
                further(&|extra| {
                    let longer = longer(asset_type, grid, extra);
                    longer.len() >= NEEDED && Parts::new(&longer).usable(&longer) >= USABLE
                })
            },
        };
        let summary = summary(grid.is_none() || measured, version, learning);
        Self { version, learning, summary }
    }
}

fn summary(measured: bool, version: Need, learning: Need) -> String {
    let frames = |need: Need| need.frames_needed.map_or("more".to_owned(), |frames| frames.to_string());
    if !measured {
        "no output of the asset has been measured, so there is nothing to learn to predict".to_owned()
    } else if learning.enough {
        format!("there is enough to fine-tune: {} usable windows, {} are needed", learning.have, learning.need)
    } else if version.enough {
        format!(
            "a job would make a version with experts and bands of the asset's own; for its head to learn {} usable \
             windows are needed and there are {}: about {} further frames",
            learning.need,
            learning.have,
            frames(learning)
        )
    } else {
        format!(
            "there is not enough to fine-tune: {} steps are needed and there are {}; {} further frames make a version, \
             about {} a head that learns",
            version.need,
            version.have,
            frames(version),
            frames(learning)
        )
    }
}

/// The instants of a grid that went on for so many steps.
fn longer(asset_type: &AssetType, grid: Option<&Grid>, extra: usize) -> Grid {
    let mut longer = grid.map_or_else(
        || Grid {
            step_s: asset_type.interval_s(),
            end: DateTime::UNIX_EPOCH,
            instants: Vec::new(),
            values: Vec::new(),
            measured: Vec::new(),
            starts: vec![0],
        },
        |grid| Grid { values: Vec::new(), measured: Vec::new(), ..grid.clone() },
    );
    let step = TimeDelta::microseconds((longer.step_s * 1e6).round() as i64);
    for _ in 0..extra {
        longer.end += step;
        longer.instants.push(longer.end);
    }
    longer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::testing::asset_type;
    use crate::reading::Frame;

    fn of(seconds: impl IntoIterator<Item = i64>) -> Readiness {
        let frame = |at: i64| Frame {
            observed_at: DateTime::from_timestamp(1_790_000_000 + at, 0).unwrap(),
            values: vec![0.0, at as f64],
            quality: None,
        };
        let kind = asset_type(1.0, &["pump", "level"]);
        let frames: Vec<Frame> = seconds.into_iter().map(frame).collect();
        Readiness::of(&kind, Grid::new(&kind, &frames).as_ref())
    }

    #[test]
    fn the_frames_that_are_needed_are_enough_when_they_come() {
        for have in [0, 100, 383, 384, 450, 600] {
            let ready = of(0..have);
            let (version, learning) = (ready.version.frames_needed.unwrap(), ready.learning.frames_needed.unwrap());
            assert!(of(0..have + version as i64).version.enough, "{have}: {ready:?}");
            assert!(version == 0 || !of(0..have + version as i64 - 1).version.enough, "{have}: {ready:?}");
            assert!(of(0..have + learning as i64).learning.enough, "{have}: {ready:?}");
            assert!(learning < 8 || !of(0..have + learning as i64 - 8).learning.enough, "{have}: {ready:?}");
        }
    }

    #[test]
    fn gaps_cost_windows() {
        let whole = of(0..900);
        let broken = of((0..900).map(|k| if k < 400 { k } else { k + 100 }));
        assert!(whole.learning.enough && whole.learning.frames_needed == Some(0));
        assert!(broken.learning.have < whole.learning.have, "{broken:?}");
    }

    #[test]
    fn without_an_output_no_frame_helps() {
        let kind = asset_type(1.0, &["pump"]);
        let frame = Frame { observed_at: DateTime::UNIX_EPOCH, values: vec![1.0], quality: None };
        let ready = Readiness::of(&kind, Grid::new(&kind, &[frame]).as_ref());
        assert!(ready.learning.frames_needed.is_none() && ready.summary.contains("nothing to learn"), "{ready:?}");
    }
}
