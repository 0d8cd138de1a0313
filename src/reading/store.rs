//! The table `frame`: rows in, rows out.

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArgumentBuffer, PgConnection, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, PgExecutor, Postgres, Row as _, Type};

use crate::ids::AssetId;
use crate::reading::instant::instant;
use crate::reading::{Block, Frame, copy};

/// A `float8[]` in which null is NaN here and NaN is never there.
#[derive(Clone, Debug)]
pub struct Values(pub Vec<f64>);

impl Type<Postgres> for Values {
    fn type_info() -> PgTypeInfo {
        <f64 as PgHasArrayType>::array_type_info()
    }
}

impl Decode<'_, Postgres> for Values {
    fn decode(value: PgValueRef<'_>) -> Result<Self, sqlx::error::BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Err("arrays come in binary format from prepared statements".into());
        }
        let bytes = value.as_bytes()?;
        let word = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(i32::from_be_bytes);
        let cut = "a float8[] ended early";
        if word(0).ok_or(cut)? == 0 {
            return Ok(Self(Vec::new()));
        }
        let length = usize::try_from(word(12).ok_or(cut)?)?;
        let mut values = Vec::with_capacity(length);
        let mut at = 20;
        for _ in 0..length {
            if word(at).ok_or(cut)? == 8 {
                let field = bytes.get(at + 4..at + 12).and_then(|b| b.try_into().ok()).ok_or(cut)?;
                values.push(f64::from_be_bytes(field));
                at += 12;
            } else {
                values.push(f64::NAN);
                at += 4;
            }
        }
        Ok(Self(values))
    }
}

impl sqlx::Encode<'_, Postgres> for Values {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        let options: Vec<Option<f64>> = self.0.iter().map(|value| (!value.is_nan()).then_some(*value)).collect();
        <Vec<Option<f64>> as sqlx::Encode<'_, Postgres>>::encode_by_ref(&options, buffer)
    }
}

/// Writes frames of which none may exist yet.
pub async fn append(
    db: &mut PgConnection,
    blocks: &[(AssetId, &Block)],
    received_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let rows = copy::encode(blocks.iter().copied(), received_at.timestamp_micros());
    let mut copy = db
        .copy_in_raw("copy frame (asset_id, observed_at, values, quality, received_at) from stdin with (format binary)")
        .await?;
    match copy.send(rows).await {
        Ok(_) => copy.finish().await.map(drop),
        Err(error) => {
            // The first error says more than that of the abort.
            let _ = copy.abort("sending failed").await;
            Err(error)
        }
    }
}

/// A frame that exists, as the merge needs it.
#[derive(Debug)]
pub struct Existing {
    /// Whose.
    pub asset: AssetId,
    /// Microseconds since 1970.
    pub at: i64,
    /// In signal order, NaN where missing.
    pub values: Vec<f64>,
    /// In signal order, absent when all are good.
    pub quality: Option<Vec<i16>>,
}

/// Those of the frames that exist; `assets` and `instants` go pairwise.
pub async fn existing(
    db: impl PgExecutor<'_>,
    assets: &[i64],
    instants: &[DateTime<Utc>],
) -> Result<Vec<Existing>, sqlx::Error> {
    // The bounds let the planner leave out partitions.
    let rows = sqlx::query(
        "select f.asset_id, f.observed_at, f.values, f.quality
         from unnest($1::int8[], $2::timestamptz[]) as wanted (asset_id, observed_at)
         join frame f on f.asset_id = wanted.asset_id and f.observed_at = wanted.observed_at
         where f.observed_at >= $3 and f.observed_at <= $4",
    )
    .bind(assets)
    .bind(instants)
    .bind(instants.iter().min())
    .bind(instants.iter().max())
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Existing {
                asset: row.try_get(0)?,
                at: row.try_get::<DateTime<Utc>, _>(1)?.timestamp_micros(),
                values: row.try_get::<Values, _>(2)?.0,
                quality: row.try_get(3)?,
            })
        })
        .collect()
}

/// Writes frames over those that exist. The texts are arrays as PostgreSQL writes them, because an
/// array of arrays cannot be unnested by row.
pub async fn overwrite(
    db: impl PgExecutor<'_>,
    assets: &[i64],
    instants: &[DateTime<Utc>],
    values: &[String],
    quality: &[Option<String>],
    received_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update frame f
         set values = given.values::float8[], quality = given.quality::int2[], received_at = $5
         from unnest($1::int8[], $2::timestamptz[], $3::text[], $4::text[]) as given (asset_id, observed_at, values, quality)
         where f.asset_id = given.asset_id and f.observed_at = given.observed_at
           and f.observed_at >= $6 and f.observed_at <= $7",
    )
    .bind(assets)
    .bind(instants)
    .bind(values)
    .bind(quality)
    .bind(received_at)
    .bind(instants.iter().min())
    .bind(instants.iter().max())
    .execute(db)
    .await
    .map(drop)
}

/// Newest frames, newest first, with the twin's `seq` of the same snapshot.
pub async fn newest_with_seq(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    count: i64,
) -> Result<(i64, Vec<Frame>), sqlx::Error> {
    let rows = sqlx::query(
        "select observed_at, values, quality, (select seq from twin where asset_id = $1)
         from frame where asset_id = $1 order by observed_at desc limit $2",
    )
    .bind(asset)
    .bind(count)
    .fetch_all(db)
    .await?;
    let seq = rows.first().map(|row| row.try_get::<Option<i64>, _>(3)).transpose()?.flatten().unwrap_or_default();
    Ok((seq, rows.iter().map(frame).collect::<Result<_, _>>()?))
}

/// Newest frames at or before an instant, newest first.
pub async fn until(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    until: DateTime<Utc>,
    count: i64,
) -> Result<Vec<Frame>, sqlx::Error> {
    let rows = sqlx::query(
        "select observed_at, values, quality from frame
         where asset_id = $1 and observed_at <= $2 order by observed_at desc limit $3",
    )
    .bind(asset)
    .bind(until)
    .bind(count)
    .fetch_all(db)
    .await?;
    rows.iter().map(frame).collect()
}

/// Frames from one instant up to but not including another, oldest first.
pub async fn range(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Frame>, sqlx::Error> {
    let rows = sqlx::query(
        "select observed_at, values, quality from frame
         where asset_id = $1 and observed_at >= $2 and observed_at < $3 order by observed_at limit $4",
    )
    .bind(asset)
    .bind(from)
    .bind(to)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(frame).collect()
}

fn frame(row: &sqlx::postgres::PgRow) -> Result<Frame, sqlx::Error> {
    Ok(Frame { observed_at: row.try_get(0)?, values: row.try_get::<Values, _>(1)?.0, quality: row.try_get(2)? })
}

/// How many frames a range holds, counted no further than `at_most`.
pub async fn count(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    at_most: i64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from (
             select from frame where asset_id = $1 and observed_at >= $2 and observed_at < $3 limit $4
         ) as counted",
    )
    .bind(asset)
    .bind(from)
    .bind(to)
    .bind(at_most)
    .fetch_one(db)
    .await
}

/// Instant of the newest frame.
pub async fn newest_at(db: impl PgExecutor<'_>, asset: AssetId) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar("select observed_at from frame where asset_id = $1 order by observed_at desc limit 1")
        .bind(asset)
        .fetch_optional(db)
        .await
}

/// One bucket of one signal.
#[derive(Debug, sqlx::FromRow)]
pub struct Bucket {
    /// Where the bucket begins.
    pub bin: DateTime<Utc>,
    /// Position of the signal, counted from 1.
    pub signal: i32,
    /// Arithmetic mean.
    pub mean: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Sum of the values.
    pub sum: f64,
    /// Number of values.
    pub count: i64,
}

/// Buckets of `step` that hold values, by instant; `signals` counted from 1.
pub async fn buckets(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    step_us: i64,
    signals: &[i32],
) -> Result<Vec<Bucket>, sqlx::Error> {
    sqlx::query_as(
        "select date_bin($4 * interval '1 microsecond', f.observed_at, 'epoch') as bin, s.signal,
                avg(f.values[s.signal]) as mean, min(f.values[s.signal]) as min, max(f.values[s.signal]) as max,
                sum(f.values[s.signal]) as sum, count(*) as count
         from frame f cross join unnest($5::int4[]) as s (signal)
         where f.asset_id = $1 and f.observed_at >= $2 and f.observed_at < $3 and f.values[s.signal] is not null
         group by 1, 2 order by 1",
    )
    .bind(asset)
    .bind(from)
    .bind(to)
    .bind(step_us as f64)
    .bind(signals)
    .fetch_all(db)
    .await
}

/// First and last value of each bucket: bucket, signal counted from 1, first, last.
pub async fn edges(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    step_us: i64,
    signals: &[i32],
) -> Result<Vec<(DateTime<Utc>, i32, f64, f64)>, sqlx::Error> {
    sqlx::query_as(
        "select date_bin($4 * interval '1 microsecond', f.observed_at, 'epoch') as bin, s.signal,
                (array_agg(f.values[s.signal] order by f.observed_at))[1],
                (array_agg(f.values[s.signal] order by f.observed_at desc))[1]
         from frame f cross join unnest($5::int4[]) as s (signal)
         where f.asset_id = $1 and f.observed_at >= $2 and f.observed_at < $3 and f.values[s.signal] is not null
         group by 1, 2 order by 1",
    )
    .bind(asset)
    .bind(from)
    .bind(to)
    .bind(step_us as f64)
    .bind(signals)
    .fetch_all(db)
    .await
}

/// An array as PostgreSQL reads it, null for NaN.
#[must_use]
pub fn float_text(values: &[f64]) -> String {
    text(values.iter().map(|value| if value.is_nan() { "null".to_owned() } else { format!("{value:e}") }))
}

/// An array as PostgreSQL reads it; absent when all are good.
#[must_use]
pub fn quality_text(quality: Option<&[i16]>) -> Option<String> {
    let quality = quality.filter(|quality| quality.iter().any(|&one| one != 0))?;
    Some(text(quality.iter().map(i16::to_string)))
}

fn text(elements: impl Iterator<Item = String>) -> String {
    format!("{{{}}}", elements.collect::<Vec<_>>().join(","))
}

/// Microseconds as the instants that parameters need.
#[must_use]
pub fn instants(micros: &[i64]) -> Vec<DateTime<Utc>> {
    micros.iter().map(|&micros| instant(micros)).collect()
}
