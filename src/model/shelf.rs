//! What the engine keeps loaded on its thread: base models and fine-tuned heads, some with a backbone of their own.
//!
//! Always: the default base model is there; others and heads come when they are asked for, checked against
//! their hash, and the one unused for longest goes when there are many.

use std::collections::HashMap;

use super::artefact::{self, ArtefactError};
use super::base::Base;
use super::choice::{BaseChoice, BaseKey};
use super::engine::{EngineError, HeadArtefact};
use super::lean;
use super::network::Head;
use super::tuned::Tuned;
use crate::ids::ModelId;

/// Base models kept loaded beside the default; a small one is about 5 MB.
const BASES_KEPT: usize = 8;
/// Heads kept loaded; one is about 0.3 MB.
const HEADS_KEPT: usize = 256;
/// Of these, heads that stand on a backbone of their own; a small one is about 2.4 MB more.
const APART_KEPT: usize = 32;

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
    heads: HashMap<HeadKey, Loaded<Tuned>>,
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

    /// A head and the backbone that it stands on, both fetched before.
    pub(super) fn pair(&self, key: &HeadKey) -> (&lean::Backbone, &lean::Head) {
        let base = self.base(&key.0);
        self.heads.get(key).map_or((&base.lean, &base.lean_head), |loaded| loaded.it.parts(base))
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
        if let Some(gone) = make_room(&mut self.bases, BASES_KEPT, |_| true) {
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
        let mut head = Head::new(base.card.size);
        artefact::load_checked(&artefact.weights, &artefact.sha256, &mut [("head", head.store_mut())])?;
        let it = Tuned::new(base, &head, &artefact.weights)?;
        if it.stands_apart() {
            make_room(&mut self.heads, APART_KEPT, Tuned::stands_apart);
        }
        make_room(&mut self.heads, HEADS_KEPT, |_| true);
        self.heads.insert(key, Loaded { it, used: self.age });
        Ok(())
    }
}

/// Forgets what was unused for longest of a kind where there are `kept` of it already; says what that was.
fn make_room<K: Clone + Eq + std::hash::Hash, T>(
    loaded: &mut HashMap<K, Loaded<T>>,
    kept: usize,
    kind: impl Fn(&T) -> bool,
) -> Option<K> {
    let of_kind: Vec<(&K, u64)> =
        loaded.iter().filter(|(_, loaded)| kind(&loaded.it)).map(|(key, loaded)| (key, loaded.used)).collect();
    if of_kind.len() < kept {
        return None;
    }
    let oldest = of_kind.into_iter().min_by_key(|(_, used)| *used)?.0.clone();
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

    #[test]
    fn few_backbones_are_kept_and_heads_on_the_base_model_stay() {
        use crate::clock::Clock;
        let base = Base::shipped().unwrap();
        let mut shelf = Shelf::new(Base::shipped().unwrap());
        let plain = artefact::save(&[("head", base.head.store())]);
        let apart = artefact::save(&[("head", base.head.store()), ("backbone", base.backbone.store())]);
        let version = |weights: &[u8]| {
            let sha256 = artefact::digest(weights).to_vec();
            HeadArtefact { id: ModelId::mint(&Clock::system()), weights: weights.to_vec(), sha256 }
        };
        let choice = BaseChoice::default();
        let first = version(&plain);
        shelf.fetch(&choice, Some(&first)).unwrap();
        let versions: Vec<HeadArtefact> = (0..=APART_KEPT).map(|_| version(&apart)).collect();
        for one in &versions {
            shelf.fetch(&choice, Some(one)).unwrap();
        }
        let there = |one: &HeadArtefact| shelf.heads.contains_key(&(BaseKey::Default, Some(one.id)));
        assert_eq!(shelf.heads.len(), APART_KEPT + 1);
        assert!(there(&first), "it takes little room");
        assert!(!there(&versions[0]) && there(&versions[1]) && there(&versions[APART_KEPT]));
    }
}
