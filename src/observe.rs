//! Logs and metrics: set up here and nowhere else.
//!
//! Logs go to standard error, so that standard output stays free for answers of commands. Field
//! names are dotted and carry their unit (`asset.id`, `took_ms`). *error*: someone must look;
//! *warn*: degraded and recovered; *info*: what the system does.

use std::fmt::Debug;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

// What rooms count with; where the crate lives is decided here.
pub use prometheus_client::encoding::EncodeLabelSet;
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// How the server speaks about itself.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Which log lines are written: a level (error, warn, info, debug, trace), or levels by module
    /// such as `warn,counterpart=debug`.
    #[arg(long, env = "COUNTERPART_OBSERVE_LOG", default_value = "info", value_name = "FILTER", value_parser = filter)]
    pub log: String,

    /// How log lines are written.
    #[arg(long, env = "COUNTERPART_OBSERVE_LOG_FORMAT", default_value = "text")]
    pub log_format: Format,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line, for machines.
    Json,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The filter cannot be read.
    #[error("the log filter cannot be read")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// It was set up before.
    #[error("logging was set up twice")]
    Twice(#[from] TryInitError),
}

/// Starts logging. Once per process.
pub fn init(config: &Config) -> Result<(), ObserveError> {
    let registry = tracing_subscriber::registry().with(EnvFilter::try_new(&config.log)?);
    match config.log_format {
        Format::Text => {
            // Colours are for a terminal, not for a file.
            let colours = std::io::stderr().is_terminal();
            let text = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(std::io::stderr);
            registry.with(text).try_init()?;
        }
        Format::Json => {
            let json = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            registry.with(json).try_init()?;
        }
    }
    Ok(())
}

/// The metrics of one server. Rooms register theirs when they are built and keep their own handles.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Default for Metrics {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Registry::with_prefix("counterpart"))))
    }
}

impl Metrics {
    /// Registers a metric and gives it back. Names are given without the prefix `counterpart_`;
    /// `help` is a phrase without a period.
    pub fn register<M: Metric + Clone + Debug>(&self, name: &str, help: &str, metric: M) -> M {
        self.lock().register(name, help, metric.clone());
        metric
    }

    /// All of them in the text format of `OpenMetrics`.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.lock()).expect("a String takes whatever is written");
        text
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn filter(text: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_registered_metric_is_shown() {
        let metrics = Metrics::default();
        let counter: Counter = metrics.register("frames", "Frames stored", Counter::default());
        counter.inc_by(3);
        assert!(metrics.encode().contains("counterpart_frames_total 3"), "{}", metrics.encode());
    }
}
