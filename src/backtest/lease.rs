//! The right to work on a backtest and to end it, held by one worker for a while.
//!
//! Only the database's clock counts, as for fine-tune jobs: a lease that is not renewed runs out, another
//! worker takes the backtest over with a token of its own, and whatever the late worker then writes changes
//! nothing.

use std::fmt::Display;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgExecutor, PgPool};

use super::ask::{Inputs, Plan};
use crate::clock::Clock;
use crate::ids::{AssetId, BacktestId, LeaseToken, ModelId};
use crate::job::{self, Ended, Ending, Lease as _, MAX_ATTEMPTS, Renewal, Status, back_off};

/// A backtest of which this worker may be the one to end it.
#[must_use = "a lease that is dropped blocks the backtest until it expires"]
#[derive(Debug)]
pub struct Lease {
    /// The backtest.
    pub backtest: BacktestId,
    /// Whose history it is.
    pub asset: AssetId,
    /// Attempts so far, this one included.
    pub attempts: i32,
    token: LeaseToken,
}

/// A backtest with its lease.
#[must_use = "a lease that is dropped blocks the backtest until it expires"]
#[derive(Debug)]
pub struct Claim {
    /// The right to end it.
    pub lease: Lease,
    /// The version that is examined; `None` for the base model.
    pub model: Option<ModelId>,
    /// How the windows lie.
    pub plan: Plan,
    /// Instant of the newest frame that counts.
    pub cutoff: DateTime<Utc>,
}

/// A lease that could not be spent because the database did not answer.
pub type Unspent = job::Unspent<Lease>;

#[derive(sqlx::FromRow)]
struct Row {
    id: BacktestId,
    asset_id: AssetId,
    attempts: i32,
    model_id: Option<ModelId>,
    windows: i32,
    step_size: i32,
    horizon: i32,
    inputs: Inputs,
    cutoff: DateTime<Utc>,
}

/// Takes the backtest that has waited longest: one whose time has come, or a running one whose worker fell
/// silent. `None` when there is none, or other workers are just taking them.
pub async fn acquire(db: impl PgExecutor<'_>, clock: &Clock, term: Duration) -> sqlx::Result<Option<Claim>> {
    let token = LeaseToken::mint(clock);
    let row: Option<Row> = sqlx::query_as(
        "update backtest set status = 'running', progress = 0, eta_s = null, attempts = attempts + 1, lease_token = $1,
             lease_expires_at = now() + make_interval(secs => $2), started_at = coalesce(started_at, $3), updated_at = $3
         where id = (
             select id from backtest
             where attempts < $4 and not cancel_requested
                 and (status = 'pending' and run_after <= now() or status = 'running' and lease_expires_at <= now())
             order by run_after, id limit 1 for update skip locked
         )
         returning id, asset_id, attempts, model_id, windows, step_size, horizon, inputs, cutoff",
    )
    .bind(token)
    .bind(term.as_secs_f64())
    .bind(clock.now())
    .bind(MAX_ATTEMPTS)
    .fetch_optional(db)
    .await?;
    let size = |value: i32| usize::try_from(value).unwrap_or_default();
    Ok(row.map(|row| Claim {
        lease: Lease { backtest: row.id, asset: row.asset_id, attempts: row.attempts, token },
        model: row.model_id,
        plan: Plan {
            windows: size(row.windows),
            step_size: size(row.step_size),
            horizon: size(row.horizon),
            inputs: row.inputs,
        },
        cutoff: row.cutoff,
    }))
}

/// Ends the backtests that no worker will take again: those whose last worker fell silent after the last
/// attempt, or after a person wanted them stopped.
pub async fn bury(db: impl PgExecutor<'_>, now: DateTime<Utc>) -> sqlx::Result<Vec<BacktestId>> {
    sqlx::query_scalar(
        "update backtest set status = case when cancel_requested then 'cancelled' else 'failed' end,
             error = case when cancel_requested then error
                 else coalesce(error || '; ', '') || 'the worker of attempt ' || attempts || ' fell silent' end,
             eta_s = null, lease_token = null, lease_expires_at = null, finished_at = $1, updated_at = $1
         where status = 'running' and lease_expires_at <= now() and (cancel_requested or attempts >= $2)
         returning id",
    )
    .bind(now)
    .bind(MAX_ATTEMPTS)
    .fetch_all(db)
    .await
}

impl Lease {
    /// Extends the lease and tells how far the work is.
    pub async fn renew(
        &self,
        db: impl PgExecutor<'_>,
        term: Duration,
        (progress, eta_s): (f64, Option<f64>),
        now: DateTime<Utc>,
    ) -> sqlx::Result<Renewal> {
        let cancel: Option<bool> = sqlx::query_scalar(
            "update backtest set lease_expires_at = now() + make_interval(secs => $3), progress = $4, eta_s = $5, updated_at = $6
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running'
             returning cancel_requested",
        )
        .bind(self.backtest)
        .bind(self.token)
        .bind(term.as_secs_f64())
        .bind(progress)
        .bind(eta_s)
        .bind(now)
        .fetch_optional(db)
        .await?;
        Ok(Renewal::of(cancel))
    }

    /// Ends the backtest with its result. One that a person wanted stopped in time ends as cancelled, and
    /// nothing is kept. The status that it ended with; `None` when the lease had run out.
    pub async fn succeed(
        self,
        db: impl PgExecutor<'_>,
        result: &Value,
        now: DateTime<Utc>,
    ) -> Result<Option<Status>, Unspent> {
        let status = sqlx::query_scalar(
            "update backtest set status = case when cancel_requested then 'cancelled' else 'succeeded' end,
                 progress = case when cancel_requested then progress else 1 end,
                 eta_s = case when cancel_requested then null else 0 end,
                 result = case when cancel_requested then null else $3::jsonb end, error = null,
                 lease_token = null, lease_expires_at = null, finished_at = $4, updated_at = $4
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running' returning status",
        )
        .bind(self.backtest)
        .bind(self.token)
        .bind(result)
        .bind(now)
        .fetch_optional(db)
        .await;
        status.map_err(|source| Unspent { lease: self, source })
    }

    /// Ends the backtest as failed, for a reason that another attempt would meet again.
    pub async fn fail(self, db: impl PgExecutor<'_>, reason: &str, now: DateTime<Utc>) -> Result<Ended, Unspent> {
        let done = sqlx::query(
            "update backtest set status = 'failed', eta_s = null, error = $3, lease_token = null, lease_expires_at = null,
                 finished_at = $4, updated_at = $4
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running'",
        )
        .bind(self.backtest)
        .bind(self.token)
        .bind(reason)
        .bind(now)
        .execute(db)
        .await;
        self.ended(done)
    }

    /// Gives the backtest back after a failed attempt: it waits 5 s, 10 s, 20 s, 40 s for the next one, and has
    /// failed after the fifth.
    pub async fn retry(self, db: impl PgExecutor<'_>, reason: &str, now: DateTime<Utc>) -> Result<Ended, Unspent> {
        if self.attempts >= MAX_ATTEMPTS {
            return self.fail(db, &format!("gave up after {MAX_ATTEMPTS} attempts: {reason}"), now).await;
        }
        let status = sqlx::query_scalar(
            "update backtest set status = case when cancel_requested then 'cancelled' else 'pending' end,
                 finished_at = case when cancel_requested then $5::timestamptz end, progress = 0, eta_s = null, error = $3,
                 run_after = now() + make_interval(secs => $4), lease_token = null, lease_expires_at = null, updated_at = $5
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running' returning status",
        )
        .bind(self.backtest)
        .bind(self.token)
        .bind(reason)
        .bind(back_off(self.attempts).as_secs_f64())
        .bind(now)
        .fetch_optional(db)
        .await;
        self.given_back(status)
    }

    /// Gives the backtest back untried, because this worker is going home. Does not count as an attempt.
    pub async fn release(self, db: impl PgExecutor<'_>, now: DateTime<Utc>) -> Result<Ended, Unspent> {
        let status = sqlx::query_scalar(
            "update backtest set status = case when cancel_requested then 'cancelled' else 'pending' end,
                 finished_at = case when cancel_requested then $3::timestamptz end, progress = 0, eta_s = null,
                 attempts = attempts - 1, run_after = now(), lease_token = null, lease_expires_at = null, updated_at = $3
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running' returning status",
        )
        .bind(self.backtest)
        .bind(self.token)
        .bind(now)
        .fetch_optional(db)
        .await;
        self.given_back(status)
    }

    /// Ends the backtest as a person asked.
    pub async fn cancel(self, db: impl PgExecutor<'_>, now: DateTime<Utc>) -> Result<Ended, Unspent> {
        let done = sqlx::query(
            "update backtest set status = 'cancelled', eta_s = null, lease_token = null, lease_expires_at = null,
                 finished_at = $3, updated_at = $3
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running'",
        )
        .bind(self.backtest)
        .bind(self.token)
        .bind(now)
        .execute(db)
        .await;
        self.ended(done)
    }
}

impl job::Lease for Lease {
    const WHAT: &'static str = "a backtest";
    type Progress = f64;

    fn id(&self) -> impl Display {
        self.backtest
    }

    async fn tell(
        &self,
        db: &PgPool,
        term: Duration,
        progress: &f64,
        took: Duration,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Renewal> {
        let share = job::share(*progress);
        self.renew(db, term, (share, job::eta_s(took, share)), now).await
    }

    async fn hold(&self, db: &PgPool, least: Duration) -> sqlx::Result<Renewal> {
        let cancel: Option<bool> = sqlx::query_scalar(
            "update backtest set lease_expires_at = greatest(lease_expires_at, now() + make_interval(secs => $3))
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running'
             returning cancel_requested",
        )
        .bind(self.backtest)
        .bind(self.token)
        .bind(least.as_secs_f64())
        .fetch_optional(db)
        .await?;
        Ok(Renewal::of(cancel))
    }

    async fn end(self, db: &PgPool, ending: &Ending, now: DateTime<Utc>) -> Result<Ended, Unspent> {
        match ending {
            Ending::Fail(reason) => self.fail(db, reason, now).await,
            Ending::Retry(reason) => self.retry(db, reason, now).await,
            Ending::Cancel => self.cancel(db, now).await,
            Ending::Release => self.release(db, now).await,
        }
    }
}
