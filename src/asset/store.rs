//! The SQL of assets and their types.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};

use super::patch::Changeable;
use super::{Asset, AssetType, Deleted, NewAsset, TypeDocument, TypeForm};
use crate::ids::AssetId;

/// A row of `asset`.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct AssetRow {
    pub(super) id: AssetId,
    pub(super) key: String,
    pub(super) asset_type_id: i64,
    pub(super) name: Option<String>,
    pub(super) attributes: Json<Map<String, Value>>,
    pub(super) revision: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// A row of `asset_type`.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct TypeRow {
    pub(super) id: i64,
    pub(super) key: String,
    pub(super) version: i32,
    pub(super) document: Json<TypeForm>,
    pub(super) created_at: DateTime<Utc>,
}

impl AssetRow {
    pub(super) fn complete(self, asset_type: Arc<AssetType>) -> Asset {
        Asset {
            id: self.id,
            key: self.key,
            asset_type,
            name: self.name,
            attributes: self.attributes.0,
            revision: self.revision,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

impl TypeRow {
    pub(super) fn complete(self) -> AssetType {
        AssetType {
            id: self.id,
            key: self.key,
            version: self.version,
            document: TypeDocument::stored(self.document.0),
            created_at: self.created_at,
        }
    }
}

pub(super) async fn by_keys(db: impl PgExecutor<'_>, keys: &[&str]) -> sqlx::Result<Vec<AssetRow>> {
    sqlx::query_as(
        "select id, key, asset_type_id, name, attributes, revision, created_at, updated_at
         from asset where key = any($1)",
    )
    .bind(keys)
    .fetch_all(db)
    .await
}

pub(super) async fn by_id(db: impl PgExecutor<'_>, id: AssetId) -> sqlx::Result<Option<AssetRow>> {
    sqlx::query_as(
        "select id, key, asset_type_id, name, attributes, revision, created_at, updated_at
         from asset where id = $1",
    )
    .bind(id)
    .fetch_optional(db)
    .await
}

pub(super) async fn list(
    db: impl PgExecutor<'_>,
    of_type: Option<&str>,
    text: Option<&str>,
    after: Option<&str>,
    rows: i64,
) -> sqlx::Result<Vec<AssetRow>> {
    sqlx::query_as(
        "select a.id, a.key, a.asset_type_id, a.name, a.attributes, a.revision, a.created_at, a.updated_at
         from asset a join asset_type t on t.id = a.asset_type_id
         where ($1::text is null or t.key = $1)
           and ($2::text is null or position(lower($2) in lower(a.key)) > 0
                or position(lower($2) in lower(coalesce(a.name, ''))) > 0)
           and ($3::text is null or a.key > $3)
         order by a.key limit $4",
    )
    .bind(of_type)
    .bind(text)
    .bind(after)
    .bind(rows)
    .fetch_all(db)
    .await
}

/// Whether there is a base model of a name; it stays until the transaction ends.
pub(super) async fn hold_base_model(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<bool> {
    let found: Option<bool> = sqlx::query_scalar("select true from base_model where name = $1 for share")
        .bind(name)
        .fetch_optional(db)
        .await?;
    Ok(found.is_some())
}

/// `None` when the key is taken.
pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    new: &NewAsset,
    asset_type_id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<AssetRow>> {
    sqlx::query_as(
        "insert into asset (key, asset_type_id, name, attributes, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $5) on conflict on constraint asset_key do nothing
         returning id, key, asset_type_id, name, attributes, revision, created_at, updated_at",
    )
    .bind(new.key.as_str())
    .bind(asset_type_id)
    .bind(&new.name)
    .bind(Json(&new.attributes))
    .bind(now)
    .fetch_optional(db)
    .await
}

/// `None` when the asset is no longer in the revision that was read.
pub(super) async fn update(
    db: impl PgExecutor<'_>,
    read: &Asset,
    asset_type_id: i64,
    wanted: &Changeable,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<AssetRow>> {
    sqlx::query_as(
        "update asset set asset_type_id = $3, name = $4, attributes = $5, revision = revision + 1, updated_at = $6
         where id = $1 and revision = $2
         returning id, key, asset_type_id, name, attributes, revision, created_at, updated_at",
    )
    .bind(read.id)
    .bind(read.revision)
    .bind(asset_type_id)
    .bind(&wanted.name)
    .bind(Json(&wanted.attributes))
    .bind(now)
    .fetch_optional(db)
    .await
}

/// Deletes an asset and what hangs on it; `None` when it is no longer in the revision that was
/// read. The lock on the asset keeps new twins out, the deletion of the twin waits for whoever is
/// writing frames: so none is left behind by a commit that we cannot see.
pub(super) async fn delete(
    transaction: &mut PgConnection,
    id: AssetId,
    revision: i64,
) -> sqlx::Result<Option<Deleted>> {
    let locked: Option<i64> = sqlx::query_scalar("select id from asset where id = $1 and revision = $2 for update")
        .bind(id)
        .bind(revision)
        .fetch_optional(&mut *transaction)
        .await?;
    if locked.is_none() {
        return Ok(None);
    }
    sqlx::query("delete from twin where asset_id = $1").bind(id).execute(&mut *transaction).await?;
    let frames =
        sqlx::query("delete from frame where asset_id = $1").bind(id).execute(&mut *transaction).await?.rows_affected();
    let (models, jobs, predictions, events, alarms): (i64, i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from model_version where asset_id = $1),
                (select count(*) from fine_tune_job where asset_id = $1),
                (select count(*) from prediction where asset_id = $1),
                (select count(*) from event where asset_id = $1),
                (select count(*) from alarm where asset_id = $1)",
    )
    .bind(id)
    .fetch_one(&mut *transaction)
    .await?;
    // Before the models that it points to.
    sqlx::query("delete from champion where asset_id = $1").bind(id).execute(&mut *transaction).await?;
    sqlx::query("delete from asset where id = $1").bind(id).execute(&mut *transaction).await?;
    let frames = i64::try_from(frames).unwrap_or(i64::MAX);
    Ok(Some(Deleted { frames, models, jobs, predictions, events, alarms }))
}

/// Lets one writer of a type at a time go on, until its transaction ends.
pub(super) async fn lock_type(db: impl PgExecutor<'_>, key: &str) -> sqlx::Result<()> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('asset_type ' || $1::text, 0))")
        .bind(key)
        .execute(db)
        .await
        .map(drop)
}

/// The newest version, or the one that is named.
pub(super) async fn version(db: impl PgExecutor<'_>, key: &str, version: Option<i32>) -> sqlx::Result<Option<TypeRow>> {
    sqlx::query_as(
        "select id, key, version, document, created_at from asset_type
         where key = $1 and ($2::int4 is null or version = $2)
         order by version desc limit 1",
    )
    .bind(key)
    .bind(version)
    .fetch_optional(db)
    .await
}

pub(super) async fn types_by_ids(db: impl PgExecutor<'_>, ids: &[i64]) -> sqlx::Result<Vec<TypeRow>> {
    sqlx::query_as("select id, key, version, document, created_at from asset_type where id = any($1)")
        .bind(ids)
        .fetch_all(db)
        .await
}

pub(super) async fn newest_types(
    db: impl PgExecutor<'_>,
    after: Option<&str>,
    rows: i64,
) -> sqlx::Result<Vec<TypeRow>> {
    sqlx::query_as(
        "select distinct on (key) id, key, version, document, created_at from asset_type
         where ($1::text is null or key > $1)
         order by key, version desc limit $2",
    )
    .bind(after)
    .bind(rows)
    .fetch_all(db)
    .await
}

pub(super) async fn versions(
    db: impl PgExecutor<'_>,
    key: &str,
    before: Option<i32>,
    rows: i64,
) -> sqlx::Result<Vec<TypeRow>> {
    sqlx::query_as(
        "select id, key, version, document, created_at from asset_type
         where key = $1 and ($2::int4 is null or version < $2)
         order by version desc limit $3",
    )
    .bind(key)
    .bind(before)
    .bind(rows)
    .fetch_all(db)
    .await
}

pub(super) async fn insert_type(
    db: impl PgExecutor<'_>,
    key: &str,
    version: i32,
    document: &TypeForm,
    now: DateTime<Utc>,
) -> sqlx::Result<TypeRow> {
    sqlx::query_as(
        "insert into asset_type (key, version, document, created_at) values ($1, $2, $3, $4)
         returning id, key, version, document, created_at",
    )
    .bind(key)
    .bind(version)
    .bind(Json(document))
    .bind(now)
    .fetch_one(db)
    .await
}

/// How many versions went.
pub(super) async fn delete_type(db: impl PgExecutor<'_>, key: &str) -> sqlx::Result<u64> {
    sqlx::query("delete from asset_type where key = $1").bind(key).execute(db).await.map(|done| done.rows_affected())
}
