//! The tables `anomaly`, `health` and `risk`, one row per asset each, as they are read together; and
//! what is written of a risk.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgExecutor, Row as _};

use super::{Assessed, Judged, LimitRisk};
use crate::ids::AssetId;
use crate::twin::{Anomaly, Change, Health, HealthOutlook, Looked, Remaining};

/// All that is judged of assets, in one statement. Health counts as long as the version that named it
/// serves.
pub async fn of(db: impl PgExecutor<'_>, assets: &[AssetId]) -> sqlx::Result<HashMap<AssetId, Judged>> {
    let ids: Vec<i64> = assets.iter().map(|asset| asset.0).collect();
    let rows = sqlx::query(
        "select a.id, o.observed_at, o.score, o.contributions, h.observed_at, h.model_id, h.class, h.probabilities,
             h.remaining, r.prediction_id, r.state_at, r.until, r.probability, r.limits,
             h.outlook
         from unnest($1::int8[]) a (id)
         left join anomaly o on o.asset_id = a.id
         left join champion c on c.asset_id = a.id
         left join health h on h.asset_id = a.id and h.model_id = c.model_id
             and (h.class is not null or h.remaining is not null)
         left join risk r on r.asset_id = a.id",
    )
    .bind(ids)
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, judged(row)?))).collect()
}

fn judged(row: &PgRow) -> sqlx::Result<Judged> {
    let anomaly = match row.try_get(1)? {
        Some(observed_at) => {
            let contributions = row.try_get::<Json<BTreeMap<String, f64>>, _>(3)?.0;
            Some(Anomaly { observed_at, score: row.try_get(2)?, contributions })
        }
        None => None,
    };
    let health = match row.try_get::<Option<DateTime<Utc>>, _>(4)? {
        Some(at) => {
            let probabilities = row.try_get::<Option<Json<BTreeMap<String, f64>>>, _>(7)?.map(|json| json.0);
            Some(Health::of(Looked {
                model: row.try_get(5)?,
                at,
                class: row.try_get::<Option<String>, _>(6)?.zip(probabilities),
                outlook: row.try_get::<Option<Json<HealthOutlook>>, _>(14)?.map(|json| json.0),
                remaining: row.try_get::<Option<Json<Remaining>>, _>(8)?.map(|json| json.0),
            }))
        }
        None => None,
    };
    let risk = match row.try_get(9)? {
        Some(prediction) => Some(Assessed {
            prediction,
            state_at: row.try_get(10)?,
            until: row.try_get(11)?,
            probability: row.try_get(12)?,
            limits: row.try_get::<Json<Vec<LimitRisk>>, _>(13)?.0,
        }),
        None => None,
    };
    Ok(Judged { anomaly, health, risk: risk.map(Into::into) })
}

/// Twins that changed, or of which something else was judged, after an instant, in the order of their
/// change.
pub async fn changed_since(db: impl PgExecutor<'_>, at: DateTime<Utc>, limit: i64) -> sqlx::Result<Vec<Change>> {
    let rows = sqlx::query(
        "with changed as (
             (select asset_id, updated_at from twin where updated_at > $1 order by updated_at limit $2)
             union all (select asset_id, updated_at from anomaly where updated_at > $1 order by updated_at limit $2)
             union all (select asset_id, updated_at from health where updated_at > $1 order by updated_at limit $2)
             union all (select asset_id, updated_at from risk where updated_at > $1 order by updated_at limit $2)
         ), newest as (
             select asset_id, max(updated_at) as changed_at from changed
             group by asset_id order by changed_at, asset_id limit $2
         )
         select t.seq, t.observed_at, t.received_at, t.reported, t.reported_at, t.readings, t.desired, t.forecast_seq,
                t.updated_at, n.asset_id, a.key, n.changed_at, greatest(o.updated_at, h.updated_at, r.updated_at)
         from newest n join asset a on a.id = n.asset_id join twin t on t.asset_id = n.asset_id
         left join anomaly o on o.asset_id = n.asset_id left join health h on h.asset_id = n.asset_id
         left join risk r on r.asset_id = n.asset_id
         order by n.changed_at, n.asset_id",
    )
    .bind(at)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let twin = crate::twin::store::twin(row)?;
            let (asset, key, changed_at, judged_at) =
                (row.try_get(9)?, row.try_get(10)?, row.try_get(11)?, row.try_get(12)?);
            Ok(Change { changed_at, judged_at, asset, key, twin, judged: Judged::default() })
        })
        .collect()
}

/// Replaces the risk of an asset unless that is of a newer state. Does not wait for the disk: it is
/// computed again in seconds.
pub async fn set_risk(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    risk: &Assessed,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into risk (asset_id, prediction_id, state_at, until, probability, limits, updated_at)
         select $1, $2, $3, $4, $5, $6, $7 from set_config('synchronous_commit', 'off', true)
         where exists (select from asset where id = $1)
         on conflict (asset_id) do update
         set prediction_id = excluded.prediction_id, state_at = excluded.state_at, until = excluded.until,
             probability = excluded.probability, limits = excluded.limits, updated_at = excluded.updated_at
         where risk.state_at <= excluded.state_at",
    )
    .bind(asset)
    .bind(risk.prediction)
    .bind(risk.state_at)
    .bind(risk.until)
    .bind(risk.probability)
    .bind(Json(&risk.limits))
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

/// Forgets the risk of an asset that has no limits.
pub async fn forget_risk(db: impl PgExecutor<'_>, asset: AssetId) -> sqlx::Result<()> {
    sqlx::query("delete from risk where asset_id = $1").bind(asset).execute(db).await.map(drop)
}
