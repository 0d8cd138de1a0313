//! The history that windows are cut from, and where they lie.

use crate::asset::{AssetType, Role};
use crate::features::{FEWEST, Grid};
use crate::reading::Frame;

use super::ask::Plan;

/// Steps before a window that its forecast looks back on at most: as many as a prediction does.
pub(super) const REACH: usize = 2_048;

/// An asset's steps up to the cutoff.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) grid: Grid,
    /// Signals that are predicted: outputs that were ever measured.
    pub(super) outputs: Vec<usize>,
    /// First step of each window, ascending.
    pub(super) origins: Vec<usize>,
}

/// Why there are too few windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// The asset's type has no output, or none was measured up to the cutoff.
    #[error("no signal with the role output has been measured up to the cutoff")]
    NoOutputs,
    /// There are too few steps, or too many gaps between them.
    #[error(
        "{have} steps of history up to the cutoff hold {found} of {wanted} windows: {further} further steps are needed"
    )]
    Steps {
        /// Steps of history.
        have: usize,
        /// Windows that they hold.
        found: usize,
        /// Windows that are wanted.
        wanted: usize,
        /// Further steps that are needed, if none of them is missing.
        further: usize,
    },
}

impl Field {
    /// Lays windows on frames up to the cutoff: back from the newest step, `step_size` apart, leaving out those
    /// that a long silence lies in and those of which nothing was measured.
    pub(super) fn lay(asset_type: &AssetType, frames: &[Frame], plan: &Plan) -> Result<Self, Shortage> {
        let wanted = plan.windows;
        let whole = FEWEST + plan.span();
        let Some(grid) = Grid::new(asset_type, frames) else {
            return Err(Shortage::Steps { have: 0, found: 0, wanted, further: whole });
        };
        let measured = |signal: &usize| grid.measured[*signal].contains(&true);
        let outputs: Vec<usize> = asset_type.with_role(Role::Output).map(|(index, _)| index).filter(measured).collect();
        if outputs.is_empty() {
            return Err(Shortage::NoOutputs);
        }
        let have = grid.len();
        let usable = |origin: &usize| {
            let end = origin + plan.horizon;
            // What is told must follow at once upon what is known.
            !grid.breaks_within(origin - 1, end)
                && outputs.iter().any(|output| {
                    let measured = &grid.measured[*output];
                    // Steps that are yet to come will be measured.
                    let some = end > have || measured[*origin..end].contains(&true);
                    some && measured[..(*origin).min(have)].contains(&true)
                })
        };
        let of = |steps: usize| -> Vec<usize> {
            let last = steps.checked_sub(plan.horizon).filter(|last| *last >= FEWEST);
            let lattice = last.into_iter().flat_map(|last| (FEWEST..=last).rev().step_by(plan.step_size));
            lattice.filter(usable).take(wanted).collect()
        };
        let mut origins = of(have);
        if origins.len() < wanted {
            // Once all windows lie in what is yet to come, they are enough.
            let further = (whole.saturating_sub(have)..=whole).find(|further| of(have + further).len() == wanted);
            let found = origins.len();
            return Err(Shortage::Steps { have, found, wanted, further: further.unwrap_or(whole) });
        }
        origins.reverse();
        Ok(Self { grid, outputs, origins })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::ask::Inputs;
    use super::*;
    use crate::asset::testing::asset_type;

    fn frames(seconds: impl IntoIterator<Item = i64>) -> Vec<Frame> {
        let frame = |at: i64| Frame {
            observed_at: DateTime::from_timestamp(1_790_000_000 + at, 0).unwrap(),
            values: vec![0.0, at as f64],
            quality: None,
        };
        seconds.into_iter().map(frame).collect()
    }

    fn lay(frames: &[Frame], windows: usize, step_size: usize) -> Result<Field, Shortage> {
        let plan = Plan { windows, step_size, horizon: 20, inputs: Inputs::Held };
        Field::lay(&asset_type(1.0, &["pump", "level"]), frames, &plan)
    }

    #[test]
    fn windows_end_with_the_newest_step() {
        assert_eq!(lay(&frames(0..200), 3, 30).unwrap().origins, [120, 150, 180]);
    }

    #[test]
    fn what_is_still_needed_is_enough_when_it_comes() {
        for have in [0, 1, 50, 63, 64, 80, 143] {
            let Err(Shortage::Steps { further, .. }) = lay(&frames(0..have), 3, 30) else {
                panic!("{have} is too few")
            };
            let whole = have + further as i64;
            assert!(lay(&frames(0..whole), 3, 30).is_ok(), "{have} and {further}");
            assert!(lay(&frames(0..whole - 1), 3, 30).is_err(), "{have} and {further} less one");
        }
    }

    #[test]
    fn a_silence_leaves_windows_out_and_what_is_needed_makes_up_for_it() {
        let broken = || (0..200).map(|at| if at < 160 { at } else { at + 500 });
        // The windows at 150 and at 160 - 20 < origin <= 160 are gone; 120 and 180 are left.
        assert_eq!(lay(&frames(broken()), 2, 30).unwrap().origins, [120, 180]);
        let Err(Shortage::Steps { have: 200, found: 3, wanted: 4, further }) = lay(&frames(broken()), 4, 30) else {
            panic!("three are left")
        };
        let longer = broken().chain(700..700 + further as i64);
        assert!(lay(&frames(longer), 4, 30).is_ok(), "{further} further ones");
    }

    #[test]
    fn a_window_that_a_silence_comes_before_does_not_count() {
        let origins = lay(&frames((0..200).map(|at| if at < 180 { at } else { at + 500 })), 1, 10).unwrap().origins;
        assert_eq!(origins, [160], "180 begins after the silence and 170 ends in it");
    }

    #[test]
    fn without_an_output_there_is_nothing_to_tell() {
        let plan = Plan { windows: 1, step_size: 1, horizon: 4, inputs: Inputs::Held };
        let silent: Vec<Frame> =
            frames(0..200).into_iter().map(|frame| Frame { values: vec![1.0, f64::NAN], ..frame }).collect();
        let short = Field::lay(&asset_type(1.0, &["pump", "level"]), &silent, &plan);
        assert_eq!(short.map(|_| ()), Err(Shortage::NoOutputs));
    }
}
