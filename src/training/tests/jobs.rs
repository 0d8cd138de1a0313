//! Asking, listing, cancelling, and jobs that make themselves.

use super::*;
use crate::asset::AssetError;
use crate::ids::JobId;
use crate::model::trainee::CurvePoint;
use crate::training::lease::{self, Ended, Renewal};
use crate::training::{Cause, TrainingError};

const TERM: std::time::Duration = std::time::Duration::from_secs(30);

#[tokio::test]
async fn a_job_asked_for_waits_with_its_recipe() {
    let yard = Yard::new().await;
    let recipe = json!({"learning_rate": 3e-4, "seed": 9});
    let job = yard.training.request("pump", recipe.as_object().unwrap(), Promotion::Manual).await.unwrap();
    assert_eq!((job.status, job.cause, job.stage, job.attempts), (Status::Pending, Cause::Request, Stage::Waiting, 0));
    assert_eq!((job.asset.as_str(), job.promotion, &job.recipe["seed"]), ("pump", Promotion::Manual, &json!(9)));
    assert_eq!(job.created_at, yard.clock.now());
}

#[tokio::test]
async fn an_asset_has_one_unfinished_job_and_the_refusal_names_it() {
    let yard = Yard::new().await;
    let first = yard.ask().await;
    let again = yard.training.request("pump", &Map::new(), Promotion::Managed).await;
    assert!(matches!(again, Err(TrainingError::Unfinished(id)) if id == first.id));
    yard.training.cancel(first.id).await.unwrap();
    assert_ne!(yard.ask().await.id, first.id);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused() {
    let yard = Yard::new().await;
    let nobody = yard.training.request("nobody", &Map::new(), Promotion::Managed).await;
    assert!(matches!(nobody, Err(TrainingError::Asset(AssetError::NotFound(..)))));
    let recipe = json!({"learning_rate": -1});
    let wrong = yard.training.request("pump", recipe.as_object().unwrap(), Promotion::Managed).await;
    assert!(matches!(wrong, Err(TrainingError::Recipe(invalid)) if invalid[0].pointer == "/learning_rate"));
    let missing = JobId::mint(&yard.clock);
    assert!(matches!(yard.training.job(missing).await, Err(TrainingError::NoJob(_))));
    assert!(matches!(yard.training.cancel(missing).await, Err(TrainingError::NoJob(_))));
}

#[tokio::test]
async fn lists_are_newest_first_and_filtered() {
    let yard = Yard::new().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        let job = yard.ask().await;
        yard.training.cancel(job.id).await.unwrap();
        yard.clock.advance(chrono::TimeDelta::seconds(1));
        made.push(job.id);
    }
    let last = yard.ask().await;
    let ids = |jobs: Vec<Job>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
    let all = ids(yard.training.jobs(Some("pump"), None, None, 10).await.unwrap());
    assert_eq!(all, [last.id, made[2], made[1], made[0]]);
    let cancelled = ids(yard.training.jobs(None, Some(Status::Cancelled), Some(made[2]), 1).await.unwrap());
    assert_eq!(cancelled, [made[1]]);
    let at = yard.clock.now() - chrono::TimeDelta::milliseconds(1500);
    let changed = ids(yard.training.changed_since(at, Some(yard.pump), 10).await.unwrap());
    assert_eq!(changed, [made[2], last.id]);
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once_and_a_finished_one_cannot_be() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let cancelled = yard.training.cancel(job.id).await.unwrap();
    assert_eq!((cancelled.status, cancelled.finished_at), (Status::Cancelled, Some(yard.clock.now())));
    assert_eq!(yard.training.cancel(job.id).await.unwrap().status, Status::Cancelled, "twice is once");
    assert!(lease::acquire(&yard.db, &yard.clock, TERM).await.unwrap().is_none());
    let done = yard.learn(0.5).await;
    assert!(matches!(yard.training.cancel(done.id).await, Err(TrainingError::Ended)));
}

#[tokio::test]
async fn only_one_of_many_workers_gets_a_job() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let claims = futures::future::join_all((0..6).map(|_| lease::acquire(&yard.db, &yard.clock, TERM))).await;
    let mut claims: Vec<_> = claims.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(claims.len(), 1);
    let lease = claims.remove(0).lease;
    assert_eq!((lease.job, lease.asset, lease.attempts), (job.id, yard.pump, 1));
    assert_eq!(yard.job(&job).await.status, Status::Running);
}

#[tokio::test]
async fn a_late_worker_can_neither_renew_nor_end_a_job() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let late = lease::acquire(&yard.db, &yard.clock, TERM).await.unwrap().unwrap().lease;
    store::expire(&yard.db, job.id).await;
    let renewal = late.renew(&yard.db, TERM, (Stage::Learning, 0.5, None, None), yard.clock.now()).await.unwrap();
    assert_eq!(renewal, Renewal::Lost, "before anybody else has it");
    let heir = lease::acquire(&yard.db, &yard.clock, TERM).await.unwrap().unwrap().lease;
    assert_eq!((heir.job, heir.attempts), (job.id, 2));
    let renewal = late.renew(&yard.db, TERM, (Stage::Learning, 0.5, None, None), yard.clock.now()).await.unwrap();
    assert_eq!(renewal, Renewal::Lost);
    assert_eq!(late.fail(&yard.db, "late", yard.clock.now()).await.unwrap(), Ended::Late);
    assert_eq!(yard.job(&job).await.status, Status::Running, "the heir still has it");
    assert_eq!(heir.fail(&yard.db, "mine", yard.clock.now()).await.unwrap(), Ended::Closed);
    assert_eq!(yard.job(&job).await.error.as_deref(), Some("mine"));
}

#[tokio::test]
async fn a_job_tells_its_curve_while_it_learns_and_another_attempt_begins_anew() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let lease = lease::acquire(&yard.db, &yard.clock, TERM).await.unwrap().unwrap().lease;
    let tell = async |step: Option<u32>| {
        let point = step.map(|step| CurvePoint { step, train_loss: 0.5, validation_loss: 1.0 / f64::from(step + 1) });
        let told = (Stage::Learning, 0.5, None, point);
        assert_eq!(lease.renew(&yard.db, TERM, told, yard.clock.now()).await.unwrap(), Renewal::Held);
        let curve = yard.job(&job).await.curve;
        curve.as_array().unwrap().iter().map(|point| point["step"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(tell(None).await, [0_i64; 0]);
    assert_eq!(tell(Some(0)).await, [0]);
    assert_eq!(tell(Some(20)).await, [0, 20]);
    assert_eq!(tell(Some(20)).await, [0, 20], "told twice");
    assert_eq!(tell(None).await, [0, 20], "nothing new");
    assert_eq!(tell(Some(10)).await, [10], "with another learning rate");
    assert_eq!(yard.job(&job).await.curve[0]["train_loss"], 0.5);
    store::expire(&yard.db, job.id).await;
    let _again = lease::acquire(&yard.db, &yard.clock, TERM).await.unwrap().unwrap();
    assert_eq!(yard.job(&job).await.curve, serde_json::json!([]), "a new attempt");
}

#[tokio::test]
async fn a_worker_that_goes_home_gives_the_job_back_untried() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let lease = lease::acquire(&yard.db, &yard.clock, TERM).await.unwrap().unwrap().lease;
    assert_eq!(lease.release(&yard.db, yard.clock.now()).await.unwrap(), Ended::Again);
    let job = yard.job(&job).await;
    assert_eq!((job.status, job.attempts), (Status::Pending, 0));
}

#[tokio::test]
async fn an_attempt_that_fails_after_a_cancel_is_not_repeated() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let lease = lease::acquire(&yard.db, &yard.clock, TERM).await.unwrap().unwrap().lease;
    assert_eq!(yard.training.cancel(job.id).await.unwrap().status, Status::Running, "until its worker knows");
    assert_eq!(lease.retry(&yard.db, "broke", yard.clock.now()).await.unwrap(), Ended::Closed);
    assert_eq!(yard.job(&job).await.status, Status::Cancelled);
}

#[tokio::test]
async fn enough_fresh_readings_make_a_job_once() {
    let yard = Yard::new().await;
    // Two signals a frame: 100 frames for the first job, 200 for each further one.
    store::readings(&yard.db, yard.pump, 199).await;
    assert_eq!(yard.training.schedule().await.unwrap(), []);
    store::readings(&yard.db, yard.pump, 200).await;
    let made = futures::future::join_all((0..4).map(|_| yard.training.schedule())).await;
    let made: Vec<JobId> = made.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(made.len(), 1, "four servers, one job");
    let job = yard.training.job(made[0]).await.unwrap();
    assert_eq!((job.cause, job.status, job.promotion), (Cause::FreshReadings, Status::Pending, Promotion::Managed));
    store::readings(&yard.db, yard.pump, 900).await;
    assert_eq!(yard.training.schedule().await.unwrap(), [], "it is not finished");
    yard.training.cancel(made[0]).await.unwrap();
    store::readings(&yard.db, yard.pump, 599).await;
    assert_eq!(yard.training.schedule().await.unwrap(), [], "399 of 400 since the last one");
    store::readings(&yard.db, yard.pump, 600).await;
    assert_eq!(yard.training.schedule().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_asked_for_by_hand_starts_the_count_anew() {
    let yard = Yard::new().await;
    store::readings(&yard.db, yard.pump, 1000).await;
    let job = yard.ask().await;
    yard.training.cancel(job.id).await.unwrap();
    assert_eq!(yard.training.schedule().await.unwrap(), []);
}
