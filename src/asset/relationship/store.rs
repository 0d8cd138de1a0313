//! The SQL of relationships.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::{Edge, Feed, Relationship, RelationshipFilter, RelationshipType};
use crate::ids::AssetId;

/// Lets one writer of `feeds` at a time go on, until its transaction ends: two that each see no
/// circle could make one together.
pub(super) async fn lock_feeds(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('relationship feeds', 0))").execute(db).await.map(drop)
}

/// Whether a chain of `feeds` leads from one asset to another.
pub(super) async fn reaches(db: impl PgExecutor<'_>, from: AssetId, to: AssetId) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "with recursive reached (id) as (
             select target_id from relationship where source_id = $1 and type = 'feeds'
             union
             select r.target_id from relationship r join reached d on r.source_id = d.id where r.type = 'feeds'
         )
         select exists (select from reached where id = $2)",
    )
    .bind(from)
    .bind(to)
    .fetch_one(db)
    .await
}

/// Writes a `feeds`: whether it is new, and since when it is as it is.
pub(super) async fn write(
    db: impl PgExecutor<'_>,
    source: AssetId,
    target: AssetId,
    feed: &Feed,
    now: DateTime<Utc>,
) -> sqlx::Result<(bool, DateTime<Utc>)> {
    sqlx::query_as(
        "insert into relationship as r (source_id, type, target_id, from_signal, to_signal, created_at)
         values ($1, 'feeds', $2, $3, $4, $5)
         on conflict on constraint relationship_key do update
         set from_signal = excluded.from_signal, to_signal = excluded.to_signal,
             created_at = case when (r.from_signal, r.to_signal) = (excluded.from_signal, excluded.to_signal)
                 then r.created_at else excluded.created_at end
         returning xmax = 0, created_at",
    )
    .bind(source)
    .bind(target)
    .bind(&feed.from_signal)
    .bind(&feed.to_signal)
    .bind(now)
    .fetch_one(db)
    .await
}

/// Whether there was one.
pub(super) async fn delete(db: impl PgExecutor<'_>, source: AssetId, kind: &str, target: &str) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "delete from relationship using asset t
         where source_id = $1 and type = $2 and target_id = t.id and t.key = $3",
    )
    .bind(source)
    .bind(kind)
    .bind(target)
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Relationships that start from an asset or lead to it, in the order of the two keys.
pub(super) async fn of_asset(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    after: Option<(String, String)>,
    rows: i64,
) -> sqlx::Result<Vec<Relationship>> {
    let (source, target) = after.unzip();
    let rows: Vec<Row> = sqlx::query_as(
        "select s.key, s.name, t.key, t.name, r.from_signal, r.to_signal, r.created_at
         from relationship r join asset s on s.id = r.source_id join asset t on t.id = r.target_id
         where (r.source_id = $1 or r.target_id = $1) and ($2::text is null or (s.key, t.key) > ($2, $3::text))
         order by s.key, t.key limit $4",
    )
    .bind(asset)
    .bind(source)
    .bind(target)
    .bind(rows)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(complete).collect())
}

/// All relationships that a filter lets through, in the order of the two keys.
pub(super) async fn all(
    db: impl PgExecutor<'_>,
    filter: &RelationshipFilter,
    after: Option<(String, String)>,
    rows: i64,
) -> sqlx::Result<Vec<Relationship>> {
    let (source, target) = after.unzip();
    let rows: Vec<Row> = sqlx::query_as(
        "select s.key, s.name, t.key, t.name, r.from_signal, r.to_signal, r.created_at
         from relationship r join asset s on s.id = r.source_id join asset t on t.id = r.target_id
         where ($1::text is null or r.type = $1) and ($2::text is null or s.key = $2)
             and ($3::text is null or t.key = $3) and ($4::text is null or (s.key, t.key) > ($4, $5::text))
         order by s.key, t.key limit $6",
    )
    .bind(filter.kind.map(RelationshipType::name))
    .bind(&filter.source)
    .bind(&filter.target)
    .bind(source)
    .bind(target)
    .bind(rows)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(complete).collect())
}

/// Key and name of source and target, the two signals, and since when.
type Row = (String, Option<String>, String, Option<String>, String, String, DateTime<Utc>);

fn complete((source, source_name, target, target_name, from_signal, to_signal, created_at): Row) -> Relationship {
    let r#type = RelationshipType::Feeds;
    Relationship { source, source_name, r#type, target, target_name, from_signal, to_signal, created_at }
}

/// Every `feeds` on the ways that lead away from an asset.
pub(super) async fn downstream(db: impl PgExecutor<'_>, asset: AssetId, rows: i64) -> sqlx::Result<Vec<Edge>> {
    let rows: Vec<(String, String, String, String)> = sqlx::query_as(
        "with recursive reached (id) as (
             select $1::int8
             union
             select r.target_id from relationship r join reached d on r.source_id = d.id where r.type = 'feeds'
         )
         select s.key, t.key, r.from_signal, r.to_signal
         from relationship r join reached d on d.id = r.source_id
         join asset s on s.id = r.source_id join asset t on t.id = r.target_id
         where r.type = 'feeds' order by s.key, t.key limit $2",
    )
    .bind(asset)
    .bind(rows)
    .fetch_all(db)
    .await?;
    let edge = |(source, target, from_signal, to_signal)| Edge { source, target, from_signal, to_signal };
    Ok(rows.into_iter().map(edge).collect())
}
