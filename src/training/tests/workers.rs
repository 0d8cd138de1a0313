//! Workers driven by hand, and the life of one on its own.

use std::time::Duration;

use super::*;
use crate::job::Lease as _;
use crate::training::lease::{Ended, Renewal};
use crate::training::store::Finish;
use crate::training::worker::Outcome;

#[tokio::test]
async fn a_worker_without_work_is_idle_and_then_makes_and_does_what_is_due() {
    let yard = Yard::new().await;
    let worker = yard.worker(|_, _| Ok(candidate(0.8)));
    assert_eq!(worker.step().await.unwrap(), Step::Idle);
    store::readings(&yard.db, yard.pump, 1000).await;
    let Step::Scheduled(made) = worker.step().await.unwrap() else { panic!("it is due") };
    let step = worker.step().await.unwrap();
    assert!(
        matches!(step, Step::Worked(job, Outcome::Finished(Finish::Succeeded { .. })) if job == made[0]),
        "{step:?}"
    );
    assert_eq!((worker.step().await.unwrap(), yard.serving().await), (Step::Idle, 1));
}

#[tokio::test]
async fn two_workers_on_one_job_promote_once() {
    let yard = Yard::new().await;
    yard.ask().await;
    let (one, two) = (yard.worker(|_, _| Ok(candidate(0.8))), yard.worker(|_, _| Ok(candidate(0.8))));
    let (one, two) = tokio::join!(one.step(), two.step());
    let worked = [one.unwrap(), two.unwrap()].into_iter().filter(|step| matches!(step, Step::Worked(..)));
    assert_eq!(worked.count(), 1);
    assert_eq!((store::versions(&yard.db).await, yard.serving().await), (1, 1));
}

#[tokio::test]
async fn signs_of_life_renew_the_lease_and_are_seen() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let worker = yard.worker(move |_, progress| {
        let _ = progress(sign(0.25));
        wait.recv().unwrap();
        Ok(candidate(0.8))
    });
    let work = tokio::spawn(async move { worker.step().await });
    let seen = eventually(async || Some(yard.job(&job).await).filter(|job| job.progress > 0.0)).await;
    assert_eq!((seen.status, seen.stage, seen.progress), (Status::Running, Stage::Learning, 0.25));
    assert!(seen.eta_s.is_some_and(|eta| eta > 0.0));
    assert!(store::lease_s(&yard.db, job.id).await.is_some_and(|left| left > 20.0));
    go.send(()).unwrap();
    work.await.unwrap().unwrap();
    assert_eq!(store::lease_s(&yard.db, job.id).await, None);
}

#[tokio::test]
async fn a_cancelled_job_stops_at_its_next_sign_of_life() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let worker = yard.worker(|_, progress| {
        while progress(sign(0.5)).is_continue() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(LearnError::Cancelled)
    });
    let work = tokio::spawn(async move { worker.step().await });
    until_running(&yard, &job).await;
    assert!(yard.training.cancel(job.id).await.unwrap().cancel_requested);
    assert_eq!(work.await.unwrap().unwrap(), Step::Worked(job.id, Outcome::Finished(Finish::Cancelled)));
    let job = yard.job(&job).await;
    assert_eq!((job.status, job.stage, job.error), (Status::Cancelled, Stage::Done, None));
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_stops_learning_and_writes_nothing() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let late = yard.worker(|_, progress| {
        while progress(sign(0.5)).is_continue() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(candidate(0.1))
    });
    let work = tokio::spawn(async move { late.step().await });
    until_running(&yard, &job).await;
    // The heir may meet the late worker's renewal, so the lease runs out until it has the job.
    let heir = yard.worker(|_, _| Ok(candidate(0.8)));
    let step = eventually(async || {
        store::expire(&yard.db, job.id).await;
        Some(heir.step().await.unwrap()).filter(|step| matches!(step, Step::Worked(..)))
    })
    .await;
    assert!(matches!(step, Step::Worked(_, Outcome::Finished(Finish::Succeeded { version: 1, .. }))), "{step:?}");
    assert_eq!(work.await.unwrap().unwrap(), Step::Worked(job.id, Outcome::Finished(Finish::Late)));
    assert_eq!((store::versions(&yard.db).await, yard.job(&job).await.attempts), (1, 2));
}

#[tokio::test]
async fn failed_attempts_back_off_and_end_after_the_fifth() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let worker = yard.worker(|_, _| Err(LearnError::Other("the disk is full\n  frame #0: c10::Error".to_owned())));
    for wait in [5.0, 10.0, 20.0, 40.0] {
        let step = worker.step().await.unwrap();
        assert!(matches!(step, Step::Worked(_, Outcome::Gave(Ended::Again, _))), "{step:?}");
        let left = store::waits_s(&yard.db, job.id).await;
        assert!(left > wait - 5.0 && left <= wait, "{left} of {wait} s");
        assert_eq!(worker.step().await.unwrap(), Step::Idle, "it waits");
        store::hurry(&yard.db, job.id).await;
    }
    assert!(matches!(worker.step().await.unwrap(), Step::Worked(_, Outcome::Gave(Ended::Closed, _))));
    let job = yard.job(&job).await;
    assert_eq!((job.status, job.attempts), (Status::Failed, 5));
    assert_eq!(job.error.as_deref(), Some("gave up after 5 attempts: the disk is full"));
}

#[tokio::test]
async fn workers_that_fall_silent_five_times_bury_the_job() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    for attempt in 1..=5 {
        let term = Duration::from_secs(30);
        let claim = crate::training::lease::acquire(&yard.db, &yard.clock, term).await.unwrap().unwrap();
        assert_eq!(claim.lease.attempts, attempt);
        store::expire(&yard.db, job.id).await;
    }
    assert_eq!(yard.worker(|_, _| Ok(candidate(0.8))).step().await.unwrap(), Step::Idle);
    let job = yard.job(&job).await;
    assert_eq!((job.status, job.error.as_deref()), (Status::Failed, Some("the worker of attempt 5 fell silent")));
}

#[tokio::test]
async fn what_another_attempt_would_meet_again_fails_at_once() {
    let yard = Yard::new().await;
    for (error, said) in [
        (LearnError::InsufficientData { have: 12, need: 300 }, "there are 12 usable windows and 300 are needed"),
        (LearnError::NonFinite("loss at step 3".to_owned()), "learning broke down: loss at step 3"),
    ] {
        let job = yard.ask().await;
        let mut error = Some(error);
        yard.worker(move |_, _| Err(error.take().unwrap())).step().await.unwrap();
        let job = yard.job(&job).await;
        assert_eq!((job.status, job.attempts, job.error.as_deref()), (Status::Failed, 1, Some(said)));
    }
}

#[tokio::test]
async fn a_learner_that_panics_costs_an_attempt_and_not_the_worker() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let mut first = true;
    let worker = yard.worker(move |_, _| {
        assert!(!std::mem::take(&mut first), "as the test wants it");
        Ok(candidate(0.8))
    });
    worker.step().await.unwrap();
    assert_eq!(yard.job(&job).await.error.as_deref(), Some("the learner panicked"));
    store::hurry(&yard.db, job.id).await;
    worker.step().await.unwrap();
    let job = yard.job(&job).await;
    assert_eq!((job.status, job.error, job.attempts), (Status::Succeeded, None, 2));
}

#[tokio::test]
async fn an_asset_deleted_while_learning_takes_its_job_along() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (begin, mut begun) = tokio::sync::mpsc::channel(1);
    let worker = yard.worker(move |_, _| {
        begin.blocking_send(()).unwrap();
        wait.recv().unwrap();
        Ok(candidate(0.8))
    });
    let work = tokio::spawn(async move { worker.step().await });
    begun.recv().await.unwrap();
    store::delete_asset(&yard.db, yard.pump).await;
    go.send(()).unwrap();
    assert_eq!(work.await.unwrap().unwrap(), Step::Worked(job.id, Outcome::Finished(Finish::Late)));
}

#[tokio::test]
async fn a_worker_works_by_itself_and_gives_its_job_back_at_the_shutdown() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let worker = yard.worker(|_, progress| {
        while progress(sign(0.5)).is_continue() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(LearnError::Cancelled)
    });
    let life = tokio::spawn(worker.run());
    until_running(&yard, &job).await;
    yard.shutdown.cancel();
    life.await.unwrap();
    let job = yard.job(&job).await;
    assert_eq!((job.status, job.attempts, job.error), (Status::Pending, 0, None));
}

#[tokio::test]
async fn a_learner_that_only_waits_for_a_processor_keeps_its_lease() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let short = Duration::from_secs(5);
    let claim = crate::training::lease::acquire(&yard.db, &yard.clock, short).await.unwrap().unwrap();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let begun = std::time::Instant::now();
    // It has not had one since it began, and so gave no sign.
    let running = crate::job::start("learner", move |_: Progressing<'_>| {
        wait.recv().unwrap();
        Ok(candidate(0.8))
    });
    let running = running.unwrap().waiting(move || begun.elapsed());
    let worker = yard.worker(|_, _| panic!("the job is another's"));
    let seen = async {
        eventually(async || store::lease_s(&yard.db, job.id).await.filter(|left| *left > 20.0)).await;
        go.send(()).unwrap();
    };
    let ((answer, stopped), ()) = tokio::join!(worker.attend(&claim.lease, running), seen);
    assert!(answer.is_ok() && stopped.is_none(), "{stopped:?}");
}

#[tokio::test]
async fn holding_a_lease_never_shortens_it_and_brings_none_back() {
    let yard = Yard::new().await;
    let job = yard.ask().await;
    let seconds = Duration::from_secs;
    let claim = crate::training::lease::acquire(&yard.db, &yard.clock, seconds(60)).await.unwrap().unwrap();
    assert_eq!(claim.lease.hold(&yard.db, seconds(10)).await.unwrap(), Renewal::Held);
    assert!(store::lease_s(&yard.db, job.id).await.is_some_and(|left| left > 40.0));
    assert!(yard.training.cancel(job.id).await.unwrap().cancel_requested);
    assert_eq!(claim.lease.hold(&yard.db, seconds(10)).await.unwrap(), Renewal::CancelRequested);
    store::expire(&yard.db, job.id).await;
    assert_eq!(claim.lease.hold(&yard.db, seconds(60)).await.unwrap(), Renewal::Lost);
    assert!(store::lease_s(&yard.db, job.id).await.is_some_and(|left| left < 0.0));
}
