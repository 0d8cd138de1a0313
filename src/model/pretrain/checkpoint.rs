//! A run as it stood after some step, in one file: weights, moments, and where the draws stood.
//!
//! Always true: the file is replaced whole or not at all; a reproducible run that is taken up from it
//! ends with the very weights of one that was never interrupted.

use std::io::Write as _;
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::PretrainError;
use super::config::Plan;
use crate::model::artefact;

/// What a checkpoint says beside its tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// What the run was told; another run cannot take it up.
    pub(super) plan: Plan,
    /// Steps taken.
    pub(super) step: usize,
    /// Where the generator of the batches stands (128 bits: text, since not every reader of JSON has them).
    pub(super) position: String,
    /// CPU seconds so far.
    pub(super) cpu_seconds: f64,
    /// Seconds on the clock so far.
    #[serde(default)]
    pub(super) wall_seconds: f64,
    /// The next chunk of windows of a run that the clock ends.
    #[serde(default)]
    pub(super) chunk: usize,
}

impl State {
    /// Where a generator stands.
    pub(super) fn position(draw: &ChaCha8Rng) -> String {
        draw.get_word_pos().to_string()
    }

    /// Puts a generator of the same seed where this one stood.
    pub(super) fn place(&self, draw: &mut ChaCha8Rng) -> Result<(), PretrainError> {
        draw.set_word_pos(self.position.parse().map_err(|_| PretrainError::Foreign)?);
        Ok(())
    }
}

/// Writes a checkpoint with the tensors of an optimiser.
pub(super) fn write(path: &Path, state: &State, tensors: Vec<(String, Tensor)>) -> Result<(), PretrainError> {
    let text = serde_json::to_string(state).map_err(std::io::Error::from)?;
    replace(path, &artefact::document(tensors, Some(("state", text))))
}

/// Fills the tensors of an optimiser (and so the weights that it moves) from a checkpoint.
pub(super) fn read(path: &Path, plan: &Plan, tensors: Vec<(String, Tensor)>) -> Result<State, PretrainError> {
    let bytes = std::fs::read(path)?;
    let text = artefact::note(&bytes, "state")?.ok_or(PretrainError::Foreign)?;
    let state: State = serde_json::from_str(&text).map_err(|_| PretrainError::Foreign)?;
    if state.plan != *plan || i32::try_from(state.step).is_err() {
        return Err(PretrainError::Foreign);
    }
    artefact::fill(&bytes, tensors)?;
    Ok(state)
}

/// Temporary file, sync, rename: whoever is killed leaves the old file whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), PretrainError> {
    let partial = path.with_added_extension("partial");
    let mut file = std::fs::File::create(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(partial, path)?;
    Ok(())
}
