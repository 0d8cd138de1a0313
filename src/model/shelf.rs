//! What the engine keeps loaded on its thread: base models and fine-tuned heads.
//!
//! Always: the default base model is there; others and heads come when they are asked for, checked against
//! their hash, and the one unused for longest goes when there are many.

use std::collections::HashMap;

use super::artefact::{self, ArtefactError};
use super::base::Base;
use super::choice::{BaseChoice, BaseKey};
use super::dense::Arithmetic;
use super::engine::{EngineError, HeadArtefact};
use super::lean::Head;
use super::network;
use crate::ids::ModelId;

/// Base models kept loaded beside the default; a small one is about 5 MB.
const BASES_KEPT: usize = 8;
/// Heads kept loaded; one is about 0.3 MB.
const HEADS_KEPT: usize = 256;

/// A head on its base model; `None` is the base model's own.
pub(super) type HeadKey = (BaseKey, Option<ModelId>);

/// Something that was loaded, and when it was last used.
struct Loaded<T> {
    it: T,
    used: u64,
}

pub(super) struct Shelf {
    default: Base,
    bases: HashMap<BaseKey, Loaded<Base>>,
    heads: HashMap<HeadKey, Loaded<Head>>,
    age: u64,
}

impl Shelf {
    pub(super) fn new(default: Base) -> Self {
        Self { default, bases: HashMap::new(), heads: HashMap::new(), age: 0 }
    }

    /// Makes sure that a base model is loaded, and a head on it.
    pub(super) fn fetch(&mut self, base: &BaseChoice, head: Option<&HeadArtefact>) -> Result<(), EngineError> {
        self.age += 1;
        self.fetch_base(base).map_err(EngineError::Base)?;
        head.map_or(Ok(()), |head| self.fetch_head(base.key(), head)).map_err(EngineError::Head)
    }

    /// What was fetched.
    pub(super) fn base(&self, key: &BaseKey) -> &Base {
        self.bases.get(key).map_or(&self.default, |loaded| &loaded.it)
    }

    /// A base model and a head, both fetched before.
    pub(super) fn pair(&self, key: &HeadKey) -> (&Base, &Head) {
        let base = self.base(&key.0);
        (base, self.heads.get(key).map_or(&base.lean_head, |loaded| &loaded.it))
    }

    fn fetch_base(&mut self, base: &BaseChoice) -> Result<(), ArtefactError> {
        let key = base.key();
        if key == BaseKey::Default {
            return Ok(());
        }
        if let Some(loaded) = self.bases.get_mut(&key) {
            loaded.used = self.age;
            return Ok(());
        }
        let it = base.load()?;
        if let Some(gone) = make_room(&mut self.bases, BASES_KEPT) {
            self.heads.retain(|(base, _), _| *base != gone);
        }
        self.bases.insert(key, Loaded { it, used: self.age });
        Ok(())
    }

    fn fetch_head(&mut self, base: BaseKey, artefact: &HeadArtefact) -> Result<(), ArtefactError> {
        let key = (base, Some(artefact.id));
        if let Some(loaded) = self.heads.get_mut(&key) {
            loaded.used = self.age;
            return Ok(());
        }
        let base = self.base(&key.0);
        let mut head = network::Head::new(base.card.size);
        artefact::load_checked(&artefact.weights, &artefact.sha256, &mut [("head", head.store_mut())])?;
        let it = Head::new(&head, &base.backbone, Arithmetic::SERVING);
        make_room(&mut self.heads, HEADS_KEPT);
        self.heads.insert(key, Loaded { it, used: self.age });
        Ok(())
    }
}

/// Forgets what was unused for longest where there are `kept` already; says what that was.
fn make_room<K: Clone + Eq + std::hash::Hash, T>(loaded: &mut HashMap<K, Loaded<T>>, kept: usize) -> Option<K> {
    if loaded.len() < kept {
        return None;
    }
    let oldest = loaded.iter().min_by_key(|(_, loaded)| loaded.used).map(|(key, _)| key.clone())?;
    loaded.remove(&oldest);
    Some(oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shipped model under so many names, each with a key of its own that its bytes do not have.
    fn copies(count: usize) -> Vec<BaseChoice> {
        let shipped = BaseChoice::default();
        let copy = |number: usize| {
            let mut card = shipped.card();
            card.name = format!("copy-{number}");
            card.sha256 = super::super::base::hex(&artefact::digest(&[number as u8]));
            BaseChoice::own(card, shipped.weights().to_vec())
        };
        (0..count).map(copy).collect()
    }

    #[test]
    fn few_base_models_are_kept_and_the_one_unused_for_longest_goes() {
        let mut shelf = Shelf::new(Base::shipped().unwrap());
        // Their hashes are wrong, so they are put there by hand.
        let copies = copies(BASES_KEPT + 1);
        for (used, copy) in (0_u64..).zip(&copies[..BASES_KEPT]) {
            shelf.bases.insert(copy.key(), Loaded { it: Base::shipped().unwrap(), used });
        }
        shelf.age = 100;
        shelf.fetch(&copies[0], None).unwrap();
        let other = BaseChoice::shipped("small-1").unwrap();
        shelf.fetch(&other, None).unwrap();
        assert_eq!(shelf.bases.len(), BASES_KEPT);
        assert!(shelf.bases.contains_key(&copies[0].key()) && !shelf.bases.contains_key(&copies[1].key()));
        assert_eq!(shelf.base(&other.key()).card.name, "small-1");
        assert_eq!(shelf.base(&BaseKey::Default).card.name, "small-2");
        let refused = shelf.fetch(&copies[BASES_KEPT], None);
        assert!(matches!(refused, Err(EngineError::Base(ArtefactError::Damaged))), "{refused:?}");
        assert_eq!(shelf.bases.len(), BASES_KEPT, "what cannot be loaded displaces nothing");
    }
}
