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

/// Numbers of the version that serves and of the one that served before; 0 for the base model. `None` while
/// nothing else ever did.
pub(super) async fn serving(db: impl PgExecutor<'_>, asset: AssetId) -> sqlx::Result<Option<(i32, i32)>> {
    sqlx::query_as(
        "select coalesce(m.version, 0), coalesce(f.version, 0) from champion c
         left join model_version m on m.id = c.model_id left join model_version f on f.id = c.previous_id
         where c.asset_id = $1",
    )
    .bind(asset)
    .fetch_optional(db)
    .await
}
