//! SQL of backtests, but for their leases (`lease.rs`).

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::ask::Plan;
use super::job::Backtest;
use crate::db::touched_one;
use crate::ids::{AssetId, BacktestId, ModelId};
use crate::job::Status;

/// A backtest to be made.
#[derive(Clone, Debug)]
pub(super) struct New {
    pub(super) id: BacktestId,
    pub(super) asset: AssetId,
    /// Number and id of the version; 0 and `None` for the base model.
    pub(super) version: (i32, Option<ModelId>),
    pub(super) plan: Plan,
    pub(super) cutoff: DateTime<Utc>,
}

/// Makes a backtest, unless the asset has `most` unfinished ones. Whether it did.
pub(super) async fn insert(db: impl PgExecutor<'_>, new: &New, most: i64, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let Plan { windows, step_size, horizon, inputs } = new.plan;
    let done = sqlx::query(
        "insert into backtest
             (id, asset_id, version, model_id, windows, step_size, horizon, cutoff, inputs, status, run_after, created_at, updated_at)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', now(), $10, $10
         where (select count(*) from backtest where asset_id = $2 and status in ('pending', 'running')) < $11",
    )
    .bind(new.id)
    .bind(new.asset)
    .bind(new.version.0)
    .bind(new.version.1)
    .bind(windows as i32)
    .bind(step_size as i32)
    .bind(horizon as i32)
    .bind(new.cutoff)
    .bind(inputs)
    .bind(now)
    .bind(most)
    .execute(db)
    .await?;
    Ok(touched_one(&done))
}

/// One backtest of an asset.
pub(super) async fn find(db: impl PgExecutor<'_>, asset: AssetId, id: BacktestId) -> sqlx::Result<Option<Backtest>> {
    sqlx::query_as(
        "select b.id, a.key as asset, b.version, b.windows, b.step_size, b.horizon, b.cutoff, b.inputs, b.status, b.progress,
             b.eta_s, b.attempts, b.cancel_requested, b.result, b.error, b.created_at, b.started_at, b.finished_at, b.updated_at
         from backtest b join asset a on a.id = b.asset_id where b.asset_id = $1 and b.id = $2",
    )
    .bind(asset)
    .bind(id)
    .fetch_optional(db)
    .await
}

/// Backtests of an asset, newest first, without what each window was like.
pub(super) async fn list(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    status: Option<Status>,
    before: Option<BacktestId>,
    limit: i64,
) -> sqlx::Result<Vec<Backtest>> {
    sqlx::query_as(
        "select b.id, a.key as asset, b.version, b.windows, b.step_size, b.horizon, b.cutoff, b.inputs, b.status, b.progress,
             b.eta_s, b.attempts, b.cancel_requested, b.result - 'origins' as result, b.error, b.created_at, b.started_at,
             b.finished_at, b.updated_at
         from backtest b join asset a on a.id = b.asset_id
         where b.asset_id = $1 and ($2::text is null or b.status = $2) and ($3::uuid is null or b.id < $3)
         order by b.id desc limit $4",
    )
    .bind(asset)
    .bind(status)
    .bind(before)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Backtests that changed after an instant, in the order of their changes, without what each window was like.
pub(super) async fn changed_since(
    db: impl PgExecutor<'_>,
    at: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Backtest>> {
    sqlx::query_as(
        "select b.id, a.key as asset, b.version, b.windows, b.step_size, b.horizon, b.cutoff, b.inputs, b.status, b.progress,
             b.eta_s, b.attempts, b.cancel_requested, b.result - 'origins' as result, b.error, b.created_at, b.started_at,
             b.finished_at, b.updated_at
         from backtest b join asset a on a.id = b.asset_id
         where b.updated_at > $1 order by b.updated_at, b.id limit $2",
    )
    .bind(at)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Asks for a backtest to be stopped: a waiting one ends at once, a running one at its next sign of life. The
/// new status; `None` when it has ended already or never was.
pub(super) async fn request_cancel(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    id: BacktestId,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Status>> {
    sqlx::query_scalar(
        "update backtest set cancel_requested = true, updated_at = $3::timestamptz,
             status = case when status = 'pending' then 'cancelled' else status end,
             finished_at = case when status = 'pending' then $3::timestamptz end
         where asset_id = $1 and id = $2 and status in ('pending', 'running') returning status",
    )
    .bind(asset)
    .bind(id)
    .bind(now)
    .fetch_optional(db)
    .await
}
