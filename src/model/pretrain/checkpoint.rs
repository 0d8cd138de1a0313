//! A run as it stood after some step, in one file: weights, moments, and where the draws stood.
//!
//! Always true: the file is replaced whole or not at all; a run that is taken up from it ends with
//! the very weights of one that was never interrupted.

use std::io::Write as _;
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::adam::Adam;
use super::{Plan, PretrainError};
use crate::model::artefact;

/// What a checkpoint says beside its tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// What the run was told; another run cannot take it up.
    plan: Plan,
    /// Steps taken.
    pub(super) step: usize,
    /// Where the generator of the batches stands (128 bits: text, since not every reader of JSON has them).
    position: String,
    /// CPU seconds so far.
    pub(super) cpu_seconds: f64,
}

/// Writes a checkpoint.
pub(super) fn write(
    path: &Path,
    plan: &Plan,
    adam: &Adam,
    draw: &ChaCha8Rng,
    cpu_seconds: f64,
) -> Result<(), PretrainError> {
    let state = State {
        plan: plan.clone(),
        step: adam.steps() as usize,
        position: draw.get_word_pos().to_string(),
        cpu_seconds,
    };
    let text = serde_json::to_string(&state).map_err(std::io::Error::from)?;
    replace(path, &artefact::document(adam.state(), Some(("state", text))))
}

/// Fills optimiser (with the weights that it moves) and generator from a checkpoint.
pub(super) fn read(path: &Path, plan: &Plan, adam: &mut Adam, draw: &mut ChaCha8Rng) -> Result<State, PretrainError> {
    let bytes = std::fs::read(path)?;
    let text = artefact::note(&bytes, "state")?.ok_or(PretrainError::Foreign)?;
    let state: State = serde_json::from_str(&text).map_err(|_| PretrainError::Foreign)?;
    if state.plan != *plan {
        return Err(PretrainError::Foreign);
    }
    artefact::fill(&bytes, adam.state())?;
    adam.taken_up(i32::try_from(state.step).map_err(|_| PretrainError::Foreign)?);
    draw.set_word_pos(state.position.parse().map_err(|_| PretrainError::Foreign)?);
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
