//! SQL of the base models that people added.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use sqlx::types::Json;

use super::golden::Golden;
use crate::db::touched_one;
use crate::model::base::BaseCard;
use crate::model::choice::BaseChoice;

/// A base model of somebody's own, without its weights.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Row {
    pub(super) card: Json<BaseCard>,
    pub(super) created_at: DateTime<Utc>,
}

/// Keeps one, unless the name is taken or there are `most`. Whether it did.
pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    choice: &BaseChoice,
    golden: &Golden,
    sha256: &[u8],
    most: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "insert into base_model (name, card, weights, sha256, golden, created_at)
         select $1, $2, $3, $4, $5, $6 where (select count(*) from base_model where card is not null) < $7
         on conflict (name) do nothing",
    )
    .bind(choice.name())
    .bind(Json(choice.card()))
    .bind(choice.weights())
    .bind(sha256)
    .bind(Json(golden))
    .bind(now)
    .bind(most)
    .execute(db)
    .await?;
    Ok(touched_one(&done))
}

/// Those that people added, by name.
pub(super) async fn list(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as("select card, created_at from base_model where card is not null order by name").fetch_all(db).await
}

/// One that somebody added.
pub(super) async fn find(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<Row>> {
    sqlx::query_as("select card, created_at from base_model where name = $1 and card is not null")
        .bind(name)
        .fetch_optional(db)
        .await
}

/// SHA-256 of one that somebody added.
pub(super) async fn sha256(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar("select sha256 from base_model where name = $1 and card is not null")
        .bind(name)
        .fetch_optional(db)
        .await
}

/// One that somebody added, with its weights as they lie there.
pub(super) async fn with_weights(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<BaseChoice>> {
    let row: Option<(Json<BaseCard>, Vec<u8>)> =
        sqlx::query_as("select card, weights from base_model where name = $1 and card is not null")
            .bind(name)
            .fetch_optional(db)
            .await?;
    Ok(row.map(|(card, weights)| BaseChoice::own(card.0, weights)))
}

/// All that people added, with their weights, by name.
pub(super) async fn all_with_weights(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<BaseChoice>> {
    let rows: Vec<(Json<BaseCard>, Vec<u8>)> =
        sqlx::query_as("select card, weights from base_model where card is not null order by name")
            .fetch_all(db)
            .await?;
    Ok(rows.into_iter().map(|(card, weights)| BaseChoice::own(card.0, weights)).collect())
}

/// Locks one that somebody added until the transaction ends: no type can come to name it meanwhile. Whether
/// there is one.
pub(super) async fn lock(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<bool> {
    let found: Option<bool> =
        sqlx::query_scalar("select true from base_model where name = $1 and card is not null for update")
            .bind(name)
            .fetch_optional(db)
            .await?;
    Ok(found.is_some())
}

/// What needs a base model, in words: a type, a version, or a job that may be trying it.
pub(super) async fn user(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "select coalesce(
             (select 'version ' || t.version || ' of the asset type ' || t.key from asset_type t
              where t.document ->> 'base_model' = $1 order by t.id limit 1),
             (select 'version ' || m.version || ' of the asset ' || a.key from model_version m
              join asset a on a.id = m.asset_id where m.base = $1 order by m.id limit 1),
             (select 'the unfinished fine-tune job of the asset ' || a.key from fine_tune_job j
              join asset a on a.id = j.asset_id join asset_type t on t.id = a.asset_type_id
              where j.status in ('pending', 'running') and t.document ->> 'base_model' = 'auto' order by j.id limit 1))",
    )
    .bind(name)
    .fetch_one(db)
    .await
}

/// Deletes one that somebody added.
pub(super) async fn delete(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<bool> {
    let done =
        sqlx::query("delete from base_model where name = $1 and card is not null").bind(name).execute(db).await?;
    Ok(touched_one(&done))
}

#[cfg(test)]
mod tests {
    use crate::db::fixture;
    use crate::model::base::SHIPPED;

    #[tokio::test]
    async fn the_table_knows_those_inside_the_program() {
        let db = fixture::fresh().await.pool;
        let mut known: Vec<String> =
            sqlx::query_scalar("select name from base_model where card is null").fetch_all(&db).await.unwrap();
        let mut shipped: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).collect();
        known.sort_unstable();
        shipped.sort_unstable();
        assert_eq!(known, shipped, "a new one needs a migration");
    }
}
