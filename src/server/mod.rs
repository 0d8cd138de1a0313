//! The server: rooms become one router with its layers, and the router is served until the end.
//!
//! Every answer that is not a success is a problem document, wherever it arose. Other machines reach
//! it only when there are keys, or `--insecure` says that there need be none. The end takes
//! at most ten seconds: live streams end at once, requests in work are finished.

mod docs;
mod gate;
mod guard;
mod layers;
mod learning;
mod listen;
mod pages;
mod rights;
mod rooms;
mod run;
mod stream;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::access::{self, Access};
use crate::web::idempotency::{self, Kept};
use crate::{
    alarm, asset, backtest, dashboard, event, forecast, ingest, model, reading, scenario, training, twin, webhook,
};

pub use listen::serve;
pub use rooms::{Rooms, RoomsConfig};
pub use run::{build, child, demo, run, work};

/// Longest end, from the signal to the last byte.
pub const END: Duration = Duration::from_secs(10);

/// Where and how the server listens.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Address and port to listen on. Port 0 takes any free one.
    #[arg(long, env = "COUNTERPART_SERVER_BIND", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub bind: SocketAddr,

    /// Listen on an address that other machines can reach although there is no key: whoever reaches
    /// it can read and change everything, until there is a key of an admin.
    #[arg(long, env = "COUNTERPART_SERVER_INSECURE")]
    pub insecure: bool,

    /// Host names under which this server is reached through a proxy, separated by commas.
    /// localhost and addresses of this machine are always known; with --insecure all names are.
    #[arg(long = "hosts", env = "COUNTERPART_SERVER_HOSTS", value_delimiter = ',', value_name = "NAMES")]
    pub hosts: Vec<String>,

    /// Seconds that a request may take, live streams excepted.
    #[arg(long, env = "COUNTERPART_SERVER_REQUEST_TIMEOUT_S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub request_timeout_s: u64,

    /// Seconds in which a request's body must have arrived.
    #[arg(long, env = "COUNTERPART_SERVER_BODY_TIMEOUT_S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub body_timeout_s: u64,

    /// Connections at a time; more wait until one ends.
    #[arg(long, env = "COUNTERPART_SERVER_MAX_CONNECTIONS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_connections: u32,

    /// What was set by flags, as the environment variables that say the same: for the process that learns.
    #[arg(skip)]
    pub flags: Vec<(OsString, OsString)>,
}

impl Config {
    /// Whether other machines reach the server and nobody said that this may be without keys.
    pub(crate) fn is_exposed(&self) -> bool {
        !self.bind.ip().is_loopback() && !self.insecure
    }
}

impl Default for Config {
    /// As without any setting, but on any free port.
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            insecure: false,
            hosts: Vec::new(),
            request_timeout_s: 30,
            body_timeout_s: 10,
            max_connections: 4096,
            flags: Vec::new(),
        }
    }
}

/// The server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Other machines could reach the address, and there is no key.
    #[error(
        "{0} can be reached from other machines, and there is no key; one of these helps:\n  \
         counterpart key create --name NAME --role admin (with the same DATABASE_URL or --data-dir)\n  \
         --bind 127.0.0.1:{port} (this machine only)\n  \
         --insecure (whoever reaches it may read and change everything)",
        port = .0.port()
    )]
    Exposed(SocketAddr),
    /// Whether there is a key cannot be known.
    #[error("the keys cannot be read")]
    Keys(#[from] access::AccessError),
    /// The address cannot be had.
    #[error("cannot listen on {address}; choose another one with --bind")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// Refuses to serve other machines when there is no key that can be used.
pub async fn guarded(config: &Config, access: &Access) -> Result<(), ServerError> {
    if access.has_active().await? || !config.is_exposed() { Ok(()) } else { Err(ServerError::Exposed(config.bind)) }
}

/// Takes the address.
pub async fn bind(config: &Config) -> Result<TcpListener, ServerError> {
    let address = config.bind;
    TcpListener::bind(address).await.map_err(|source| ServerError::Bind { address, source })
}

/// All doors with all layers.
pub fn router(rooms: &Rooms, config: &Config) -> Router {
    let (router, mut api) = doors(rooms).split_for_parts();
    let (patient, more) = patient_doors(rooms).split_for_parts();
    api.merge(more);
    let router = router
        .merge(pages::router(rooms.clone()))
        .merge(docs::router(&docs::complete(api)))
        .merge(dashboard::router())
        .fallback(pages::not_found)
        .method_not_allowed_fallback(pages::method_not_allowed);
    layers::around(router, patient, rooms, config)
}

/// The description of the API.
#[must_use]
pub fn openapi(rooms: &Rooms) -> OpenApi {
    docs::complete(doors(rooms).merge(patient_doors(rooms)).into_openapi())
}

/// The doors of the rooms: a new room is added here, and to `creating` if it makes what a repeated request
/// would make twice.
fn doors(rooms: &Rooms) -> OpenApiRouter {
    let kept = Kept::new(rooms.db.clone(), rooms.clock.clone());
    let creating = OpenApiRouter::default()
        .merge(asset::router(rooms.assets.clone()))
        .merge(event::routes::router(rooms.events.clone()))
        .merge(scenario::router(rooms.scenarios.clone()))
        .merge(training::routes::router(rooms.training.clone()))
        .merge(backtest::routes::router(rooms.backtests.clone()))
        .merge(alarm::routes::router(rooms.alarms.clone()))
        .layer(from_fn_with_state(kept, idempotency::once));
    OpenApiRouter::default()
        .merge(creating)
        // Not among those: an answer that is kept would keep the secret of a key or a webhook.
        .merge(access::routes::router(rooms.access.clone()))
        .merge(webhook::routes::router(rooms.webhooks.clone()))
        .merge(twin::routes::router(rooms.twins.clone()))
        .merge(ingest::routes::router(rooms.ingest.clone()))
        .merge(reading::routes::router(rooms.readings.clone(), rooms.assets.clone()))
        // Nor these: a base model is more than is kept, and adding it twice is safe by itself.
        .merge(model::registry::routes::router(rooms.bases.clone()))
        .merge(forecast::router(rooms.forecasts.clone()))
        .merge(scenario::seek::router(rooms.seeks.clone()))
        .merge(scenario::audit::router(rooms.audits.clone()))
        .merge(stream::router(rooms.feed.clone(), rooms.access.clone(), rooms.end.clone()))
}

/// Doors whose requests may take longer than others.
fn patient_doors(rooms: &Rooms) -> OpenApiRouter {
    ingest::routes::imports(rooms.ingest.clone())
}
