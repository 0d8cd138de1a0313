//! Weights as bytes: safetensors only (pickle executes code), checked before they are believed.
//!
//! A flipped bit in a safetensors file loads without an error, so every artefact travels with its
//! SHA-256, and names, shapes and finiteness are checked against the variables they are meant for.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest as _, Sha256};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// Why weights were refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArtefactError {
    /// The bytes are not what was written.
    #[error("the weights do not match their SHA-256")]
    Damaged,
    /// Not safetensors.
    #[error("the weights are not valid safetensors")]
    Format,
    /// A variable is missing, has another shape or type.
    #[error("the weights do not fit the network at {0}")]
    Shape(String),
    /// There is something that the network does not have.
    #[error("the weights hold {0}, which the network does not have")]
    Unknown(String),
    /// A weight is not a finite number.
    #[error("the weights hold a number that is not finite at {0}")]
    NotFinite(String),
}

/// SHA-256 of an artefact.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The variables of the stores as one safetensors document, each name behind its store's prefix.
pub(super) fn save(stores: &[(&str, &VarStore)]) -> Vec<u8> {
    document(named(stores), None)
}

/// The variables of the stores, each name behind its store's prefix.
pub(super) fn named(stores: &[(&str, &VarStore)]) -> Vec<(String, Tensor)> {
    let variables = stores.iter().flat_map(|(prefix, store)| {
        store.variables().into_iter().map(move |(name, value)| (format!("{prefix}.{name}"), value))
    });
    variables.collect()
}

/// Named tensors as one safetensors document, perhaps with a note: a key and a text.
pub(super) fn document(tensors: Vec<(String, Tensor)>, note: Option<(&str, String)>) -> Vec<u8> {
    let mut entries: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, value)| {
            let shape = value.size().iter().map(|side| *side as usize).collect();
            let numbers =
                Vec::<f32>::try_from(value.detach().to_kind(Kind::Float).reshape(-1)).expect("a float tensor");
            (name, shape, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
        })
        .collect();
    // A map's order changes from run to run; the bytes must not.
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let views = entries.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("four bytes a number");
        (name.as_str(), view)
    });
    let notes = note.map(|(key, text)| HashMap::from([(key.to_owned(), text)]));
    safetensors::serialize(views, notes).expect("shapes match the bytes")
}

/// The note of a document behind a key.
pub(super) fn note(bytes: &[u8], key: &str) -> Result<Option<String>, ArtefactError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|_| ArtefactError::Format)?;
    Ok(header.metadata().as_ref().and_then(|notes| notes.get(key).cloned()))
}

/// An artefact with other bytes beside the variables, under a name of their own: one document, one
/// digest. What was attached under that name before is replaced.
pub fn attach(artefact: &[u8], name: &str, bytes: &[u8]) -> Result<Vec<u8>, ArtefactError> {
    let document = SafeTensors::deserialize(artefact).map_err(|_| ArtefactError::Format)?;
    let mut views = document.tensors();
    let attached = TensorView::new(Dtype::U8, vec![bytes.len()], bytes).map_err(|_| ArtefactError::Format)?;
    views.retain(|(other, _)| other != name);
    views.push((name.to_owned(), attached));
    safetensors::serialize(views, None).map_err(|_| ArtefactError::Format)
}

/// The bytes that were attached to an artefact under a name.
#[must_use]
pub fn attached<'a>(artefact: &'a [u8], name: &str) -> Option<&'a [u8]> {
    SafeTensors::deserialize(artefact).ok()?.tensor(name).ok().map(|view| view.data())
}

/// Fills the stores from an artefact. On an error some variables may have been changed: load into
/// fresh stores, then swap.
pub(super) fn load(bytes: &[u8], stores: &mut [(&str, &mut VarStore)]) -> Result<(), ArtefactError> {
    let stores: Vec<(&str, &VarStore)> = stores.iter().map(|(prefix, store)| (*prefix, &**store)).collect();
    fill(bytes, named(&stores))
}

/// Fills named tensors from a document. On an error some may have been changed.
pub(super) fn fill(bytes: &[u8], tensors: Vec<(String, Tensor)>) -> Result<(), ArtefactError> {
    let document = SafeTensors::deserialize(bytes).map_err(|_| ArtefactError::Format)?;
    for (name, mut variable) in tensors {
        let view = document.tensor(&name).map_err(|_| ArtefactError::Shape(name.clone()))?;
        let shape: Vec<i64> = view.shape().iter().map(|side| *side as i64).collect();
        if view.dtype() != Dtype::F32 || shape != variable.size() {
            return Err(ArtefactError::Shape(name));
        }
        let numbers: Vec<f32> =
            view.data().chunks_exact(4).map(|raw| f32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]])).collect();
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(ArtefactError::NotFinite(name));
        }
        tch::no_grad(|| variable.copy_(&Tensor::from_slice(&numbers).view(shape.as_slice())));
    }
    Ok(())
}

/// Refuses a document that holds anything but the named tensors.
pub(super) fn no_others(bytes: &[u8], tensors: &[(String, Tensor)]) -> Result<(), ArtefactError> {
    let document = SafeTensors::deserialize(bytes).map_err(|_| ArtefactError::Format)?;
    let unknown = |name: &&str| !tensors.iter().any(|(known, _)| known == name);
    // The order of a document is not that of its names.
    let first = document.names().into_iter().filter(unknown).min();
    first.map_or(Ok(()), |name| Err(ArtefactError::Unknown(name.to_owned())))
}

/// Names of the tensors in a document, in no order.
pub(super) fn names(bytes: &[u8]) -> Result<Vec<String>, ArtefactError> {
    let document = SafeTensors::deserialize(bytes).map_err(|_| ArtefactError::Format)?;
    Ok(document.names().into_iter().map(str::to_owned).collect())
}

/// How many numbers a document holds, and how many of them in tensors behind a prefix.
pub(super) fn count(bytes: &[u8], prefix: &str) -> Result<(usize, usize), ArtefactError> {
    let document = SafeTensors::deserialize(bytes).map_err(|_| ArtefactError::Format)?;
    let (mut all, mut behind) = (0, 0);
    for (name, view) in document.iter() {
        let numbers: usize = view.shape().iter().product();
        all += numbers;
        behind += if name.starts_with(prefix) { numbers } else { 0 };
    }
    Ok((all, behind))
}

/// [`load`] of bytes that were written with a digest.
pub(super) fn load_checked(
    bytes: &[u8],
    sha256: &[u8],
    stores: &mut [(&str, &mut VarStore)],
) -> Result<(), ArtefactError> {
    if digest(bytes) != sha256 {
        return Err(ArtefactError::Damaged);
    }
    load(bytes, stores)
}
