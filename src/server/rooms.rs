//! The rooms of one server, built from the ground up.

use std::sync::Arc;

use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::stream::Feed;
use crate::access::Access;
use crate::alarm::{self, Alarms};
use crate::asset::Assets;
use crate::backtest::{self, Backtests, Bench};
use crate::clock::Clock;
use crate::event::Events;
use crate::forecast::refresher::Refresher;
use crate::forecast::{self, Forecasts};
use crate::ingest::{self, Ingest};
use crate::model::{self, ArtefactError, BaseModels, Engine};
use crate::observe::Metrics;
use crate::reading::{self, Readings};
use crate::scenario::Scenarios;
use crate::scenario::audit::Audits;
use crate::scenario::seek::Seeks;
use crate::training::teacher::Teacher;
use crate::training::{self, LearnsIn, Training, Warden, Worker};
use crate::twin::Twins;
use crate::webhook::{self, Webhooks};

/// The settings of the rooms that a server is made of.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct RoomsConfig {
    /// Readings.
    #[command(flatten)]
    pub reading: reading::Config,
    /// The way in.
    #[command(flatten)]
    pub ingest: ingest::Config,
    /// The model engine.
    #[command(flatten)]
    pub model: model::Config,
    /// Predictions.
    #[command(flatten)]
    pub forecast: forecast::Config,
    /// Fine-tuning.
    #[command(flatten)]
    pub training: training::Config,
    /// Backtests.
    #[command(flatten)]
    pub backtest: backtest::Config,
    /// Alarms.
    #[command(flatten)]
    pub alarm: alarm::Config,
    /// Webhooks.
    #[command(flatten)]
    pub webhook: webhook::Config,
}

impl Default for RoomsConfig {
    /// As without any flag.
    fn default() -> Self {
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            rooms: RoomsConfig,
        }
        <Alone as clap::Parser>::parse_from(["counterpart"]).rooms
    }
}

/// Everything that has a door, and what the doors share.
#[derive(Clone)]
pub struct Rooms {
    /// What `/readyz` asks.
    pub db: PgPool,
    /// The time, for ids of requests.
    pub clock: Clock,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Ends live streams, background work and the server.
    pub end: CancellationToken,
    /// Keys.
    pub access: Access,
    /// Assets and their types.
    pub assets: Assets,
    /// Frames and their history.
    pub readings: Readings,
    /// What is not a number.
    pub events: Events,
    /// Live states.
    pub twins: Twins,
    /// The way in.
    pub ingest: Ingest,
    /// Base models.
    pub bases: BaseModels,
    /// Predictions.
    pub forecasts: Forecasts,
    /// What-ifs.
    pub scenarios: Scenarios,
    /// Goal seek.
    pub seeks: Seeks,
    /// How versions answer their inputs.
    pub audits: Audits,
    /// Fine-tuning.
    pub training: Training,
    /// How good forecasts would have been.
    pub backtests: Backtests,
    /// Limits that are watched.
    pub alarms: Alarms,
    /// Who is told what happens.
    pub webhooks: Webhooks,
    /// What the stream tells.
    pub feed: Feed,
}

impl Rooms {
    /// The rooms of one server. Starts the model's thread and nothing else.
    pub fn new(db: PgPool, clock: Clock, end: CancellationToken, config: &RoomsConfig) -> Result<Self, ArtefactError> {
        let metrics = Metrics::default();
        let access = Access::new(db.clone(), clock.clone());
        let assets = Assets::new(db.clone(), clock.clone());
        let readings = Readings::new(db.clone(), clock.clone(), &config.reading);
        let events = Events::new(db.clone(), clock.clone(), assets.clone(), readings.clone());
        let twins = Twins::new(db.clone(), clock.clone(), assets.clone(), readings.clone());
        let ingest = Ingest::new(assets.clone(), readings.clone(), clock.clone(), &config.ingest, None);
        let engine = Engine::start(&config.model)?;
        let bases = BaseModels::new(db.clone(), clock.clone(), engine.clone());
        let forecasts = Forecasts::new(
            db.clone(),
            clock.clone(),
            assets.clone(),
            readings.clone(),
            engine,
            config.forecast.clone(),
        );
        let scenarios = Scenarios::new(db.clone(), forecasts.clone());
        let seeks = Seeks::new(forecasts.clone());
        let audits = Audits::new(db.clone(), clock.clone(), assets.clone(), forecasts.clone());
        let training =
            Training::new(db.clone(), clock.clone(), assets.clone(), readings.clone(), config.training.clone());
        let horizon = forecasts.default_horizon();
        let backtests = Backtests::new(
            db.clone(),
            clock.clone(),
            assets.clone(),
            readings.clone(),
            config.backtest.clone(),
            horizon,
        );
        let alarms = Alarms::new(db.clone(), clock.clone(), assets.clone(), horizon, &config.alarm, &metrics);
        let webhooks = Webhooks::new(db.clone(), clock.clone(), &config.webhook, &metrics);
        let feed = Feed::new(
            (db.clone(), clock.clone()),
            assets.clone(),
            twins.clone(),
            training.clone(),
            backtests.clone(),
            alarms.clone(),
        );
        Ok(Self {
            db,
            clock,
            metrics,
            end,
            access,
            assets,
            readings,
            events,
            twins,
            ingest,
            bases,
            forecasts,
            scenarios,
            seeks,
            audits,
            training,
            backtests,
            alarms,
            webhooks,
            feed,
        })
    }

    /// Whether another process learns for this server.
    pub(super) fn learns_elsewhere(&self) -> bool {
        self.training.learns_in() == LearnsIn::Process
    }

    /// Starts what works in the background until the end: forecasts, fine-tuning unless another process learns,
    /// probations, alarms, webhooks, housekeeping, and the look-outs for changed keys and of the stream.
    #[must_use]
    pub fn start_work(&self) -> JoinSet<()> {
        let mut work = if self.learns_elsewhere() { JoinSet::new() } else { self.start_training() };
        work.spawn(Refresher::new(self.forecasts.clone()).run(self.end.clone()));
        work.spawn(Warden::new(self.training.clone(), self.forecasts.clone()).run(self.end.clone()));
        work.spawn(self.access.clone().keep_looking(self.end.clone()));
        work.spawn(self.feed.clone().run(self.end.clone()));
        work.spawn(self.alarms.clone().keep_watching(self.end.clone()));
        work.spawn(self.webhooks.clone().keep_delivering(self.end.clone()));
        let (readings, end) = (self.readings.clone(), self.end.clone());
        work.spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = readings.keep_maintained() => {}
            }
        });
        work
    }

    /// Starts the workers of fine-tuning and of backtests alone.
    #[must_use]
    pub fn start_training(&self) -> JoinSet<()> {
        let mut work = JoinSet::new();
        let teacher = Arc::new(Teacher::default());
        for _ in 0..self.training.workers() {
            work.spawn(Worker::new(self.training.clone(), teacher.clone(), self.end.clone()).run());
        }
        let bench = Arc::new(Bench);
        for _ in 0..self.backtests.workers() {
            work.spawn(backtest::Worker::new(self.backtests.clone(), bench.clone(), self.end.clone()).run());
        }
        work
    }
}
