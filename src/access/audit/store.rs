//! The SQL of the audit trail.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::{AuditEntry, TrailFilter};
use crate::ids::AuditEntryId;

pub(super) async fn insert(db: impl PgExecutor<'_>, entry: &AuditEntry) -> sqlx::Result<()> {
    sqlx::query(
        "insert into audit_entry (id, at, key_id, key_name, role, method, path, status)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(entry.id)
    .bind(entry.at)
    .bind(entry.key_id)
    .bind(&entry.key_name)
    .bind(entry.role)
    .bind(&entry.method)
    .bind(&entry.path)
    .bind(entry.status)
    .execute(db)
    .await
    .map(drop)
}

/// Entries, the newest first.
pub(super) async fn list(
    db: impl PgExecutor<'_>,
    filter: &TrailFilter,
    before: Option<AuditEntryId>,
    rows: i64,
) -> sqlx::Result<Vec<AuditEntry>> {
    sqlx::query_as(
        "select id, at, actor, key_id, key_name, role, method, path, status, act, reason
         from audit_entry cross join lateral (
             select case when act is not null then 'server' when key_id is null then 'open' else 'key' end as actor
         ) who
         where ($1::uuid is null or key_id = $1) and ($2::uuid is null or id < $2)
             and ($4::text is null or actor = $4) and ($5::text is null or coalesce(act, method) = $5)
             and ($6::text is null or starts_with(path, $6))
         order by id desc limit $3",
    )
    .bind(filter.key)
    .bind(before)
    .bind(rows)
    .bind(filter.actor)
    .bind(filter.action)
    .bind(&filter.path)
    .fetch_all(db)
    .await
}

/// Forgets some of those from before an instant.
pub(super) async fn forget(db: impl PgExecutor<'_>, before: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "delete from audit_entry where id in
             (select id from audit_entry where at < $1 order by at limit 1000 for update skip locked)",
    )
    .bind(before)
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
