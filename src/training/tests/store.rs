//! What tests do to the database behind the room's back.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::ids::{AssetId, JobId};
use crate::reading::Frame;

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

/// Makes the weights of every version whole again as they are, with a note about what was not learned.
pub(super) async fn mend(db: &PgPool, note: Option<&str>) {
    sqlx::query("update model_version set sha256 = sha256(weights), note = $1").bind(note).execute(db).await.unwrap();
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

/// Lets the newest frame of an asset be of an instant.
pub(super) async fn observe(db: &PgPool, asset: AssetId, at: DateTime<Utc>) {
    sqlx::query(
        "insert into twin (asset_id, observed_at, updated_at) values ($1, $2, now())
         on conflict (asset_id) do update set observed_at = $2",
    )
    .bind(asset)
    .bind(at)
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

/// Keeps frames of an asset in the partition that they need.
pub(super) async fn frames(db: &PgPool, asset: AssetId, frames: &[Frame]) {
    sqlx::raw_sql(
        "create table if not exists frame_20261124 partition of frame for values from ('2026-11-24') to ('2026-11-25')",
    )
    .execute(db)
    .await
    .unwrap();
    let instants: Vec<DateTime<Utc>> = frames.iter().map(|frame| frame.observed_at).collect();
    // Postgres cannot unnest an array of arrays by row.
    let values: Vec<String> = frames.iter().map(|frame| format!("{{{}}}", literal(&frame.values))).collect();
    sqlx::query(
        "insert into frame (asset_id, observed_at, values, received_at)
         select $1, f.observed_at, f.values::float8[], now() from unnest($2::timestamptz[], $3::text[]) f (observed_at, values)",
    )
    .bind(asset)
    .bind(instants)
    .bind(values)
    .execute(db)
    .await
    .unwrap();
}

fn literal(values: &[f64]) -> String {
    values.iter().map(f64::to_string).collect::<Vec<_>>().join(",")
}

/// Lets all jobs have been made when so many readings had come.
pub(super) async fn seen(db: &PgPool, readings: i64) {
    sqlx::query("update fine_tune_job set frames_seen = $1").bind(readings).execute(db).await.unwrap();
}

/// Assets whose newest frames were looked at.
pub(super) async fn looks(db: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from training_check").fetch_one(db).await.unwrap()
}

/// Lets versions not know how the values were spread that they learned from.
pub(super) async fn unlearn(db: &PgPool) {
    sqlx::query("update model_version set data_card = data_card - 'stretch'").execute(db).await.unwrap();
}

/// Lets the ledger of an asset's version 1 hold so many outcomes of its flow, with these absolute errors of
/// its own and of the naive forecast.
pub(super) async fn outcomes(db: &PgPool, asset: AssetId, truths: i64, (absolute, naive): (f64, f64)) {
    sqlx::query(
        "insert into outcome (asset_id, day, cause, source, version, signal, lead, vintages, truths, differed, error,
             absolute, squared, crps, naive_absolute, naive_crps, of_80, held_80, of_95, held_95)
         values ($1, '2026-11-24', 'refresh', 'model', 1, 'flow', 3, 1, $2, 0, 0, $3, 0, 0, $4, 0, 0, 0, 0, 0)
         on conflict on constraint outcome_key do update set truths = $2, absolute = $3, naive_absolute = $4",
    )
    .bind(asset)
    .bind(truths)
    .bind(absolute)
    .bind(naive)
    .execute(db)
    .await
    .unwrap();
}

/// Jobs that have not ended.
pub(super) async fn unfinished(db: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from fine_tune_job where status in ('pending', 'running')")
        .fetch_one(db)
        .await
        .unwrap()
}

/// Whether an asset's job is still its first worker's, whose lease then runs out: one statement, so that the
/// lease of the worker that takes the job over meanwhile is left alone.
pub(super) async fn expire_first(db: &PgPool, asset: AssetId) -> bool {
    sqlx::query(
        "update fine_tune_job set lease_expires_at = now() - interval '1 second'
         where asset_id = $1 and status = 'running' and attempts = 1",
    )
    .bind(asset)
    .execute(db)
    .await
    .unwrap()
    .rows_affected()
        > 0
}

/// How many versions there are, how many assets have exactly one that was promoted, and how many of these
/// are served by it.
pub(super) async fn promoted_once(db: &PgPool) -> (i64, i64, i64) {
    sqlx::query_as(
        "select (select count(*) from model_version), count(*), count(*) filter (where c.model_id = m.id)
         from (select asset_id, min(id::text)::uuid as id from model_version where promoted group by asset_id
               having count(*) = 1) m
         left join champion c on c.asset_id = m.asset_id",
    )
    .fetch_one(db)
    .await
    .unwrap()
}

/// What the server did by itself, in the order in which it did: act, address and reason.
pub(super) async fn acts(db: &PgPool) -> Vec<(String, String, String)> {
    sqlx::query_as("select act, path, reason from audit_entry where act is not null order by at, id")
        .fetch_all(db)
        .await
        .unwrap()
}
