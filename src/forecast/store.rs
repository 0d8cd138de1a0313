//! SQL of the vintages.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgExecutor, Row as _};

use super::{Cause, Prediction};
use crate::ids::{AssetId, ModelId, PredictionId};
use crate::twin::{self, Twin};

/// Keeps a prediction as it was served.
///
/// Does not wait for the disk: a vintage that a power cut takes is a score less, and nobody was
/// promised it.
pub async fn keep(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    prediction: &Prediction,
    state_at: DateTime<Utc>,
    model: Option<ModelId>,
    cause: Cause,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into prediction (asset_id, id, created_at, state_at, model_id, cause, answer)
         select $1, $2, $3, $4, $5, $6, $7 from set_config('synchronous_commit', 'off', true)",
    )
    .bind(asset)
    .bind(prediction.id)
    .bind(prediction.created_at)
    .bind(state_at)
    .bind(model)
    .bind(match cause {
        Cause::Refresh => "refresh",
        Cause::Request => "request",
    })
    .bind(Json(prediction))
    .execute(db)
    .await?;
    Ok(())
}

/// What a prediction starts from, in one round trip: the asset's twin, and the version that serves it
/// (`None`: the base model does).
pub async fn served(db: impl PgExecutor<'_>, asset: AssetId) -> sqlx::Result<Option<(Twin, Option<ModelId>)>> {
    let row = sqlx::query(
        "select t.seq, t.observed_at, t.received_at, t.reported, t.reported_at, t.readings, t.desired, t.forecast_seq,
                t.updated_at, c.model_id
         from twin t left join champion c on c.asset_id = t.asset_id
         where t.asset_id = $1",
    )
    .bind(asset)
    .fetch_optional(db)
    .await?;
    row.as_ref().map(|row| Ok((twin::store::twin(row)?, row.try_get(9)?))).transpose()
}

/// Vintages of an asset, newest first, older than `before`.
pub async fn list(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    before: Option<PredictionId>,
    limit: i64,
) -> sqlx::Result<Vec<Prediction>> {
    let rows: Vec<Json<Prediction>> = sqlx::query_scalar(
        "select answer from prediction where asset_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3",
    )
    .bind(asset)
    .bind(before)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// One vintage.
pub async fn find(db: impl PgExecutor<'_>, asset: AssetId, id: PredictionId) -> sqlx::Result<Option<Prediction>> {
    let row: Option<Json<Prediction>> =
        sqlx::query_scalar("select answer from prediction where asset_id = $1 and id = $2")
            .bind(asset)
            .bind(id)
            .fetch_optional(db)
            .await?;
    Ok(row.map(|row| row.0))
}

/// The twins' own forecasts made after an instant: when, of which asset, which.
pub async fn refreshed_since(
    db: impl PgExecutor<'_>,
    at: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<(DateTime<Utc>, String, PredictionId)>> {
    sqlx::query_as(
        "select p.created_at, a.key, p.id from prediction p join asset a on a.id = p.asset_id
         where p.created_at > $1 and p.cause = 'refresh' order by p.created_at limit $2",
    )
    .bind(at)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Forgets the vintages made before an instant.
pub async fn forget_before(db: impl PgExecutor<'_>, at: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query("delete from prediction where created_at < $1").bind(at).execute(db).await?;
    Ok(done.rows_affected())
}
