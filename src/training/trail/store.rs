//! The SQL of what this room does by itself.

use sqlx::PgExecutor;

use crate::access::Act;
use crate::clock::Clock;
use crate::ids::{AuditEntryId, JobId, ModelId};

/// Tells what was done to a version, and why.
pub(in crate::training) async fn of_version(
    db: impl PgExecutor<'_>,
    clock: &Clock,
    act: Act,
    model: ModelId,
    reason: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into audit_entry (id, at, act, path, reason)
         select $1, $2, $3, '/v1/assets/' || a.key || '/models/' || m.version, $5
         from model_version m join asset a on a.id = m.asset_id where m.id = $4",
    )
    .bind(AuditEntryId::mint(clock))
    .bind(clock.now())
    .bind(act)
    .bind(model)
    .bind(reason)
    .execute(db)
    .await
    .map(drop)
}

/// Tells that a job was made, of which asset and why.
pub(in crate::training) async fn of_job(db: impl PgExecutor<'_>, clock: &Clock, job: JobId) -> sqlx::Result<()> {
    sqlx::query(
        "insert into audit_entry (id, at, act, path, reason)
         select $1, $2, $3, '/v1/fine-tune-jobs/' || j.id, a.key || ': ' || replace(j.cause, '_', ' ') || coalesce(', ' || j.why, '')
         from fine_tune_job j join asset a on a.id = j.asset_id where j.id = $4",
    )
    .bind(AuditEntryId::mint(clock))
    .bind(clock.now())
    .bind(Act::FineTune)
    .bind(job)
    .execute(db)
    .await
    .map(drop)
}
