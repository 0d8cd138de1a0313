//! The right to work on a job and to end it, held by one worker for a while.
//!
//! Only the database's clock counts. A lease that is not renewed runs out, and another worker
//! takes the job over with a token of its own; whatever the late worker then writes is guarded by
//! the old token and changes nothing. The token is private: only the verbs here can spend it.

use std::error::Error;
use std::fmt::Display;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::job::Promotion;
use super::learner::{Progress, Stage};
use crate::clock::Clock;
use crate::db::touched_one;
use crate::ids::{AssetId, JobId, LeaseToken, ModelId};
use crate::job::{self, Ending, Lease as _, back_off};
pub use crate::job::{Ended, MAX_ATTEMPTS, Renewal};
use crate::model::trainee::CurvePoint;

/// A job of which this worker may be the one to end it.
#[must_use = "a lease that is dropped blocks the job until it expires"]
#[derive(Debug)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Whose readings it learns from.
    pub asset: AssetId,
    /// Attempts so far, this one included.
    pub attempts: i32,
    token: LeaseToken,
}

/// A job with its lease.
#[must_use = "a lease that is dropped blocks the job until it expires"]
#[derive(Debug)]
pub struct Claim {
    /// The right to end it.
    pub lease: Lease,
    /// How to learn, as it was stored.
    pub recipe: Value,
    /// Who decides about promotion.
    pub promotion: Promotion,
}

/// A lease that could not be spent because the database did not answer.
pub type Unspent = job::Unspent<Lease>;

/// Takes the job that has waited longest: one whose time has come, or a running one whose worker
/// fell silent. `None` when there is none, or other workers are just taking them.
pub async fn acquire(db: impl PgExecutor<'_>, clock: &Clock, term: Duration) -> sqlx::Result<Option<Claim>> {
    let token = LeaseToken::mint(clock);
    let row: Option<(JobId, AssetId, i32, Value, Promotion)> = sqlx::query_as(
        "update fine_tune_job set status = 'running', stage = 'preparing', progress = 0, eta_s = null,
             curve = '[]', rung = null, attempts = attempts + 1, lease_token = $1, lease_expires_at = now() + make_interval(secs => $2),
             started_at = coalesce(started_at, $3), updated_at = $3
         where id = (
             select id from fine_tune_job
             where attempts < $4 and not cancel_requested
                 and (status = 'pending' and run_after <= now() or status = 'running' and lease_expires_at <= now())
             order by run_after, id limit 1 for update skip locked
         )
         returning id, asset_id, attempts, recipe, promotion",
    )
    .bind(token)
    .bind(term.as_secs_f64())
    .bind(clock.now())
    .bind(MAX_ATTEMPTS)
    .fetch_optional(db)
    .await?;
    Ok(row.map(|(job, asset, attempts, recipe, promotion)| {
        let lease = Lease { job, asset, attempts, token };
        Claim { lease, recipe, promotion }
    }))
}

/// Ends the jobs that no worker will take again: those whose last worker fell silent after the
/// last attempt, or after a person wanted them stopped.
pub async fn bury(db: impl PgExecutor<'_>, now: DateTime<Utc>) -> sqlx::Result<Vec<JobId>> {
    sqlx::query_scalar(
        "update fine_tune_job set status = case when cancel_requested then 'cancelled' else 'failed' end,
             error = case when cancel_requested then error
                 else coalesce(error || '; ', '') || 'the worker of attempt ' || attempts || ' fell silent' end,
             stage = 'done', eta_s = null, lease_token = null, lease_expires_at = null, finished_at = $1, updated_at = $1
         where status = 'running' and lease_expires_at <= now() and (cancel_requested or attempts >= $2)
         returning id",
    )
    .bind(now)
    .bind(MAX_ATTEMPTS)
    .fetch_all(db)
    .await
}

impl Lease {
    /// Extends the lease and tells how far the work is. A point of the curve that lies before the last one begins
    /// another curve: the learner tries again.
    pub async fn renew(
        &self,
        db: impl PgExecutor<'_>,
        term: Duration,
        told: (Stage, f64, Option<f64>, Option<CurvePoint>),
        now: DateTime<Utc>,
    ) -> sqlx::Result<Renewal> {
        let (stage, progress, eta_s, point) = told;
        let cancel: Option<bool> = sqlx::query_scalar(
            "update fine_tune_job set lease_expires_at = now() + make_interval(secs => $3), stage = $4, progress = $5,
                 eta_s = $6, updated_at = $7, curve = case
                     when $8::jsonb is null or curve -> -1 = $8 then curve
                     when (curve -> -1 ->> 'step')::int8 >= ($8 ->> 'step')::int8 then jsonb_build_array($8)
                     else curve || $8
                 end
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running'
             returning cancel_requested",
        )
        .bind(self.job)
        .bind(self.token)
        .bind(term.as_secs_f64())
        .bind(stage)
        .bind(progress)
        .bind(eta_s)
        .bind(now)
        .bind(point.map(Json))
        .fetch_optional(db)
        .await?;
        Ok(Renewal::of(cancel))
    }

    /// Tells which rung the search of this attempt is in.
    pub(super) async fn climb(&self, db: impl PgExecutor<'_>, rung: i32, now: DateTime<Utc>) -> sqlx::Result<()> {
        sqlx::query(
            "update fine_tune_job set rung = $3, updated_at = $4
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running'
                 and rung is distinct from $3",
        )
        .bind(self.job)
        .bind(self.token)
        .bind(rung)
        .bind(now)
        .execute(db)
        .await?;
        // A lease that was lost is found by the next renewal.
        Ok(())
    }

    /// Ends the job as failed, for a reason that another attempt would meet again.
    pub async fn fail(self, db: impl PgExecutor<'_>, reason: &str, now: DateTime<Utc>) -> Result<Ended, Unspent> {
        let done = sqlx::query(
            "update fine_tune_job set status = 'failed', stage = 'done', eta_s = null, error = $3, lease_token = null,
                 lease_expires_at = null, finished_at = $4, updated_at = $4
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running'",
        )
        .bind(self.job)
        .bind(self.token)
        .bind(reason)
        .bind(now)
        .execute(db)
        .await;
        self.ended(done)
    }

    /// Gives the job back after a failed attempt: it waits 5 s, 10 s, 20 s, 40 s for the next
    /// one, and has failed after the fifth.
    pub async fn retry(self, db: impl PgExecutor<'_>, reason: &str, now: DateTime<Utc>) -> Result<Ended, Unspent> {
        if self.attempts >= MAX_ATTEMPTS {
            return self.fail(db, &format!("gave up after {MAX_ATTEMPTS} attempts: {reason}"), now).await;
        }
        let status = sqlx::query_scalar(
            "update fine_tune_job set status = case when cancel_requested then 'cancelled' else 'pending' end,
                 stage = case when cancel_requested then 'done' else 'waiting' end,
                 finished_at = case when cancel_requested then $5::timestamptz end, progress = 0, eta_s = null, error = $3,
                 run_after = now() + make_interval(secs => $4), lease_token = null, lease_expires_at = null, updated_at = $5
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running' returning status",
        )
        .bind(self.job)
        .bind(self.token)
        .bind(reason)
        .bind(back_off(self.attempts).as_secs_f64())
        .bind(now)
        .fetch_optional(db)
        .await;
        self.given_back(status)
    }

    /// Gives the job back untried, because this worker is going home. Does not count as an attempt.
    pub async fn release(self, db: impl PgExecutor<'_>, now: DateTime<Utc>) -> Result<Ended, Unspent> {
        let status = sqlx::query_scalar(
            "update fine_tune_job set status = case when cancel_requested then 'cancelled' else 'pending' end,
                 stage = case when cancel_requested then 'done' else 'waiting' end,
                 finished_at = case when cancel_requested then $3::timestamptz end, progress = 0, eta_s = null,
                 attempts = attempts - 1, run_after = now(), lease_token = null, lease_expires_at = null, updated_at = $3
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running' returning status",
        )
        .bind(self.job)
        .bind(self.token)
        .bind(now)
        .fetch_optional(db)
        .await;
        self.given_back(status)
    }

    /// Ends the job as a person asked.
    pub async fn cancel(self, db: impl PgExecutor<'_>, now: DateTime<Utc>) -> Result<Ended, Unspent> {
        let done = sqlx::query(
            "update fine_tune_job set status = 'cancelled', stage = 'done', eta_s = null, lease_token = null,
                 lease_expires_at = null, finished_at = $3, updated_at = $3
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running'",
        )
        .bind(self.job)
        .bind(self.token)
        .bind(now)
        .execute(db)
        .await;
        self.ended(done)
    }

    /// Locks the job inside a transaction that will end it. `None` when the lease has run out;
    /// otherwise whether a person wants the job stopped.
    pub(super) async fn lock(&self, tx: &mut PgConnection) -> sqlx::Result<Option<bool>> {
        sqlx::query_scalar(
            "select cancel_requested from fine_tune_job
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running' for update",
        )
        .bind(self.job)
        .bind(self.token)
        .fetch_optional(tx)
        .await
    }

    /// Ends the job as succeeded inside a transaction that has locked it. Whether the token
    /// still matched.
    pub(super) async fn succeed(
        &self,
        tx: &mut PgConnection,
        model: ModelId,
        verdict: &Value,
        now: DateTime<Utc>,
    ) -> sqlx::Result<bool> {
        let done = sqlx::query(
            "update fine_tune_job set status = 'succeeded', stage = 'done', progress = 1, eta_s = 0, error = null,
                 model_id = $3, verdict = $4, lease_token = null, lease_expires_at = null, finished_at = $5, updated_at = $5
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running'",
        )
        .bind(self.job)
        .bind(self.token)
        .bind(model)
        .bind(verdict)
        .bind(now)
        .execute(tx)
        .await?;
        Ok(touched_one(&done))
    }
}

impl job::Lease for Lease {
    const WHAT: &'static str = "a fine-tune job";
    type Progress = Progress;

    fn id(&self) -> impl Display {
        self.job
    }

    async fn tell(
        &self,
        db: &PgPool,
        term: Duration,
        progress: &Progress,
        took: Duration,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Renewal> {
        if let Some(rung) = progress.rung
            && let Err(error) = self.climb(db, rung.cast_signed(), now).await
        {
            tracing::warn!(error = &error as &dyn Error, job.id = %self.job, "a rung was not told");
        }
        let share = job::share(progress.fraction);
        let told = (progress.stage, share, job::eta_s(took, share), progress.point());
        self.renew(db, term, told, now).await
    }

    async fn hold(&self, db: &PgPool, least: Duration) -> sqlx::Result<Renewal> {
        let cancel: Option<bool> = sqlx::query_scalar(
            "update fine_tune_job set lease_expires_at = greatest(lease_expires_at, now() + make_interval(secs => $3))
             where id = $1 and lease_token = $2 and lease_expires_at > now() and status = 'running'
             returning cancel_requested",
        )
        .bind(self.job)
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
