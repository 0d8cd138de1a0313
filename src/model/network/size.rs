//! How large a network is.

use serde::{Deserialize, Serialize};

use super::{P, SUMMARY};

/// Dimensions of backbone and head. The default is the small one, which cards without dimensions
/// were written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Size {
    /// Numbers in the state of a patch.
    pub width: i64,
    /// Blocks of attention and feed-forward.
    pub layers: usize,
    /// Attention heads; divides `width` into even parts.
    pub heads: i64,
    /// Numbers inside a feed-forward layer.
    pub feed_forward: i64,
    /// Channels of the head's convolution.
    pub channels: i64,
    /// Numbers that the head reads of a state, for each step of a patch.
    pub patch_features: i64,
    /// Numbers in the head's hidden layer.
    pub hidden: i64,
}

impl Size {
    /// 0.6 million weights.
    pub const SMALL: Self =
        Self { width: 96, layers: 4, heads: 4, feed_forward: 256, channels: 48, patch_features: 24, hidden: 64 };
    /// 1.7 million weights.
    pub const BASE: Self =
        Self { width: 144, layers: 6, heads: 6, feed_forward: 384, channels: 64, patch_features: 32, hidden: 96 };

    /// Whether a network of this size can be made and is not out of all proportion; otherwise the field and
    /// what is wrong with it. The largest has about 13 million weights.
    pub fn check(self) -> Result<(), (&'static str, String)> {
        let layers = i64::try_from(self.layers).unwrap_or(i64::MAX);
        let bounds = [
            ("width", self.width, 16..=256),
            ("layers", layers, 1..=12),
            ("heads", self.heads, 1..=32),
            ("feed_forward", self.feed_forward, 16..=1024),
            ("channels", self.channels, 8..=256),
            ("patch_features", self.patch_features, 8..=256),
            ("hidden", self.hidden, 8..=512),
        ];
        for (field, value, range) in bounds {
            if !range.contains(&value) {
                return Err((field, format!("is {value}; it must be {} to {}", range.start(), range.end())));
            }
        }
        // Rotary embeddings turn pairs of numbers.
        if self.width % (2 * self.heads) != 0 {
            return Err(("heads", format!("does not divide a width of {} into even parts", self.width)));
        }
        Ok(())
    }

    /// Shape of a head's dropout mask: whole channels of whole patches, so that a mask is cheap to draw.
    pub(in super::super) fn dropout_shape(self, windows: usize, future: usize) -> [i64; 4] {
        [windows as i64, future as i64 / P, 1, self.channels + self.patch_features + SUMMARY]
    }
}

impl Default for Size {
    fn default() -> Self {
        Self::SMALL
    }
}

/// A size that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum NamedSize {
    /// 0.6 million weights: the shipped one.
    Small,
    /// 1.7 million weights.
    Base,
}

impl NamedSize {
    /// Its dimensions.
    #[must_use]
    pub fn size(self) -> Size {
        match self {
            Self::Small => Size::SMALL,
            Self::Base => Size::BASE,
        }
    }

    /// The name that a base model of this size has by default.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Base => "base",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_out_of_bounds_is_told_by_its_field() {
        for size in [Size::SMALL, Size::BASE] {
            assert_eq!(size.check(), Ok(()));
        }
        for (size, field) in [
            (Size { width: 1 << 40, ..Size::SMALL }, "width"),
            (Size { width: -96, ..Size::SMALL }, "width"),
            (Size { layers: usize::MAX, ..Size::SMALL }, "layers"),
            (Size { heads: 0, ..Size::SMALL }, "heads"),
            (Size { heads: 5, ..Size::SMALL }, "heads"),
            (Size { heads: 32, ..Size::SMALL }, "heads"),
            (Size { hidden: 513, ..Size::SMALL }, "hidden"),
        ] {
            assert_eq!(size.check().unwrap_err().0, field, "{size:?}");
        }
    }
}
