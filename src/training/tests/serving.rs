//! Which version serves: verdicts, promotion by hand, roll-back.

use super::*;
use crate::model::store::{WeightsError, champions, list, weights};
use crate::training::TrainingError;
use crate::training::lease::{self, Ended};
use crate::training::store::{Finish, succeed};
use crate::training::verdict::{Gate, judge};

const TERM: std::time::Duration = std::time::Duration::from_secs(30);

#[tokio::test]
async fn a_better_candidate_serves_and_its_bytes_come_back_whole() {
    let yard = Yard::new().await;
    let job = yard.learn(0.8).await;
    assert_eq!(
        (job.status, job.stage, job.progress, job.model_version),
        (Status::Succeeded, Stage::Done, 1.0, Some(1))
    );
    let verdict = job.verdict.unwrap();
    assert_eq!(verdict["promoted"], true);
    assert!(verdict["reason"].as_str().unwrap().contains("20.0 % better"), "{verdict}");
    let [(asset, champion)] = champions(&yard.db, &[yard.pump]).await.unwrap()[..] else { panic!("one champion") };
    assert_eq!((asset, champion.version), (yard.pump, 1));
    let model = weights(&yard.db, champion.model_id).await.unwrap().unwrap();
    assert_eq!((&model.weights[..], model.base.as_str()), (&[1, 2, 3, 80][..], "test-1"));
    assert!((model.scores["vs_naive"].as_f64().unwrap() - 0.6).abs() < 1e-9);
}

#[tokio::test]
async fn a_worse_candidate_is_kept_but_does_not_serve() {
    let yard = Yard::new().await;
    yard.learn(0.8).await;
    let job = yard.learn(1.1).await;
    assert_eq!((job.status, job.model_version, yard.serving().await), (Status::Succeeded, Some(2), 1));
    assert!(job.verdict.unwrap()["reason"].as_str().unwrap().contains("worse than"));
    let listed = list(&yard.db, yard.pump, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|m| (m.version, m.promoted)).collect::<Vec<_>>(), [(2, false), (1, true)]);
    assert_eq!(list(&yard.db, yard.pump, Some(2), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_learner_meets_the_champion_that_it_must_beat() {
    let yard = Yard::new().await;
    yard.learn(0.8).await;
    yard.ask().await;
    let (tell, seen) = std::sync::mpsc::channel();
    let worker = yard.worker(move |assignment, _| {
        tell.send(assignment.champion.map(|champion| (champion.version, champion.weights.to_vec()))).unwrap();
        Ok(candidate(0.5))
    });
    worker.step().await.unwrap();
    assert_eq!(seen.recv().unwrap(), Some((1, vec![1, 2, 3, 80])));
    assert_eq!(yard.serving().await, 2);
}

#[tokio::test]
async fn with_manual_promotion_a_person_decides() {
    let yard = Yard::new().await;
    let job = yard.training.request("pump", &Map::new(), Promotion::Manual).await.unwrap();
    yard.worker(|_, _| Ok(candidate(0.8))).step().await.unwrap();
    let verdict = yard.job(&job).await.verdict.unwrap();
    assert_eq!((&verdict["promoted"], &verdict["passed"], yard.serving().await), (&json!(false), &json!(true), 0));
    assert!(verdict["reason"].as_str().unwrap().contains("waits for a person"));
    yard.training.promote("pump", 1).await.unwrap();
    assert_eq!(yard.serving().await, 1);
}

#[tokio::test]
async fn promoted_versions_can_be_rolled_back_and_forth() {
    let yard = Yard::new().await;
    assert!(matches!(yard.training.roll_back("pump").await, Err(TrainingError::NothingBefore)));
    yard.learn(0.8).await;
    yard.learn(0.7).await;
    assert_eq!(yard.serving().await, 2);
    assert_eq!(yard.training.roll_back("pump").await.unwrap(), 1);
    assert_eq!(yard.training.roll_back("pump").await.unwrap(), 2);
    yard.training.promote("pump", 0).await.unwrap();
    assert_eq!(yard.serving().await, 0);
    yard.training.promote("pump", 0).await.unwrap();
    assert_eq!(yard.training.roll_back("pump").await.unwrap(), 2, "promoting what serves is not a change");
    assert!(matches!(yard.training.promote("pump", 3).await, Err(TrainingError::NoVersion(3))));
    assert!(matches!(yard.training.promote("pump", -1).await, Err(TrainingError::NoVersion(-1))));
}

#[tokio::test]
async fn damaged_weights_are_neither_loaded_nor_promoted() {
    let yard = Yard::new().await;
    yard.learn(0.8).await;
    let (champion, _) = yard.training.models("pump", None, 10).await.unwrap();
    yard.training.promote("pump", 0).await.unwrap();
    store::damage(&yard.db).await;
    let loaded = weights(&yard.db, champion.unwrap().model_id).await;
    assert!(matches!(loaded, Err(WeightsError::Damaged(_))));
    assert!(matches!(yard.training.promote("pump", 1).await, Err(TrainingError::Damaged(1))));
    assert_eq!(yard.serving().await, 0);
}

#[tokio::test]
async fn a_damaged_champion_is_replaced_by_what_beats_the_base() {
    let yard = Yard::new().await;
    yard.learn(0.8).await;
    store::damage(&yard.db).await;
    let job = yard.learn(0.9).await;
    assert!(job.verdict.unwrap()["reason"].as_str().unwrap().contains("of the base model"));
    assert_eq!(yard.serving().await, 2);
}

#[tokio::test]
async fn a_late_result_leaves_no_trace() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let late = lease::acquire(&yard.db, &yard.clock, TERM).await.unwrap().unwrap().lease;
    store::expire(&yard.db, job.id).await;
    let heir = lease::acquire(&yard.db, &yard.clock, TERM).await.unwrap().unwrap().lease;
    let (better, best) = (candidate(0.8), candidate(0.7));
    let verdict = |c: &Candidate| judge(&c.holdout, "the base model", &Gate::default(), 0);
    let finish = async |lease, candidate: &Candidate| {
        succeed(&yard.db, &yard.clock, lease, candidate, &verdict(candidate), None).await.unwrap()
    };
    // Both at once: exactly one is promoted, and it is the heir's.
    let (late, heir) = tokio::join!(finish(late, &better), finish(heir, &best));
    assert_eq!(late, Finish::Late);
    assert!(matches!(heir, Finish::Succeeded { version: 1, .. }));
    assert_eq!((store::versions(&yard.db).await, yard.serving().await), (1, 1));
}

#[tokio::test]
async fn a_promotion_by_hand_while_learning_is_not_overruled() {
    let yard = Yard::new().await;
    yard.learn(0.8).await;
    yard.training.promote("pump", 0).await.unwrap();
    let job = yard.ask().await;
    let lease = lease::acquire(&yard.db, &yard.clock, TERM).await.unwrap().unwrap().lease;
    yard.training.promote("pump", 1).await.unwrap();
    let candidate = candidate(0.5);
    let verdict = judge(&candidate.holdout, "the base model", &Gate::default(), 0);
    let finish = succeed(&yard.db, &yard.clock, lease, &candidate, &verdict, None).await.unwrap();
    let Finish::Succeeded { version: 2, verdict } = finish else { panic!("{finish:?}") };
    assert!(!verdict.promoted && verdict.reason.starts_with("another version was promoted while it learned"));
    assert_eq!(yard.serving().await, 1);
    assert_eq!(yard.job(&job).await.verdict.unwrap()["promoted"], false);
}

#[tokio::test]
async fn a_result_that_comes_after_a_cancel_is_not_kept() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let lease = lease::acquire(&yard.db, &yard.clock, TERM).await.unwrap().unwrap().lease;
    yard.training.cancel(job.id).await.unwrap();
    let candidate = candidate(0.5);
    let verdict = judge(&candidate.holdout, "the base model", &Gate::default(), 0);
    let finish = succeed(&yard.db, &yard.clock, lease, &candidate, &verdict, None).await.unwrap();
    assert_eq!(finish, Finish::Cancelled);
    assert_eq!((yard.job(&job).await.status, store::versions(&yard.db).await), (Status::Cancelled, 0));
}

#[tokio::test]
async fn a_lease_survives_a_result_that_the_database_refuses() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let script = |_: Assignment, _: Progressing<'_>| {
        // jsonb takes no NUL.
        Ok(Candidate { calibration: json!({"note": "\u{0}"}), ..candidate(0.5) })
    };
    let step = yard.worker(move |a, p| script(a, p)).step().await.unwrap();
    assert!(matches!(step, Step::Worked(_, crate::training::worker::Outcome::Gave(Ended::Again, _))), "{step:?}");
    let job = yard.job(&job).await;
    assert_eq!((job.status, job.error.as_deref()), (Status::Pending, Some("the result could not be kept")));
    assert_eq!((store::versions(&yard.db).await, yard.serving().await), (0, 0));
}
