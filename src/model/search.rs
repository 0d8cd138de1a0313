//! Which settings a search tries, and how far each goes: successive halving (Jamieson and Talwalkar
//! 2016). Many begin, each rung gives those that are left more steps and keeps the best of them.
//!
//! Always true: what a search draws follows from the recipe's seed alone; a setting that is not
//! searched is the recipe's in every candidate; the recipe as it was asked for is among them.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::freeze::Freeze;
use super::recipe::{Invalid, LEARNING_RATES, MOST_REPLAYED, MOST_THROUGH_THE_NETWORK, Optimizer, Recipe};

/// What candidates are drawn from: another stream of the seed than a step's windows.
const STREAM: u64 = 0x5ea2;
/// What freeze policies are drawn from. They came later: with a stream of their own they move nothing that searches
/// drew before.
const FREEZE_STREAM: u64 = 0x5ea3;
/// Ranges that settings are drawn from, evenly over their logarithms. A step of stochastic gradient descent
/// is as long as its gradient, so it needs another rate.
const RATES: (f64, f64) = (1e-4, 3e-3);
const SGD_RATES: (f64, f64) = (1e-2, 0.3);
const DECAYS: (f64, f64) = (1e-3, 0.3);
const PULLS: (f64, f64) = (1e-5, 0.1);
/// Values that settings are chosen from.
const DROPOUTS: [f64; 4] = [0.0, 0.1, 0.2, 0.3];
const REPLAYS: [f64; 4] = [0.0, 0.15, 0.3, 0.5];
const POLICIES: [Freeze; 4] = [Freeze::Head, Freeze::Decoder, Freeze::LastBlock, Freeze::Adapters];
/// So many of them take a batch of any size.
const LIGHT: usize = 2;

/// A search for settings by successive halving: many candidates learn a little, the better ones go on from
/// where they were, and the best of all learns to its end. The validation windows decide, never the holdout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = RecipeSearch)]
pub struct Search {
    /// CPU-seconds of the learning thread after which no further rung begins, 0.5 to 600. The first one is
    /// always run, and what it costs to learn to the end comes on top.
    #[schema(default = 10.0)]
    pub budget_s: f64,
    /// Candidates that begin, 4 to 64: the recipe as it was asked for, once for each learning rate that it
    /// would try, and the others drawn with its seed. Each takes some 5 MB of memory while it learns, and up to
    /// three times as much where a part of the backbone learns too.
    #[schema(default = 9)]
    pub candidates: u32,
    /// One candidate of so many is kept at the end of a rung, 2 to 4.
    #[schema(default = 3)]
    pub eta: u32,
    /// Rungs at most, 1 to 6; left out, as many as it takes. With the number that an earlier search had
    /// completed, and budget enough, the search is repeated bit for bit.
    pub rungs: Option<u32>,
    /// Settings that are searched; left out, those of them that the recipe leaves out. A learning rate that the
    /// recipe leaves open is always searched.
    pub settings: Option<Vec<Searched>>,
}

/// A setting that can be searched, and where its values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Searched {
    /// 1e-4 to 3e-3, with `sgd` 0.01 to 0.3; even over the logarithm.
    LearningRate,
    /// 1e-3 to 0.3; even over the logarithm.
    L2,
    /// 1e-5 to 0.1; even over the logarithm.
    L2Sp,
    /// 0, 0.1, 0.2 or 0.3.
    Dropout,
    /// 0, 0.15, 0.3 or 0.5, as far as `synthetic` leaves room.
    Replay,
    /// `head`, `decoder`, `last_block` or `adapters`; one of the first two with a batch of more than 256. Steps of the others
    /// cost many times those of a head, and rungs count steps: leave them budget, or set `freeze`. `all` is never drawn: it
    /// costs the most, and what is drawn must not depend on the budget, or it could not be repeated with another.
    Freeze,
}

/// What a search tried, kept with the version that came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SearchRecord {
    /// What was asked for.
    pub asked: Search,
    /// Rungs that were completed: as `rungs` of another search of the same data they repeat it.
    pub rungs: u32,
    /// Why there was no further one.
    pub ended: SearchEnd,
    /// CPU-seconds of the learning thread that they took.
    pub cpu_s: f64,
    /// The candidate that won: its settings are those of the version's recipe.
    pub winner: u32,
    /// What was tried, rung by rung; the winner's way to its end is last. Lists of versions leave it out.
    #[serde(default)]
    pub trials: Vec<SearchTrial>,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchEnd {
    /// One candidate was left.
    Decided,
    /// The budget was spent.
    Budget,
    /// As many rungs as were asked for had been completed.
    Rungs,
    /// No candidate wanted to learn on.
    Learned,
}

/// One candidate at the end of one rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SearchTrial {
    /// The rung, the first is 0.
    pub rung: u32,
    /// The candidate; 0 is the recipe as it was asked for.
    pub candidate: u32,
    /// What it learned with.
    pub settings: SearchSettings,
    /// Optimiser steps that it had taken, over all rungs so far.
    pub steps: u32,
    /// Its least loss on the validation windows; null where it met a number that is not finite.
    pub validation_loss: Option<f64>,
    /// Whether it went on.
    pub kept: bool,
}

/// The settings that can be searched, as a candidate had them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SearchSettings {
    /// Length of a step at its greatest.
    pub learning_rate: f64,
    /// Weight decay toward zero.
    pub l2: f64,
    /// Weight of the squared distance to where learning began.
    pub l2_sp: f64,
    /// Share of the activations that a step switches off.
    pub dropout: f64,
    /// Share of a step's windows that are replayed.
    pub replay: f64,
    /// What of the network learned; `decoder` in searches that were made before there was a choice.
    #[serde(default)]
    pub freeze: Freeze,
}

/// A stage of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    /// How many learn in it.
    pub(super) candidates: usize,
    /// Steps that each has taken at its end, over all rungs so far.
    pub(super) steps: u32,
}

impl Default for Search {
    fn default() -> Self {
        Self { budget_s: 10.0, candidates: 9, eta: 3, rungs: None, settings: None }
    }
}

impl Search {
    /// Settles which settings are searched, where a person did not say: those that the recipe as it was given
    /// leaves out.
    pub(super) fn settle(&mut self, given: &Map<String, Value>) {
        let left_out = |setting: &Searched| given.get(setting.name()).is_none_or(Value::is_null);
        self.settings.get_or_insert_with(|| Searched::ALL.into_iter().filter(left_out).collect());
    }

    /// What lies outside its range. `open`: the recipe leaves the learning rate open.
    pub(super) fn invalid(&self, open: bool) -> Vec<Invalid> {
        let mut invalid = Vec::new();
        let mut check = |name: &str, inside: bool, range: &str| {
            if !inside {
                invalid.push(Invalid { pointer: format!("/search{name}"), detail: range.to_owned() });
            }
        };
        check("/budget_s", (0.5..=600.0).contains(&self.budget_s), "must be 0.5 to 600");
        check("/candidates", (4..=64).contains(&self.candidates), "must be 4 to 64");
        check("/eta", (2..=4).contains(&self.eta), "must be 2 to 4");
        check("/rungs", self.rungs.is_none_or(|rungs| (1..=6).contains(&rungs)), "must be 1 to 6");
        let some = open || self.settings.as_ref().is_none_or(|settings| !settings.is_empty());
        check(
            "",
            some,
            "needs a setting to search: learning_rate, l2, l2_sp, dropout, replay or freeze left out of the recipe",
        );
        invalid
    }

    fn searches(&self, setting: Searched, recipe: &Recipe) -> bool {
        let open = setting == Searched::LearningRate && recipe.learning_rate.is_none();
        open || self.settings.as_ref().is_none_or(|settings| settings.contains(&setting))
    }

    /// The recipes that begin, none with anything left open: the one that was asked for with each learning
    /// rate that it would try, then those drawn.
    pub(super) fn candidates(&self, recipe: &Recipe) -> Vec<Recipe> {
        let asked = Recipe { search: None, ..recipe.clone() };
        let rates = recipe.learning_rate.map_or_else(|| LEARNING_RATES.to_vec(), |rate| vec![rate]);
        let with = |rate: &f64| Recipe { learning_rate: Some(*rate), ..asked.clone() };
        let mut candidates: Vec<Recipe> = rates.iter().map(with).collect();
        let mut draw = ChaCha8Rng::seed_from_u64(recipe.seed);
        draw.set_stream(STREAM);
        let mut policies = ChaCha8Rng::seed_from_u64(recipe.seed);
        policies.set_stream(FREEZE_STREAM);
        while candidates.len() < self.candidates as usize {
            let mut drawn = asked.clone();
            for setting in Searched::ALL {
                // Drawn in any case: what is searched of one setting does not move the others.
                let source = if setting == Searched::Freeze { &mut policies } else { &mut draw };
                let place = source.random::<f64>();
                if self.searches(setting, recipe) {
                    setting.put(&mut drawn, place);
                }
            }
            candidates.push(drawn);
        }
        candidates
    }

    /// The rungs, until one candidate is left. The last one ends an `eta`-th of the way; steps are whole
    /// evaluations, so that learning on goes as if there had been no rung.
    pub(super) fn plan(&self, recipe: &Recipe, candidates: usize) -> Vec<Rung> {
        let eta = self.eta.max(2);
        let mut sizes = vec![candidates];
        let mut left = candidates / eta as usize;
        while left > 1 {
            sizes.push(left);
            left /= eta as usize;
        }
        let every = recipe.evaluate_every.max(1);
        let (count, mut steps) = (sizes.len() as u32, 0);
        let rung = |(place, candidates): (u32, usize)| {
            let share = recipe.max_steps / eta.saturating_pow(count - place);
            steps = (share.div_ceil(every) * every).max(steps + every).min(recipe.max_steps);
            Rung { candidates, steps }
        };
        let mut rungs: Vec<Rung> = (0..count).zip(sizes).map(rung).collect();
        rungs.truncate(self.rungs.map_or(usize::MAX, |most| most.max(1) as usize));
        rungs
    }
}

impl Searched {
    const ALL: [Self; 6] = [Self::LearningRate, Self::L2, Self::L2Sp, Self::Dropout, Self::Replay, Self::Freeze];

    /// Its name in a recipe.
    fn name(self) -> &'static str {
        match self {
            Self::LearningRate => "learning_rate",
            Self::L2 => "l2",
            Self::L2Sp => "l2_sp",
            Self::Dropout => "dropout",
            Self::Replay => "replay",
            Self::Freeze => "freeze",
        }
    }

    /// Sets it to the value at a place of its range, 0..1.
    fn put(self, recipe: &mut Recipe, place: f64) {
        match self {
            Self::LearningRate => {
                let range = if recipe.optimizer == Optimizer::Sgd { SGD_RATES } else { RATES };
                recipe.learning_rate = Some(between(range, place));
            }
            Self::L2 => recipe.l2 = between(DECAYS, place),
            Self::L2Sp => recipe.l2_sp = between(PULLS, place),
            Self::Dropout => recipe.dropout = one_of(&DROPOUTS, place),
            Self::Replay => {
                let room = MOST_REPLAYED - recipe.synthetic + 1e-9;
                let fit: Vec<f64> = REPLAYS.into_iter().filter(|share| *share <= room).collect();
                recipe.replay = one_of(&fit, place);
            }
            Self::Freeze => {
                let fit = if recipe.batch > MOST_THROUGH_THE_NETWORK { &POLICIES[..LIGHT] } else { &POLICIES[..] };
                recipe.freeze = Some(one_of(fit, place));
            }
        }
    }
}

impl SearchSettings {
    /// Those of a candidate.
    pub(super) fn of(recipe: &Recipe) -> Self {
        let Recipe { l2, l2_sp, dropout, replay, .. } = *recipe;
        let freeze = recipe.freeze.unwrap_or_default();
        Self { learning_rate: recipe.learning_rate.unwrap_or(LEARNING_RATES[0]), l2, l2_sp, dropout, replay, freeze }
    }
}

/// A value of a range, evenly over its logarithm. Two digits are enough to tell settings apart, and are the
/// same number once they have been written and read.
fn between((low, high): (f64, f64), place: f64) -> f64 {
    let value = low * (high / low).powf(place);
    format!("{value:.1e}").parse().unwrap_or(value)
}

/// One of some values, the default of none.
fn one_of<T: Copy + Default>(values: &[T], place: f64) -> T {
    let index = (place * values.len() as f64) as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
