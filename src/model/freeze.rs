//! What of the network learns in a fine-tune job, and what stays as it is in the base model.

use serde::{Deserialize, Serialize};

/// What of the network learns an asset. A policy is named for what learns; everything else is frozen, and stays as it
/// is in the base model bit for bit. The less learns, the cheaper are a step and the version, and the less can be
/// forgotten. Optimiser, learning rate, L2, L2-SP (toward the base model's weights), gradient clip and early stopping
/// are the same for all that learns; L1 and dropout concern head and decoder alone, as a backbone with weights of zero
/// saves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FreezePolicy)]
pub enum Freeze {
    /// The last layer alone (linear probing, Kumar et al. 2022): for a quantile loss a convex problem. What it reads is
    /// computed once per window and step ahead, so that a step of learning is very cheap. It makes other use of what the
    /// network sees, and sees nothing new.
    Head,
    /// The head, and the decoder before it: the convolution over the raw steps, what of the backbone's states scales and
    /// joins it, and the hidden layer. The states are computed once per window.
    #[default]
    Decoder,
    /// Head and decoder, and the backbone's last block with the norm after it (the first stage of gradual unfreezing,
    /// Howard and Ruder 2018). What enters that block is computed once per window. The version carries the block.
    LastBlock,
    /// Head and decoder, and a low-rank change of the linear layers of attention and feed-forward in every block (`LoRA`,
    /// Hu et al. 2021): `W + (alpha / r) B A` of rank r = 4 with alpha = r. B begins at zero, so that learning begins at
    /// the base model. Every step runs the whole network. The version carries A and B.
    Adapters,
    /// Head, decoder and the whole backbone. Every step runs the whole network, and the version carries it.
    All,
}

impl Freeze {
    /// How many kinds of what is computed once per window there are.
    pub(super) const KINDS: usize = 4;

    /// Whether the backbone stays as it is.
    pub(super) fn keeps_backbone(self) -> bool {
        matches!(self, Self::Head | Self::Decoder)
    }

    /// Which of them it needs.
    pub(super) fn kind(self) -> usize {
        match self {
            Self::Head | Self::Decoder => 0,
            Self::LastBlock => 1,
            Self::Adapters => 2,
            Self::All => 3,
        }
    }
}
