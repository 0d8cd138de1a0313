//! Compressed bodies: opened while they stay small enough.

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes that are decompressed before other requests get a turn.
const CHUNK: usize = 256 << 10;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Why a body could not be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It would be larger than the limit.
    #[error("the body is larger than the limit when decompressed")]
    TooLarge,
    /// It is damaged, cut short, or compressed otherwise than it says.
    #[error("the body is not what Content-Encoding says, or it is cut short")]
    Damaged,
}

impl Coding {
    /// By the value of Content-Encoding; none if it is not taken.
    #[must_use]
    pub fn of(header: &str) -> Option<Self> {
        match header.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Decompresses a body to at most `limit` bytes.
    pub async fn open(self, body: &[u8], limit: usize) -> Result<Vec<u8>, BodyError> {
        match self {
            Self::Identity if body.len() > limit => Err(BodyError::TooLarge),
            Self::Identity => Ok(body.to_vec()),
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(body);
                decoder.multiple_members(true);
                read(decoder, limit).await
            }
            Self::Zstd => {
                let mut decoder = ZstdDecoder::new(body);
                decoder.multiple_members(true);
                read(decoder, limit).await
            }
        }
    }
}

async fn read(decoder: impl AsyncRead + Unpin, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut open = Vec::new();
    // One byte more than allowed tells whether there is more.
    let mut decoder = decoder.take(limit as u64 + 1);
    loop {
        open.reserve(CHUNK.min(limit + 1 - open.len().min(limit)));
        let read = decoder.read_buf(&mut open).await.map_err(|_| BodyError::Damaged)?;
        if open.len() > limit {
            return Err(BodyError::TooLarge);
        }
        if read == 0 {
            return Ok(open);
        }
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    }

    #[tokio::test]
    async fn what_is_whole_and_small_is_opened() {
        let body = gzip(b"hello");
        assert_eq!(Coding::Gzip.open(&body, 5).await.as_deref(), Ok(&b"hello"[..]));
        assert_eq!(Coding::Gzip.open(&body, 4).await, Err(BodyError::TooLarge));
        let twice = [body.clone(), body].concat();
        assert_eq!(Coding::Gzip.open(&twice, 10).await.as_deref(), Ok(&b"hellohello"[..]));
    }

    #[tokio::test]
    async fn what_is_damaged_is_refused() {
        let body = gzip(&[b'x'; 10_000]);
        for damaged in [&body[..body.len() - 5], b"no gzip at all", &body[1..]] {
            assert_eq!(Coding::Gzip.open(damaged, 1 << 20).await, Err(BodyError::Damaged));
        }
        assert_eq!(Coding::Zstd.open(&body, 1 << 20).await, Err(BodyError::Damaged));
    }

    #[tokio::test]
    async fn a_bomb_stays_small() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert_eq!(Coding::Gzip.open(&bomb, 1 << 20).await, Err(BodyError::TooLarge));
    }
}
