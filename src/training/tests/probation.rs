//! What a probation does in the database: once, all or nothing, and never twice by the same evidence.

use chrono::TimeDelta;

use super::*;
use crate::training::probation::store::{Open, Step, open, reconcile, step};
use crate::training::probation::{Bout, State};

/// The probation that is open, after one has begun where it should.
async fn begun(yard: &Yard) -> Open {
    reconcile(&yard.db, yard.clock.now()).await.unwrap();
    store::observe(&yard.db, yard.pump, yard.clock.now()).await;
    open(&yard.db, 10).await.unwrap().pop().expect("it is on probation")
}

fn further(open: &Open) -> (Vec<Bout>, DateTime<Utc>) {
    let state_at = open.next_at;
    let bout = Bout {
        state_at,
        until: state_at + TimeDelta::seconds(60),
        crps: Some(0.3),
        former_crps: Some(0.1),
        naive_crps: 0.5,
        coverage_80: Some(0.8),
        former_coverage_80: Some(0.8),
    };
    (vec![bout], state_at + TimeDelta::seconds(30))
}

/// Rolls back what is open; whether that was this server's to do.
async fn roll_back(yard: &Yard, open: &Open) -> bool {
    let (bouts, next_at) = further(open);
    let (state, reason) = (State::RolledBack, "it was worse");
    let step_on = Step { bouts: &bouts, next_at, due_at: next_at, state, reason };
    step(&yard.db, open, &step_on, &yard.clock).await.unwrap()
}

async fn probation(yard: &Yard, version: i32) -> (State, String) {
    let found = yard.training.probations("pump", &[version]).await.unwrap().pop().unwrap();
    (found.state, found.reason)
}

#[tokio::test]
async fn a_roll_back_by_many_servers_counts_once_and_its_job_says_so() {
    let yard = Yard::new().await;
    yard.learn(0.8).await;
    yard.clock.advance(TimeDelta::seconds(1));
    let job = yard.learn(0.7).await;
    let open = begun(&yard).await;
    assert_eq!((open.version, open.former_version, open.began_at), (2, 1, yard.clock.now()));
    yard.clock.advance(TimeDelta::seconds(1));
    let done = futures::future::join_all((0..4).map(|_| roll_back(&yard, &open))).await;
    assert_eq!(done.into_iter().filter(|done| *done).count(), 1);
    assert_eq!(yard.serving().await, 1);
    let served = yard.training.served("pump").await.unwrap().unwrap();
    assert_eq!((served.version, served.changed_at), (1, yard.clock.now()));
    assert_eq!(served.reason, "rolled back by the server from version 2: it was worse");
    let job = yard.job(&job).await;
    assert_eq!((job.rolled_back.as_deref(), job.updated_at), (Some("it was worse"), yard.clock.now()));
    assert_eq!(probation(&yard, 2).await, (State::RolledBack, "it was worse".to_owned()));
    let acts = store::acts(&yard.db).await;
    let short: Vec<_> = acts.iter().map(|(act, path, _)| (act.as_str(), path.as_str())).collect();
    let version = |number: i32| format!("/v1/assets/pump/models/{number}");
    assert_eq!(short, [("promote", &*version(1)), ("promote", &*version(2)), ("roll_back", &*version(2))]);
    assert_eq!(acts[2].2, served.reason);
    // Neither the version that serves again nor the one that went is on probation.
    reconcile(&yard.db, yard.clock.now()).await.unwrap();
    assert!(crate::training::probation::store::open(&yard.db, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_promotion_by_hand_meanwhile_is_not_rolled_back() {
    let yard = Yard::new().await;
    yard.learn(0.8).await;
    let open = begun(&yard).await;
    yard.clock.advance(TimeDelta::seconds(1));
    yard.training.promote("pump", 0).await.unwrap();
    yard.clock.advance(TimeDelta::seconds(1));
    yard.training.promote("pump", 1).await.unwrap();
    assert!(!roll_back(&yard, &open).await);
    assert_eq!(yard.serving().await, 1);
    reconcile(&yard.db, yard.clock.now()).await.unwrap();
    let again = begun(&yard).await;
    assert_eq!((again.version, again.began_at), (1, yard.clock.now()), "on probation anew");
}

#[tokio::test]
async fn what_may_stay_is_no_longer_compared() {
    let yard = Yard::new().await;
    yard.learn(0.8).await;
    let began = yard.clock.now();
    let open = begun(&yard).await;
    yard.clock.advance(TimeDelta::seconds(1));
    let (bouts, next_at) = further(&open);
    let kept = Step { bouts: &bouts, next_at, due_at: next_at, state: State::Kept, reason: "it was as good" };
    assert!(step(&yard.db, &open, &kept, &yard.clock).await.unwrap());
    assert_eq!(probation(&yard, 1).await, (State::Kept, "it was as good".to_owned()));
    let served = yard.training.served("pump").await.unwrap().unwrap();
    assert_eq!((served.version, served.changed_at), (1, began), "nothing changed for those it serves");
    assert!(!roll_back(&yard, &open).await);
}

#[tokio::test]
async fn after_a_roll_back_the_same_evidence_promotes_nothing() {
    let yard = Yard::new().await;
    let begin = yard.clock.now();
    let evidence = move |crps: f64, last_s: i64| {
        let last = begin + TimeDelta::seconds(last_s);
        let data = DataCard { first: Some(last - TimeDelta::seconds(1000)), last: Some(last), ..DataCard::default() };
        Candidate { data, ..candidate(crps) }
    };
    let learn = async |crps: f64, last_s: i64| {
        let job = yard.ask().await;
        yard.worker(move |_, _| Ok(evidence(crps, last_s))).step().await.unwrap();
        yard.job(&job).await.verdict.unwrap()
    };
    assert_eq!(learn(0.8, 0).await["promoted"], true);
    let open = begun(&yard).await;
    assert!(roll_back(&yard, &open).await);
    assert_eq!(yard.serving().await, 0);
    // The same data give the same head.
    let again = learn(0.8, 0).await;
    assert_eq!((&again["promoted"], &again["passed"]), (&json!(false), &json!(true)));
    assert!(again["reason"].as_str().unwrap().starts_with("it is the same as version 1, which was rolled back"));
    let much = learn(0.7, 50).await;
    assert!(much["reason"].as_str().unwrap().contains("25 % of what judged this one is newer"), "{much}");
    assert_eq!(yard.serving().await, 0);
    assert_eq!(learn(0.6, 120).await["promoted"], true, "new evidence");
    yard.training.promote("pump", 1).await.unwrap();
    assert_eq!(yard.serving().await, 1, "a person decides");
}

#[tokio::test]
async fn with_no_windows_nothing_is_put_on_probation() {
    let mut yard = Yard::new().await;
    yard.training.config.training_probation_windows = 0;
    yard.learn(0.8).await;
    let engine = crate::model::Engine::start(&crate::model::Config { model_inbox: 8 }).unwrap();
    let forecast = ForecastSettings::parse_from(["test"]).forecast;
    let Training { db, clock, assets, readings, .. } = yard.training.clone();
    let forecasts = crate::forecast::Forecasts::new(db, clock, assets, readings, engine, forecast);
    assert_eq!(crate::training::Warden::new(yard.training.clone(), forecasts).step().await.unwrap(), 0);
    assert!(yard.training.probations("pump", &[1]).await.unwrap().is_empty());
}

/// The settings of forecasts with their defaults.
#[derive(clap::Parser)]
struct ForecastSettings {
    #[command(flatten)]
    forecast: crate::forecast::Config,
}
