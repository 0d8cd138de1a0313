//! Backtests on a real database, with an examiner that does what the test says.

mod store;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Parser as _;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::examiner::{Assignment, ExamError, Examiner};
use super::lease;
use super::report::{HealthReport, Learned, Report};
use super::store::{New, insert};
use super::*;
use crate::db::fixture;
use crate::ids::AssetId;
use crate::job::Ended;

type Telling<'a> = &'a mut dyn FnMut(f64) -> ControlFlow<()>;
type Script = Box<dyn FnMut(Telling<'_>) -> Result<Report, ExamError> + Send>;

/// The room's settings with their defaults.
#[derive(clap::Parser)]
struct Settings {
    #[command(flatten)]
    backtest: Config,
}

/// An examiner that follows a script.
struct Scripted(Mutex<Script>);

impl Examiner for Scripted {
    fn examine(&self, _: Assignment, progress: Telling<'_>) -> Result<Report, ExamError> {
        (self.0.lock().unwrap_or_else(PoisonError::into_inner))(progress)
    }
}

/// A database with one asset, `pump`, and the room on it.
struct Yard {
    db: PgPool,
    clock: Clock,
    backtests: Backtests,
    pump: AssetId,
    shutdown: CancellationToken,
}

impl Yard {
    async fn new() -> Self {
        let db = fixture::fresh().await.pool;
        let clock = Clock::manual("2026-11-24T00:00:00Z".parse::<DateTime<Utc>>().unwrap());
        let config = Config { backtest_poll_ms: 10, ..Settings::parse_from(["test"]).backtest };
        let assets = Assets::new(db.clone(), clock.clone());
        let readings = Readings::new(db.clone(), clock.clone(), &crate::reading::Config::default());
        let pump = store::asset(&db, "pump").await;
        let backtests = Backtests::new(db.clone(), clock.clone(), assets, readings, config, 60);
        Self { db, clock, backtests, pump, shutdown: CancellationToken::new() }
    }

    /// A backtest that needs no readings: nobody looks at them.
    async fn ask(&self) -> BacktestId {
        let id = BacktestId::mint(&self.clock);
        let plan = Plan { windows: 3, step_size: 2, horizon: 4, inputs: Inputs::Measured };
        let new = New { id, asset: self.pump, version: (0, None), plan, cutoff: self.clock.now() };
        assert!(insert(&self.db, &new, UNFINISHED, self.clock.now()).await.unwrap());
        id
    }

    async fn seen(&self, id: BacktestId) -> Backtest {
        self.backtests.backtest("pump", id).await.unwrap()
    }

    fn worker(&self, script: impl FnMut(Telling<'_>) -> Result<Report, ExamError> + Send + 'static) -> Worker {
        let examiner = Scripted(Mutex::new(Box::new(script)));
        Worker::new(self.backtests.clone(), Arc::new(examiner), self.shutdown.clone())
    }
}

fn report() -> Report {
    let learned = Learned { windows: 3, seen_by_model: 0, from: None, until: None, summary: "nothing".to_owned() };
    Report {
        step_s: 1.0,
        learned,
        forecasters: Vec::new(),
        seasons: std::collections::BTreeMap::new(),
        fallbacks: 0,
        health: HealthReport::default(),
        origins: Vec::new(),
    }
}

/// Until the database says so; the tests' own patience ends it otherwise.
async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..2000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never happened");
}

#[tokio::test]
async fn signs_of_life_renew_the_lease_and_are_seen() {
    let yard = Yard::new().await;
    let id = yard.ask().await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let worker = yard.worker(move |tell| {
        let _ = tell(0.25);
        wait.recv().unwrap();
        Ok(report())
    });
    let work = tokio::spawn(async move { worker.step().await });
    let seen = eventually(async || Some(yard.seen(id).await).filter(|seen| seen.progress > 0.0)).await;
    assert_eq!((seen.status, seen.progress, seen.attempts), (Status::Running, 0.25, 1));
    assert!(seen.eta_s.is_some_and(|eta| eta >= 0.0));
    assert!(store::lease_s(&yard.db, id).await.is_some_and(|left| left > 20.0));
    go.send(()).unwrap();
    assert_eq!(work.await.unwrap().unwrap(), Step::Worked(id, Outcome::Succeeded));
    let seen = yard.seen(id).await;
    assert_eq!((seen.status, seen.eta_s, &seen.result.unwrap()["step_s"]), (Status::Succeeded, Some(0.0), &1.0.into()));
    assert_eq!(store::lease_s(&yard.db, id).await, None);
}

#[tokio::test]
async fn two_workers_end_one_backtest_once() {
    let yard = Yard::new().await;
    yard.ask().await;
    let (one, two) = (yard.worker(|_| Ok(report())), yard.worker(|_| Ok(report())));
    let (one, two) = tokio::join!(one.step(), two.step());
    let worked = [one.unwrap(), two.unwrap()].into_iter().filter(|step| matches!(step, Step::Worked(..)));
    assert_eq!(worked.count(), 1);
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_stops_and_writes_nothing() {
    let yard = Yard::new().await;
    let id = yard.ask().await;
    let late = yard.worker(|tell| {
        while tell(0.5).is_continue() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(ExamError::Cancelled)
    });
    let work = tokio::spawn(async move { late.step().await });
    eventually(async || (yard.seen(id).await.status == Status::Running).then_some(())).await;
    // The heir may meet the late worker's renewal, so the lease runs out until it has the backtest.
    let heir = yard.worker(|_| Ok(report()));
    let step = eventually(async || {
        store::expire(&yard.db, id).await;
        Some(heir.step().await.unwrap()).filter(|step| matches!(step, Step::Worked(..)))
    })
    .await;
    assert_eq!(step, Step::Worked(id, Outcome::Succeeded));
    assert_eq!(work.await.unwrap().unwrap(), Step::Worked(id, Outcome::Late));
    assert_eq!(yard.seen(id).await.attempts, 2);
}

#[tokio::test]
async fn a_wish_to_stop_that_comes_last_wins_over_the_result() {
    let yard = Yard::new().await;
    let id = yard.ask().await;
    let claim = lease::acquire(&yard.db, &yard.clock, Duration::from_secs(30)).await.unwrap().unwrap();
    assert!(yard.backtests.cancel("pump", id).await.unwrap().cancel_requested);
    let ended = claim.lease.succeed(&yard.db, &serde_json::json!({"a": 1}), yard.clock.now()).await.unwrap();
    assert_eq!(ended, Some(Status::Cancelled));
    assert_eq!(yard.seen(id).await.result, None);
}

#[tokio::test]
async fn failed_attempts_back_off_and_end_after_the_fifth() {
    let yard = Yard::new().await;
    let id = yard.ask().await;
    let worker = yard.worker(|_| Err(ExamError::Other("the disk is full\n  frame #0: c10::Error".to_owned())));
    for wait in [5.0, 10.0, 20.0, 40.0] {
        let step = worker.step().await.unwrap();
        assert!(matches!(step, Step::Worked(_, Outcome::Gave(Ended::Again, _))), "{step:?}");
        let left = store::waits_s(&yard.db, id).await;
        assert!(left > wait - 5.0 && left <= wait, "{left} of {wait} s");
        assert_eq!(worker.step().await.unwrap(), Step::Idle, "it waits");
        store::hurry(&yard.db, id).await;
    }
    assert!(matches!(worker.step().await.unwrap(), Step::Worked(_, Outcome::Gave(Ended::Closed, _))));
    let seen = yard.seen(id).await;
    assert_eq!((seen.status, seen.attempts), (Status::Failed, 5));
    assert_eq!(seen.error.as_deref(), Some("gave up after 5 attempts: the disk is full"));
}

#[tokio::test]
async fn what_another_attempt_would_meet_again_fails_at_once() {
    let yard = Yard::new().await;
    let other = || ExamError::OtherBase { number: 3, base: "small-1".to_owned(), have: "small-2".to_owned() };
    let words = "version 3 belongs to the base model small-1, and this server has small-2";
    for (error, said) in [
        (ExamError::TooShort(Shortage::NoOutputs), "no signal with the role output has been measured up to the cutoff"),
        (other(), words),
    ] {
        let id = yard.ask().await;
        let mut error = Some(error);
        yard.worker(move |_| Err(error.take().unwrap())).step().await.unwrap();
        let seen = yard.seen(id).await;
        assert_eq!((seen.status, seen.attempts, seen.error.as_deref()), (Status::Failed, 1, Some(said)));
    }
    // The real one finds nothing to look at either.
    let id = yard.ask().await;
    Worker::new(yard.backtests.clone(), Arc::new(Bench), yard.shutdown.clone()).step().await.unwrap();
    let said = yard.seen(id).await.error.unwrap();
    assert!(said.starts_with("0 steps of history up to the cutoff hold 0 of 3 windows"), "{said}");
}

#[tokio::test]
async fn a_backtest_beyond_its_time_fails_at_once_and_says_so() {
    let mut yard = Yard::new().await;
    yard.backtests.config.backtest_time_limit_s = 1;
    let id = yard.ask().await;
    let worker = yard.worker(|tell| {
        while tell(0.5).is_continue() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(ExamError::Cancelled)
    });
    let step = worker.step().await.unwrap();
    assert!(matches!(step, Step::Worked(_, Outcome::Gave(Ended::Closed, _))), "{step:?}");
    let seen = yard.seen(id).await;
    assert_eq!((seen.status, seen.attempts), (Status::Failed, 1));
    let said = "an attempt may take 1 s (COUNTERPART_BACKTEST_TIME_LIMIT_S) and this one took longer";
    assert!(seen.error.as_deref().is_some_and(|error| error.starts_with(said)), "{:?}", seen.error);
}

#[tokio::test]
async fn an_examiner_that_panics_costs_an_attempt_and_not_the_worker() {
    let yard = Yard::new().await;
    let id = yard.ask().await;
    let mut first = true;
    let worker = yard.worker(move |_| {
        assert!(!std::mem::take(&mut first), "as the test wants it");
        Ok(report())
    });
    worker.step().await.unwrap();
    assert_eq!(yard.seen(id).await.error.as_deref(), Some("the examiner panicked"));
    store::hurry(&yard.db, id).await;
    worker.step().await.unwrap();
    let seen = yard.seen(id).await;
    assert_eq!((seen.status, seen.error, seen.attempts), (Status::Succeeded, None, 2));
}

#[tokio::test]
async fn workers_that_fall_silent_five_times_bury_it() {
    let yard = Yard::new().await;
    let id = yard.ask().await;
    for attempt in 1..=5 {
        let claim = lease::acquire(&yard.db, &yard.clock, Duration::from_secs(30)).await.unwrap().unwrap();
        assert_eq!((claim.lease.attempts, claim.lease.backtest), (attempt, id));
        store::expire(&yard.db, id).await;
    }
    assert_eq!(yard.worker(|_| Ok(report())).step().await.unwrap(), Step::Idle);
    let seen = yard.seen(id).await;
    assert_eq!((seen.status, seen.error.as_deref()), (Status::Failed, Some("the worker of attempt 5 fell silent")));
}

#[tokio::test]
async fn a_worker_works_by_itself_and_gives_it_back_at_the_shutdown() {
    let yard = Yard::new().await;
    let id = yard.ask().await;
    let worker = yard.worker(|tell| {
        while tell(0.5).is_continue() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(ExamError::Cancelled)
    });
    let life = tokio::spawn(worker.run());
    eventually(async || (yard.seen(id).await.status == Status::Running).then_some(())).await;
    yard.shutdown.cancel();
    life.await.unwrap();
    let seen = yard.seen(id).await;
    assert_eq!((seen.status, seen.attempts, seen.error), (Status::Pending, 0, None));
}
