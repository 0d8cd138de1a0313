//! The causal transformer over patches: one state per patch of a window.
//!
//! Pre-normalised, with rotary positions and gated feed-forward layers; no dropout, since it is
//! trained on far more windows than it has weights.

use tch::nn::{self, Module as _};
use tch::{Device, Kind, Tensor};

use super::super::window::Batch;
use super::{Features, P, S, SUMMARY, Size};

const ROTARY_BASE: f64 = 1000.0;

/// Frozen in fine-tuning, or as far as a recipe says: turns a window into one state per patch.
#[derive(Debug)]
pub(in super::super) struct Backbone {
    store: nn::VarStore,
    pub(in super::super) inner: nn::Linear,
    pub(in super::super) outer: nn::Linear,
    pub(in super::super) skip: nn::Linear,
    pub(in super::super) blocks: Vec<Block>,
    pub(in super::super) norm: Tensor,
    pub(in super::super) size: Size,
}

/// Attention over the tokens so far, then a gated layer for each token.
#[derive(Debug)]
pub(in super::super) struct Block {
    pub(in super::super) before_attention: Tensor,
    pub(in super::super) qkv: nn::Linear,
    pub(in super::super) merge: nn::Linear,
    pub(in super::super) before_feed: Tensor,
    pub(in super::super) gate: nn::Linear,
    pub(in super::super) down: nn::Linear,
    pub(in super::super) heads: i64,
}

impl Backbone {
    /// A backbone with fresh random weights.
    pub(in super::super) fn new(size: Size) -> Self {
        Self::on(Device::Cpu, size)
    }

    /// The same on a device.
    pub(in super::super) fn on(device: Device, size: Size) -> Self {
        let width = size.width;
        let store = nn::VarStore::new(device);
        let root = store.root();
        let token = P * (4 + S) + S + 1 + SUMMARY;
        let linear = |name: &str, from, to| nn::linear(&root / name, from, to, nn::LinearConfig::default());
        Self {
            inner: linear("inner", token, 2 * width),
            outer: linear("outer", 2 * width, width),
            skip: linear("skip", token, width),
            blocks: (0..size.layers).map(|layer| Block::new(size, &(&root / "blocks" / layer))).collect(),
            norm: root.ones("norm", &[width]),
            store,
            size,
        }
    }

    /// Its variables.
    pub(in super::super) fn store(&self) -> &nn::VarStore {
        &self.store
    }

    /// Its variables, for loading.
    pub(in super::super) fn store_mut(&mut self) -> &mut nn::VarStore {
        &mut self.store
    }

    /// A copy that may go its own way.
    pub(in super::super) fn copy(&self) -> Self {
        let mut copy = Self::new(self.size);
        copy.store.copy(&self.store).expect("backbones of one size have one shape");
        copy
    }

    /// What enters the first block: `[batch, patches, width]`.
    pub(in super::super) fn enter(&self, tokens: &Tensor) -> Tensor {
        self.outer.forward(&self.inner.forward(tokens).gelu("none")) + self.skip.forward(tokens)
    }

    /// The states that speak for the future patches of a batch: `[batch, future patches, width]`.
    pub(in super::super) fn states(&self, batch: &Batch) -> Tensor {
        let x = through(&self.blocks, self.size, &self.enter(&tokens(batch)));
        speaking(&x, &self.norm, batch.context, batch.future)
    }

    /// The head's view of a batch.
    pub(in super::super) fn features(&self, batch: &Batch) -> Features {
        Features::around(self.states(batch), batch)
    }
}

/// What a batch is made of, patch by patch: `[batch, patches, numbers of a token]`.
pub(in super::super) fn tokens(batch: &Batch) -> Tensor {
    let size = batch.target.size();
    let (b, t) = (size[0], size[1]);
    let n = t / P;
    let patches = |values: &Tensor| values.view([b, n, P]);
    let has_bank = batch.spread.ge(0.0).to_kind(Kind::Float);
    let bank = &batch.bank * &has_bank;
    let inputs = batch.inputs.view([b, S, n, P]).permute([0, 2, 1, 3]).reshape([b, n, S * P]);
    Tensor::cat(
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
    )
}

/// What leaves the last of some blocks in a row, of what enters the first: `[batch, patches, width]`.
pub(in super::super) fn through(blocks: &[Block], size: Size, x: &Tensor) -> Tensor {
    let (cos, sin) = rotary(size, x.size()[1], x.device());
    blocks.iter().fold(x.shallow_clone(), |x, block| block.forward(&x, &cos, &sin))
}

/// The states that speak for the future patches, of what leaves the last block: `[batch, future patches, width]`.
/// The state after patch i - 1 speaks for patch i: nothing of patch i itself is in it.
pub(in super::super) fn speaking(x: &Tensor, norm: &Tensor, context: i64, future: i64) -> Tensor {
    let (first, count) = (context / P, future / P);
    rms_norm(x, norm).narrow(1, first - 1, count)
}

impl Block {
    /// A block with fresh random weights.
    pub(in super::super) fn new(size: Size, path: &nn::Path<'_>) -> Self {
        let Size { width, heads, feed_forward, .. } = size;
        let config = nn::LinearConfig { bias: false, ..Default::default() };
        let linear = |name: &str, from, to| nn::linear(path / name, from, to, config);
        Self {
            before_attention: path.ones("before_attention", &[width]),
            qkv: linear("qkv", width, 3 * width),
            merge: linear("merge", width, width),
            before_feed: path.ones("before_feed", &[width]),
            gate: linear("gate", width, 2 * feed_forward),
            down: linear("down", feed_forward, width),
            heads,
        }
    }

    /// Its linear layers by their names.
    pub(in super::super) fn layers(&self) -> [(&'static str, &nn::Linear); 4] {
        [("qkv", &self.qkv), ("merge", &self.merge), ("gate", &self.gate), ("down", &self.down)]
    }

    /// The same block with other weights in its linear layers: `weight` is asked in the order of [`Self::layers`].
    pub(in super::super) fn map(&self, weight: impl Fn(usize, &Tensor) -> Tensor) -> Self {
        let linear = |place, layer: &nn::Linear| nn::Linear { ws: weight(place, &layer.ws), bs: None };
        Self {
            before_attention: self.before_attention.shallow_clone(),
            qkv: linear(0, &self.qkv),
            merge: linear(1, &self.merge),
            before_feed: self.before_feed.shallow_clone(),
            gate: linear(2, &self.gate),
            down: linear(3, &self.down),
            heads: self.heads,
        }
    }

    fn forward(&self, x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
        let size = x.size();
        let (b, n, width) = (size[0], size[1], size[2]);
        let qkv = self
            .qkv
            .forward(&rms_norm(x, &self.before_attention))
            .view([b, n, 3, self.heads, width / self.heads])
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
        let x = x + self.merge.forward(&attended.transpose(1, 2).reshape([b, n, width]));
        let gated = self.gate.forward(&rms_norm(&x, &self.before_feed)).chunk(2, -1);
        &x + self.down.forward(&(gated[0].silu() * &gated[1]))
    }
}

fn rms_norm(x: &Tensor, weight: &Tensor) -> Tensor {
    x * (x.square().mean_dim(-1, true, Kind::Float) + 1e-6).rsqrt() * weight
}

/// Rotary position embedding (Su et al. 2021): cosines and sines, `[patches, width / heads]`.
pub(in super::super) fn rotary(size: Size, patches: i64, device: Device) -> (Tensor, Tensor) {
    let half = size.width / size.heads / 2;
    let options = (Kind::Float, device);
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
