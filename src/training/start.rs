//! Where a head begins: at the base model's own, or at the pooled head of the fleet, the mean of those that
//! serve other assets of the same type.
//!
//! Always true: an asset whose type has no other that learned begins as if there were no fleet; the windows
//! that judge have no say in the choice.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::learner::Assignment;
use crate::features::TargetExamples;
use crate::ids::ModelId;
use crate::model::pool::{Begun, Pool, weigh};
use crate::model::trainee::{Example, Learned, untaught, untaught_from};
use crate::model::{Base, Recipe, StartFrom};

/// Heads that are pooled at most: the newest.
pub(super) const MOST_POOLED: i64 = 32;

/// Which head a version began from, and what it was chosen by. Kept with the version: the same heads give the
/// same pooled one, bit for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Ancestry {
    /// `base` or `pooled`.
    pub start: StartFrom,
    /// Ids of the versions that were pooled, the newest first.
    pub pooled: Vec<ModelId>,
    /// Loss of the base model's head on the validation windows, before anything was learned; null where it could
    /// not be told.
    pub base_loss: Option<f64>,
    /// The same of the pooled one.
    pub pooled_loss: Option<f64>,
}

/// What the fleet offers: nothing, or a pooled head and whose heads went into it.
#[derive(Default)]
pub(super) struct Fleet {
    pool: Option<Pool>,
    ids: Vec<ModelId>,
}

impl Fleet {
    /// Pools those of an assignment that stand on this base model, unless its recipe wants none of it.
    pub(super) fn of(base: &Base, assignment: &Assignment) -> Self {
        if assignment.recipe.start == StartFrom::Base {
            return Self::default();
        }
        let kin: Vec<_> = assignment.fleet.iter().filter(|kin| kin.base == base.card.name).collect();
        let heads: Vec<&[u8]> = kin.iter().map(|kin| &kin.weights[..]).collect();
        let pool = Pool::of(base, &heads);
        let ids = pool.iter().flat_map(|pool| pool.pooled.iter().map(|place| kin[*place].id)).collect();
        Self { pool, ids }
    }

    /// The pooled head, where there is one.
    pub(super) fn head(&self) -> Option<&[u8]> {
        self.pool.as_ref().map(|pool| &pool.weights[..])
    }

    /// A head where there is too little to learn from: the pooled one where it is better on the windows that
    /// would have stopped the learning, or is wanted in any case.
    pub(super) fn untaught(&self, base: &Base, recipe: &Recipe, stopping: &[TargetExamples]) -> Learned {
        let examples: Vec<Example> = stopping.iter().flat_map(|part| part.examples.iter().cloned()).collect();
        let pool = self.pool.as_ref();
        let begun = pool.and_then(|pool| weigh(base, recipe, &examples, &pool.weights));
        let chosen = pool.filter(|_| begun.is_some_and(|begun| begun.pooled));
        let learned = chosen.and_then(|pool| untaught_from(base, pool).ok());
        let start = if learned.is_some() { StartFrom::Pooled } else { StartFrom::Base };
        let recipe = Some(Recipe { start, ..recipe.clone() });
        Learned { begun, recipe, ..learned.unwrap_or_else(|| untaught(base)) }
    }

    /// What is kept with the version; `None` without a fleet.
    pub(super) fn ancestry(&self, begun: Option<Begun>) -> Option<Ancestry> {
        self.pool.as_ref()?;
        let finite = |loss: fn(&Begun) -> f64| begun.as_ref().map(loss).filter(|loss| loss.is_finite());
        Some(Ancestry {
            start: if begun.is_some_and(|begun| begun.pooled) { StartFrom::Pooled } else { StartFrom::Base },
            pooled: self.ids.clone(),
            base_loss: finite(|begun| begun.base_loss),
            pooled_loss: finite(|begun| begun.pooled_loss),
        })
    }
}

impl Ancestry {
    /// Whether it began from the pooled head.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.start == StartFrom::Pooled
    }

    /// "the pooled head of 3 other assets of its type".
    fn pool(&self) -> String {
        match self.pooled.len() {
            1 => "the head of the other asset of its type that learned".to_owned(),
            count => format!("the pooled head of {count} other assets of its type"),
        }
    }

    /// Both losses, where they are known.
    fn losses(&self) -> String {
        let losses = self.base_loss.zip(self.pooled_loss);
        losses.map_or_else(String::new, |(base, pooled)| {
            format!(" (validation loss {pooled:.4} before learning, the base model's {base:.4})")
        })
    }

    /// What served as the head where nothing was learned, in words.
    pub(super) fn instead(&self) -> String {
        if self.is_pooled() {
            format!("{}{}", self.pool(), self.losses())
        } else {
            format!("the base model's head, as {} is not 1 % better{}", self.pool(), self.losses())
        }
    }
}

impl fmt::Display for Ancestry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_pooled() {
            write!(f, "it began from {}{}", self.pool(), self.losses())
        } else {
            write!(f, "it began from the base model's head, as {} is not 1 % better{}", self.pool(), self.losses())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn where_a_head_began_is_told_with_numbers() {
        let ids: Vec<ModelId> = (0..3).map(|_| ModelId::mint(&Clock::system())).collect();
        let begun = Begun { pooled: true, base_loss: 0.5, pooled_loss: 0.4 };
        let fleet = Fleet { pool: Some(Pool { weights: Vec::new(), pooled: vec![0, 1, 2] }), ids };
        let words = fleet.ancestry(Some(begun)).unwrap().to_string();
        assert_eq!(
            words,
            "it began from the pooled head of 3 other assets of its type (validation loss 0.4000 before learning, the base \
             model's 0.5000)"
        );
        let other = fleet.ancestry(Some(Begun { pooled: false, pooled_loss: f64::NAN, ..begun })).unwrap();
        assert!(
            other.pooled_loss.is_none() && other.to_string().ends_with("other assets of its type is not 1 % better")
        );
        assert!(Fleet::default().ancestry(None).is_none());
    }
}
