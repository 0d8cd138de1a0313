//! The only room that says `tch`: the network, its weights, its thread, its training.
//!
//! The base model corrects the closed-form bank (`expert/`): untrained it equals the bank with
//! Gaussian bands. A model version is a head of its own on the base's frozen backbone, or on one that
//! learned as far as its recipe says ([`Freeze`]); which base models there are is told by the
//! [`registry`]. Tensors stay on the thread that made them; everything that crosses is plain numbers
//! and bytes.

mod artefact;
mod attempt;
mod base;
mod by_hand;
mod choice;
mod dense;
pub mod engine;
pub mod forward;
mod freeze;
mod halving;
pub mod health;
#[cfg(test)]
mod laws;
mod lean;
mod lesson;
mod loss;
mod network;
pub mod pool;
pub mod pretrain;
mod recipe;
pub mod registry;
pub mod remaining;
pub mod scratch;
mod search;
mod sheet;
mod shelf;
pub mod store;
mod thaw;
pub mod trainee;
#[cfg(test)]
mod tests;
mod tuned;
pub mod window;

pub use artefact::{ArtefactError, attach, attached, digest};
pub use base::{Base, BaseCard, FamilyFigures, PretrainRecipe, hex, shipped_card};
pub use choice::{BaseChoice, BaseFileError};
pub use engine::{Config, Engine, EngineError, HeadArtefact, Quantiles};
pub use freeze::Freeze;
pub use network::{LEVELS, MEDIAN, NORMAL, NamedSize, Size};
pub use recipe::{ClassLoss, ClassWeights, Classification, Invalid, Loss, Optimizer, Recipe, StartFrom};
pub use registry::{BaseModels, Bases};
pub use search::{Search, SearchEnd, SearchRecord, SearchSettings, SearchTrial, Searched};

/// Name of the base model that serves where an asset's type does not choose.
pub const MODEL_CARD_NAME: &str = "small-2";

/// Keeps libtorch from making threads of its own: they multiply CPU time under load. First thing
/// in `main`.
pub fn use_one_thread() {
    tch::set_num_threads(1);
    tch::set_num_interop_threads(1);
}
