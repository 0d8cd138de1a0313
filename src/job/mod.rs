//! Long work in the background: how far a job is in its life, how its lease is kept, what becomes of attempts at
//! it, what an attempt may take, and the thread that the work itself is done on.
//!
//! Rooms with jobs keep them in tables of their own and lease them by the database's clock; what is the
//! same for all of them stands here. Absent on purpose: any SQL, and what the work is.

mod lease;
mod limits;
mod memory;
mod reason;
mod silence;
mod thread;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use lease::{Ending, Keeper, Lease, Unspent, again};
pub use limits::{Limit, Limits, Meter, Over};
pub use reason::{first_line, told};
pub use thread::{Running, Told, start};

/// Attempts at a job; then it has failed.
pub const MAX_ATTEMPTS: i32 = 5;

/// How long a lease is held for work that has been silent so long by its own time ([`Told::Starved`]): until it
/// has been for the whole term. `None` when it has: the lease runs out.
#[must_use]
pub fn held_for(term: Duration, silent: Duration) -> Option<Duration> {
    term.checked_sub(silent).filter(|left| !left.is_zero())
}

/// How far a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    /// It waits for a worker.
    Pending,
    /// A worker has it.
    Running,
    /// It came to a result: of a fine-tune job a verdict, and whether the candidate was promoted is in it.
    Succeeded,
    /// It gave up; `error` says why.
    Failed,
    /// A person stopped it.
    Cancelled,
}

/// What a renewal of a lease found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The lease is good for another while.
    Held,
    /// It is, but a person wants the job stopped.
    CancelRequested,
    /// It had run out: another worker has the job, or will.
    Lost,
}

/// What became of a job that an attempt could not finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has ended.
    Closed,
    /// It waits for another attempt.
    Again,
    /// The lease had run out, so nothing was written.
    Late,
}

/// Why work was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// A person asked.
    Cancel,
    /// The lease ran out.
    Lost,
    /// The server is going home.
    Shutdown,
    /// The attempt went beyond a limit.
    Over(Over),
}

impl Renewal {
    /// By what the row says of a wish to stop the job; `None` where the lease no longer held.
    #[must_use]
    pub fn of(cancel_requested: Option<bool>) -> Self {
        match cancel_requested {
            None => Self::Lost,
            Some(true) => Self::CancelRequested,
            Some(false) => Self::Held,
        }
    }
}

/// How long a job waits after so many attempts: 5 s x 2^n.
#[must_use]
pub fn back_off(attempts: i32) -> Duration {
    Duration::from_secs(5 << (attempts - 1).clamp(0, MAX_ATTEMPTS))
}

/// The share of work that is said to be done, as a job tells it: 0..1, and 0 where it is not a number.
#[must_use]
pub fn share(said: f64) -> f64 {
    if said.is_finite() { said.clamp(0.0, 1.0) } else { 0.0 }
}

/// Seconds that are left of work of which a share, 0..1, took so long; `None` before enough is done to tell.
#[must_use]
pub fn eta_s(took: Duration, share: f64) -> Option<f64> {
    /// Before so much is done, the rest cannot be told.
    const FROM: f64 = 0.02;
    (share >= FROM).then(|| took.as_secs_f64() * (1.0 - share) / share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles() {
        assert_eq!([1, 2, 3, 4].map(|attempts| back_off(attempts).as_secs()), [5, 10, 20, 40]);
    }

    #[test]
    fn silent_work_is_held_until_the_whole_term_was_its_own() {
        let seconds = Duration::from_secs;
        let held = [0, 59, 60, 61].map(|silent| held_for(seconds(60), seconds(silent)));
        assert_eq!(held, [Some(seconds(60)), Some(seconds(1)), None, None]);
    }

    #[test]
    fn a_share_is_a_share() {
        assert_eq!([0.25, -1.0, 2.0, f64::NAN, f64::INFINITY].map(share), [0.25, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_left_goes_by_what_is_done() {
        let took = Duration::from_secs(10);
        assert_eq!([0.0, 0.01, 0.25, 1.0].map(|share| eta_s(took, share)), [None, None, Some(30.0), Some(0.0)]);
    }
}
