//! The network laid out for answering: the numbers of `network/` in fewer operations.
//!
//! A window takes some 40 million multiplications; for a lone one, dispatching many small operations
//! costs about as much as they do. So here: tokens and steps are laid out in plain Rust; weights of
//! layers that read the same rows are joined, and what is linear after another linear layer is
//! multiplied out once (gains of norms, patch features into the hidden layer); the convolution is a
//! product over steps laid side by side; rotary positions are one complex product from a table that
//! is made once; nothing is computed that no answer depends on (the last token, and all but the
//! future's tokens in the last block); scale, bank and order of the quantiles are applied in plain
//! Rust. A test holds it to the network within 1e-4 of a deviation.

use std::cell::RefCell;
use std::collections::HashMap;

use tch::{Device, Kind, Tensor};

use super::dense::{Arithmetic, Dense};
use super::network::{self, LEVELS, P, SUMMARY, Size, TAPS};
use super::sheet::{ROWS, Sheet, TOKEN};

/// The backbone, laid out.
#[derive(Debug)]
pub(super) struct Backbone {
    /// The inner layer and the path around it.
    entry: Dense,
    outer: Dense,
    blocks: Vec<Block>,
    size: Size,
    tables: RefCell<HashMap<(i64, i64), Table>>,
}

#[derive(Debug)]
struct Block {
    qkv: Dense,
    merge: Dense,
    gate: Dense,
    down: Dense,
    size: Size,
}

/// What depends on the shape alone.
#[derive(Debug)]
struct Table {
    /// `[tokens, 1, width / heads / 2]`: the turn of each position.
    turn: Tensor,
    /// `[future tokens, tokens]`: what may be looked at in the last block.
    mask: Tensor,
}

/// A head, laid out.
#[derive(Debug)]
pub(super) struct Head {
    conv: Dense,
    film: Dense,
    /// From the state to the hidden layer of all steps of a patch.
    patch: Dense,
    summary: Dense,
    hidden: Dense,
    out: Dense,
    size: Size,
}

impl Backbone {
    /// Lays a backbone out.
    pub(super) fn new(backbone: &network::Backbone, arithmetic: Arithmetic) -> Self {
        tch::no_grad(|| {
            let dense = |weight: &Tensor, bias: Option<&Tensor>| Dense::new(arithmetic, weight, bias);
            let bias = |layer: &tch::nn::Linear| layer.bs.as_ref().map(Tensor::shallow_clone).expect("it has a bias");
            let (inner, outer, skip) = (&backbone.inner, &backbone.outer, &backbone.skip);
            Self {
                entry: dense(
                    &Tensor::cat(&[&inner.ws, &skip.ws], 0),
                    Some(&Tensor::cat(&[bias(inner), bias(skip) + bias(outer)], 0)),
                ),
                outer: dense(&outer.ws, None),
                blocks: backbone.blocks.iter().map(|block| Block::new(block, backbone.size, arithmetic)).collect(),
                size: backbone.size,
                tables: RefCell::default(),
            }
        })
    }

    /// States that speak for the patches of the future: `[windows x future tokens, width]`, of
    /// deviation 1 (the gain of the last norm is the head's).
    fn states(&self, sheet: &Sheet) -> Tensor {
        let (b, n, c) = (sheet.windows, sheet.tokens, sheet.future / P);
        let width = self.size.width;
        let mut tables = self.tables.borrow_mut();
        let table = tables.entry((n, c)).or_insert_with(|| Table::new(self.size, n, c));
        let entry = self.entry.forward(&Tensor::from_slice(&sheet.token).view([b * n, TOKEN as i64]));
        let inner = entry.narrow(1, 0, 2 * width).gelu("none");
        let mut x = self.outer.add_to(&entry.narrow(1, 2 * width, width), &inner);
        let (last, first) = self.blocks.split_last().expect("there are blocks");
        for block in first {
            x = block.forward(&x, b, n, n, table);
        }
        unit(&last.forward(&x, b, n, c, table))
    }
}

impl Block {
    fn new(block: &network::Block, size: Size, arithmetic: Arithmetic) -> Self {
        let (width, part) = (size.width, size.width / size.heads);
        let dense = |weight: &Tensor| Dense::new(arithmetic, weight, None);
        // Each pair that a position turns lies side by side, as a complex number does.
        let half = part / 2;
        let pairs: Vec<i64> = (0..part).map(|place| place / 2 + half * (place % 2)).collect();
        let order: Vec<i64> = (0..3 * width)
            .map(|row| if row < 2 * width { row / part * part + pairs[(row % part) as usize] } else { row })
            .collect();
        Self {
            qkv: dense(&(&block.qkv.ws * &block.before_attention).index_select(0, &Tensor::from_slice(&order))),
            merge: dense(&block.merge.ws),
            gate: dense(&(&block.gate.ws * &block.before_feed)),
            down: dense(&block.down.ws),
            size,
        }
    }

    /// The last `kept` tokens of `n` after the block.
    fn forward(&self, x: &Tensor, b: i64, n: i64, kept: i64, table: &Table) -> Tensor {
        let Size { width, heads, feed_forward, .. } = self.size;
        let part = width / heads;
        let qkv = self.qkv.forward(&unit(x));
        let turned =
            qkv.narrow(1, 0, 2 * width).reshape([b, n, 2 * heads, part / 2, 2]).view_as_complex() * &table.turn;
        let turned = turned.view_as_real().view([b, n, 2, heads, part]).permute([2, 0, 3, 1, 4]);
        let (q, k) = (turned.get(0), turned.get(1));
        let v = qkv.narrow(1, 2 * width, width).view([b, n, heads, part]).transpose(1, 2);
        let all = kept == n;
        let (q, mask) = if all { (q, None) } else { (q.narrow(2, n - kept, kept), Some(&table.mask)) };
        let attended = Tensor::scaled_dot_product_attention(&q, &k, &v, mask, 0.0, all, None, false);
        let rows = attended.transpose(1, 2).reshape([b * kept, width]);
        let x =
            if all { x.shallow_clone() } else { x.view([b, n, width]).narrow(1, n - kept, kept).reshape([-1, width]) };
        let x = self.merge.add_to(&x, &rows);
        let gate = self.gate.forward(&unit(&x));
        let gated = gate.narrow(1, 0, feed_forward).silu() * gate.narrow(1, feed_forward, feed_forward);
        self.down.add_to(&x, &gated)
    }
}

impl Table {
    fn new(size: Size, tokens: i64, kept: i64) -> Self {
        let (cos, sin) = network::rotary(size, tokens, Device::Cpu);
        let half = |values: &Tensor| values.narrow(1, 0, size.width / size.heads / 2).contiguous();
        let from = Tensor::ones([kept, tokens], (Kind::Bool, Device::Cpu)).tril(tokens - kept);
        let closed = Tensor::zeros([kept, tokens], (Kind::Float, Device::Cpu));
        Self {
            turn: Tensor::complex(&half(&cos), &half(&sin)).unsqueeze(1),
            mask: closed.masked_fill(&from.logical_not(), f64::NEG_INFINITY),
        }
    }
}

impl Head {
    /// Lays a head out for a backbone whose last norm has the gain of `backbone`.
    pub(super) fn new(head: &network::Head, backbone: &network::Backbone, arithmetic: Arithmetic) -> Self {
        tch::no_grad(|| {
            let size = head.size();
            let Size { width, channels, patch_features, hidden, .. } = size;
            let dense = |weight: &Tensor, bias: Option<&Tensor>| Dense::new(arithmetic, weight, bias);
            let bias = |layer: &tch::nn::Linear| layer.bs.as_ref().map(Tensor::shallow_clone).expect("it has a bias");
            // The factor is 1 + what film says.
            let one = Tensor::cat(
                &[
                    Tensor::ones([channels], (Kind::Float, Device::Cpu)),
                    Tensor::zeros([channels], (Kind::Float, Device::Cpu)),
                ],
                0,
            );
            let of = |from: i64, count: i64| head.hidden.ws.narrow(1, from, count);
            let by_patch = of(channels, patch_features);
            let patch = by_patch.matmul(&head.patch.ws.view([P, patch_features, width])).reshape([P * hidden, width]);
            let patch_bias = bias(&head.patch).view([P, patch_features]).matmul(&by_patch.transpose(0, 1));
            Self {
                conv: dense(
                    &head.conv.ws.transpose(1, 2).reshape([channels, TAPS * ROWS as i64]),
                    head.conv.bs.as_ref(),
                ),
                film: dense(&(&head.film.ws * &backbone.norm), Some(&(bias(&head.film) + one))),
                patch: dense(&(patch * &backbone.norm), Some(&(patch_bias + bias(&head.hidden)).reshape([-1]))),
                summary: dense(&of(channels + patch_features, SUMMARY), None),
                hidden: dense(&of(0, channels), None),
                out: dense(&head.out.ws, Some(&bias(&head.out))),
                size,
            }
        })
    }

    /// Corrections in units of the window's scale: `[windows x future, levels]`.
    fn corrections(&self, states: &Tensor, sheet: &Sheet) -> Tensor {
        let (b, c) = (sheet.windows, sheet.future / P);
        let Size { channels, hidden: inside, .. } = self.size;
        let steps = Tensor::from_slice(&sheet.steps).view([b * sheet.future, TAPS * ROWS as i64]);
        let steps = self.conv.forward(&steps).gelu("none").view([b * c, P, channels]);
        let film = self.film.forward(states).unsqueeze(1);
        let steps = film.narrow(2, channels, channels).addcmul(&steps, &film.narrow(2, 0, channels));
        let summary = self.summary.forward(&Tensor::from_slice(&sheet.summary).view([b, SUMMARY]));
        let patch = self.patch.forward(states).view([b, sheet.future, inside]) + summary.unsqueeze(1);
        let hidden = self.hidden.add_to(&patch.view([b * sheet.future, inside]), &steps.view([-1, channels]));
        self.out.forward(&hidden.gelu("none"))
    }
}

/// Corrections of a sheet in units of each window's scale, `windows x future x` [`LEVELS`] numbers;
/// `None` when they cannot be had.
pub(super) fn corrections(backbone: &Backbone, head: &Head, sheet: &Sheet) -> Option<Vec<f32>> {
    tch::no_grad(|| {
        let answer = head.corrections(&backbone.states(sheet), sheet);
        debug_assert_eq!(answer.size(), [sheet.windows * sheet.future, LEVELS.len() as i64]);
        Vec::<f32>::try_from(answer.reshape(-1)).ok()
    })
}

/// Rows brought to a mean square of 1.
fn unit(x: &Tensor) -> Tensor {
    x * (x.square().mean_dim(-1, true, Kind::Float) + 1e-6).rsqrt()
}
