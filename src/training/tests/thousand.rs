//! A thousand jobs over two workers, one of which freezes and wakes when its lease has long run out.

use std::sync::mpsc;

use super::*;
use crate::training::store::Finish;
use crate::training::worker::Outcome;

const JOBS: usize = 1_000;
/// Jobs of the worker that freezes, by their place among its own, in which it does.
const FROZEN: [usize; 3] = [20, 150, 300];

/// How many jobs a worker finished and how many it was late with, once nothing is left.
async fn drain(worker: Worker, db: PgPool) -> (usize, usize) {
    let (mut finished, mut late) = (0, 0);
    loop {
        match worker.step().await.unwrap() {
            Step::Worked(_, Outcome::Finished(Finish::Succeeded { .. })) => finished += 1,
            Step::Worked(_, Outcome::Finished(Finish::Late)) => late += 1,
            Step::Idle if store::unfinished(&db).await == 0 => return (finished, late),
            Step::Idle => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_jobs_over_two_workers_of_which_one_freezes_are_each_promoted_once() {
    let yard = Yard::new().await;
    for index in 1..JOBS {
        store::asset(&yard.db, &format!("pump-{index}")).await;
        yard.training.request(&format!("pump-{index}"), &Map::new(), Promotion::Managed).await.unwrap();
    }
    yard.ask().await;
    let (freeze, mut frozen) = tokio::sync::mpsc::unbounded_channel();
    let (wake, woken) = mpsc::channel::<()>();
    let mut learned = 0;
    let one = yard.worker(move |assignment, _| {
        learned += 1;
        if FROZEN.contains(&learned) {
            freeze.send(assignment.asset.id).unwrap();
            woken.recv().unwrap();
        }
        Ok(candidate(0.8))
    });
    let other = yard.worker(|_, _| Ok(candidate(0.7)));
    let one = tokio::spawn(drain(one, yard.db.clone()));
    let other = tokio::spawn(drain(other, yard.db.clone()));
    for _ in FROZEN {
        let asset = frozen.recv().await.expect("it freezes");
        // Its lease runs out, the other one takes the job over, and only then it wakes.
        eventually(async || (!store::expire_first(&yard.db, asset).await).then_some(())).await;
        wake.send(()).unwrap();
    }
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    assert_eq!((one.1, other.1), (FROZEN.len(), 0), "what came late left no trace");
    assert_eq!(one.0 + other.0, JOBS);
    assert!(one.0 > FROZEN[2] && other.0 > FROZEN.len(), "both worked: {one:?} {other:?}");
    assert_eq!(store::promoted_once(&yard.db).await, (JOBS as i64, JOBS as i64, JOBS as i64));
}
