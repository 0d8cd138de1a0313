//! History in files: chunk by chunk through the same accept and batcher as everything else.
//!
//! Idempotent, so an import that broke off is repeated from the start. A broken row is counted and
//! refused by itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use serde::Serialize;

use super::accept::{Part, accept};
use super::item::{Parsed, Refusal};
use super::text::Header;
use super::{CsvOptions, Ingest, IngestError, Receipt, json};
use crate::asset::{Asset, AssetError};
use crate::db;
use crate::reading::instant;

/// Bytes of one chunk; a chunk is one request to the batcher.
const CHUNK: usize = 1 << 20;
/// Longest row or line.
const MAX_ROW: usize = 16 << 20;
/// Longest import over HTTP.
const MAX_IMPORT: u64 = 1 << 30;
/// A source that brings nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// The format of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportForm {
    /// CSV with names in its first line.
    Csv,
    /// NDJSON.
    Lines,
}

/// How history is to be taken.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Its format.
    pub form: ImportForm,
    /// Store nothing.
    pub dry_run: bool,
    /// How CSV is to be read.
    pub csv: CsvOptions,
}

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ImportSummary {
    /// Whether nothing was to be stored.
    pub dry_run: bool,
    /// Bytes that were read.
    pub bytes: u64,
    /// Frames that fitted.
    pub frames: u64,
    /// Instant of the oldest of them.
    pub from: Option<String>,
    /// Instant of the newest of them.
    pub to: Option<String>,
    /// What became of the readings. In a dry run those that could be stored are only `received`.
    #[serde(flatten)]
    pub receipt: Receipt,
    #[serde(skip)]
    range: Option<(i64, i64)>,
}

/// Why an import ended early. What was stored before stays; repeating it changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The readings were not taken.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The source could not be read.
    #[error("the source cannot be read")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The source stopped.
    #[error("the source said nothing for {} seconds", SILENCE.as_secs())]
    Silent,
    /// More than an import may bring.
    #[error("an import has at most 1 GiB, and a row at most 16 MiB")]
    TooLarge,
    /// The database cannot be had.
    #[error(transparent)]
    Db(#[from] db::DbError),
    /// The asset cannot be had or made.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The asset is not there, and no type was named.
    #[error("there is no asset {0}; name its --type to make it")]
    NoAsset(String),
    /// An option makes no sense.
    #[error("{0}")]
    Option(String),
}

impl From<Refusal> for ImportError {
    fn from(refusal: Refusal) -> Self {
        Self::Ingest(refusal.into())
    }
}

/// Reads `column:signal,column:signal`.
pub fn parse_columns(text: &str) -> Result<HashMap<String, String>, String> {
    text.split(',')
        .map(|pair| {
            let (column, signal) = pair.split_once(':').unwrap_or((pair, pair));
            let (column, signal) = (column.trim(), signal.trim());
            if column.is_empty() || signal.is_empty() {
                return Err("write column:signal,column:signal".to_owned());
            }
            Ok((column.to_owned(), signal.to_owned()))
        })
        .collect()
}

/// Imports a stream of bytes; `progress` is told after each chunk.
pub async fn stream<E>(
    ingest: &Ingest,
    scope: Option<Arc<Asset>>,
    options: &ImportOptions,
    source: impl Stream<Item = Result<Bytes, E>>,
    mut progress: impl FnMut(&ImportSummary),
) -> Result<ImportSummary, ImportError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut source = std::pin::pin!(source);
    let mut chunks = Chunks { quotes: options.form == ImportForm::Csv, ..Chunks::default() };
    let mut importing = Importing { ingest, scope, options, header: None, rows: 0, summary: ImportSummary::default() };
    importing.summary.dry_run = options.dry_run;
    while let Some(bytes) = tokio::time::timeout(SILENCE, source.next()).await.map_err(|_| ImportError::Silent)? {
        let bytes = bytes.map_err(|error| ImportError::Read(error.into()))?;
        importing.summary.bytes += bytes.len() as u64;
        if importing.summary.bytes > MAX_IMPORT {
            return Err(ImportError::TooLarge);
        }
        if let Some(chunk) = chunks.push(&bytes)? {
            importing.chunk(&chunk).await?;
            progress(&importing.summary);
        }
    }
    importing.chunk(&chunks.rest()).await?;
    progress(&importing.summary);
    let mut summary = importing.summary;
    let shown = |at: i64| instant::text(instant::instant(at));
    summary.from = summary.range.map(|(from, _)| shown(from));
    summary.to = summary.range.map(|(_, to)| shown(to));
    Ok(summary)
}

/// Cuts a stream where rows end.
#[derive(Default)]
struct Chunks {
    buffer: BytesMut,
    /// Bytes of the buffer that were looked at.
    seen: usize,
    /// End of the last whole row among them.
    end: usize,
    /// Whether quotes may hold line ends: in CSV.
    quotes: bool,
    inside: bool,
}

impl Chunks {
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Bytes>, ImportError> {
        self.buffer.extend_from_slice(bytes);
        for (place, byte) in self.buffer.iter().enumerate().skip(self.seen) {
            match byte {
                b'"' if self.quotes => self.inside = !self.inside,
                b'\n' if !self.inside => self.end = place + 1,
                _ => {}
            }
        }
        self.seen = self.buffer.len();
        if self.buffer.len() < CHUNK {
            return Ok(None);
        }
        if self.end == 0 {
            return if self.buffer.len() > MAX_ROW { Err(ImportError::TooLarge) } else { Ok(None) };
        }
        let chunk = self.buffer.split_to(self.end).freeze();
        self.seen -= self.end;
        self.end = 0;
        Ok(Some(chunk))
    }

    fn rest(self) -> Bytes {
        self.buffer.freeze()
    }
}

struct Importing<'i> {
    ingest: &'i Ingest,
    scope: Option<Arc<Asset>>,
    options: &'i ImportOptions,
    header: Option<Header>,
    /// Rows or lines before the present chunk.
    rows: usize,
    summary: ImportSummary,
}

impl Importing<'_> {
    async fn chunk(&mut self, chunk: &[u8]) -> Result<(), ImportError> {
        match self.options.form {
            ImportForm::Lines => {
                let first = self.rows;
                self.rows += chunk.split(|byte| *byte == b'\n').count() - 1;
                let parsed = json::lines(chunk, first, usize::MAX)?;
                self.store(&parsed, chunk.len()).await
            }
            ImportForm::Csv => {
                let mut rows = chunk;
                let header = match self.header.take() {
                    Some(header) => header,
                    None => {
                        let header = Header::read(chunk, &self.options.csv, self.scope.is_some())?;
                        rows = &chunk[header.length..];
                        header
                    }
                };
                let (parsed, read) = header.rows(rows, self.rows, usize::MAX)?;
                self.rows += read;
                let stored = self.store(&parsed, chunk.len()).await;
                drop(parsed);
                self.header = Some(header);
                stored
            }
        }
    }

    async fn store(&mut self, parsed: &Parsed<'_>, bytes: usize) -> Result<(), ImportError> {
        // The chunk, its items and its frames.
        let mut hold = self.ingest.admit_patiently(bytes * 4).await?;
        let known = self.ingest.known(parsed, self.scope.clone()).await?;
        let now = self.ingest.clock.now().timestamp_micros();
        let (parts, mut receipt) = accept(parsed, &known, self.ingest.readings.window(), now);
        for block in parts.iter().map(|part| &part.block) {
            self.summary.frames += block.len() as u64;
            let range = block.instants().first().copied().zip(block.last());
            self.summary.range = match (self.summary.range, range) {
                (Some((from, to)), Some((first, last))) => Some((from.min(first), to.max(last))),
                (before, now) => before.or(now),
            };
        }
        if self.options.dry_run {
            receipt.received += parts.iter().map(Part::received).sum::<u64>();
        } else if !parts.is_empty() {
            self.ingest.commit(parts, false, &mut receipt, &mut hold).await?;
        }
        self.summary.receipt.add(receipt);
        Ok(())
    }
}

impl fmt::Display for ImportSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let receipt = &self.receipt;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => writeln!(f, "{} frames from {from} to {to}", self.frames)?,
            _ => writeln!(f, "no frames")?,
        }
        writeln!(
            f,
            "{} readings: {} stored, {} updated, {} duplicates, {} late, {} rejected",
            receipt.received, receipt.stored, receipt.updated, receipt.duplicates, receipt.late, receipt.rejected
        )?;
        for error in receipt.errors.iter().take(5) {
            writeln!(f, "  {}: {}", error.pointer, error.detail)?;
        }
        if receipt.errors_total > 5 {
            writeln!(f, "  and {} errors more", receipt.errors_total - 5)?;
        }
        if self.dry_run { writeln!(f, "dry run: nothing was stored") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_end_where_rows_end_and_lose_nothing(rows in proptest::collection::vec("[a-z]{0,9}|\"[a-z\n]{0,9}\"", 1..50), cut in 1_usize..20) {
            let text = rows.join("\n").into_bytes();
            let mut chunks = Chunks { quotes: true, ..Chunks::default() };
            let mut joined = Vec::new();
            for bytes in text.chunks(cut) {
                if let Some(chunk) = chunks.push(bytes).unwrap() {
                    joined.extend_from_slice(&chunk);
                }
            }
            joined.extend_from_slice(&chunks.rest());
            prop_assert_eq!(joined, text);
        }
    }

    #[test]
    fn a_row_is_never_torn() {
        let row = format!("\"{}\n\",1\n", "x".repeat(1000));
        let mut chunks = Chunks { quotes: true, ..Chunks::default() };
        let mut whole = 0;
        for bytes in row.repeat(3000).as_bytes().chunks(777) {
            if let Some(chunk) = chunks.push(bytes).expect("not too large") {
                assert_eq!(chunk.len() % row.len(), 0);
                whole += chunk.len() / row.len();
            }
        }
        assert_eq!(whole + chunks.rest().len() / row.len(), 3000);
        assert!(whole > 0);
    }

    #[test]
    fn columns_are_pairs() {
        assert_eq!(parse_columns("uEst:pump, y").map(|map| map["uEst"].clone() + &map["y"]), Ok("pumpy".to_owned()));
        assert!(parse_columns("a:").is_err() && parse_columns("").is_err());
    }
}
