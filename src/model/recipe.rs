//! How a head learns: the settings of one fine-tune job.
//!
//! The defaults are the measured ones; a person may override each by name. A recipe is stored
//! with the job and with the version that came of it, so that a result can be repeated.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::freeze::Freeze;
use super::search::Search;

/// Settings of one fine-tune job. Anything left out has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Turns gradients into steps.
    pub optimizer: Optimizer,
    /// What of the network learns; the rest stays as it is in the base model. Left out, a search tries several, and
    /// without one it is `decoder`; the version's recipe says which it was.
    pub freeze: Option<Freeze>,
    /// Length of a step at its greatest, more than 0 and at most 1. Left out, 3e-4 and 1e-3 are both tried for a third of
    /// the steps and the validation windows choose which goes on; the version's recipe says which it was.
    pub learning_rate: Option<f64>,
    /// Optimiser steps at most, 1 to 20,000.
    #[schema(default = 300)]
    pub max_steps: u32,
    /// Windows in one step, 1 to 1,024; at most 256 where more than head and decoder learn.
    #[schema(default = 32)]
    pub batch: u32,
    /// Share of a step's windows that are replayed from a reservoir of older ones, so that what
    /// was learned is not forgotten; 0 to 0.9, with `synthetic` at most 0.9. The rest are the
    /// newest. Without older windows the newest ones take their place.
    #[schema(default = 0.3)]
    pub replay: f64,
    /// Share of a step's windows that come from the synthetic plants of pretraining; 0 to 0.9.
    #[schema(default = 0.1)]
    pub synthetic: f64,
    /// Pulls weights of head and decoder (not biases), as far as they learn, to exactly zero, 0 to 1: after every step each
    /// is shrunk by this times the length of the step (soft threshold). The version's scores say how many are zero.
    #[schema(default = 0.0)]
    pub l1: f64,
    /// Weight decay toward zero, 0 to 1; decoupled from the gradient with `adamw`.
    #[schema(default = 0.02)]
    pub l2: f64,
    /// Weight of the squared distance to where learning begins (L2-SP), 0 to 1: of the head to the one that it
    /// begins from, of what else learns to the base model.
    #[schema(default = 1e-3)]
    pub l2_sp: f64,
    /// Share of the numbers before the head that a step switches off, 0 to 0.9; where the decoder learns too, of those before
    /// its hidden layer.
    #[schema(default = 0.1)]
    pub dropout: f64,
    /// Norm that a step's gradient is cut to, more than 0 and at most 1,000.
    #[schema(default = 1.0)]
    pub gradient_clip: f64,
    /// Share of the step before that a step goes on with, 0 to 0.999: with `sgd` and `rmsprop` alone. Left
    /// out, 0.9 with `sgd` and 0 with `rmsprop`.
    pub momentum: Option<f64>,
    /// Evaluations without improvement after which learning stops, 1 to 1,000.
    #[schema(default = 6)]
    pub patience: u32,
    /// Steps between two evaluations on the validation windows, 1 to 20,000.
    #[schema(default = 20)]
    pub evaluate_every: u32,
    /// What a forecast error costs.
    pub loss: Loss,
    /// Error from which on `huber` counts it by its size and no longer by its square, in the deviation of
    /// the window; more than 0 and at most 100. With `huber` alone; left out it is 1.
    pub huber_delta: Option<f64>,
    /// How health classes are learned, where the asset has labels.
    pub classification: Classification,
    /// Decides every random draw: the same data and seed give the same head. At most 2^53 - 1,
    /// the largest that JSON keeps exactly.
    #[schema(default = 0)]
    pub seed: u64,
    /// Which head it begins from.
    pub start: StartFrom,
    /// Searches for settings that are left out, instead of their defaults. Null: it does not.
    pub search: Option<Search>,
}

/// Learning rates that are tried when a recipe names none.
pub(super) const LEARNING_RATES: [f64; 2] = [3e-4, 1e-3];

/// Which head learning begins from. Where its type has no other asset that learned, the pooled head is the
/// base model's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartFrom {
    /// The pooled head where it is better on the validation windows, before anything is learned; else the
    /// base model's.
    #[default]
    Auto,
    /// The base model's.
    Base,
    /// The mean of the heads that serve other assets of the type, weight by weight.
    Pooled,
}

/// Turns gradients into steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Adam with decoupled weight decay.
    #[default]
    Adamw,
    /// Adam; the decay is part of the gradient.
    Adam,
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Steps divided by the root of the running mean of squared gradients (Tieleman and Hinton 2012); the
    /// decay is part of the gradient.
    Rmsprop,
}

/// What a forecast error costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The quantile loss: a forecast of quantiles is best when each is right.
    #[default]
    Pinball,
    /// The quantile loss with a rounded tip (quantile Huber loss, Dabney et al. 2018): small errors count by
    /// their square.
    Huber,
    /// The squared error of the median, which so becomes a mean; the other quantiles keep the quantile loss.
    Mse,
}

/// How health classes are learned from labels; optimiser, learning rate, penalties, gradient clip, patience
/// and seed are those of the recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Classification {
    /// What a wrong probability costs.
    pub loss: ClassLoss,
    /// How much classes count.
    pub class_weights: ClassWeights,
    /// Share of the certainty that is given to all classes alike while learning (Szegedy et al. 2016), 0
    /// to 0.5.
    #[schema(default = 0.05)]
    pub label_smoothing: f64,
    /// Share of the hidden units that a step switches off, 0 to 0.9.
    #[schema(default = 0.5)]
    pub dropout: f64,
    /// Deviation of the noise that blurs what is seen while learning, in deviations of the signals, 0 to 2.
    #[schema(default = 0.3)]
    pub noise: f64,
    /// Optimiser steps at most, 1 to 20,000.
    #[schema(default = 1500)]
    pub max_steps: u32,
}

impl Default for Classification {
    fn default() -> Self {
        Self {
            loss: ClassLoss::CrossEntropy,
            class_weights: ClassWeights::Balanced,
            label_smoothing: 0.05,
            dropout: 0.5,
            noise: 0.3,
            max_steps: 1500,
        }
    }
}

/// What a wrong probability costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassLoss {
    /// Multi-class cross-entropy: the classes exclude each other.
    #[default]
    CrossEntropy,
    /// Binary cross-entropy of each class against all others.
    BinaryCrossEntropy,
}

/// How much classes count in the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// All alike, however rare.
    #[default]
    Balanced,
    /// By their samples.
    None,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// JSON pointer within the recipe, such as `/learning_rate`.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// At least a tenth of every step is new.
pub(super) const MOST_REPLAYED: f64 = 0.9;
/// Windows in a step at most where more than head and decoder learn: what a gradient needs of a whole network is some
/// megabytes for each.
pub(super) const MOST_THROUGH_THE_NETWORK: u32 = 256;
/// The largest whole number that every JSON reader keeps exactly.
const MAX_SEED: u64 = (1 << 53) - 1;

impl Default for Recipe {
    fn default() -> Self {
        Self {
            optimizer: Optimizer::Adamw,
            freeze: None,
            learning_rate: None,
            max_steps: 300,
            batch: 32,
            replay: 0.3,
            synthetic: 0.1,
            l1: 0.0,
            l2: 0.02,
            l2_sp: 1e-3,
            dropout: 0.1,
            gradient_clip: 1.0,
            momentum: None,
            patience: 6,
            evaluate_every: 20,
            loss: Loss::Pinball,
            huber_delta: None,
            classification: Classification::default(),
            seed: 0,
            start: StartFrom::Auto,
            search: None,
        }
    }
}

impl Recipe {
    /// Reads the settings that a person gave, each for itself, so that every wrong one is named.
    pub fn parse(given: &Map<String, Value>) -> Result<Self, Vec<Invalid>> {
        let invalid: Vec<Invalid> = given
            .iter()
            .filter_map(|(name, value)| {
                let alone = Map::from_iter([(name.clone(), value.clone())]);
                let error = Self::deserialize(Value::Object(alone)).err()?;
                // RFC 6901: a tilde and a slash inside a name are written as escapes.
                let name = name.replace('~', "~0").replace('/', "~1");
                Some(Invalid { pointer: format!("/{name}"), detail: error.to_string() })
            })
            .collect();
        if !invalid.is_empty() {
            return Err(invalid);
        }
        let whole = Self::deserialize(Value::Object(given.clone()));
        let mut recipe = whole.map_err(|error| vec![Invalid { pointer: String::new(), detail: error.to_string() }])?;
        if let Some(search) = &mut recipe.search {
            search.settle(given);
        }
        let invalid = recipe.invalid();
        if invalid.is_empty() { Ok(recipe) } else { Err(invalid) }
    }

    /// The settings that lie outside their range; empty when the recipe can be used.
    #[must_use]
    pub fn invalid(&self) -> Vec<Invalid> {
        let mut invalid = Vec::new();
        let mut check = |name: &str, inside: bool, range: &str| {
            if !inside {
                invalid.push(Invalid { pointer: format!("/{name}"), detail: format!("must be {range}") });
            }
        };
        let rate = self.learning_rate;
        check("learning_rate", rate.is_none_or(|rate| rate > 0.0 && rate <= 1.0), "more than 0 and at most 1");
        check("max_steps", (1..=20_000).contains(&self.max_steps), "1 to 20000");
        match self.freeze.unwrap_or_default() {
            Freeze::Head | Freeze::Decoder => check("batch", (1..=1024).contains(&self.batch), "1 to 1024"),
            _ => {
                let fits = (1..=MOST_THROUGH_THE_NETWORK).contains(&self.batch);
                check("batch", fits, "1 to 256 where more than head and decoder learn");
            }
        }
        check("replay", (0.0..=MOST_REPLAYED).contains(&self.replay), "0 to 0.9");
        let shared = self.replay.max(0.0) + self.synthetic;
        let fits = (0.0..=MOST_REPLAYED).contains(&self.synthetic) && shared <= MOST_REPLAYED + 1e-9;
        check("synthetic", fits, "0 to 0.9, and with replay at most 0.9");
        check("l1", (0.0..=1.0).contains(&self.l1), "0 to 1");
        check("l2", (0.0..=1.0).contains(&self.l2), "0 to 1");
        check("l2_sp", (0.0..=1.0).contains(&self.l2_sp), "0 to 1");
        check("dropout", (0.0..=0.9).contains(&self.dropout), "0 to 0.9");
        let clip = self.gradient_clip;
        check("gradient_clip", clip > 0.0 && clip <= 1000.0, "more than 0 and at most 1000");
        check("momentum", self.momentum.is_none_or(|share| (0.0..=0.999).contains(&share)), "0 to 0.999");
        let delta = self.huber_delta;
        check("huber_delta", delta.is_none_or(|delta| delta > 0.0 && delta <= 100.0), "more than 0 and at most 100");
        check("patience", (1..=1000).contains(&self.patience), "1 to 1000");
        check("evaluate_every", (1..=20_000).contains(&self.evaluate_every), "1 to 20000");
        let smooth = self.classification.label_smoothing;
        check("classification/label_smoothing", (0.0..=0.5).contains(&smooth), "0 to 0.5");
        check("classification/dropout", (0.0..=0.9).contains(&self.classification.dropout), "0 to 0.9");
        check("classification/noise", (0.0..=2.0).contains(&self.classification.noise), "0 to 2");
        check("classification/max_steps", (1..=20_000).contains(&self.classification.max_steps), "1 to 20000");
        check("seed", self.seed <= MAX_SEED, "at most 9007199254740991");
        // A setting without effect is a misunderstanding.
        let mut without = |name: &str, given: bool, used: bool, with: &str| {
            if given && !used {
                let detail = format!("has an effect with {with} alone");
                invalid.push(Invalid { pointer: format!("/{name}"), detail });
            }
        };
        let with_momentum = matches!(self.optimizer, Optimizer::Sgd | Optimizer::Rmsprop);
        without("momentum", self.momentum.is_some(), with_momentum, "the optimizers sgd and rmsprop");
        without("huber_delta", self.huber_delta.is_some(), self.loss == Loss::Huber, "the loss huber");
        invalid.extend(self.search.iter().flat_map(|search| search.invalid(self.learning_rate.is_none())));
        invalid
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(given: &Value) -> Result<Recipe, Vec<String>> {
        Recipe::parse(given.as_object().unwrap())
            .map_err(|invalid| invalid.into_iter().map(|invalid| invalid.pointer).collect())
    }

    #[test]
    fn nothing_given_is_the_default_and_the_default_is_valid() {
        assert_eq!(parse(&json!({})), Ok(Recipe::default()));
        assert_eq!(Recipe::default().invalid(), []);
    }

    #[test]
    fn a_setting_replaces_its_default() {
        let recipe =
            parse(&json!({"learning_rate": 3e-4, "optimizer": "sgd", "max_steps": 40, "loss": "pinball"})).unwrap();
        assert_eq!((recipe.learning_rate, recipe.optimizer, recipe.max_steps), (Some(3e-4), Optimizer::Sgd, 40));
        assert_eq!(recipe.batch, Recipe::default().batch);
    }

    #[test]
    fn every_wrong_setting_is_pointed_to() {
        let wrong_kinds = json!({"learning_rate": "fast", "max_step": 3, "batch": -1, "a/b~c": 0, "loss": "hinge"});
        let mut pointers = parse(&wrong_kinds).unwrap_err();
        pointers.sort();
        assert_eq!(pointers, ["/a~1b~0c", "/batch", "/learning_rate", "/loss", "/max_step"]);
        let out_of_range = json!({
            "learning_rate": 0.0, "max_steps": 0, "batch": 5000, "l1": -0.1, "l2": 2, "l2_sp": -1, "dropout": 0.95,
            "gradient_clip": 0, "momentum": 1, "huber_delta": 0, "optimizer": "sgd", "loss": "huber",
            "patience": 0, "evaluate_every": 0, "replay": -0.1, "synthetic": 1, "seed": 9_007_199_254_740_992_u64,
        });
        assert_eq!(parse(&out_of_range).unwrap_err().len(), 15);
        assert_eq!(parse(&json!({"replay": 0.7, "synthetic": 0.3})).unwrap_err(), ["/synthetic"]);
        assert!(parse(&json!({"replay": 0.6, "synthetic": 0.3})).is_ok());
    }

    #[test]
    fn a_freeze_policy_is_one_of_five() {
        for (name, freeze) in [
            ("head", Freeze::Head),
            ("decoder", Freeze::Decoder),
            ("last_block", Freeze::LastBlock),
            ("adapters", Freeze::Adapters),
            ("all", Freeze::All),
        ] {
            assert_eq!(parse(&json!({"freeze": name})).unwrap().freeze, Some(freeze));
        }
        assert_eq!(parse(&json!({"freeze": null})).unwrap().freeze, None);
        assert_eq!(parse(&json!({"freeze": "backbone"})).unwrap_err(), ["/freeze"]);
        assert_eq!(parse(&json!({"freeze": true})).unwrap_err(), ["/freeze"]);
        assert_eq!(parse(&json!({"freeze": "all", "batch": 257})).unwrap_err(), ["/batch"]);
        assert!(parse(&json!({"freeze": "all", "batch": 256})).is_ok());
        for policy in ["head", "decoder"] {
            assert!(parse(&json!({"freeze": policy, "batch": 1024})).is_ok());
        }
    }

    #[test]
    fn a_setting_without_effect_is_pointed_to() {
        assert_eq!(parse(&json!({"momentum": 0.5})).unwrap_err(), ["/momentum"]);
        assert_eq!(parse(&json!({"huber_delta": 0.5, "loss": "mse"})).unwrap_err(), ["/huber_delta"]);
        assert!(parse(&json!({"momentum": 0.5, "optimizer": "rmsprop", "huber_delta": 2, "loss": "huber"})).is_ok());
    }

    #[test]
    fn a_recipe_survives_the_database() {
        let recipe = Recipe { seed: 7, l1: 1e-5, ..Recipe::default() };
        let stored = serde_json::to_value(&recipe).unwrap();
        assert_eq!(serde_json::from_value::<Recipe>(stored).unwrap(), recipe);
        let older = serde_json::json!({"learning_rate": 1e-3, "seed": 7});
        assert_eq!(serde_json::from_value::<Recipe>(older).unwrap().learning_rate, Some(1e-3));
    }
}
