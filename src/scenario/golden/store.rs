//! The SQL of which versions are compared.

use sqlx::PgExecutor;

use crate::ids::{AssetId, ModelId};

/// Id of an asset's version by its number.
pub(super) async fn version(db: impl PgExecutor<'_>, asset: AssetId, number: i32) -> sqlx::Result<Option<ModelId>> {
    sqlx::query_scalar("select id from model_version where asset_id = $1 and version = $2")
        .bind(asset)
        .bind(number)
        .fetch_optional(db)
        .await
}

/// Number of the version that serves; 0 for the base model.
pub(super) async fn serving(db: impl PgExecutor<'_>, asset: AssetId) -> sqlx::Result<i32> {
    let number: Option<i32> = sqlx::query_scalar(
        "select m.version from champion c join model_version m on m.id = c.model_id where c.asset_id = $1",
    )
    .bind(asset)
    .fetch_optional(db)
    .await?;
    Ok(number.unwrap_or_default())
}
