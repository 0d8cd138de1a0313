//! What is left of a record when what fails is left out.

use super::{Assessment, Flag};
use crate::asset::{AssetType, Role};
use crate::reading::Frame;

/// So many values in a row may be missing before the whole frames are left out: as long as a grid carries
/// a value over missing steps.
const CARRIED: usize = 10;
/// Whole frames are left out only while so many of all stay.
const LEAST_KEPT: f64 = 0.5;

/// A record to learn from.
#[derive(Clone, Debug)]
pub struct Cleaned {
    /// Its frames; what failed is missing.
    pub frames: Vec<Frame>,
    /// Frames that were left out as a whole.
    pub dropped: usize,
}

impl Assessment {
    /// The frames without what fails. Such values are missing: the last one before stands for them.
    /// Where an output fails at more than ten frames in a row there is nothing to learn, and the frames
    /// are left out as a silence would be, unless that left fewer than half of all; and so are frames
    /// whose time does not go on.
    #[must_use]
    pub fn clean(&self, asset_type: &AssetType, mut frames: Vec<Frame>) -> Cleaned {
        let mut lost: Vec<bool> =
            (0..frames.len()).map(|at| self.frames.iter().any(|checked| checked.flags[at] == Flag::Fail)).collect();
        let mut long = lost.clone();
        for (signal, declared) in asset_type.document.signals.iter().enumerate() {
            let failed: Vec<bool> = self.flags(signal).into_iter().map(|flag| flag == Flag::Fail).collect();
            for (frame, _) in frames.iter_mut().zip(&failed).filter(|(_, failed)| **failed) {
                frame.values[signal] = f64::NAN;
            }
            if declared.role == Role::Output {
                mark_long(&failed, &mut long);
            }
        }
        let kept = long.iter().filter(|lost| !**lost).count();
        if kept as f64 >= LEAST_KEPT * frames.len() as f64 {
            lost = long;
        }
        let before = frames.len();
        let mut at = 0..;
        frames.retain(|_| at.next().is_none_or(|at| !lost[at]));
        Cleaned { dropped: before - frames.len(), frames }
    }
}

/// Marks the runs of more than [`CARRIED`] that failed.
fn mark_long(failed: &[bool], long: &mut [bool]) {
    let mut from = 0;
    for run in failed.chunk_by(|a, b| a == b) {
        let to = from + run.len();
        if run[0] && run.len() > CARRIED {
            long[from..to].fill(true);
        }
        from = to;
    }
}
