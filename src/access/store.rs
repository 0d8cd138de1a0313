//! The SQL of keys.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::{ApiKey, Filter, Role, Standing};
use crate::db;
use crate::ids::ApiKeyId;

/// What requests are checked against.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Row {
    #[sqlx(flatten)]
    pub(super) key: ApiKey,
    pub(super) secret_hash: Vec<u8>,
}

/// How often keys changed.
pub(super) async fn version(db: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar("select version from api_key_change").fetch_one(db).await
}

/// Every key.
pub(super) async fn all(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as(
        "select id, name, role, prefix, created_at, expires_at, last_used_at, revoked_at, secret_hash from api_key",
    )
    .fetch_all(db)
    .await
}

pub(super) async fn insert(db: impl PgExecutor<'_>, key: &ApiKey, hash: &[u8]) -> sqlx::Result<()> {
    sqlx::query(
        "insert into api_key (id, name, role, prefix, secret_hash, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(key.id)
    .bind(&key.name)
    .bind(key.role)
    .bind(&key.prefix)
    .bind(hash)
    .bind(key.created_at)
    .bind(key.expires_at)
    .execute(db)
    .await
    .map(drop)
}

/// Keys, the newest first.
pub(super) async fn list(
    db: impl PgExecutor<'_>,
    filter: Filter,
    before: Option<ApiKeyId>,
    now: DateTime<Utc>,
    rows: i64,
) -> sqlx::Result<Vec<ApiKey>> {
    sqlx::query_as(
        "select id, name, role, prefix, created_at, expires_at, last_used_at, revoked_at from api_key
         where ($1::text is null or role = $1)
             and ($2::text is null or $2 = case
                 when revoked_at is not null then 'revoked'
                 when expires_at <= $3 then 'expired'
                 else 'active' end)
             and ($4::uuid is null or id < $4)
         order by id desc limit $5",
    )
    .bind(filter.role)
    .bind(filter.standing.map(Standing::name))
    .bind(now)
    .bind(before)
    .bind(rows)
    .fetch_all(db)
    .await
}

pub(super) async fn find(db: impl PgExecutor<'_>, id: ApiKeyId) -> sqlx::Result<Option<ApiKey>> {
    sqlx::query_as(
        "select id, name, role, prefix, created_at, expires_at, last_used_at, revoked_at from api_key where id = $1",
    )
    .bind(id)
    .fetch_optional(db)
    .await
}

/// The key of these first characters.
pub(super) async fn named(db: impl PgExecutor<'_>, prefix: &str) -> sqlx::Result<Option<ApiKeyId>> {
    sqlx::query_scalar("select id from api_key where prefix = $1").bind(prefix).fetch_optional(db).await
}

/// Whether a key is the only one that is active and an admin's. Until the transaction ends nobody
/// else changes those.
pub(super) async fn is_last_admin(db: &mut PgConnection, id: ApiKeyId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let active: Vec<ApiKeyId> = sqlx::query_scalar(
        "select id from api_key
         where role = $1 and revoked_at is null and (expires_at is null or expires_at > $2)
         order by id for update",
    )
    .bind(Role::Admin)
    .bind(now)
    .fetch_all(db)
    .await?;
    Ok(active == [id])
}

/// Revokes a key; false when it was not there or was revoked before.
pub(super) async fn revoke(db: impl PgExecutor<'_>, id: ApiKeyId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let done = sqlx::query("update api_key set revoked_at = $2 where id = $1 and revoked_at is null")
        .bind(id)
        .bind(now)
        .execute(db)
        .await?;
    Ok(db::touched_one(&done))
}

/// Writes when keys were last used.
pub(super) async fn used(db: impl PgExecutor<'_>, keys: &[ApiKeyId], at: &[DateTime<Utc>]) -> sqlx::Result<()> {
    sqlx::query(
        "update api_key k set last_used_at = u.at
         from (select * from unnest($1::uuid[], $2::timestamptz[]) as u (id, at) order by id) u
         where k.id = u.id and (k.last_used_at is null or k.last_used_at < u.at)",
    )
    .bind(keys)
    .bind(at)
    .execute(db)
    .await
    .map(drop)
}
