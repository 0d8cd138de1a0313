//! SQL of the ledger: which predictions are due, what was found of them, and what it sums up to.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};

use super::tally::Tally;
use crate::forecast::Prediction;
use crate::ids::{AssetId, PredictionId};

/// A prediction whose last step readings have reached.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) asset: AssetId,
    /// Of the twin, for its frames.
    pub(super) seq: i64,
    /// `refresh` or `request`.
    pub(super) cause: String,
    pub(super) prediction: Prediction,
}

/// What was found of one prediction.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    pub(super) asset: AssetId,
    pub(super) id: PredictionId,
    /// Steps during which the inputs went as assumed.
    pub(super) applied: i32,
    pub(super) entries: Vec<Entry>,
}

/// Sums of one output at one lead time.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) day: NaiveDate,
    pub(super) cause: String,
    pub(super) source: &'static str,
    pub(super) version: i32,
    pub(super) signal: String,
    pub(super) lead: i16,
    pub(super) tally: Tally,
}

/// Sums of one output at one lead time, of one answerer.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Summary {
    pub(super) signal: String,
    pub(super) source: String,
    pub(super) version: i32,
    pub(super) lead: i16,
    #[sqlx(flatten)]
    pub(super) tally: Tally,
}

/// Of every twin the oldest predictions that are due, `each` at most.
pub(super) async fn due(db: impl PgExecutor<'_>, each: i64, limit: i64) -> sqlx::Result<Vec<Due>> {
    let rows: Vec<(AssetId, i64, String, Json<Prediction>)> = sqlx::query_as(
        "select t.asset_id, t.seq, v.cause, v.answer
         from twin t
         cross join lateral (
             select p.cause, p.answer from prediction p
             where p.asset_id = t.asset_id and p.due_at <= t.observed_at and p.scored_at is null
             order by p.due_at limit $1
         ) v
         limit $2",
    )
    .bind(each)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let due = |(asset, seq, cause, Json(prediction))| Due { asset, seq, cause, prediction };
    Ok(rows.into_iter().map(due).collect())
}

/// Marks predictions as scored and adds what was found of those that were not; how many those were.
/// To be called in a transaction: a prediction is counted once, whoever else looks at it.
pub(super) async fn settle(db: &mut PgConnection, settled: &[Settled], now: DateTime<Utc>) -> sqlx::Result<usize> {
    let assets: Vec<i64> = settled.iter().map(|one| one.asset.0).collect();
    // Whoever deletes an asset locks it first and its predictions after: so do we.
    sqlx::query("select id from asset where id = any($1) order by id for key share")
        .bind(&assets)
        .execute(&mut *db)
        .await?;
    let ids: Vec<PredictionId> = settled.iter().map(|one| one.id).collect();
    let applied: Vec<i32> = settled.iter().map(|one| one.applied).collect();
    let fresh: Vec<PredictionId> = sqlx::query_scalar(
        "with given as (
             select * from unnest($1::int8[], $2::uuid[], $3::int4[]) g (asset_id, id, applied)
         ), locked as (
             select p.asset_id, p.id from prediction p join given g on g.asset_id = p.asset_id and g.id = p.id
             where p.scored_at is null order by p.asset_id, p.id for update of p
         )
         update prediction p set scored_at = $4, applied = g.applied
         from locked l join given g on g.asset_id = l.asset_id and g.id = l.id
         where p.asset_id = l.asset_id and p.id = l.id and p.scored_at is null
         returning p.id",
    )
    .bind(&assets)
    .bind(&ids)
    .bind(&applied)
    .bind(now)
    .fetch_all(&mut *db)
    .await?;
    let counted = settled.iter().filter(|one| fresh.contains(&one.id));
    let mut sums: std::collections::BTreeMap<_, Tally> = std::collections::BTreeMap::new();
    for one in counted {
        for entry in &one.entries {
            let key = (one.asset, entry.day, &entry.cause, entry.source, entry.version, &entry.signal, entry.lead);
            sums.entry(key).or_default().add(&entry.tally);
        }
    }
    let rows: Vec<_> = sums.into_iter().collect();
    add(db, &rows).await?;
    Ok(fresh.len())
}

type Key<'a> = (AssetId, NaiveDate, &'a String, &'static str, i32, &'a String, i16);

/// Adds sums, all in one statement and in the order of their keys.
async fn add(db: &mut PgConnection, rows: &[(Key<'_>, Tally)]) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let whole = |of: fn(&Tally) -> i64| rows.iter().map(|(_, tally)| of(tally)).collect::<Vec<i64>>();
    let real = |of: fn(&Tally) -> f64| rows.iter().map(|(_, tally)| of(tally)).collect::<Vec<f64>>();
    sqlx::query(
        "insert into outcome as o (asset_id, day, cause, source, version, signal, lead, vintages, truths, differed,
             error, absolute, squared, crps, naive_absolute, naive_crps, of_80, held_80, of_95, held_95)
         select * from unnest($1::int8[], $2::date[], $3::text[], $4::text[], $5::int4[], $6::text[], $7::int2[],
             $8::int8[], $9::int8[], $10::int8[], $11::float8[], $12::float8[], $13::float8[], $14::float8[],
             $15::float8[], $16::float8[], $17::int8[], $18::int8[], $19::int8[], $20::int8[])
         on conflict on constraint outcome_key do update set
             vintages = o.vintages + excluded.vintages, truths = o.truths + excluded.truths,
             differed = o.differed + excluded.differed, error = o.error + excluded.error,
             absolute = o.absolute + excluded.absolute, squared = o.squared + excluded.squared,
             crps = o.crps + excluded.crps, naive_absolute = o.naive_absolute + excluded.naive_absolute,
             naive_crps = o.naive_crps + excluded.naive_crps, of_80 = o.of_80 + excluded.of_80,
             held_80 = o.held_80 + excluded.held_80, of_95 = o.of_95 + excluded.of_95,
             held_95 = o.held_95 + excluded.held_95",
    )
    .bind(rows.iter().map(|(key, _)| key.0.0).collect::<Vec<i64>>())
    .bind(rows.iter().map(|(key, _)| key.1).collect::<Vec<NaiveDate>>())
    .bind(rows.iter().map(|(key, _)| key.2.clone()).collect::<Vec<String>>())
    .bind(rows.iter().map(|(key, _)| key.3.to_owned()).collect::<Vec<String>>())
    .bind(rows.iter().map(|(key, _)| key.4).collect::<Vec<i32>>())
    .bind(rows.iter().map(|(key, _)| key.5.clone()).collect::<Vec<String>>())
    .bind(rows.iter().map(|(key, _)| key.6).collect::<Vec<i16>>())
    .bind(whole(|tally| tally.vintages))
    .bind(whole(|tally| tally.truths))
    .bind(whole(|tally| tally.differed))
    .bind(real(|tally| tally.error))
    .bind(real(|tally| tally.absolute))
    .bind(real(|tally| tally.squared))
    .bind(real(|tally| tally.crps))
    .bind(real(|tally| tally.naive_absolute))
    .bind(real(|tally| tally.naive_crps))
    .bind(whole(|tally| tally.of_80))
    .bind(whole(|tally| tally.held_80))
    .bind(whole(|tally| tally.of_95))
    .bind(whole(|tally| tally.held_95))
    .execute(db)
    .await?;
    Ok(())
}

/// Sums of an asset since a day, by output, answerer and lead time.
pub(super) async fn summaries(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    since: NaiveDate,
    cause: Option<&str>,
    version: Option<i32>,
) -> sqlx::Result<Vec<Summary>> {
    sqlx::query_as(
        "select signal, source, version, lead, sum(vintages)::int8 as vintages, sum(truths)::int8 as truths,
             sum(differed)::int8 as differed, sum(error) as error, sum(absolute) as absolute, sum(squared) as squared,
             sum(crps) as crps, sum(naive_absolute) as naive_absolute, sum(naive_crps) as naive_crps,
             sum(of_80)::int8 as of_80, sum(held_80)::int8 as held_80, sum(of_95)::int8 as of_95,
             sum(held_95)::int8 as held_95
         from outcome
         where asset_id = $1 and day >= $2 and ($3::text is null or cause = $3) and ($4::int4 is null or version = $4)
         group by signal, source, version, lead
         order by signal, source, version, lead",
    )
    .bind(asset)
    .bind(since)
    .bind(cause)
    .bind(version)
    .fetch_all(db)
    .await
}

/// When a prediction was scored; `None` when it was not, or there is none.
pub(super) async fn scored_at(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    id: PredictionId,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    let found: Option<Option<DateTime<Utc>>> =
        sqlx::query_scalar("select scored_at from prediction where asset_id = $1 and id = $2")
            .bind(asset)
            .bind(id)
            .fetch_optional(db)
            .await?;
    Ok(found.flatten())
}

/// Forgets the sums of the days before one.
pub(super) async fn forget_before(db: impl PgExecutor<'_>, day: NaiveDate) -> sqlx::Result<u64> {
    let done = sqlx::query("delete from outcome where day < $1").bind(day).execute(db).await?;
    Ok(done.rows_affected())
}
