//! What will become of an asset's health class, as it is shown beside the class of now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Who tells what will be. Each is used where it lost least on labelled steps that nothing was learned from;
/// what was learned must beat the others by more than luck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AheadBy {
    /// The network that learned it, from the same look at the asset as the class of now.
    Learned,
    /// The probabilities of the class of now, as if it held.
    Held,
    /// The class of now, and how often one such class was followed by each other within that time.
    Rates,
    /// How often it was so at all, whatever is seen.
    Frequencies,
}

/// The health class of an asset at an instant ahead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClassAhead {
    /// Steps ahead.
    pub step: usize,
    /// The instant.
    pub at: String,
    /// The likeliest class.
    pub class: String,
    /// Probability of each class; they sum to 1.
    pub probabilities: BTreeMap<String, f64>,
    /// Who says so.
    pub by: AheadBy,
}

/// When an asset is first in a class that it is not in now, as a distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TimeToClass {
    /// Probability that it has been in the class by each instant, at any step up to it; it never falls.
    pub within: Vec<ReachedBy>,
    /// Probability that it is not in the class until the last of them.
    pub beyond: f64,
    /// Who says so.
    pub by: AheadBy,
}

/// Probability that something has happened by an instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReachedBy {
    /// Steps ahead.
    pub step: usize,
    /// The instant.
    pub at: String,
    /// Probability.
    pub probability: f64,
}

/// What will become of an asset's health class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HealthOutlook {
    /// Its class at each instant that was learned for, the nearest first; between them nothing is said.
    pub ahead: Vec<ClassAhead>,
    /// When it is first in each of the other classes.
    pub time_to_class: BTreeMap<String, TimeToClass>,
}
