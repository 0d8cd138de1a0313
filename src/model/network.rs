//! The corrector: a causal transformer over patches that corrects the bank's answer.
//!
//! Tokens of [`PATCH`] steps carry target, mask, the bank's back-test or forecast, the experts'
//! disagreement and the inputs. The state after patch i - 1 conditions (`FiLM`, Perez et al. 2018)
//! a strictly causal convolution over patch i, so no output depends on anything later than its own
//! step. The answer is `bank + scale x network`, and an untrained last layer gives Gaussian
//! quantiles: it starts as good as the bank and learns from there.
//!
//! Backbone and head own separate variable stores. Freezing is ownership: an optimiser built on
//! the head's store cannot touch the backbone.

use tch::nn::{self, Module as _};
use tch::{Device, Kind, Tensor};

use super::window::{Batch, PATCH, SLOTS};

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

const WIDTH: i64 = 96;
const LAYERS: usize = 4;
const HEADS: i64 = 4;
const FEED_FORWARD: i64 = 256;
const CHANNELS: i64 = 48;
const TAPS: i64 = 24;
const PATCH_FEATURES: i64 = 24;
const HIDDEN: i64 = 64;
const SUMMARY: i64 = 3;
const ROTARY_BASE: f64 = 1000.0;
const P: i64 = PATCH as i64;
const S: i64 = SLOTS as i64;
const Q: i64 = LEVELS.len() as i64;

/// Frozen in fine-tuning: turns a window into one state per patch.
#[derive(Debug)]
pub(super) struct Backbone {
    store: nn::VarStore,
    inner: nn::Linear,
    outer: nn::Linear,
    skip: nn::Linear,
    blocks: Vec<Block>,
    norm: Tensor,
}

#[derive(Debug)]
struct Block {
    before_attention: Tensor,
    qkv: nn::Linear,
    merge: nn::Linear,
    before_feed: Tensor,
    gate: nn::Linear,
    down: nn::Linear,
}

/// Trained in fine-tuning: turns states and the raw steps into quantiles.
#[derive(Debug)]
pub(super) struct Head {
    store: nn::VarStore,
    conv: nn::Conv1D,
    film: nn::Linear,
    patch: nn::Linear,
    hidden: nn::Linear,
    out: nn::Linear,
}

/// What the head reads of a batch, computed once when the backbone is frozen.
#[derive(Debug)]
pub(super) struct Features {
    /// `[batch, future patches, WIDTH]`
    state: Tensor,
    /// `[batch, SLOTS + 5, future + TAPS - 1]`
    steps: Tensor,
    /// `[batch, 3]`
    summary: Tensor,
}

impl Features {
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

impl Backbone {
    /// A backbone with fresh random weights.
    pub(super) fn new() -> Self {
        let store = nn::VarStore::new(Device::Cpu);
        let root = store.root();
        let token = P * (4 + S) + S + 1 + SUMMARY;
        let linear = |name: &str, from, to| nn::linear(&root / name, from, to, nn::LinearConfig::default());
        Self {
            inner: linear("inner", token, 2 * WIDTH),
            outer: linear("outer", 2 * WIDTH, WIDTH),
            skip: linear("skip", token, WIDTH),
            blocks: (0..LAYERS).map(|layer| Block::new(&(&root / "blocks" / layer))).collect(),
            norm: root.ones("norm", &[WIDTH]),
            store,
        }
    }

    /// Its variables.
    pub(super) fn store(&self) -> &nn::VarStore {
        &self.store
    }

    /// Its variables, for loading.
    pub(super) fn store_mut(&mut self) -> &mut nn::VarStore {
        &mut self.store
    }

    /// The head's view of a batch.
    pub(super) fn features(&self, batch: &Batch) -> Features {
        let size = batch.target.size();
        let (b, t) = (size[0], size[1]);
        let n = t / P;
        let patches = |values: &Tensor| values.view([b, n, P]);
        let has_bank = batch.spread.ge(0.0).to_kind(Kind::Float);
        let bank = &batch.bank * &has_bank;
        let inputs = batch.inputs.view([b, S, n, P]).permute([0, 2, 1, 3]).reshape([b, n, S * P]);
        let token = Tensor::cat(
            &[
                patches(&batch.target),
                patches(&batch.known),
                patches(&bank),
                patches(&batch.spread),
                inputs,
                batch.used.unsqueeze(1).expand([b, n, S], false),
                patches(&batch.segment).mean_dim(-1, true, Kind::Float),
                batch.summary.unsqueeze(1).expand([b, n, SUMMARY], false),
            ],
            -1,
        );
        let mut x = self.outer.forward(&self.inner.forward(&token).gelu("none")) + self.skip.forward(&token);
        let (cos, sin) = rotary(n);
        for block in &self.blocks {
            x = block.forward(&x, &cos, &sin);
        }
        // The state after patch i - 1 speaks for patch i: nothing of patch i itself is in it.
        let (first, count) = (batch.context / P, batch.future / P);
        let state = rms_norm(&x, &self.norm).narrow(1, first - 1, count);

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
        Features { state, steps, summary: batch.summary.shallow_clone() }
    }
}

impl Block {
    fn new(path: &nn::Path<'_>) -> Self {
        let config = nn::LinearConfig { bias: false, ..Default::default() };
        let linear = |name: &str, from, to| nn::linear(path / name, from, to, config);
        Self {
            before_attention: path.ones("before_attention", &[WIDTH]),
            qkv: linear("qkv", WIDTH, 3 * WIDTH),
            merge: linear("merge", WIDTH, WIDTH),
            before_feed: path.ones("before_feed", &[WIDTH]),
            gate: linear("gate", WIDTH, 2 * FEED_FORWARD),
            down: linear("down", FEED_FORWARD, WIDTH),
        }
    }

    fn forward(&self, x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
        let size = x.size();
        let (b, n) = (size[0], size[1]);
        let qkv = self
            .qkv
            .forward(&rms_norm(x, &self.before_attention))
            .view([b, n, 3, HEADS, WIDTH / HEADS])
            .permute([2, 0, 3, 1, 4]);
        let (q, k, v) = (qkv.get(0), qkv.get(1), qkv.get(2));
        let attended = Tensor::scaled_dot_product_attention(
            &rotate(&q, cos, sin),
            &rotate(&k, cos, sin),
            &v,
            None::<&Tensor>,
            0.0,
            true,
            None,
            false,
        );
        let x = x + self.merge.forward(&attended.transpose(1, 2).reshape([b, n, WIDTH]));
        let gated = self.gate.forward(&rms_norm(&x, &self.before_feed)).chunk(2, -1);
        &x + self.down.forward(&(gated[0].silu() * &gated[1]))
    }
}

impl Head {
    /// A head that answers the bank with Gaussian bands.
    pub(super) fn new() -> Self {
        let store = nn::VarStore::new(Device::Cpu);
        let root = store.root();
        let linear = |name: &str, from, to| nn::linear(&root / name, from, to, nn::LinearConfig::default());
        let head = Self {
            conv: nn::conv1d(&root / "conv", S + 5, CHANNELS, TAPS, nn::ConvConfig::default()),
            film: linear("film", WIDTH, 2 * CHANNELS),
            patch: linear("patch", WIDTH, P * PATCH_FEATURES),
            hidden: linear("hidden", CHANNELS + PATCH_FEATURES + SUMMARY, HIDDEN),
            out: linear("out", HIDDEN, Q),
            store,
        };
        tch::no_grad(|| {
            for (name, mut variable) in head.store.variables() {
                if name.starts_with("film") || name == "out.weight" {
                    let _ = variable.zero_();
                } else if name == "out.bias" {
                    variable.copy_(&Tensor::from_slice(&NORMAL).to_kind(Kind::Float));
                }
            }
        });
        head
    }

    /// Its variables.
    pub(super) fn store(&self) -> &nn::VarStore {
        &self.store
    }

    /// Its variables, for loading.
    pub(super) fn store_mut(&mut self) -> &mut nn::VarStore {
        &mut self.store
    }

    /// Corrections in units of the window's scale: `[batch, future, levels]`. `dropout` is the
    /// mask of [`dropout_shape`], drawn by the caller so that its seed decides it: libtorch's own
    /// generator is one for the whole process.
    pub(super) fn corrections(&self, features: &Features, dropout: Option<&Tensor>) -> Tensor {
        let size = features.state.size();
        let (b, n) = (size[0], size[1]);
        let steps = self.conv.forward(&features.steps).gelu("none").transpose(1, 2).reshape([b, n, P, CHANNELS]);
        let film = self.film.forward(&features.state).chunk(2, -1);
        let steps: Tensor = steps * (film[0].unsqueeze(2) + 1.0) + film[1].unsqueeze(2);
        let patch = self.patch.forward(&features.state).view([b, n, P, PATCH_FEATURES]);
        let summary = features.summary.view([b, 1, 1, SUMMARY]).expand([b, n, P, SUMMARY], false);
        let joined = Tensor::cat(&[steps, patch, summary], -1);
        let joined = match dropout {
            Some(mask) => joined * mask,
            None => joined,
        };
        self.out.forward(&self.hidden.forward(&joined).gelu("none")).reshape([b, n * P, Q])
    }
}

/// Shape of a dropout mask: whole channels of whole patches, so that a mask is cheap to draw.
pub(super) fn dropout_shape(windows: usize, future: usize) -> [i64; 4] {
    [windows as i64, future as i64 / P, 1, CHANNELS + PATCH_FEATURES + SUMMARY]
}

/// Quantiles in normalised units: `[batch, future, levels]`, not sorted.
pub(super) fn quantiles(batch: &Batch, corrections: &Tensor) -> Tensor {
    batch.bank.narrow(1, batch.context, batch.future).unsqueeze(-1) + batch.scale.view([-1, 1, 1]) * corrections
}

fn rms_norm(x: &Tensor, weight: &Tensor) -> Tensor {
    x * (x.square().mean_dim(-1, true, Kind::Float) + 1e-6).rsqrt() * weight
}

/// Rotary position embedding (Su et al. 2021): cosines and sines, `[patches, WIDTH / HEADS]`.
fn rotary(patches: i64) -> (Tensor, Tensor) {
    let half = WIDTH / HEADS / 2;
    let options = (Kind::Float, Device::Cpu);
    let frequency = (Tensor::arange(half, options) * (-ROTARY_BASE.ln() / half as f64)).exp();
    let angle = Tensor::arange(patches, options).unsqueeze(1) * frequency;
    let angle = Tensor::cat(&[&angle, &angle], -1);
    (angle.cos(), angle.sin())
}

fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    let halves = x.chunk(2, -1);
    let turned = Tensor::cat(&[-&halves[1], halves[0].shallow_clone()], -1);
    x * cos + turned * sin
}
