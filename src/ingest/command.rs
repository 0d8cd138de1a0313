//! The role `import`: a file of history from the command line, straight into the database.

use std::path::PathBuf;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Map;
use tokio_util::io::ReaderStream;

use super::import::{ImportError, ImportForm, ImportOptions, ImportSummary, parse_columns, stream};
use super::{CsvOptions, Ingest};
use crate::asset::{Asset, AssetError, Assets, Interval, Key, NewAsset};
use crate::clock::Clock;
use crate::reading::{Readings, instant};
use crate::{db, reading};

/// Import a file of history.
#[derive(Clone, Debug, clap::Args)]
pub struct Command {
    /// CSV with names in its first line, or NDJSON (by its ending: .ndjson, .jsonl).
    pub file: PathBuf,

    /// Key of the asset that the readings belong to.
    #[arg(long, value_name = "KEY")]
    pub asset: String,

    /// Key of its type: makes the asset if there is none.
    #[arg(long = "type", value_name = "KEY")]
    pub asset_type: Option<String>,

    /// Name of the column that holds the instant. Default: `ts`, `observed_at`, `timestamp` or `time`.
    #[arg(long, value_name = "COLUMN", conflicts_with_all = ["start", "interval"])]
    pub time: Option<String>,

    /// Signals of columns, such as uEst:pump,yEst:level; other columns are left out. Default: columns
    /// are named as signals.
    #[arg(long, value_name = "COLUMN:SIGNAL,..")]
    pub columns: Option<String>,

    /// Instant of the first row, for files without a column that holds it.
    #[arg(long, value_name = "INSTANT", requires = "interval")]
    pub start: Option<String>,

    /// Time between rows, such as PT4S.
    #[arg(long, value_name = "DURATION", requires = "start")]
    pub interval: Option<String>,

    /// Read and check everything, store nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl Command {
    fn options(&self) -> Result<ImportOptions, ImportError> {
        let columns = self.columns.as_deref().map(parse_columns).transpose().map_err(ImportError::Option)?;
        let clock = match (&self.start, &self.interval) {
            (Some(start), Some(interval)) => {
                let start =
                    instant::from_text(start).map_err(|error| ImportError::Option(format!("--start: {error}")))?;
                let interval: Result<Interval, _> = interval.parse();
                let interval = interval.map_err(|error| ImportError::Option(format!("--interval {error}")))?;
                Some((start.timestamp_micros(), interval.micros()))
            }
            _ => None,
        };
        let lines = self.file.extension().is_some_and(|ending| ending == "ndjson" || ending == "jsonl");
        let form = if lines { ImportForm::Lines } else { ImportForm::Csv };
        let csv = CsvOptions { time: self.time.clone(), columns, clock };
        Ok(ImportOptions { form, dry_run: self.dry_run, csv })
    }
}

/// The role `import`: opens the database, imports the file, shows its progress on a terminal.
pub async fn run(
    command: &Command,
    db: &db::Config,
    reading: &reading::Config,
    ingest: &super::Config,
) -> Result<ImportSummary, ImportError> {
    let options = command.options()?;
    let file = tokio::fs::File::open(&command.file).await.map_err(|error| ImportError::Read(error.into()))?;
    let length = file.metadata().await.map_err(|error| ImportError::Read(error.into()))?.len();
    let database = db::open(db).await?;
    let clock = Clock::system();
    let assets = Assets::new(database.pool.clone(), clock.clone());
    let outcome = async {
        let asset = find_or_make(&assets, command).await?;
        let readings = Readings::new(database.pool.clone(), clock.clone(), reading);
        let ingest = Ingest::new(assets.clone(), readings, clock, ingest, None);
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg} {eta}") {
            bar.set_style(style);
        }
        let source = ReaderStream::with_capacity(file, 256 << 10);
        let summary = stream(&ingest, Some(asset), &options, source, |summary| {
            bar.set_position(summary.bytes);
            bar.set_message(format!("{} readings", summary.receipt.received));
        })
        .await;
        bar.finish_and_clear();
        summary
    }
    .await;
    database.close().await;
    outcome
}

async fn find_or_make(assets: &Assets, command: &Command) -> Result<Arc<Asset>, ImportError> {
    match assets.find(&command.asset).await {
        Err(AssetError::NotFound(key)) => {
            let Some(asset_type) = &command.asset_type else { return Err(ImportError::NoAsset(key)) };
            let parse =
                |text: &str| text.parse::<Key>().map_err(|error| ImportError::Option(format!("{text} {error}")));
            let (key, asset_type) = (parse(&key)?, parse(asset_type)?);
            assets.create(NewAsset { key, asset_type, type_version: None, name: None, attributes: Map::new() }).await?;
            Ok(assets.find(&command.asset).await?)
        }
        other => Ok(other?),
    }
}
