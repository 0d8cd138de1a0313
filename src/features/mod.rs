//! Readings to batches, for training and serving alike, so that no skew between them can exist.
//!
//! Frames become a [`Grid`]; a target signal of it is normalised by its own past and given a
//! fitted bank ([`Fit`]); a fit and a future of the inputs become a window of the network. Fits are
//! kept for a while ([`Fits`]): the bank may be [`FRESH`] steps old, as it was in pretraining.

mod examples;
mod fit;
mod grid;
mod memory;
mod outlook;
mod portrait;
mod prognosis;
pub mod responses;
mod seen;
#[cfg(test)]
mod laws;
mod setup;
mod template;
mod wear;

pub use crate::expert::FRESH;
pub use examples::{Split, TargetExamples, bank_error, examples, weigh};
pub use fit::{FEWEST, Fit, Fits, Layout, Subject};
pub use grid::Grid;
pub use memory::{Looks, Memory, Recall, Run};
pub use outlook::{LEADS, Outlook, Question, but};
pub use portrait::{Eye, Gaze, HealthModel, LOOK, Sketch};
pub use prognosis::RemainingModel;
pub use seen::{FEWEST_SEEN, Place, Seen, SeenSignal, SeenTrail};
pub use setup::{Banks, Crews, Known, Lessons, Setup, Setups, study};
