//! Losses on quantiles.

use tch::{Device, Kind, Tensor};

use super::network::LEVELS;

/// Mean pinball loss (Koenker and Bassett 1978) over levels, twice, so that it approximates the
/// CRPS: `[batch, steps]` from quantiles `[batch, steps, levels]` and truth `[batch, steps]`.
pub(super) fn pinball(quantiles: &Tensor, truth: &Tensor) -> Tensor {
    let levels = Tensor::from_slice(&LEVELS).to_kind(Kind::Float).to_device(Device::Cpu);
    let error = truth.unsqueeze(-1) - quantiles;
    (&error * &levels).maximum(&(&error * (levels - 1.0))).mean_dim(-1, false, Kind::Float) * 2.0
}

/// Mean over the steps whose truth is known, each window divided by its own unit.
pub(super) fn masked_mean(loss: &Tensor, known: &Tensor, unit: &Tensor) -> Tensor {
    (loss / unit.unsqueeze(-1) * known).sum(Kind::Float) / known.sum(Kind::Float).clamp_min(1.0)
}
