//! What forecasts in the shadow: which version does, how it ends, and who may decide.

use chrono::TimeDelta;

use super::*;
use crate::training::probation::State;
use crate::training::probation::store::{Open, Step, open, reconcile, step};

/// The comparisons that are open.
async fn opened(yard: &Yard) -> Vec<Open> {
    reconcile(&yard.db, yard.clock.now()).await.unwrap();
    store::observe(&yard.db, yard.pump, yard.clock.now()).await;
    open(&yard.db, 10).await.unwrap()
}

/// One comparison of a shadow; whether it was this server's to make.
async fn further(yard: &Yard, open: &Open, state: State, reason: &str) -> bool {
    let next_at = open.next_at + TimeDelta::seconds(30);
    let step_on = Step { bouts: &[], next_at, due_at: next_at, state, reason };
    step(&yard.db, open, &step_on, &yard.clock).await.unwrap()
}

async fn told(yard: &Yard, version: i32) -> (State, String) {
    let found = yard.training.probations("pump", &[version]).await.unwrap().pop().unwrap();
    (found.state, found.reason)
}

/// Learns version 1, which serves, and version 2, which is a little better but not enough.
async fn with_a_shadow(yard: &Yard) -> Open {
    yard.learn(0.8).await;
    yard.clock.advance(TimeDelta::seconds(1));
    let verdict = yard.learn(0.995).await.verdict.unwrap();
    assert_eq!((&verdict["promoted"], &verdict["undecided"]), (&json!(false), &json!(true)));
    let mut found = opened(yard).await;
    assert_eq!(found.len(), 2, "a probation and a shadow");
    let place = found.iter().position(|one| one.state == State::InShadow).expect("version 2 is in the shadow");
    found.swap_remove(place)
}

#[tokio::test]
async fn a_version_that_luck_stood_against_is_promoted_once_from_the_shadow_and_goes_on_probation() {
    let yard = Yard::new().await;
    let shadow = with_a_shadow(&yard).await;
    assert_eq!((shadow.version, shadow.former_version, shadow.decides), (2, 1, true));
    assert!(further(&yard, &shadow, State::InShadow, "as good").await);
    assert_eq!(told(&yard, 2).await, (State::InShadow, "as good".to_owned()));
    assert!(!further(&yard, &shadow, State::InShadow, "again").await, "another server was further");
    yard.clock.advance(TimeDelta::seconds(60));
    let shadow = opened(&yard).await.into_iter().find(|one| one.state == State::InShadow).unwrap();
    let promote = || further(&yard, &shadow, State::Promoted, "12 % better");
    let done = futures::future::join_all((0..4).map(|_| promote())).await;
    assert_eq!(done.into_iter().filter(|done| *done).count(), 1);
    assert_eq!(yard.serving().await, 2);
    let served = yard.training.served("pump").await.unwrap().unwrap();
    assert_eq!(served.reason, "promoted by the server after its time in the shadow: 12 % better");
    let (act, path, why) = store::acts(&yard.db).await.pop().unwrap();
    assert_eq!((act.as_str(), path.as_str(), why), ("promote", "/v1/assets/pump/models/2", served.reason));
    assert_eq!(told(&yard, 2).await.0, State::Promoted);
    let begun = opened(&yard).await;
    assert_eq!(begun.iter().map(|one| (one.version, one.state)).collect::<Vec<_>>(), [(2, State::OnProbation)]);
}

#[tokio::test]
async fn a_shadow_ends_with_what_it_was_compared_with() {
    let yard = Yard::new().await;
    let shadow = with_a_shadow(&yard).await;
    yard.clock.advance(TimeDelta::seconds(1));
    yard.training.promote("pump", 0).await.unwrap();
    assert!(!further(&yard, &shadow, State::Promoted, "better").await);
    assert_eq!(yard.serving().await, 0, "a person decided meanwhile");
    assert!(opened(&yard).await.is_empty());
    assert_eq!(
        told(&yard, 2).await,
        (State::Replaced, "something newer was made or promoted; until then nothing was compared yet".to_owned())
    );
}

#[tokio::test]
async fn the_newest_version_takes_the_place_in_the_shadow() {
    let yard = Yard::new().await;
    with_a_shadow(&yard).await;
    yard.clock.advance(TimeDelta::seconds(1));
    yard.learn(0.996).await;
    let shadows: Vec<i32> =
        opened(&yard).await.iter().filter(|one| one.state == State::InShadow).map(|one| one.version).collect();
    assert_eq!(shadows, [3]);
    assert_eq!(told(&yard, 2).await.0, State::Replaced);
}

#[tokio::test]
async fn what_is_worse_or_waits_for_a_person_is_compared_but_decides_nothing() {
    let yard = Yard::new().await;
    yard.learn(0.8).await;
    yard.clock.advance(TimeDelta::seconds(1));
    yard.learn(1.2).await;
    let shadow = opened(&yard).await.into_iter().find(|one| one.state == State::InShadow).unwrap();
    assert_eq!((shadow.version, shadow.decides), (2, false));
    yard.clock.advance(TimeDelta::seconds(1));
    let job = yard.training.request("pump", &Map::new(), Promotion::Manual).await.unwrap();
    yard.worker(|_, _| Ok(candidate(0.7))).step().await.unwrap();
    assert_eq!(yard.job(&job).await.verdict.unwrap()["passed"], true);
    let shadow = opened(&yard).await.into_iter().find(|one| one.state == State::InShadow).unwrap();
    assert_eq!((shadow.version, shadow.decides), (3, false));
    // A person lets it serve: the shadow ends and a probation begins.
    yard.clock.advance(TimeDelta::seconds(1));
    yard.training.promote("pump", 3).await.unwrap();
    let begun = opened(&yard).await;
    assert_eq!(begun.iter().map(|one| (one.version, one.state)).collect::<Vec<_>>(), [(3, State::OnProbation)]);
}

#[tokio::test]
async fn a_first_version_that_was_not_promoted_is_compared_with_the_base_model() {
    let yard = Yard::new().await;
    yard.learn(0.995).await;
    let shadow = opened(&yard).await.pop().unwrap();
    assert_eq!((shadow.state, shadow.version, shadow.former, shadow.former_version), (State::InShadow, 1, None, 0));
    yard.clock.advance(TimeDelta::seconds(1));
    assert!(further(&yard, &shadow, State::Promoted, "better").await);
    assert_eq!(yard.serving().await, 1);
}
