//! What tests do to the database behind the room's back.

use sqlx::PgPool;

use crate::ids::{AssetId, JobId};

/// An asset of a type with one control input and one output.
pub(super) async fn asset(db: &PgPool, key: &str) -> AssetId {
    sqlx::query(
        r#"insert into asset_type (key, version, document, created_at) values ('machine', 1, '{
            "interval": "PT1S", "attributes": [], "health_classes": [], "on_invalid": "refuse",
            "signals": [
                {"name": "speed", "unit": "Hz", "kind": "number", "role": "control_input"},
                {"name": "flow", "unit": "l/s", "kind": "number", "role": "output"}
            ]}', now())
        on conflict do nothing"#,
    )
    .execute(db)
    .await
    .unwrap();
    sqlx::query_scalar(
        "insert into asset (key, asset_type_id, created_at, updated_at) select $1, id, now(), now() from asset_type
         returning id",
    )
    .bind(key)
    .fetch_one(db)
    .await
    .unwrap()
}

/// Lets so many readings of an asset have come.
pub(super) async fn readings(db: &PgPool, asset: AssetId, count: i64) {
    sqlx::query(
        "insert into twin (asset_id, readings, updated_at) values ($1, $2, now())
         on conflict (asset_id) do update set readings = $2",
    )
    .bind(asset)
    .bind(count)
    .execute(db)
    .await
    .unwrap();
}

/// Lets a lease run out.
pub(super) async fn expire(db: &PgPool, job: JobId) {
    sqlx::query("update fine_tune_job set lease_expires_at = now() - interval '1 second' where id = $1")
        .bind(job)
        .execute(db)
        .await
        .unwrap();
}

/// Seconds until a job may run.
pub(super) async fn waits_s(db: &PgPool, job: JobId) -> f64 {
    sqlx::query_scalar("select extract(epoch from run_after - now())::float8 from fine_tune_job where id = $1")
        .bind(job)
        .fetch_one(db)
        .await
        .unwrap()
}

/// Lets a job's wait be over.
pub(super) async fn hurry(db: &PgPool, job: JobId) {
    sqlx::query("update fine_tune_job set run_after = now() where id = $1").bind(job).execute(db).await.unwrap();
}

/// Seconds until a job's lease runs out.
pub(super) async fn lease_s(db: &PgPool, job: JobId) -> Option<f64> {
    sqlx::query_scalar("select extract(epoch from lease_expires_at - now())::float8 from fine_tune_job where id = $1")
        .bind(job)
        .fetch_one(db)
        .await
        .unwrap()
}

/// Flips a bit of every version's weights.
pub(super) async fn damage(db: &PgPool) {
    sqlx::query("update model_version set weights = set_bit(weights, 0, 1 - get_bit(weights, 0))")
        .execute(db)
        .await
        .unwrap();
}

/// Versions of all assets.
pub(super) async fn versions(db: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from model_version").fetch_one(db).await.unwrap()
}

/// Deletes an asset, as the asset room does.
pub(super) async fn delete_asset(db: &PgPool, asset: AssetId) {
    sqlx::query("delete from asset where id = $1").bind(asset).execute(db).await.unwrap();
}
