//! The corrector: a causal transformer over patches that corrects the bank's answer.
//!
//! Tokens of [`PATCH`] steps carry target, mask, the bank's back-test or forecast, the experts'
//! disagreement and the inputs. The state after patch i - 1 conditions (`FiLM`, Perez et al. 2018)
//! a strictly causal convolution over patch i, so no output depends on anything later than its own
//! step. The answer is `bank + scale x network`, and an untrained last layer gives Gaussian
//! quantiles: it starts as good as the bank and learns from there.
//!
//! Backbone and head own separate variable stores. Freezing is ownership: an optimiser built on
//! the head's store cannot touch the backbone. What else a recipe lets learn is a copy with a store of its own (`thaw`).

mod backbone;
mod head;
mod size;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor, nn};

use super::window::{Batch, PATCH, SLOTS};

pub(super) use backbone::{Backbone, Block, rotary, speaking, through, tokens};
pub(super) use head::Head;
pub use size::{NamedSize, Size};

/// The quantile levels that the network answers.
pub const LEVELS: [f64; 21] = [
    0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99,
];
/// Index of the median in [`LEVELS`].
pub const MEDIAN: usize = 10;
/// Quantiles of the standard normal distribution at [`LEVELS`].
pub const NORMAL: [f64; 21] = [
    -2.326_348, -1.644_854, -1.281_552, -1.036_433, -0.841_621, -0.674_490, -0.524_401, -0.385_320, -0.253_347,
    -0.125_661, 0.0, 0.125_661, 0.253_347, 0.385_320, 0.524_401, 0.674_490, 0.841_621, 1.036_433, 1.281_552, 1.644_854,
    2.326_348,
];
/// Steps that the convolution looks back.
pub(super) const TAPS: i64 = 24;
/// Numbers that say something about a whole window.
pub(super) const SUMMARY: i64 = 3;
pub(super) const P: i64 = PATCH as i64;
const S: i64 = SLOTS as i64;
const Q: i64 = LEVELS.len() as i64;

/// What the head reads of a batch, computed once when the backbone is frozen. Where a part of the backbone learns,
/// what enters that part lies in the place of the states until it has been run.
#[derive(Debug)]
pub(super) struct Features {
    /// `[batch, future patches, width]`
    state: Tensor,
    /// `[batch, SLOTS + 5, future + TAPS - 1]`
    steps: Tensor,
    /// `[batch, 3]`
    summary: Tensor,
}

impl Features {
    /// What there is to read of a batch, around its states.
    pub(super) fn around(state: Tensor, batch: &Batch) -> Self {
        let bank = &batch.bank * batch.spread.ge(0.0).to_kind(Kind::Float);
        let reach = batch.future + TAPS - 1;
        let from = batch.context - (TAPS - 1);
        let tail = |values: &Tensor| values.narrow(-1, from, reach).unsqueeze(1);
        let lagged = |values: &Tensor| values.narrow(-1, from - 1, reach).unsqueeze(1);
        let steps = Tensor::cat(
            &[
                batch.inputs.narrow(-1, from, reach),
                lagged(&batch.target),
                lagged(&batch.known),
                tail(&batch.segment),
                tail(&bank),
                tail(&batch.spread),
            ],
            1,
        );
        Self { state, steps, summary: batch.summary.shallow_clone() }
    }

    /// What lies in the place of the states.
    pub(super) fn state(&self) -> &Tensor {
        &self.state
    }

    /// States, steps and summaries.
    pub(super) fn parts(&self) -> (&Tensor, &Tensor, &Tensor) {
        (&self.state, &self.steps, &self.summary)
    }

    /// The same around other states. Nothing is copied.
    pub(super) fn with(&self, state: Tensor) -> Self {
        Self { state, steps: self.steps.shallow_clone(), summary: self.summary.shallow_clone() }
    }

    /// The chosen rows.
    pub(super) fn rows(&self, index: &Tensor) -> Self {
        Self {
            state: self.state.index_select(0, index),
            steps: self.steps.index_select(0, index),
            summary: self.summary.index_select(0, index),
        }
    }

    /// Rows of several batches of one shape behind each other.
    pub(super) fn concat(parts: &[Self]) -> Self {
        let join = |pick: fn(&Self) -> &Tensor| Tensor::cat(&parts.iter().map(pick).collect::<Vec<_>>(), 0);
        Self { state: join(|p| &p.state), steps: join(|p| &p.steps), summary: join(|p| &p.summary) }
    }
}

/// Quantiles in normalised units: `[batch, future, levels]`, not sorted.
pub(super) fn quantiles(batch: &Batch, corrections: &Tensor) -> Tensor {
    batch.bank.narrow(1, batch.context, batch.future).unsqueeze(-1) + batch.scale.view([-1, 1, 1]) * corrections
}

/// Draws all weights of a fresh network anew from our own generator: libtorch's is one for the whole
/// process, and whoever else draws from it would move it. What starts at a value keeps it; other
/// biases start at 0.
pub(super) fn redraw(store: &nn::VarStore, draw: &mut ChaCha8Rng) {
    let mut variables: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    // A map's order changes from run to run.
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, mut variable) in variables {
        let shape = variable.size();
        let fresh = variable.abs().max().double_value(&[]) > 0.0;
        if name.ends_with("bias") && name != "out.bias" {
            let _ = tch::no_grad(|| variable.zero_());
        } else if name.ends_with("weight") && fresh {
            // He et al. 2015.
            let inputs: i64 = shape.iter().skip(1).product();
            let bound = (6.0 / inputs as f64).sqrt() as f32;
            let values: Vec<f32> = (0..variable.numel()).map(|_| bound * (2.0 * draw.random::<f32>() - 1.0)).collect();
            tch::no_grad(|| variable.copy_(&Tensor::from_slice(&values).view(shape.as_slice())));
        }
    }
}
