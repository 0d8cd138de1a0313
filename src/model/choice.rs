//! Which base model: one that ships inside the program, or another that `counterpart pretrain` wrote, from a
//! file or from the database.
//!
//! Always true: weights are held against the SHA-256 of their card whenever they are loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::artefact::{self, ArtefactError};
use super::base::{Base, BaseCard, SHIPPED, Shipped, hex};

/// A base model that can be loaded wherever it is needed. By default the one that serves where a type does not
/// choose. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct BaseChoice(Source);

#[derive(Clone, Debug)]
enum Source {
    Shipped(&'static Shipped),
    Own(Arc<Own>),
}

/// Somebody's own, as bytes.
#[derive(Debug)]
struct Own {
    card: BaseCard,
    weights: Vec<u8>,
}

/// Tells base models apart: two with the same key answer alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum BaseKey {
    /// The default, which is always loaded.
    Default,
    /// Another that ships inside the program.
    Shipped(&'static str),
    /// The SHA-256 of somebody's own.
    Own(String),
}

impl Default for Source {
    fn default() -> Self {
        Self::Shipped(&SHIPPED[0])
    }
}

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
        let choice = Self::own(card, weights);
        choice.load().map_err(|source| BaseFileError::Weights { path: path.to_owned(), source })?;
        Ok(choice)
    }

    /// One that ships inside the program, by its name.
    #[must_use]
    pub fn shipped(name: &str) -> Option<Self> {
        SHIPPED.iter().find(|shipped| shipped.name == name).map(|shipped| Self(Source::Shipped(shipped)))
    }

    /// Somebody's own, as it came; nothing is checked before it is loaded.
    pub(super) fn own(card: BaseCard, weights: Vec<u8>) -> Self {
        Self(Source::Own(Arc::new(Own { card, weights })))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.0 {
            Source::Shipped(shipped) => shipped.name,
            Source::Own(own) => &own.card.name,
        }
    }

    /// What is known of it.
    #[must_use]
    pub fn card(&self) -> BaseCard {
        match &self.0 {
            Source::Shipped(shipped) => shipped.card(),
            Source::Own(own) => own.card.clone(),
        }
    }

    /// safetensors.
    pub(super) fn weights(&self) -> &[u8] {
        match &self.0 {
            Source::Shipped(shipped) => shipped.weights,
            Source::Own(own) => &own.weights,
        }
    }

    pub(super) fn key(&self) -> BaseKey {
        match &self.0 {
            Source::Shipped(shipped) if shipped.name == SHIPPED[0].name => BaseKey::Default,
            Source::Shipped(shipped) => BaseKey::Shipped(shipped.name),
            Source::Own(own) => BaseKey::Own(own.card.sha256.clone()),
        }
    }

    /// Loads it. Costs a few milliseconds; call it on the thread that will use it.
    pub fn load(&self) -> Result<Base, ArtefactError> {
        match &self.0 {
            Source::Shipped(shipped) => shipped.load(),
            Source::Own(own) if hex(&artefact::digest(&own.weights)) != own.card.sha256 => Err(ArtefactError::Damaged),
            Source::Own(own) => Base::from_bytes(&own.weights, own.card.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::base::{WEIGHTS, shipped_card};
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
        let same = |one: &BaseChoice, other: &BaseChoice| one.key() == other.key();
        assert!(!same(&choice, &BaseChoice::default()), "a copy is loaded apart");
        assert!(same(&choice, &BaseChoice::own(choice.card(), Vec::new())));
    }

    #[test]
    fn every_shipped_one_loads_under_its_name() {
        for shipped in &SHIPPED {
            let choice = BaseChoice::shipped(shipped.name).unwrap();
            assert_eq!((choice.name(), &*choice.card().name), (shipped.name, shipped.name));
            assert_eq!(choice.load().unwrap().card.sha256, choice.card().sha256);
        }
        assert_eq!(BaseChoice::default().name(), crate::model::MODEL_CARD_NAME);
        assert!(BaseChoice::shipped("small").is_none(), "there were several of that name");
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
