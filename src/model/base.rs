//! The pretrained base models that ship inside the binary, with their cards.

use serde::{Deserialize, Serialize};

use super::artefact::{self, ArtefactError};
use super::dense::Arithmetic;
use super::lean;
use super::network::{Backbone, Head, Size};
use crate::prior::Mix;

/// Weights of the backbone and of the head that an asset starts from whose type does not choose.
pub(super) const WEIGHTS: &[u8] = include_bytes!("base/small-2.safetensors");
/// Key of the size among the notes of an artefact.
pub(super) const SIZE: &str = "size";

/// A base model inside the program.
#[derive(Debug)]
pub(super) struct Shipped {
    pub(super) name: &'static str,
    pub(super) weights: &'static [u8],
    /// JSON.
    card: &'static str,
}

/// Those inside the program, the default first. The table `base_model` knows their names.
pub(super) static SHIPPED: [Shipped; 2] = [
    Shipped { name: "small-2", weights: WEIGHTS, card: include_str!("base/small-2.json") },
    // Its predecessor, pretrained on the CPU alone: from its seed and recipe the same weights come again.
    Shipped {
        name: "small-1",
        weights: include_bytes!("base/small-1.safetensors"),
        card: include_str!("base/small-1.json"),
    },
];

/// What is known of a base model: written by `counterpart pretrain`, never by hand.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BaseCard {
    /// Name that model versions refer to.
    pub name: String,
    /// SHA-256 of the weights, in hexadecimal.
    pub sha256: String,
    /// Dimensions of the network.
    #[serde(default)]
    pub size: Size,
    /// Trainable numbers, backbone and head.
    pub parameters: i64,
    /// Of these in the head, which fine-tuning trains.
    pub head_parameters: i64,
    /// Seed of the synthetic plants, the weights and the batches.
    pub seed: u64,
    /// Windows that it learned from.
    pub windows: usize,
    /// Optimiser steps.
    pub steps: usize,
    /// Windows in a step.
    pub batch: usize,
    /// CPU seconds that pretraining took, data included.
    pub cpu_seconds: f64,
    /// Seconds that it took on the clock, where they were counted.
    #[serde(default)]
    pub wall_seconds: Option<f64>,
    /// Where the network learned, `cpu` or `cuda:N`; only on the CPU do seed and recipe decide the weights.
    #[serde(default)]
    pub device: Option<String>,
    /// What that GPU is called.
    #[serde(default)]
    pub gpu: Option<String>,
    /// Revision of the source that trained it, where it was known.
    pub commit: Option<String>,
    /// How it was trained, where that is more than seed, windows, steps and batch.
    #[serde(default)]
    pub recipe: Option<PretrainRecipe>,
    /// What the synthetic plants are like, counted on the first of them.
    #[serde(default)]
    pub mix: Option<Mix>,
    /// On plants that it did not see, per family.
    pub validation: Vec<FamilyFigures>,
}

/// What a pretraining run was told: the same recipe and source give the same weights on one platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PretrainRecipe {
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up before the cosine.
    pub warm_up: f64,
    /// Decay of the weights (not of biases and norms) per unit of learning rate.
    pub weight_decay: f64,
    /// Share of the head's channels that is dropped.
    pub dropout: f64,
    /// Weight of the loss on the difference of two futures of one plant.
    pub paired: f64,
    /// Weight of the penalty on corrections.
    pub abstain: f64,
    /// Windows that batches are drawn from at a time.
    pub pool: usize,
    /// Seconds after which the run ended, where the clock decided how many steps it took.
    #[serde(default)]
    pub seconds: Option<u64>,
}

/// How the base model does on unseen plants of one family of the prior.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FamilyFigures {
    /// Family of the prior; `all` is the mean.
    pub family: String,
    /// Windows evaluated.
    pub windows: usize,
    /// Mean pinball loss of the bank with Gaussian bands, in units of the window's deviation.
    pub bank_pinball: f64,
    /// The same of the network.
    pub network_pinball: f64,
    /// Share of truths inside the network's 80 % band.
    pub coverage_80: f64,
}

/// A base model, ready to answer.
#[derive(Debug)]
pub struct Base {
    /// What is known of it.
    pub card: BaseCard,
    pub(super) backbone: Backbone,
    pub(super) head: Head,
    /// Both, laid out for answering.
    pub(super) lean: lean::Backbone,
    pub(super) lean_head: lean::Head,
}

/// The card of the base model that serves where a type does not choose.
#[must_use]
pub fn shipped_card() -> BaseCard {
    SHIPPED[0].card()
}

impl Shipped {
    /// What is known of it.
    pub(super) fn card(&self) -> BaseCard {
        serde_json::from_str(self.card).expect("the card was written by pretraining")
    }

    /// Loads it, once its weights have been seen to be those of its card.
    pub(super) fn load(&self) -> Result<Base, ArtefactError> {
        let card = self.card();
        if hex(&artefact::digest(self.weights)) != card.sha256 {
            return Err(ArtefactError::Damaged);
        }
        Base::from_bytes(self.weights, card)
    }
}

impl Base {
    /// Loads the default of the shipped ones. Costs a few milliseconds; call it on the thread that will use it.
    pub fn shipped() -> Result<Self, ArtefactError> {
        SHIPPED[0].load()
    }

    /// Loads weights that came with a card: of its size, all variables and no others, every number finite.
    pub fn from_bytes(weights: &[u8], card: BaseCard) -> Result<Self, ArtefactError> {
        // Before anything is made in that size.
        if let Err((field, _)) = card.size.check() {
            return Err(ArtefactError::Shape(format!("{SIZE}/{field}")));
        }
        let size = artefact::note(weights, SIZE)?.map(|text| serde_json::from_str::<Size>(&text));
        // The first base model was written without its size.
        if size.is_some_and(|size| !size.is_ok_and(|size| size == card.size)) {
            return Err(ArtefactError::Shape(SIZE.to_owned()));
        }
        let (mut backbone, head) = (Backbone::new(card.size), Head::new(card.size));
        let known = artefact::named(&[("backbone", backbone.store()), ("head", head.store())]);
        artefact::no_others(weights, &known)?;
        artefact::fill(weights, known)?;
        backbone.store_mut().freeze();
        let lean = lean::Backbone::new(&backbone, Arithmetic::SERVING);
        let lean_head = lean::Head::new(&head, &backbone, Arithmetic::SERVING);
        Ok(Self { card, backbone, head, lean, lean_head })
    }

    /// A new head with the base's weights.
    pub(super) fn fresh_head(&self) -> Head {
        let mut head = Head::new(self.card.size);
        head.store_mut().copy(self.head.store()).expect("heads have one shape");
        head
    }
}

/// The weights of a base model as they ship, with their size.
pub(super) fn document(size: Size, backbone: &Backbone, head: &Head) -> Vec<u8> {
    let tensors = artefact::named(&[("backbone", backbone.store()), ("head", head.store())]);
    let size = serde_json::to_string(&size).expect("a size is a handful of numbers");
    artefact::document(tensors, Some((SIZE, size)))
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
