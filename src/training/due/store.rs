//! SQL of what is due: which assets to look at, what the look before found, and the clock.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use sqlx::types::Json;

use crate::db::touched_one;
use crate::ids::{AssetId, ModelId};
use crate::training::spread::Spread;

/// An asset whose newest frames are to be compared with what its version learned from.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ToCheck {
    /// The asset.
    #[sqlx(rename = "asset_id")]
    pub asset: AssetId,
    /// Readings of it so far.
    pub readings: i64,
    /// The version that serves.
    #[sqlx(rename = "model_id")]
    pub model: ModelId,
    /// Its number.
    pub version: i32,
    /// Frames to look at.
    pub stretch: i64,
    /// How the values that it learned from were spread.
    pub spreads: Json<Vec<Spread>>,
    /// Its score cards.
    pub scores: Json<serde_json::Value>,
    /// What the look before found; `None` before the first one at this version.
    pub checked: Option<Json<Checked>>,
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// What was suspect.
    pub suspect: Suspect,
    /// Sums of the outcomes so far, by output.
    pub sums: BTreeMap<String, Sum>,
    /// Mean errors of the first outcomes of this version, by output.
    pub first: BTreeMap<String, Errors>,
}

/// What may be amiss, by signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// Signals that are no longer spread as they were.
    pub shifts: BTreeMap<String, Shift>,
    /// Outputs whose errors have grown.
    pub worse: BTreeMap<String, Worse>,
}

/// A signal that is no longer spread as it was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// Its stability index.
    pub psi: f64,
    /// Whether it is an output.
    pub output: bool,
}

/// An output whose errors have grown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worse {
    /// Mean absolute error of the newest outcomes, in its unit.
    pub mae: f64,
    /// What was to be expected.
    pub expected: f64,
    /// How many outcomes.
    pub outcomes: i64,
}

/// Sums of outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    /// Values compared.
    pub truths: i64,
    /// Absolute errors of the median.
    pub absolute: f64,
    /// Absolute errors of the naive forecast.
    pub naive_absolute: f64,
}

/// Mean errors of some outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// How many.
    pub outcomes: i64,
    /// Mean absolute error of the median.
    pub mae: f64,
    /// Mean absolute error of the naive forecast.
    pub naive_mae: f64,
}

/// Assets of which a whole stretch is new since the look before, or since their version was made, and that
/// may learn again if something is found: so many frames since the newest job (`soon`), but `late` after
/// one for drift or errors that promoted nothing. Frames are readings over the signals of the type.
pub async fn to_check(db: impl PgExecutor<'_>, (soon, late): (i64, i64), limit: i64) -> sqlx::Result<Vec<ToCheck>> {
    sqlx::query_as(
        "select t.asset_id, t.readings, m.id as model_id, m.version, (m.data_card -> 'stretch')::int8 as stretch,
             m.data_card -> 'spreads' as spreads, m.scores, k.found as checked
         from champion c
         join model_version m on m.id = c.model_id
         join twin t on t.asset_id = c.asset_id
         join asset a on a.id = c.asset_id
         join asset_type y on y.id = a.asset_type_id
         left join training_check k on k.asset_id = c.asset_id and k.model_id = m.id
         left join fine_tune_job made on made.id = m.job_id
         cross join lateral (select jsonb_array_length(y.document -> 'signals') as signals) s
         left join lateral (
             select frames_seen, cause, verdict from fine_tune_job j where j.asset_id = t.asset_id
             order by created_at desc limit 1
         ) newest on true
         where (m.data_card -> 'stretch')::int8 > 0
             and t.readings - coalesce(k.readings_seen, made.frames_seen, 0) >= (m.data_card -> 'stretch')::int8 * s.signals
             and t.readings - coalesce(newest.frames_seen, 0) >= s.signals * case
                 when newest.cause in ('drift', 'errors') and (newest.verdict ->> 'promoted') is distinct from 'true'
                     then $2::int8
                 else $1::int8
             end
             and not exists (
                 select from fine_tune_job u where u.asset_id = t.asset_id and u.status in ('pending', 'running')
             )
         order by t.asset_id limit $3",
    )
    .bind(soon)
    .bind(late)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Sums of the outcomes of a version's own forecasts, by output.
pub async fn sums(db: impl PgExecutor<'_>, asset: AssetId, version: i32) -> sqlx::Result<BTreeMap<String, Sum>> {
    let rows: Vec<(String, i64, f64, f64)> = sqlx::query_as(
        "select signal, sum(truths)::int8, sum(absolute), sum(naive_absolute) from outcome
         where asset_id = $1 and version = $2 and cause = 'refresh' and source = 'model' group by signal",
    )
    .bind(asset)
    .bind(version)
    .fetch_all(db)
    .await?;
    let sum = |(signal, truths, absolute, naive_absolute)| (signal, Sum { truths, absolute, naive_absolute });
    Ok(rows.into_iter().map(sum).collect())
}

/// Keeps what a look found. Whether nobody else has looked at the same frames first.
pub async fn keep(db: impl PgExecutor<'_>, due: &ToCheck, checked: &Checked, now: DateTime<Utc>) -> sqlx::Result<bool> {
    // The asset may have been deleted since.
    let done = sqlx::query(
        "insert into training_check as k (asset_id, model_id, readings_seen, found, checked_at)
         select a.id, $2, $3, $4, $5 from asset a where a.id = $1
         on conflict (asset_id) do update set model_id = excluded.model_id, readings_seen = excluded.readings_seen,
             found = excluded.found, checked_at = excluded.checked_at
         where k.model_id <> excluded.model_id or k.readings_seen < excluded.readings_seen",
    )
    .bind(due.asset)
    .bind(due.model)
    .bind(due.readings)
    .bind(Json(checked))
    .bind(now)
    .execute(db)
    .await?;
    Ok(touched_one(&done))
}

/// Assets whose newest job was made before an instant, and of which so many frames came since.
pub async fn overdue(
    db: impl PgExecutor<'_>,
    before: DateTime<Utc>,
    frames: i64,
    limit: i64,
) -> sqlx::Result<Vec<AssetId>> {
    sqlx::query_scalar(
        "select t.asset_id from twin t
         join asset a on a.id = t.asset_id
         join asset_type y on y.id = a.asset_type_id
         cross join lateral (
             select frames_seen, created_at, status from fine_tune_job j where j.asset_id = t.asset_id
             order by created_at desc limit 1
         ) newest
         where newest.created_at <= $1 and newest.status not in ('pending', 'running')
             and t.readings - newest.frames_seen >= $2::int8 * jsonb_array_length(y.document -> 'signals')
         order by t.asset_id limit $3",
    )
    .bind(before)
    .bind(frames)
    .bind(limit)
    .fetch_all(db)
    .await
}
