//! The role `serve`: rooms are built from the ground up, served, and ended in order.

use anyhow::Context as _;
use sqlx::postgres::PgPoolOptions;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Config, Rooms, bind, router, serve};
use crate::asset::Assets;
use crate::clock::Clock;
use crate::db;
use crate::observe::Metrics;
use sqlx::PgPool;

/// Serves until SIGTERM or SIGINT.
pub async fn run(config: &Config, db: &db::Config) -> anyhow::Result<()> {
    let end = CancellationToken::new();
    end_with_signal(&end)?;
    // First of all, because it is quick and fails most often.
    let listener = bind(config).await?;
    let address = listener.local_addr().context("the listener has no address")?;
    let database = db::open(db).await?;
    let rooms = Rooms::new(database.pool.clone(), Clock::system(), end.clone());
    if config.insecure {
        tracing::warn!("--insecure: whoever reaches this server can read and change everything");
    }
    tracing::info!("dashboard http://{address}, API http://{address}/docs");
    serve(listener, router(&rooms, config), config, end).await;
    drop(rooms);
    database.close().await;
    tracing::info!("ended");
    Ok(())
}

impl Rooms {
    /// The rooms of one server, from the ground up.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock, end: CancellationToken) -> Self {
        let metrics = Metrics::default();
        let assets = Assets::new(db.clone(), clock.clone());
        Self { db, clock, metrics, end, assets }
    }

    /// Rooms without a database, to describe their doors.
    pub fn offline() -> anyhow::Result<Self> {
        let db = PgPoolOptions::new().connect_lazy("postgres://localhost/none")?;
        Ok(Self::new(db, Clock::system(), CancellationToken::new()))
    }
}

/// The first signal asks for the end; a second one does not wait for it.
fn end_with_signal(end: &CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be received")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be received")?;
    let end = end.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                tracing::info!("ending; a second signal cuts what is in work");
                end.cancel();
            } else {
                std::process::exit(130);
            }
        }
    });
    Ok(())
}
