//! Losses on quantiles.

use tch::{Device, Kind, Tensor};

use super::network::{LEVELS, MEDIAN};
use super::recipe::{Loss, Recipe};

/// Where the Huber loss turns from squares to sizes, in deviations, when a recipe does not say.
pub(super) const HUBER_DELTA: f64 = 1.0;

/// Mean pinball loss (Koenker and Bassett 1978) over levels, twice, so that it approximates the
/// CRPS: `[batch, steps]` from quantiles `[batch, steps, levels]` and truth `[batch, steps]`.
pub(super) fn pinball(quantiles: &Tensor, truth: &Tensor) -> Tensor {
    // On a GPU nothing waits for these few numbers.
    let levels = Tensor::from_slice(&LEVELS).to_kind(Kind::Float).to_device_(truth.device(), Kind::Float, true, false);
    let error = truth.unsqueeze(-1) - quantiles;
    (&error * &levels).maximum(&(&error * (levels - 1.0))).mean_dim(-1, false, Kind::Float) * 2.0
}

/// The loss of a recipe: `[batch, steps]` from quantiles `[batch, steps, levels]`, truth `[batch, steps]` and
/// unit `[batch]`, in the unit of the truth.
pub(super) fn of_recipe(recipe: &Recipe, quantiles: &Tensor, truth: &Tensor, unit: &Tensor) -> Tensor {
    match recipe.loss {
        Loss::Pinball => pinball(quantiles, truth),
        Loss::Huber => huber(quantiles, truth, unit, recipe.huber_delta.unwrap_or(HUBER_DELTA)),
        Loss::Mse => {
            let levels = LEVELS.len() as f64;
            let median = quantiles.select(-1, MEDIAN as i64);
            let error = truth - &median;
            // Twice the pinball loss of the median is the size of its error.
            let others = pinball(quantiles, truth) - error.abs() / levels;
            others + error.square() / unit.unsqueeze(-1) / levels
        }
    }
}

/// Mean quantile Huber loss (Dabney et al. 2018) over levels, twice: as `delta`, in units, goes to 0 it
/// becomes [`pinball`].
fn huber(quantiles: &Tensor, truth: &Tensor, unit: &Tensor, delta: f64) -> Tensor {
    let levels = Tensor::from_slice(&LEVELS).to_kind(Kind::Float).to_device(Device::Cpu);
    let unit = unit.unsqueeze(-1);
    let error = (truth.unsqueeze(-1) - quantiles) / unit.unsqueeze(-1);
    let size = error.abs();
    let inner = size.clamp_max(delta);
    let rounded: Tensor = (&size - &inner * 0.5) * inner / delta;
    let below = error.lt(0.0).to_kind(Kind::Float);
    ((levels - below).abs() * rounded).mean_dim(-1, false, Kind::Float) * 2.0 * unit
}

/// Mean over the steps whose truth is known, each window divided by its own unit.
pub(super) fn masked_mean(loss: &Tensor, known: &Tensor, unit: &Tensor) -> Tensor {
    (loss / unit.unsqueeze(-1) * known).sum(Kind::Float) / known.sum(Kind::Float).clamp_min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One window of one step: every quantile is 0, the truth is `truth`, the unit 2.
    fn said(recipe: &Recipe, truth: f64) -> f64 {
        let quantiles = Tensor::zeros([1, 1, LEVELS.len() as i64], (Kind::Float, Device::Cpu));
        let truth = Tensor::from_slice(&[truth as f32]).view([1, 1]);
        of_recipe(recipe, &quantiles, &truth, &Tensor::from_slice(&[2.0_f32])).double_value(&[0, 0])
    }

    #[test]
    fn the_losses_are_what_their_papers_say() {
        let of = |loss, huber_delta| Recipe { loss, huber_delta, ..Recipe::default() };
        let count = LEVELS.len() as f64;
        for truth in [-5.0, -0.3, 0.2, 4.0] {
            let pinball = said(&of(Loss::Pinball, None), truth);
            let by_hand: f64 = LEVELS.iter().map(|level| (level * truth).max((level - 1.0) * truth)).sum();
            assert!((pinball - 2.0 * by_hand / count).abs() < 1e-5, "{truth}: {pinball}");
            // Errors of 2.5 units or fewer: above delta by size less half of it, below by half the square.
            let size = (truth / 2.0).abs();
            let rounded = if size > 1.0 { size - 0.5 } else { 0.5 * size * size };
            let huber = said(&of(Loss::Huber, Some(1.0)), truth);
            assert!((huber - pinball * rounded / size).abs() < 1e-5, "{truth}: {huber}");
            assert!((said(&of(Loss::Huber, Some(1e-4)), truth) - pinball).abs() < 1e-3);
            let mse = said(&of(Loss::Mse, None), truth);
            assert!(
                (mse - (pinball - truth.abs() / count + truth * truth / 2.0 / count)).abs() < 1e-5,
                "{truth}: {mse}"
            );
        }
    }
}
