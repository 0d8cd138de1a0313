//! SQL of the vintages, and of how honest they turned out to be.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgExecutor, Row as _};

use super::hindsight::{Due, Found};
use super::online::Online;
use super::serving::KnownBands;
use super::{Cause, Prediction};
use crate::ids::{AssetId, ModelId, PredictionId};
use crate::twin::{self, Twin};

/// Keeps a prediction as it was served.
///
/// Does not wait for the disk: a vintage that a power cut takes is a score less, and nobody was
/// promised it. `instants` are those of its state, and from which on it is due to be scored.
pub async fn keep(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    prediction: &Prediction,
    instants: (DateTime<Utc>, Option<DateTime<Utc>>),
    model: Option<ModelId>,
    cause: Cause,
) -> sqlx::Result<()> {
    let (state_at, due_at) = instants;
    sqlx::query(
        "insert into prediction (asset_id, id, created_at, state_at, model_id, cause, answer, due_at)
         select $1, $2, $3, $4, $5, $6, $7, $8 from set_config('synchronous_commit', 'off', true)",
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
    .bind(due_at)
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
    cause: Option<&str>,
    before: Option<PredictionId>,
    limit: i64,
) -> sqlx::Result<Vec<Prediction>> {
    let rows: Vec<Json<Prediction>> = sqlx::query_scalar(
        "select answer from prediction
         where asset_id = $1 and ($2::uuid is null or id < $2) and ($3::text is null or cause = $3)
         order by id desc limit $4",
    )
    .bind(asset)
    .bind(before)
    .bind(cause)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Vintages made from states of a stretch of time, its end not included, those from the newest states
/// first; older than `cursor`.
pub async fn of_states(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    cause: Option<&str>,
    stretch: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    cursor: Option<(DateTime<Utc>, PredictionId)>,
    limit: i64,
) -> sqlx::Result<Vec<Prediction>> {
    let (state_at, id) = cursor.unzip();
    // Bounds that are always there keep the index in use whichever of them were given.
    let rows: Vec<Json<Prediction>> = sqlx::query_scalar(
        "select answer from prediction
         where asset_id = $1 and state_at >= coalesce($2, '-infinity'::timestamptz)
             and state_at < coalesce($3, 'infinity'::timestamptz)
             and (state_at, id) < (coalesce($4, 'infinity'::timestamptz), coalesce($5, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             and ($6::text is null or cause = $6)
         order by state_at desc, id desc limit $7",
    )
    .bind(asset)
    .bind(stretch.0)
    .bind(stretch.1)
    .bind(state_at)
    .bind(id)
    .bind(cause)
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

/// Of each twin the oldest of its own forecasts that is due for a comparison, if its last step has
/// been measured: made by what serves now, after what is done with, and after `since`.
pub(super) async fn come_true(db: impl PgExecutor<'_>, since: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<Due>> {
    type Row = (AssetId, i64, Option<ModelId>, Json<Prediction>, Option<Json<Online>>, Option<String>);
    // An id sorts by creation, so the primary key finds the first one made since an instant.
    let rows: Vec<Row> = sqlx::query_as(
        "select t.asset_id, t.seq, c.model_id, v.answer, b.tracks, b.base
         from twin t
         left join champion c on c.asset_id = t.asset_id
         left join served_band b on b.asset_id = t.asset_id and b.model_id is not distinct from c.model_id
         cross join lateral (
             select p.answer from prediction p
             where p.asset_id = t.asset_id and p.cause = 'refresh' and p.model_id is not distinct from c.model_id
                 and p.id > (lpad(to_hex((extract(epoch from greatest(c.changed_at, b.due_at, $1)) * 1000)::int8), 12, '0')
                     || repeat('0', 20))::uuid
             order by p.id limit 1
         ) v
         where (v.answer -> 'timestamps' ->> -1)::timestamptz <= t.observed_at
         limit $2",
    )
    .bind(since)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let due = |(asset, seq, model, Json(prediction), online, base): Row| Due {
        asset,
        seq,
        model,
        prediction,
        online: online.map(|online| online.0),
        base,
    };
    Ok(rows.into_iter().map(due).collect())
}

/// Keeps what comparisons found, all in one statement.
pub(super) async fn keep_bands(db: impl PgExecutor<'_>, found: &[Found], now: DateTime<Utc>) -> sqlx::Result<()> {
    let assets: Vec<i64> = found.iter().map(|found| found.asset.0).collect();
    let models: Vec<Option<ModelId>> = found.iter().map(|found| found.model).collect();
    let bases: Vec<&str> = found.iter().map(|found| found.base.as_str()).collect();
    let due_at: Vec<DateTime<Utc>> = found.iter().map(|found| found.due_at).collect();
    let tracks: Vec<Json<&Online>> = found.iter().map(|found| Json(&found.online)).collect();
    // The asset may have been deleted since.
    sqlx::query(
        "insert into served_band (asset_id, model_id, due_at, tracks, changed_at, base)
         select f.asset_id, f.model_id, f.due_at, f.tracks, $5, f.base
         from unnest($1::int8[], $2::uuid[], $3::timestamptz[], $4::jsonb[], $6::text[])
             f (asset_id, model_id, due_at, tracks, base)
         where exists (select from asset a where a.id = f.asset_id)
         on conflict (asset_id) do update set model_id = excluded.model_id, due_at = excluded.due_at,
             tracks = excluded.tracks, changed_at = excluded.changed_at, base = excluded.base",
    )
    .bind(assets)
    .bind(models)
    .bind(due_at)
    .bind(tracks)
    .bind(now)
    .bind(bases)
    .execute(db)
    .await?;
    Ok(())
}

/// Whose bands were followed, and what was found of them.
pub(super) async fn bands_of(db: impl PgExecutor<'_>, asset: AssetId) -> sqlx::Result<Option<KnownBands>> {
    let row: Option<(Option<ModelId>, Option<String>, Json<Online>)> =
        sqlx::query_as("select model_id, base, tracks from served_band where asset_id = $1")
            .bind(asset)
            .fetch_optional(db)
            .await?;
    Ok(row.map(|(model, base, tracks)| KnownBands { model, base, online: Arc::new(tracks.0) }))
}
