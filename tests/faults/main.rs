//! A job is done once, and what serves goes on answering bit by bit, whatever befalls those who learn.
//!
//! The real binary in its role `work` learns from a real database and is killed with SIGKILL at several
//! moments, frozen with SIGSTOP for more than two leases while another worker takes over, refused any more
//! memory, stopped at its limits of memory and time, and told by the database that the disk is full. Learning
//! writes nothing to the disk itself, so a full disk is one of the database: its own error (SQLSTATE 53100) to
//! every write that a job makes. A server whose learning has a process of its own sees that process killed, and is
//! itself ended and killed beside it.

mod plant;
mod server;
mod worker;

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use plant::{Plant, counts, text};
use serde_json::{Value, json};
use server::Server;
use tokio::sync::Mutex;
use worker::Worker;

/// Seconds of a lease: few, but more than a busy machine takes from one sign of life to the next.
const LEASE_S: u64 = 10;
/// One plant at a time: processes that learn get in each other's way.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Whether an attempt, the how-manieth, has done so much.
fn learning(attempt: u64, share: f64) -> impl Fn(&Value) -> bool {
    move |job| {
        assert_ne!(text(job, "status"), "failed", "{job}");
        let done = text(job, "status") == "succeeded" || job["progress"].as_f64().is_some_and(|done| done >= share);
        job["attempts"].as_u64() >= Some(attempt) && done
    }
}

/// Waits until something is so of a worker.
async fn until(worker: &mut Worker, what: &str, is_so: impl Fn(&mut Worker) -> bool) {
    let begun = Instant::now();
    while !is_so(worker) {
        assert!(begun.elapsed() < Duration::from_mins(3), "it never {what}:\n{}", worker.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_at_any_moment_lose_an_attempt_and_nothing_else() {
    let _alone = ALONE.lock().await;
    let plant = Plant::new().await;
    let before = plant.forecast().await;
    let job = plant.ask().await;
    // While it prepares, in the middle of learning, and near its end.
    for (attempt, share) in [(1, 0.02), (2, 0.4), (3, 0.7)] {
        let mut worker = Worker::start(&plant.db.url);
        let seen = plant.until(&job, "so far", learning(attempt, share)).await;
        worker.kill();
        assert_eq!(text(&seen, "status"), "running", "it ended before it was killed: {seen}\n{}", worker.log());
        assert_eq!((plant.forecast().await, counts(&plant.db.pool).await), (before.clone(), (0, 0)), "{seen}");
    }
    let _worker = Worker::start(&plant.db.url);
    let done = plant.done_once(&job).await;
    assert!(done["attempts"].as_u64() >= Some(4), "each kill cost an attempt: {done}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_frozen_for_two_leases_comes_late_and_changes_nothing() {
    let _alone = ALONE.lock().await;
    let plant = Plant::new().await;
    let before = plant.forecast().await;
    let job = plant.ask().await;
    let mut frozen = Worker::start(&plant.db.url);
    plant.until(&job, "so far", learning(1, 0.4)).await;
    frozen.freeze();
    let since = Instant::now();
    assert_eq!(plant.forecast().await, before);
    let other = Worker::start(&plant.db.url);
    let done = plant.done_once(&job).await;
    assert!(done["attempts"].as_u64() >= Some(2), "the other one took it over: {done}");
    // The heir may have been quicker than two leases of the frozen one.
    let two = Duration::from_secs(2 * LEASE_S);
    tokio::time::sleep(two.saturating_sub(since.elapsed())).await;
    // Here too the first answer of another version fits what later ones find fitted.
    plant.forecast().await;
    let serving = plant.forecast().await;
    frozen.thaw();
    until(&mut frozen, "came late", |worker| worker.log().contains("outcome=Finished(Late)")).await;
    assert_eq!(plant.done_once(&job).await, done, "{}", other.log());
    assert_eq!(plant.forecast().await, serving);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_gets_no_more_memory_leaves_the_job_to_another() {
    let _alone = ALONE.lock().await;
    let plant = Plant::new().await;
    let before = plant.forecast().await;
    let job = plant.ask().await;
    let mut poor = Worker::start(&plant.db.url);
    plant.until(&job, "so far", learning(1, 0.0)).await;
    poor.allow_no_more_memory();
    assert_eq!(plant.forecast().await, before, "serving has its own memory");
    let over = |worker: &mut Worker| {
        worker.is_gone() || ["fine-tuning ended", "fine-tuned"].iter().any(|words| worker.log().contains(words))
    };
    until(&mut poor, "ended or said how its work did", over).await;
    poor.kill();
    let _other = Worker::start(&plant.db.url);
    plant.done_once(&job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_may_not_take_so_much_memory_says_so_and_another_does_the_job() {
    let _alone = ALONE.lock().await;
    let plant = Plant::new().await;
    let before = plant.forecast().await;
    let job = plant.ask().await;
    let setting = "COUNTERPART_TRAINING_MEMORY_LIMIT_MIB";
    let mut poor = Worker::start_with(&plant.db.url, &[(setting, "1")]);
    let seen = plant.until(&job, "gave up an attempt", |job| job["error"].is_string()).await;
    assert!(text(&seen, "error").contains(setting), "{seen}\n{}", poor.log());
    assert!(!poor.is_gone(), "it only gave up an attempt");
    assert_eq!((plant.forecast().await, counts(&plant.db.pool).await), (before, (0, 0)));
    poor.kill();
    let _other = Worker::start(&plant.db.url);
    plant.done_once(&job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_takes_more_than_its_time_fails_once_and_its_worker_does_the_next() {
    let _alone = ALONE.lock().await;
    let plant = Plant::new().await;
    let before = plant.forecast().await;
    let job = plant.ask().await;
    let setting = "COUNTERPART_TRAINING_TIME_LIMIT_S";
    let mut worker = Worker::start_with(&plant.db.url, &[(setting, "1")]);
    let seen = plant.until(&job, "ended", |job| job["finished_at"].is_string()).await;
    assert_eq!((text(&seen, "status"), &seen["attempts"]), ("failed", &json!(1)), "{seen}");
    assert!(text(&seen, "error").contains(setting), "{seen}\n{}", worker.log());
    assert_eq!((plant.forecast().await, counts(&plant.db.pool).await), (before, (0, 0)));
    // It lives, and goes on working.
    let next = plant.ask().await;
    let seen = plant.until(&next, "ended", |job| job["finished_at"].is_string()).await;
    assert_eq!((text(&seen, "status"), worker.is_gone()), ("failed", false), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_keeps_no_half_a_version_and_the_job_goes_on_when_there_is_room() {
    let _alone = ALONE.lock().await;
    let plant = Plant::new().await;
    let before = plant.forecast().await;
    let job = plant.ask().await;
    let mut worker = Worker::start(&plant.db.url);
    plant.until(&job, "so far", learning(1, 0.4)).await;
    sqlx::raw_sql(
        "create function full_disk() returns trigger language plpgsql as $$ begin
             raise exception 'could not extend file: No space left on device' using errcode = 'disk_full';
         end $$;
         create trigger full_disk before insert or update on model_version for each row execute function full_disk();
         create trigger full_disk before insert or update on champion for each row execute function full_disk();
         create trigger full_disk before update on fine_tune_job for each row execute function full_disk();",
    )
    .execute(&plant.db.pool)
    .await
    .expect("the disk is full");
    let refused = |worker: &mut Worker| worker.log().contains("a fine-tune job could not be closed");
    until(&mut worker, "was refused", refused).await;
    assert_eq!((plant.forecast().await, counts(&plant.db.pool).await), (before, (0, 0)));
    sqlx::raw_sql(
        "drop trigger full_disk on model_version; drop trigger full_disk on champion;
         drop trigger full_disk on fine_tune_job;",
    )
    .execute(&plant.db.pool)
    .await
    .expect("there is room again");
    plant.done_once(&job).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_learns_is_killed_and_followed_by_another_while_its_server_answers_on() {
    let _alone = ALONE.lock().await;
    let plant = Plant::new().await;
    let job = plant.ask().await;
    let server = Server::start(&plant.db.url).await;
    let seen = server.until(&job, "so far", learning(1, 0.4)).await;
    let first = server.learner().expect("somebody learns");
    kill(first, Signal::SIGKILL).expect("it lives");
    assert_eq!(text(&seen, "status"), "running", "it ended before its process was killed: {seen}\n{}", server.log());
    server.predict().await;
    let second = server.another_learner(first).await;
    let ended = |job: &Value| ["succeeded", "failed"].contains(&text(job, "status"));
    server.until(&job, "done", ended).await;
    let done = plant.done_once(&job).await;
    assert!(done["attempts"].as_u64() >= Some(2), "the kill cost an attempt: {done}");
    server.predict().await;
    assert_eq!(server.learner(), Some(second), "{}", server.log());
    assert!(server.log().contains("(SIGKILL)"), "{}", server.log());
    let metrics = server.get("/metrics").await;
    for line in ["counterpart_learning_processes 1", "counterpart_learning_process_ends_total 1"] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_learns_ends_with_its_server_and_gives_the_job_back() {
    let _alone = ALONE.lock().await;
    let plant = Plant::new().await;
    let job = plant.ask().await;
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut server = Server::start(&plant.db.url).await;
        server.until(&job, "so far", learning(1, 0.4)).await;
        let learner = server.learner().expect("somebody learns");
        let status = server.end(signal);
        assert_eq!(status.success(), signal == Signal::SIGTERM, "{status}\n{}", server.log());
        server::until_gone(learner).await;
        let seen = plant.job(&job).await;
        assert_eq!((text(&seen, "status"), &seen["attempts"]), ("pending", &json!(0)), "{seen}\n{}", server.log());
    }
    assert_eq!(counts(&plant.db.pool).await, (0, 0));
}
