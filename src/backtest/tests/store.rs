//! What tests do to the database behind the room's back.

use sqlx::PgPool;

use crate::ids::{AssetId, BacktestId};

/// An asset of a type with one control input and one output.
pub(super) async fn asset(db: &PgPool, key: &str) -> AssetId {
    sqlx::query(
        r#"insert into asset_type (key, version, document, created_at) values ('machine', 1, '{
            "interval": "PT1S", "attributes": [], "health_classes": [], "on_invalid": "refuse",
            "signals": [
                {"name": "speed", "unit": "Hz", "kind": "number", "role": "control_input"},
                {"name": "flow", "unit": "l/s", "kind": "number", "role": "output"}
            ]}', now())"#,
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

/// Lets a lease run out.
pub(super) async fn expire(db: &PgPool, backtest: BacktestId) {
    sqlx::query("update backtest set lease_expires_at = now() - interval '1 second' where id = $1")
        .bind(backtest)
        .execute(db)
        .await
        .unwrap();
}

/// Seconds until a backtest may run.
pub(super) async fn waits_s(db: &PgPool, backtest: BacktestId) -> f64 {
    sqlx::query_scalar("select extract(epoch from run_after - now())::float8 from backtest where id = $1")
        .bind(backtest)
        .fetch_one(db)
        .await
        .unwrap()
}

/// Lets a backtest's wait be over.
pub(super) async fn hurry(db: &PgPool, backtest: BacktestId) {
    sqlx::query("update backtest set run_after = now() where id = $1").bind(backtest).execute(db).await.unwrap();
}

/// Seconds until a backtest's lease runs out.
pub(super) async fn lease_s(db: &PgPool, backtest: BacktestId) -> Option<f64> {
    sqlx::query_scalar("select extract(epoch from lease_expires_at - now())::float8 from backtest where id = $1")
        .bind(backtest)
        .fetch_one(db)
        .await
        .unwrap()
}
