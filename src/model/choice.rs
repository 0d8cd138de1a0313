//! Which base model: the shipped one, or another that `counterpart pretrain` wrote.
//!
//! Always true: what was chosen has been loaded once and its weights are those of its card.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::artefact::{self, ArtefactError};
use super::base::{Base, BaseCard, hex, shipped_card};

/// A base model that can be loaded wherever it is needed.
#[derive(Clone, Debug, Default)]
pub struct BaseChoice(Option<Arc<(Vec<u8>, BaseCard)>>);

/// Why a file is no base model.
#[derive(Debug, thiserror::Error)]
pub enum BaseFileError {
    /// The weights or their card cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file beside the weights is no card.
    #[error("{} is not the card of a base model", path.display())]
    Card {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The weights are refused.
    #[error("{} is not the base model of its card", path.display())]
    Weights {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ArtefactError,
    },
}

impl BaseChoice {
    /// The base model in FILE.safetensors, whose card lies beside it as FILE.json.
    pub fn read(path: &Path) -> Result<Self, BaseFileError> {
        let read =
            |path: &Path| std::fs::read(path).map_err(|source| BaseFileError::Read { path: path.to_owned(), source });
        let weights = read(path)?;
        let beside = path.with_extension("json");
        let card: BaseCard =
            serde_json::from_slice(&read(&beside)?).map_err(|source| BaseFileError::Card { path: beside, source })?;
        let refused = |source| BaseFileError::Weights { path: path.to_owned(), source };
        if hex(&artefact::digest(&weights)) != card.sha256 {
            return Err(refused(ArtefactError::Damaged));
        }
        Base::from_bytes(&weights, card.clone()).map_err(refused)?;
        Ok(Self(Some(Arc::new((weights, card)))))
    }

    /// What is known of it.
    #[must_use]
    pub fn card(&self) -> BaseCard {
        self.0.as_ref().map_or_else(shipped_card, |file| file.1.clone())
    }

    /// Loads it. Costs a few milliseconds; call it on the thread that will use it.
    pub fn load(&self) -> Result<Base, ArtefactError> {
        match self.0.as_deref() {
            Some((weights, card)) => Base::from_bytes(weights, card.clone()),
            None => Base::shipped(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::base::WEIGHTS;
    use super::*;

    /// The shipped weights under another name.
    fn write(folder: &Path, change: impl FnOnce(&mut Vec<u8>, &mut BaseCard)) -> PathBuf {
        let (mut weights, mut card) = (WEIGHTS.to_vec(), shipped_card());
        "mine".clone_into(&mut card.name);
        change(&mut weights, &mut card);
        let path = folder.join("mine.safetensors");
        std::fs::write(&path, weights).unwrap();
        std::fs::write(folder.join("mine.json"), serde_json::to_vec(&card).unwrap()).unwrap();
        path
    }

    #[test]
    fn a_base_model_of_ones_own_loads_with_its_card() {
        let folder = tempfile::tempdir().unwrap();
        let choice = BaseChoice::read(&write(folder.path(), |_, _| {})).unwrap();
        assert_eq!(choice.card().name, "mine");
        assert_eq!(choice.load().unwrap().card.name, "mine");
        assert_eq!(BaseChoice::default().load().unwrap().card.name, shipped_card().name);
    }

    #[test]
    fn a_file_that_is_not_what_its_card_says_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let flipped = write(folder.path(), |weights, _| *weights.last_mut().unwrap() ^= 1);
        let error = BaseChoice::read(&flipped).unwrap_err();
        assert!(matches!(&error, BaseFileError::Weights { source: ArtefactError::Damaged, .. }), "{error:?}");
        assert!(error.to_string().contains("mine.safetensors"), "{error}");
        let larger = write(folder.path(), |_, card| card.size = crate::model::Size::BASE);
        assert!(matches!(
            BaseChoice::read(&larger),
            Err(BaseFileError::Weights { source: ArtefactError::Shape(_), .. })
        ));
        std::fs::write(folder.path().join("mine.json"), "{}").unwrap();
        let error = BaseChoice::read(&larger).unwrap_err();
        assert!(matches!(&error, BaseFileError::Card { .. }) && error.to_string().contains("mine.json"), "{error}");
        std::fs::remove_file(folder.path().join("mine.json")).unwrap();
        assert!(matches!(BaseChoice::read(&larger), Err(BaseFileError::Read { .. })));
    }
}
