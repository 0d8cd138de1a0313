//! The end of a run: weights and card.

use tch::nn;

use super::config::Config;
use super::replicas::Replica;
use super::{PretrainError, adam, checkpoint, loss, windows};
use crate::model::artefact;
use crate::model::base::{self, BaseCard, FamilyFigures, PretrainRecipe, hex};
use crate::model::network::NamedSize;
use crate::prior::Mix;

/// Records that the card's statistics of the mix are counted on.
pub(super) const COUNTED: usize = 2_000;

/// What a run did, as far as its settings do not say it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) windows: usize,
    pub(super) steps: usize,
    /// In steps.
    pub(super) warm_up: f64,
    pub(super) cpu_seconds: f64,
    pub(super) wall_seconds: f64,
}

/// Writes weights and card, and forgets the checkpoint.
pub(super) fn finish(
    config: &Config,
    size: NamedSize,
    network: &Replica,
    told: Told,
    validation: Vec<FamilyFigures>,
) -> Result<BaseCard, PretrainError> {
    let weights = base::document(size.size(), &network.backbone, &network.head);
    let card = card(config, size, network, told, &weights, validation);
    let text = serde_json::to_vec_pretty(&card).map_err(std::io::Error::from)?;
    checkpoint::replace(&config.path(size, "safetensors"), &weights)?;
    checkpoint::replace(&config.path(size, "json"), &text)?;
    match std::fs::remove_file(config.path(size, "checkpoint")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(card),
    }
}

fn card(
    config: &Config,
    size: NamedSize,
    network: &Replica,
    told: Told,
    weights: &[u8],
    validation: Vec<FamilyFigures>,
) -> BaseCard {
    let count = |store: &nn::VarStore| store.variables().values().map(|value| value.numel() as i64).sum::<i64>();
    let (frozen, trained) = (count(network.backbone.store()), count(network.head.store()));
    BaseCard {
        name: config.name(size),
        sha256: hex(&artefact::digest(weights)),
        size: size.size(),
        parameters: frozen + trained,
        head_parameters: trained,
        seed: config.seed,
        windows: told.windows,
        steps: told.steps,
        batch: config.batch,
        cpu_seconds: told.cpu_seconds,
        wall_seconds: Some(told.wall_seconds),
        device: Some(config.device.to_string()),
        gpu: config.device.gpu(),
        commit: config.commit.clone(),
        recipe: Some(PretrainRecipe {
            learning_rate: config.learning_rate,
            warm_up: told.warm_up,
            weight_decay: adam::WEIGHT_DECAY,
            dropout: loss::DROPOUT,
            paired: loss::PAIRED,
            abstain: loss::ABSTAIN,
            pool: config.pool,
            seconds: config.seconds,
        }),
        mix: Some(Mix::draw(config.seed, COUNTED, windows::RECORD)),
        validation,
    }
}
