//! Partitions of the table `frame`: which there are, making and dropping them.

use chrono::NaiveDate;
use sqlx::{AssertSqlSafe, PgExecutor};

/// Names of all partitions.
pub(super) async fn names(db: impl PgExecutor<'_>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'frame'::regclass",
    )
    .fetch_all(db)
    .await
}

/// From which day on partitions are days.
pub(super) async fn daily_from(db: impl PgExecutor<'_>) -> Result<NaiveDate, sqlx::Error> {
    sqlx::query_scalar("select daily_from from frame_layout").fetch_one(db).await
}

/// Makes one partition, in one transaction. Made first and attached then, because `create table ..
/// partition of` would wait for every reader of the table and hold up every writer meanwhile.
pub(super) async fn create(
    db: impl PgExecutor<'_>,
    name: &str,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<(), sqlx::Error> {
    // Tables and bounds cannot be parameters; the name and both dates come from `Period`.
    let statements = format!(
        "create table {name} (like frame including defaults including constraints);
         alter table frame attach partition {name} for values from ('{from} 00:00:00+00') to ('{to} 00:00:00+00')"
    );
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(db).await.map(drop)
}

/// Drops one partition with its frames, unless somebody uses the table for longer than two seconds.
pub(super) async fn drop_one(db: impl PgExecutor<'_>, name: &str) -> Result<(), sqlx::Error> {
    // Tables cannot be parameters; the name was read from the catalogue and is one of ours.
    let statements = format!("set local lock_timeout = '2s'; drop table if exists {name}");
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(db).await.map(drop)
}
