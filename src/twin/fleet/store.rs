//! The SQL of the fleet.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::ids::AssetId;

/// Instants of the newest frames of assets that have any.
pub(super) async fn newest(
    db: impl PgExecutor<'_>,
    assets: &[AssetId],
) -> sqlx::Result<HashMap<AssetId, DateTime<Utc>>> {
    let ids: Vec<i64> = assets.iter().map(|asset| asset.0).collect();
    let rows: Vec<(AssetId, DateTime<Utc>)> =
        sqlx::query_as("select asset_id, observed_at from twin where asset_id = any($1) and observed_at is not null")
            .bind(ids)
            .fetch_all(db)
            .await?;
    Ok(rows.into_iter().collect())
}
