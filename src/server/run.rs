//! The roles `serve`, `demo`, `work` and `child`: rooms are built from the ground up, served, and ended in order.

use std::io::Write as _;

use anyhow::Context as _;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::learning::{self, LearningProcess};
use super::{Config, Rooms, RoomsConfig, bind, guarded, router, serve};
use crate::access;
use crate::clock::Clock;
use crate::db::{self, Database};
use crate::demo::Demo;

/// A server that is ready to serve.
pub struct Built {
    /// Its rooms.
    pub rooms: Rooms,
    /// Where it will listen.
    pub listener: TcpListener,
    database: Database,
    config: Config,
    learning: Option<LearningProcess>,
}

/// Takes the address, opens the database and builds the rooms. Signals end what is built.
pub async fn build(config: &Config, db: &db::Config, rooms: &RoomsConfig) -> anyhow::Result<Built> {
    let end = CancellationToken::new();
    end_with_signal(&end)?;
    // First of all, because it is quick and fails most often.
    let listener = bind(config).await?;
    let database = db::open(db).await?;
    let mut rooms = Rooms::new(database.pool.clone(), Clock::system(), end, rooms).context("the base model")?;
    if config.bind.ip().is_loopback() {
        rooms.access = rooms.access.telling(&access::command::line(db));
    }
    if let Err(error) = guarded(config, &rooms.access).await {
        database.close().await;
        return Err(error.into());
    }
    if rooms.access.is_open(config.is_exposed()).await? {
        if config.bind.ip().is_loopback() {
            tracing::info!("there is no key of an admin: whoever uses this machine can read and change everything");
        } else {
            tracing::warn!(
                "--insecure: there is no key of an admin, and whoever reaches this server can read and change everything"
            );
        }
    }
    let learning = LearningProcess::of(&rooms, config, database.url(db));
    Ok(Built { rooms, listener, database, config: config.clone(), learning })
}

impl Built {
    /// Serves until SIGTERM or SIGINT, then ends in order: streams, requests, work, database.
    pub async fn serve(self) -> anyhow::Result<()> {
        let Self { rooms, listener, database, config, learning } = self;
        let address = listener.local_addr().context("the listener has no address")?;
        tracing::info!("listening on {address}");
        // For the person who started it; nothing can be done about a standard output that is closed.
        drop(writeln!(std::io::stdout(), "dashboard http://{address}\nAPI http://{address}/docs"));
        let mut work = rooms.start_work();
        if let Some(learning) = learning {
            work.spawn(learning.keep(rooms.end.clone()));
        }
        let end = rooms.end.clone();
        serve(listener, router(&rooms, &config), &config, end).await;
        finish(rooms, work, database).await;
        Ok(())
    }
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(config: &Config, db: &db::Config, rooms: &RoomsConfig) -> anyhow::Result<()> {
    build(config, db, rooms).await?.serve().await
}

/// Serves, with the demo plant streaming into it.
pub async fn demo(
    config: &Config,
    db: &db::Config,
    rooms: &RoomsConfig,
    demo: &crate::demo::Config,
) -> anyhow::Result<()> {
    let built = build(config, db, rooms).await?;
    drop(writeln!(std::io::stdout(), "DEMO DATA: a simulated plant streams into the asset demo-plant"));
    let Rooms { assets, twins, events, ingest, clock, end, .. } = built.rooms.clone();
    let plant = tokio::spawn(Demo::new(assets, twins, events, ingest, clock, demo).run(end));
    built.serve().await?;
    plant.await.context("the demo plant broke")?.context("the demo plant stopped")
}

/// Fine-tunes and backtests until SIGTERM or SIGINT, for servers elsewhere on the same database.
pub async fn work(db: &db::Config, rooms: &RoomsConfig) -> anyhow::Result<()> {
    let end = CancellationToken::new();
    end_with_signal(&end)?;
    learn(db, rooms, end).await
}

/// The same for the server that started this process, until that ends.
pub async fn child(db: &db::Config, rooms: &RoomsConfig) -> anyhow::Result<()> {
    learning::give_way();
    let end = CancellationToken::new();
    end_with_signal(&end)?;
    learning::end_with_server(&end)?;
    learn(db, rooms, end).await
}

async fn learn(db: &db::Config, rooms: &RoomsConfig, end: CancellationToken) -> anyhow::Result<()> {
    let database = db::open(db).await?;
    let rooms = Rooms::new(database.pool.clone(), Clock::system(), end.clone(), rooms).context("the base model")?;
    let work = rooms.start_training();
    tracing::info!("waiting for fine-tune jobs and backtests");
    end.cancelled().await;
    finish(rooms, work, database).await;
    Ok(())
}

async fn finish(rooms: Rooms, mut work: tokio::task::JoinSet<()>, database: Database) {
    let ended = async { while work.join_next().await.is_some() {} };
    if tokio::time::timeout(super::END, ended).await.is_err() {
        tracing::warn!("background work was cut");
        work.abort_all();
    }
    drop(rooms);
    database.close().await;
    tracing::info!("ended");
}

impl Rooms {
    /// Rooms without a database, to describe their doors.
    pub fn offline() -> anyhow::Result<Self> {
        let db = PgPoolOptions::new().connect_lazy("postgres://localhost/none")?;
        Ok(Self::new(db, Clock::system(), CancellationToken::new(), &RoomsConfig::default())?)
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
