//! SQL of probations, and of what forecasts in the shadow.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::evidence::RolledBack;
use super::{Bout, Probation, State};
use crate::access::Act;
use crate::clock::Clock;
use crate::db::touched_one;
use crate::ids::{AssetId, ModelId};
use crate::training::store::{crown, serving};
use crate::training::trail::store as trail;

/// A probation or a shadow of which the next window may have come.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Open {
    /// Whom it serves.
    #[sqlx(rename = "asset_id")]
    pub asset: AssetId,
    /// The version that was promoted, or may be.
    #[sqlx(rename = "model_id")]
    pub model: ModelId,
    /// Its number.
    pub version: i32,
    /// When it was promoted or, in the shadow, made.
    pub began_at: DateTime<Utc>,
    /// What served before or, of a shadow, serves; `None` for the base model.
    #[sqlx(rename = "former_id")]
    pub former: Option<ModelId>,
    /// Its number, 0 for the base model.
    pub former_version: i32,
    /// Instant that both are asked about next.
    pub next_at: DateTime<Utc>,
    /// What was compared so far.
    pub bouts: Json<Vec<Bout>>,
    /// On probation or in the shadow.
    pub state: State,
    /// Whether what is seen in the shadow may promote it: its job may promote, and nothing but luck stood
    /// against it.
    pub decides: bool,
}

/// One step further.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// All that was compared, the newest included.
    pub bouts: &'a [Bout],
    /// Instant that both are asked about next.
    pub next_at: DateTime<Utc>,
    /// When that can be.
    pub due_at: DateTime<Utc>,
    /// What it is from now on: as before, or how it ended.
    pub state: State,
    /// Why, in words.
    pub reason: &'a str,
}

/// Puts on probation what was promoted since, and ends what something else has replaced.
pub async fn reconcile(db: &PgPool, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query(
        "update probation p set state = 'replaced', ended_at = $1, changed_at = $1,
             reason = 'something else serves since; until then ' || p.reason
         where p.state = 'on_probation' and not exists (
             select from champion c
             where c.asset_id = p.asset_id and c.model_id = p.model_id and c.probation_from = p.began_at
         )",
    )
    .bind(now)
    .execute(db)
    .await?;
    sqlx::query(
        "insert into probation (asset_id, model_id, began_at, former_id, next_at, due_at, reason, changed_at)
         select c.asset_id, c.model_id, c.probation_from, c.previous_id, c.probation_from, c.probation_from,
             'nothing was compared yet', $1
         from champion c where c.probation_from is not null and c.model_id is not null
         on conflict on constraint probation_key do nothing",
    )
    .bind(now)
    .execute(db)
    .await?;
    shadows(db, now).await
}

/// Ends the shadows of what something newer or another champion has replaced, and begins that of each
/// asset's newest version where it was not promoted and what it was compared with still serves.
async fn shadows(db: &PgPool, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query(
        "update probation p set state = 'replaced', ended_at = $1, changed_at = $1,
             reason = 'something newer was made or promoted; until then ' || p.reason
         where p.state = 'in_shadow' and (
             p.former_id is distinct from (select c.model_id from champion c where c.asset_id = p.asset_id)
             or exists (
                 select from model_version n join model_version m on m.id = p.model_id
                 where n.asset_id = p.asset_id and n.version > m.version
             )
         )",
    )
    .bind(now)
    .execute(db)
    .await?;
    sqlx::query(
        "insert into probation (asset_id, model_id, began_at, former_id, state, next_at, due_at, reason, changed_at)
         select m.asset_id, m.id, m.created_at, c.model_id, 'in_shadow', m.created_at, m.created_at,
             'nothing was compared yet', $1
         from model_version m left join champion c on c.asset_id = m.asset_id
         where not m.promoted and m.note is null and m.created_at > $1::timestamptz - interval '1 day'
             and c.model_id is distinct from m.id and coalesce(c.changed_at <= m.created_at, true)
             and not exists (select from probation p where p.asset_id = m.asset_id and p.model_id = m.id)
             and not exists (
                 select from model_version n where n.asset_id = m.asset_id and n.version > m.version
             )
         on conflict on constraint probation_key do nothing",
    )
    .bind(now)
    .execute(db)
    .await?;
    Ok(())
}

/// What is on probation or in the shadow and may be due, whoever waited longest first.
pub async fn open(db: impl PgExecutor<'_>, limit: i64) -> sqlx::Result<Vec<Open>> {
    sqlx::query_as(
        "select p.asset_id, p.model_id, m.version, p.began_at, p.former_id, coalesce(f.version, 0) as former_version,
             p.next_at, p.bouts, p.state,
             coalesce(j.promotion = 'managed' and (j.verdict -> 'undecided')::bool, false) as decides
         from probation p
         join twin t on t.asset_id = p.asset_id
         join model_version m on m.id = p.model_id
         left join fine_tune_job j on j.id = m.job_id
         left join model_version f on f.id = p.former_id
         where p.state in ('on_probation', 'in_shadow') and t.observed_at >= p.due_at
         order by p.changed_at, p.asset_id limit $1",
    )
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Nothing can be compared yet: waits for readings to reach an instant, and goes on from another then.
/// Whether nobody else was further.
pub async fn wait(
    db: impl PgExecutor<'_>,
    open: &Open,
    (next_at, due_at): (DateTime<Utc>, DateTime<Utc>),
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "update probation set next_at = $5, due_at = $6
         where asset_id = $1 and model_id = $2 and began_at = $3 and next_at = $4 and state = $7",
    )
    .bind(open.asset)
    .bind(open.model)
    .bind(open.began_at)
    .bind(open.next_at)
    .bind(next_at)
    .bind(due_at)
    .bind(open.state)
    .execute(db)
    .await?;
    Ok(touched_one(&done))
}

/// Keeps one step, and what follows from it, all or nothing. A version on probation may stay, or the former
/// serves again and the job that made the version says so; one in the shadow may begin to serve, on probation.
/// Whether nobody else was further, and what serves is still what it was about.
pub async fn step(db: &PgPool, open: &Open, step: &Step<'_>, clock: &Clock) -> sqlx::Result<bool> {
    let now = clock.now();
    let mut tx = db.begin().await?;
    // A promotion by hand locks the same row first.
    let stands = stands(&mut tx, open, now).await?;
    let done = sqlx::query(
        "update probation set bouts = $5, next_at = $6, due_at = $7, state = $8, reason = $9, changed_at = $10,
             ended_at = case when $8::text = $11::text then null else $10::timestamptz end
         where asset_id = $1 and model_id = $2 and began_at = $3 and next_at = $4 and state = $11",
    )
    .bind(open.asset)
    .bind(open.model)
    .bind(open.began_at)
    .bind(open.next_at)
    .bind(Json(step.bouts))
    .bind(step.next_at)
    .bind(step.due_at)
    .bind(step.state)
    .bind(step.reason)
    .bind(now)
    .bind(open.state)
    .execute(&mut *tx)
    .await?;
    if !stands || !touched_one(&done) {
        tx.rollback().await?;
        return Ok(false);
    }
    if follow(&mut tx, open, step, (clock, now)).await? {
        // The stream tells the job that made the version once more.
        sqlx::query("update fine_tune_job set updated_at = $2 where model_id = $1")
            .bind(open.model)
            .bind(now)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Whether what serves is still what this is about, locked until the transaction ends: the version on
/// probation or, of a shadow, what it was compared with.
async fn stands(tx: &mut PgConnection, open: &Open, now: DateTime<Utc>) -> sqlx::Result<bool> {
    if open.state == State::InShadow {
        return Ok(serving(tx, open.asset, now).await? == open.former);
    }
    let serves: Option<ModelId> = sqlx::query_scalar(
        "select model_id from champion where asset_id = $1 and model_id = $2 and probation_from = $3 for update",
    )
    .bind(open.asset)
    .bind(open.model)
    .bind(open.began_at)
    .fetch_optional(tx)
    .await?;
    Ok(serves.is_some())
}

/// Does what follows from the end of a probation or a shadow. Whether anything is told of the version's job.
async fn follow(
    tx: &mut PgConnection,
    open: &Open,
    step: &Step<'_>,
    (clock, now): (&Clock, DateTime<Utc>),
) -> sqlx::Result<bool> {
    let reason = step.reason;
    match step.state {
        State::Promoted => {
            let words = format!("promoted by the server after its time in the shadow: {reason}");
            crown(&mut *tx, open.asset, Some(open.model), &words, now).await?;
            trail::of_version(&mut *tx, clock, Act::Promote, open.model, &words).await?;
        }
        State::RolledBack => {
            // Webhooks tell a roll-back from a promotion by how its reason begins.
            let words = format!("rolled back by the server from version {}: {reason}", open.version);
            sqlx::query(
                "update champion set probation_from = null, model_id = previous_id, previous_id = model_id,
                     changed_at = $2, reason = $3
                 where asset_id = $1",
            )
            .bind(open.asset)
            .bind(now)
            .bind(&words)
            .execute(&mut *tx)
            .await?;
            trail::of_version(&mut *tx, clock, Act::RollBack, open.model, &words).await?;
        }
        State::Kept => {
            sqlx::query("update champion set probation_from = null where asset_id = $1")
                .bind(open.asset)
                .execute(&mut *tx)
                .await?;
        }
        State::OnProbation | State::InShadow | State::NotPromoted | State::Replaced => return Ok(false),
    }
    Ok(true)
}

/// The newest probation or shadow of each version that had one.
pub async fn of_versions(db: impl PgExecutor<'_>, asset: AssetId, versions: &[i32]) -> sqlx::Result<Vec<Probation>> {
    sqlx::query_as(
        "select distinct on (m.version) m.version, p.state, p.reason, p.began_at, p.ended_at,
             coalesce(f.version, 0) as former, p.bouts
         from model_version m
         join probation p on p.asset_id = m.asset_id and p.model_id = m.id
         left join model_version f on f.id = p.former_id
         where m.asset_id = $1 and m.version = any($2)
         order by m.version, p.began_at desc, p.changed_at desc",
    )
    .bind(asset)
    .bind(versions)
    .fetch_all(db)
    .await
}

/// The versions of an asset that were rolled back by the server, the newest first.
pub async fn rolled_back(db: impl PgExecutor<'_>, asset: AssetId) -> sqlx::Result<Vec<RolledBack>> {
    sqlx::query_as(
        "select m.version, m.sha256, coalesce((m.data_card ->> 'last')::timestamptz, m.created_at) as judged_until
         from probation p join model_version m on m.id = p.model_id
         where p.asset_id = $1 and p.state = 'rolled_back' order by p.began_at desc limit 16",
    )
    .bind(asset)
    .fetch_all(db)
    .await
}
