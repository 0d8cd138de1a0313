//! What an attempt may take: time of its own, and memory of its process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::job::{Limit, Over, Stopped};
use crate::training::store::Finish;
use crate::training::worker::Outcome;

const MINUTE: Duration = Duration::from_mins(1);

/// Learns until it is told to stop.
fn on_and_on(progress: Progressing<'_>) -> Result<Candidate, LearnError> {
    while progress(sign(0.5)).is_continue() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(LearnError::Cancelled)
}

/// A job with a lease, and a worker that stops what takes more than a minute.
async fn leased() -> (Yard, Job, crate::training::lease::Lease, Worker) {
    let mut yard = Yard::new().await;
    yard.training.config.training_time_limit_s = 60;
    let job = yard.ask().await;
    let claim = crate::training::lease::acquire(&yard.db, &yard.clock, MINUTE).await.unwrap().unwrap();
    let worker = yard.worker(|_, _| panic!("the job is another's"));
    (yard, job, claim.lease, worker)
}

#[tokio::test]
async fn a_job_beyond_its_time_fails_at_once_and_the_worker_goes_on() {
    let mut yard = Yard::new().await;
    yard.training.config.training_time_limit_s = 1;
    let job = yard.ask().await;
    let step = yard.worker(|_, progress| on_and_on(progress)).step().await.unwrap();
    assert!(matches!(step, Step::Worked(_, Outcome::Gave(crate::job::Ended::Closed, _))), "{step:?}");
    let job = yard.job(&job).await;
    assert_eq!((job.status, job.stage, job.attempts), (Status::Failed, Stage::Done, 1));
    let said = "an attempt may take 1 s (COUNTERPART_TRAINING_TIME_LIMIT_S) and this one took longer, the time in \
                which it waited for a processor not counted";
    assert_eq!(job.error.as_deref(), Some(said));
    assert_eq!((yard.learn(0.8).await.status, yard.serving().await), (Status::Succeeded, 1));
}

#[tokio::test]
async fn a_result_that_comes_when_the_time_is_over_is_kept() {
    let mut yard = Yard::new().await;
    yard.training.config.training_time_limit_s = 1;
    yard.ask().await;
    let worker = yard.worker(|_, progress| on_and_on(progress).or(Ok(candidate(0.8))));
    let step = worker.step().await.unwrap();
    assert!(matches!(step, Step::Worked(_, Outcome::Finished(Finish::Succeeded { .. }))), "{step:?}");
    assert_eq!(yard.serving().await, 1);
}

#[tokio::test]
async fn a_learner_is_stopped_after_its_own_time() {
    let (_yard, _, lease, worker) = leased().await;
    let running = crate::job::start("learner", on_and_on);
    // It has waited for a little of it.
    let running = running.unwrap().begun(2 * MINUTE).waiting(|| MINUTE / 2);
    let (answer, stopped) = worker.attend(&lease, running).await;
    assert!(matches!(answer, Err(LearnError::Cancelled)), "{answer:?}");
    let limit = Limit { most: 60, setting: "COUNTERPART_TRAINING_TIME_LIMIT_S" };
    assert_eq!(stopped, Some(Stopped::Over(Over::Time(limit))));
}

#[tokio::test]
async fn a_learner_beyond_its_time_hears_so_at_its_next_sign_of_life() {
    let (_yard, _, lease, worker) = leased().await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let running = crate::job::start("learner", move |progress: Progressing<'_>| {
        wait.recv().unwrap();
        if progress(sign(0.5)).is_break() { Err(LearnError::Cancelled) } else { Ok(candidate(0.8)) }
    });
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let running = running.unwrap().begun(2 * MINUTE).waiting(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Duration::ZERO
    });
    // It is silent until it has been looked at.
    let seen = async {
        eventually(async || (looks.load(Ordering::Relaxed) > 10).then_some(())).await;
        go.send(()).unwrap();
    };
    let ((answer, stopped), ()) = tokio::join!(worker.attend(&lease, running), seen);
    assert!(matches!(answer, Err(LearnError::Cancelled)), "{answer:?}");
    assert!(matches!(stopped, Some(Stopped::Over(Over::Time(_)))), "{stopped:?}");
}

#[tokio::test]
async fn time_in_which_a_learner_waits_for_a_processor_is_not_its_own() {
    let (yard, job, lease, worker) = leased().await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let running = crate::job::start("learner", move |progress: Progressing<'_>| {
        let _ = progress(sign(0.25));
        wait.recv().unwrap();
        Ok(candidate(0.8))
    });
    let running = running.unwrap().begun(60 * MINUTE).waiting(|| 60 * MINUTE);
    // What it takes is looked at when its sign of life has been told.
    let seen = async {
        eventually(async || (yard.job(&job).await.progress > 0.0).then_some(())).await;
        go.send(()).unwrap();
    };
    let ((answer, stopped), ()) = tokio::join!(worker.attend(&lease, running), seen);
    assert!(answer.is_ok() && stopped.is_none(), "{stopped:?}");
}

#[tokio::test]
async fn an_attempt_beyond_its_memory_ends_with_the_reason_and_another_may_follow() {
    /// More than other tests give back meanwhile.
    const MANY: usize = 512;
    let mut yard = Yard::new().await;
    yard.training.config.training_memory_limit_mib = 32;
    let job = yard.ask().await;
    let worker = yard.worker(|_, progress| {
        let mut held = Vec::new();
        while progress(sign(0.5)).is_continue() {
            assert!(held.len() < MANY, "it was never stopped");
            held.push(vec![1_u8; 4 << 20]);
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(LearnError::Cancelled)
    });
    let step = worker.step().await.unwrap();
    let Step::Worked(_, Outcome::Gave(crate::job::Ended::Again, reason)) = step else { panic!("{step:?}") };
    let said =
        "an attempt may make its process grow by 32 MiB (COUNTERPART_TRAINING_MEMORY_LIMIT_MIB) and while this one ran";
    assert!(reason.starts_with(said), "{reason}");
    let seen = yard.job(&job).await;
    assert_eq!((seen.status, seen.attempts, seen.error), (Status::Pending, 1, Some(reason)));
    store::hurry(&yard.db, job.id).await;
    yard.worker(|_, _| Ok(candidate(0.8))).step().await.unwrap();
    assert_eq!((yard.job(&job).await.status, yard.serving().await), (Status::Succeeded, 1));
}
