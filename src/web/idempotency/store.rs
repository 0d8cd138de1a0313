//! The SQL of kept answers.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use sqlx::types::Json;

/// A request under a key.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) key: String,
    pub(super) fingerprint: Vec<u8>,
}

/// What is known of a key.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Known {
    pub(super) fingerprint: Vec<u8>,
    pub(super) started_at: DateTime<Utc>,
    pub(super) status: Option<i16>,
    pub(super) headers: Option<Json<BTreeMap<String, String>>>,
    pub(super) body: Option<Vec<u8>>,
}

/// Takes a key: true when nobody had it. Forgets a few of those that are older than `expired`.
pub(super) async fn begin(
    db: impl PgExecutor<'_>,
    request: &Request,
    now: DateTime<Utc>,
    expired: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let begun = sqlx::query(
        "with forgotten as (
             delete from idempotency_key where key in
                 (select key from idempotency_key where started_at < $4 and key <> $1
                  order by started_at limit 100 for update skip locked))
         insert into idempotency_key (key, fingerprint, started_at) values ($1, $2, $3)
         on conflict (key) do update
             set fingerprint = excluded.fingerprint, started_at = excluded.started_at,
                 status = null, headers = null, body = null
             where idempotency_key.started_at < $4",
    )
    .bind(&request.key)
    .bind(&request.fingerprint)
    .bind(now)
    .bind(expired)
    .execute(db)
    .await?;
    Ok(begun.rows_affected() == 1)
}

pub(super) async fn known(db: impl PgExecutor<'_>, request: &Request) -> sqlx::Result<Option<Known>> {
    sqlx::query_as("select fingerprint, started_at, status, headers, body from idempotency_key where key = $1")
        .bind(&request.key)
        .fetch_optional(db)
        .await
}

/// Takes over a request whose server died over it; false when another one did.
pub(super) async fn take_over(
    db: impl PgExecutor<'_>,
    request: &Request,
    begun: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let taken = sqlx::query(
        "update idempotency_key set started_at = $3
         where key = $1 and started_at = $2 and status is null",
    )
    .bind(&request.key)
    .bind(begun)
    .bind(now)
    .execute(db)
    .await?;
    Ok(taken.rows_affected() == 1)
}

pub(super) async fn keep(
    db: impl PgExecutor<'_>,
    request: &Request,
    status: i16,
    headers: &BTreeMap<String, String>,
    body: &[u8],
) -> sqlx::Result<()> {
    sqlx::query("update idempotency_key set status = $2, headers = $3, body = $4 where key = $1")
        .bind(&request.key)
        .bind(status)
        .bind(Json(headers))
        .bind(body)
        .execute(db)
        .await
        .map(drop)
}

/// Frees a key: nothing was done under it.
pub(super) async fn release(db: impl PgExecutor<'_>, request: &Request) -> sqlx::Result<()> {
    sqlx::query("delete from idempotency_key where key = $1 and status is null")
        .bind(&request.key)
        .execute(db)
        .await
        .map(drop)
}
