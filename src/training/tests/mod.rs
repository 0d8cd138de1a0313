//! Jobs on a real database, with a learner that does what the test says.

mod cleaning;
mod companions;
mod due;
mod faults;
mod fleet;
mod jobs;
mod limits;
mod probation;
mod routes;
mod serving;
mod shadow;
mod store;
mod teacher;
mod thousand;
mod workers;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use clap::Parser as _;
use serde_json::{Map, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{
    Assignment, Candidate, Config, CurvePoint, DataCard, Evaluation, Holdout, Job, LearnError, Learner, Progress,
    Promotion, Stage, Status, Step, Training, Worker,
};
use crate::asset::Assets;
use crate::clock::Clock;
use crate::db::fixture;
use crate::ids::AssetId;
use crate::model::Recipe;
use crate::reading::Readings;
use crate::score::{ScoreCard, Scored};

type Progressing<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;
type Script = Box<dyn FnMut(Assignment, Progressing<'_>) -> Result<Candidate, LearnError> + Send>;

/// The room's settings with their defaults.
#[derive(clap::Parser)]
struct Settings {
    #[command(flatten)]
    training: Config,
}

/// A learner that follows a script.
struct Scripted(Mutex<Script>);

impl Learner for Scripted {
    fn learn(&self, assignment: Assignment, progress: Progressing<'_>) -> Result<Candidate, LearnError> {
        (self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))(assignment, progress)
    }
}

/// A database with one asset, `pump`, and the room on it.
struct Yard {
    db: PgPool,
    clock: Clock,
    training: Training,
    pump: AssetId,
    shutdown: CancellationToken,
}

impl Yard {
    async fn new() -> Self {
        let db = fixture::fresh().await.pool;
        let clock = Clock::manual("2026-11-24T00:00:00Z".parse::<DateTime<Utc>>().unwrap());
        let mut config = Settings::parse_from(["test"]).training;
        (config.training_first_frames, config.training_fresh_frames, config.training_poll_ms) = (100, 200, 10);
        let assets = Assets::new(db.clone(), clock.clone());
        let readings = Readings::new(db.clone(), clock.clone(), &crate::reading::Config::default());
        let pump = store::asset(&db, "pump").await;
        let training = Training::new(db.clone(), clock.clone(), assets, readings, config);
        Self { db, clock, training, pump, shutdown: CancellationToken::new() }
    }

    async fn ask(&self) -> Job {
        self.training.request("pump", &Map::new(), Promotion::Managed).await.unwrap()
    }

    async fn job(&self, job: &Job) -> Job {
        self.training.job(job.id).await.unwrap()
    }

    fn worker(
        &self,
        script: impl FnMut(Assignment, Progressing<'_>) -> Result<Candidate, LearnError> + Send + 'static,
    ) -> Worker {
        let learner = Scripted(Mutex::new(Box::new(script)));
        Worker::new(self.training.clone(), Arc::new(learner), self.shutdown.clone())
    }

    /// Asks for a job and lets a worker finish it with a candidate of this CRPS against 1 of
    /// what serves.
    async fn learn(&self, crps: f64) -> Job {
        let job = self.ask().await;
        let step = self.worker(move |_, _| Ok(candidate(crps))).step().await.unwrap();
        assert!(matches!(step, Step::Worked(id, _) if id == job.id));
        self.job(&job).await
    }

    /// Number of the version that serves, 0 for the base.
    async fn serving(&self) -> i32 {
        let champion = crate::model::store::champion(&self.db, self.pump).await.unwrap();
        champion.map_or(0, |champion| champion.version)
    }
}

fn scored(level: f64) -> Scored {
    let losses: Vec<f64> = (0..60).map(|i| level * (1.0 + 0.2 * f64::from(i % 7))).collect();
    let crps = losses.iter().sum::<f64>() / 60.0;
    Scored { card: ScoreCard { windows: 60, crps, coverage_80: 0.8, ..ScoreCard::default() }, losses }
}

/// A candidate of this CRPS; the champion has 1 and the naive forecast 2.
fn candidate(crps: f64) -> Candidate {
    let recent = Holdout { candidate: scored(crps), champion: scored(1.0), naive: scored(2.0), overlap: 4 };
    Candidate {
        base: "test-1".to_owned(),
        weights: vec![1, 2, 3, (crps * 100.0) as u8],
        calibration: json!({"level": [1.0]}),
        curve: vec![CurvePoint { step: 20, train_loss: 0.5, validation_loss: 0.6 }],
        recipe: Recipe { learning_rate: Some(3e-4), ..Recipe::default() },
        note: None,
        ancestry: None,
        search: None,
        sparsity: 0.0,
        holdout: Evaluation { recent, older: None, only_bands: false },
        objection: None,
        data: DataCard { frames: 900, ..DataCard::default() },
        companions: None,
    }
}

fn sign(fraction: f64) -> Progress {
    Progress { stage: Stage::Learning, fraction, step: 1, train_loss: Some(0.5), validation_loss: None, rung: None }
}

/// Until the database says so; the tests' own patience ends it otherwise.
async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..2000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("it never happened");
}

async fn until_running(yard: &Yard, job: &Job) {
    eventually(async || (yard.job(job).await.status == Status::Running).then_some(())).await;
}
