//! Linear layers for answering, in the arithmetics that libtorch offers for them.
//!
//! `tests/bench/forward.rs` compares them; [`Arithmetic::SERVING`] is the one that answers.

use tch::{Kind, Tensor};

/// How products of a linear layer are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// 32-bit floats through the BLAS that libtorch brings.
    Single,
    /// 32-bit floats through oneDNN, weights packed once in the order that its kernels read. The
    /// only packed product within reach is a convolution, and bringing rows into its shape costs
    /// more than it saves.
    Packed,
    /// 16-bit brain floats, sums in 32 bits; needs AVX-512 BF16 to be fast.
    Brain,
}

impl Arithmetic {
    /// What serves. Brain floats are a quarter faster on full batches, and slower on one window; as
    /// they round otherwise, choosing by the size of a batch would let an answer depend on its
    /// company.
    pub const SERVING: Self = Self::Single;
}

/// A linear layer whose weights are laid out once.
#[derive(Debug)]
pub(super) struct Dense {
    arithmetic: Arithmetic,
    /// `[in, out]` (single, brain), or oneDNN's own layout of a 1 x 1 convolution.
    weight: Tensor,
    bias: Option<Tensor>,
    outputs: i64,
}

impl Dense {
    /// Of weights `[out, in]` and a bias `[out]`, if there is one.
    pub(super) fn new(arithmetic: Arithmetic, weight: &Tensor, bias: Option<&Tensor>) -> Self {
        let size = weight.size();
        let (outputs, inputs) = (size[0], size[1]);
        let laid_out = match arithmetic {
            Arithmetic::Single => weight.transpose(0, 1).contiguous(),
            Arithmetic::Packed => weight
                .contiguous()
                .view([outputs, inputs, 1, 1])
                .g_to_mkldnn(None)
                .mkldnn_reorder_conv2d_weight([0, 0], [1, 1], [1, 1], 1, None::<&[i64]>),
            Arithmetic::Brain => weight.transpose(0, 1).contiguous().to_kind(Kind::BFloat16),
        };
        let bias = bias.map(|bias| match arithmetic {
            Arithmetic::Brain => bias.to_kind(Kind::BFloat16),
            _ => bias.contiguous(),
        });
        Self { arithmetic, weight: laid_out, bias, outputs }
    }

    /// `[rows, in]` to `[rows, out]`.
    pub(super) fn forward(&self, rows: &Tensor) -> Tensor {
        match self.arithmetic {
            Arithmetic::Single => match &self.bias {
                Some(bias) => bias.addmm(rows, &self.weight),
                None => rows.mm(&self.weight),
            },
            Arithmetic::Packed => {
                let size = rows.size();
                // Rows are the pixels of one picture whose channels lie side by side.
                let picture = rows.view([1, size[0], 1, size[1]]).permute([0, 3, 1, 2]);
                let answer = picture.mkldnn_convolution(&self.weight, self.bias.as_ref(), [0, 0], [1, 1], [1, 1], 1);
                answer.permute([0, 2, 3, 1]).reshape([size[0], self.outputs]).contiguous()
            }
            Arithmetic::Brain => {
                let rows = rows.to_kind(Kind::BFloat16);
                let answer = match &self.bias {
                    Some(bias) => bias.addmm(&rows, &self.weight),
                    None => rows.mm(&self.weight),
                };
                answer.to_kind(Kind::Float)
            }
        }
    }

    /// `[rows, in]` to `[rows, out]`, added to `before`.
    pub(super) fn add_to(&self, before: &Tensor, rows: &Tensor) -> Tensor {
        match (self.arithmetic, &self.bias) {
            (Arithmetic::Single, None) => before.addmm(rows, &self.weight),
            _ => self.forward(rows) + before,
        }
    }
}
