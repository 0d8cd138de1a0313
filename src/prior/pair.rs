//! Two futures from one simulated state: the same plant, the same weather and the same sensor, with
//! one input changed from a moment on. Their difference is what a what-if must answer.
//!
//! Always true: before [`Pair::at`] both records are bitwise equal, inputs and targets alike; no
//! controller acts from there on, nothing wears, no sensor fails.

use super::draw::{Draw, Purpose};
use super::simulate::{ATTEMPTS, FEWEST, Futures, Key, simulate};
use super::{Family, Record};

/// A record and what it would have been under an intervention.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Without the intervention: held or free-running inputs from `at` on.
    pub base: Record,
    /// With the intervention; in the scale of `base`.
    pub other: Record,
    /// The first step whose inputs may differ.
    pub at: usize,
}

/// The pair with this index; the intervention comes between 35 and 85 % of the record. None for
/// records without an input that a person can set.
#[must_use]
pub fn pair(seed: u64, index: u64, steps: usize) -> Option<Pair> {
    pair_of(Family::of(seed, index), seed, index, steps, None)
}

/// A pair of one family, with the intervention at a step of the caller's choice (from 1 on).
#[must_use]
pub fn pair_of(family: Family, seed: u64, index: u64, steps: usize, at: Option<usize>) -> Option<Pair> {
    let steps = steps.max(FEWEST);
    let at = at.map_or_else(
        || {
            let mut draw = Draw::new(seed, index, u64::MAX, Purpose::Intervention);
            draw.whole(35 * steps / 100, 85 * steps / 100)
        },
        |at| at.clamp(1, steps - 1),
    );
    (0..ATTEMPTS).find_map(|attempt| {
        let key = Key { seed, index, attempt };
        let last = attempt + 1 == ATTEMPTS;
        let mut records = simulate(family, key, steps, Futures::Two { at }, last)?;
        let other = records.pop()?;
        let base = records.pop()?;
        Some(Pair { base, other, at })
    })
}
