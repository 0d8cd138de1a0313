//! SQL of measured responses.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;

use crate::ids::ModelId;

/// What was measured of a version, and when.
pub(super) async fn kept(db: impl PgExecutor<'_>, model: ModelId) -> sqlx::Result<Option<(DateTime<Utc>, Value)>> {
    sqlx::query_as("select created_at, responses from model_response where model_id = $1")
        .bind(model)
        .fetch_optional(db)
        .await
}

/// Keeps what was measured; what another server kept in the meantime stays.
pub(super) async fn keep(
    db: impl PgExecutor<'_>,
    model: ModelId,
    responses: &Value,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    // A version that was deleted meanwhile has no responses to keep.
    sqlx::query(
        "insert into model_response (model_id, responses, created_at)
         select id, $2, $3 from model_version where id = $1 on conflict do nothing",
    )
    .bind(model)
    .bind(responses)
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}
