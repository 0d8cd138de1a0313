//! The table `twin`: one row per asset. Its lock orders the writers of an asset's frames.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgExecutor, Row as _};

use crate::ids::AssetId;
use crate::reading::instant::instant;
use crate::reading::store::Values;
use crate::twin::state::Reported;
use crate::twin::{Anomaly, Desired, Looked, Twin};

/// The row of one asset.
pub async fn find(db: impl PgExecutor<'_>, asset: AssetId) -> Result<Option<Twin>, sqlx::Error> {
    let row = sqlx::query(
        "select seq, observed_at, received_at, reported, reported_at, readings, desired, forecast_seq, updated_at
         from twin where asset_id = $1",
    )
    .bind(asset)
    .fetch_optional(db)
    .await?;
    row.as_ref().map(twin).transpose()
}

/// A twin from the first nine columns of a row, in the order of [`find`].
pub fn twin(row: &PgRow) -> Result<Twin, sqlx::Error> {
    Ok(Twin {
        seq: row.try_get(0)?,
        observed_at: row.try_get(1)?,
        received_at: row.try_get(2)?,
        reported: row.try_get::<Values, _>(3)?.0,
        reported_at: row.try_get(4)?,
        readings: row.try_get(5)?,
        desired: row.try_get::<Json<BTreeMap<String, Desired>>, _>(6)?.0,
        forecast_seq: row.try_get(7)?,
        updated_at: row.try_get(8)?,
    })
}

/// Makes the rows that are missing, of assets that exist.
pub async fn ensure(db: impl PgExecutor<'_>, assets: &[i64], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into twin (asset_id, updated_at)
         select id, $2 from asset where id = any($1) order by id on conflict do nothing",
    )
    .bind(assets)
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

/// A row as its writer holds it.
#[derive(Clone, Debug)]
pub struct Locked {
    /// Whose.
    pub asset: AssetId,
    /// Commits that changed readings, before this one.
    pub seq: i64,
    /// What was reported before this commit.
    pub reported: Reported,
}

/// Locks the rows of assets until the end of the transaction, in the order of their ids so that
/// writers of the same assets never wait for each other in a circle.
pub async fn lock(db: impl PgExecutor<'_>, assets: &[i64]) -> Result<Vec<Locked>, sqlx::Error> {
    let rows = sqlx::query(
        "select asset_id, seq, observed_at, reported, reported_at from twin
         where asset_id = any($1) order by asset_id for update",
    )
    .bind(assets)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let at: Vec<Option<DateTime<Utc>>> = row.try_get(4)?;
            let newest: Option<DateTime<Utc>> = row.try_get(2)?;
            Ok(Locked {
                asset: row.try_get(0)?,
                seq: row.try_get(1)?,
                reported: Reported {
                    newest: newest.map(|at| at.timestamp_micros()),
                    values: row.try_get::<Values, _>(3)?.0,
                    at: at.iter().map(|at| at.map_or(i64::MIN, |at| at.timestamp_micros())).collect(),
                },
            })
        })
        .collect()
}

/// One asset's part of a commit.
#[derive(Debug)]
pub struct Move<'a> {
    /// Whose.
    pub asset: AssetId,
    /// What is reported afterwards.
    pub reported: &'a Reported,
    /// Readings that the commit stores, without updates.
    pub stored: u64,
}

/// Moves locked rows, each by one `seq`.
pub async fn advance(db: impl PgExecutor<'_>, moves: &[Move<'_>], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let mut assets = Vec::with_capacity(moves.len());
    let mut newest = Vec::with_capacity(moves.len());
    let mut stored = Vec::with_capacity(moves.len());
    let mut ends = Vec::with_capacity(moves.len());
    let (mut values, mut at) = (Vec::new(), Vec::new());
    for one in moves {
        assets.push(one.asset.0);
        newest.push(one.reported.newest.map(instant));
        stored.push(one.stored as i64);
        values.extend_from_slice(&one.reported.values);
        at.extend(one.reported.at.iter().map(|&at| if at == i64::MIN { DateTime::UNIX_EPOCH } else { instant(at) }));
        ends.push(values.len() as i32);
    }
    // All rows' values lie in one array, since an array of arrays cannot be unnested by row; each row
    // cuts out its own. NaN marks what is missing: with nulls inside, cutting would have to count
    // from the array's begin each time.
    sqlx::query(
        "update twin t
         set seq = t.seq + 1,
             observed_at = given.newest,
             received_at = case when given.newest is distinct from t.observed_at then $7 else t.received_at end,
             reported = array_replace(($5::float8[])[given.first:given.last], 'NaN', null),
             reported_at = array_replace(($6::timestamptz[])[given.first:given.last], 'epoch', null),
             readings = t.readings + given.stored,
             updated_at = greatest($7, t.updated_at + interval '1 microsecond')
         from (select asset_id, newest, stored, coalesce(lag(last) over (order by place), 0) + 1 as first, last
               from unnest($1::int8[], $2::timestamptz[], $3::int8[], $4::int4[])
                    with ordinality as u (asset_id, newest, stored, last, place)) as given
         where t.asset_id = given.asset_id",
    )
    .bind(&assets)
    .bind(&newest)
    .bind(&stored)
    .bind(&ends)
    .bind(&values)
    .bind(&at)
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

/// Replaces what is desired; the forecast counts as behind, because it follows schedules. `false`:
/// there is no such asset.
pub async fn set_desired(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    desired: &BTreeMap<String, Desired>,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let result = sqlx::query(
        "update twin
         set desired = $2, desired_at = $3, forecast_seq = least(forecast_seq, greatest(seq - 1, 0)),
             updated_at = greatest($3, updated_at + interval '1 microsecond')
         where asset_id = $1",
    )
    .bind(asset)
    .bind(Json(desired))
    .bind(now)
    .execute(db)
    .await?;
    Ok(crate::db::touched_one(&result))
}

/// Assets whose forecast is behind their readings, those behind for longest first.
pub async fn stale(db: impl PgExecutor<'_>, resting: &[i64], limit: i64) -> Result<Vec<(AssetId, i64)>, sqlx::Error> {
    sqlx::query_as(
        "select asset_id, seq from twin where seq > forecast_seq and asset_id <> all($1) order by updated_at limit $2",
    )
    .bind(resting)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Has an asset forecast again although it was not measured anew: what is judged with its forecast has
/// changed.
pub async fn forecast_again(db: impl PgExecutor<'_>, asset: AssetId) -> Result<(), sqlx::Error> {
    sqlx::query("update twin set forecast_seq = least(forecast_seq, greatest(seq - 1, 0)) where asset_id = $1")
        .bind(asset)
        .execute(db)
        .await
        .map(drop)
}

/// Notes that a forecast was made from the readings of `seq`; never moves backwards.
pub async fn mark_forecast(db: impl PgExecutor<'_>, asset: AssetId, seq: i64) -> Result<(), sqlx::Error> {
    sqlx::query("update twin set forecast_seq = $2 where asset_id = $1 and forecast_seq < $2")
        .bind(asset)
        .bind(seq)
        .execute(db)
        .await
        .map(drop)
}

/// Replaces the anomaly score of an asset unless it is of a newer step. Does not wait for the disk: it
/// is judged again in seconds.
pub async fn set_anomaly(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    anomaly: &Anomaly,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into anomaly (asset_id, observed_at, score, contributions, updated_at)
         select $1, $2, $3, $4, $5 from set_config('synchronous_commit', 'off', true)
         where exists (select from asset where id = $1)
         on conflict (asset_id) do update
         set observed_at = excluded.observed_at, score = excluded.score, contributions = excluded.contributions,
             updated_at = excluded.updated_at
         where anomaly.observed_at <= excluded.observed_at",
    )
    .bind(asset)
    .bind(anomaly.observed_at)
    .bind(anomaly.score)
    .bind(Json(&anomaly.contributions))
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

/// Replaces what is said of the health of an asset unless that is of a newer step. Does not wait for the
/// disk: it is looked at again in seconds.
pub async fn set_health(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    looked: &Looked,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let (class, probabilities) = looked.class.as_ref().map(|(class, all)| (class, Json(all))).unzip();
    sqlx::query(
        "insert into health (asset_id, observed_at, model_id, class, probabilities, remaining, updated_at, outlook)
         select $1, $2, $3, $4, $5, $6, $7, $8 from set_config('synchronous_commit', 'off', true)
         where exists (select from asset where id = $1)
         on conflict (asset_id) do update
         set observed_at = excluded.observed_at, model_id = excluded.model_id, class = excluded.class,
             probabilities = excluded.probabilities, remaining = excluded.remaining, updated_at = excluded.updated_at,
             outlook = excluded.outlook
         where health.observed_at <= excluded.observed_at",
    )
    .bind(asset)
    .bind(looked.at)
    .bind(looked.model)
    .bind(class)
    .bind(probabilities)
    .bind(looked.remaining.as_ref().map(Json))
    .bind(now)
    .bind(looked.outlook.as_ref().map(Json))
    .execute(db)
    .await
    .map(drop)
}
