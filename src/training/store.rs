//! SQL of jobs, of ending them with a result, and of which version serves.
//!
//! The lease's own statements are in `lease.rs`; reading versions is in `model::store`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::job::{Cause, Job, Promotion, Served, Status};
use super::learner::Candidate;
use super::lease::{Lease, Unspent};
use super::probation::evidence::stale;
use super::probation::store as probation;
use super::trail::store as trail;
use super::verdict::Verdict;
use crate::access::Act;
use crate::clock::Clock;
use crate::db::touched_one;
use crate::ids::{AssetId, JobId, ModelId};
use crate::model::digest;

/// A job to be made.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Whose readings it will learn from.
    pub asset: AssetId,
    /// Why.
    pub cause: Cause,
    /// The cause in words, where it does not say all.
    pub why: Option<String>,
    /// The settings, as JSON.
    pub recipe: Value,
    /// Who decides about promotion.
    pub promotion: Promotion,
}

/// Which jobs to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only this asset's.
    pub asset: Option<AssetId>,
    /// Only those in this status.
    pub status: Option<Status>,
    /// Only those made before this one.
    pub before: Option<JobId>,
}

/// What became of a finished attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Finish {
    /// The job has succeeded with this version and verdict.
    Succeeded {
        /// The version's number within the asset.
        version: i32,
        /// The verdict as it was stored.
        verdict: Box<Verdict>,
    },
    /// A person had wanted it stopped in time: nothing was kept.
    Cancelled,
    /// The lease had run out: nothing was kept.
    Late,
}

/// Makes a job, unless the asset has an unfinished one. Whether it did.
pub async fn insert(db: impl PgExecutor<'_>, job: &NewJob, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "insert into fine_tune_job
             (id, asset_id, status, cause, recipe, promotion, run_after, frames_seen, created_at, updated_at, why)
         values ($1, $2, 'pending', $3, $4, $5, now(), coalesce((select readings from twin where asset_id = $2), 0), $6, $6, $7)
         on conflict (asset_id) where status in ('pending', 'running') do nothing",
    )
    .bind(job.id)
    .bind(job.asset)
    .bind(job.cause)
    .bind(&job.recipe)
    .bind(job.promotion)
    .bind(now)
    .bind(&job.why)
    .execute(db)
    .await?;
    Ok(touched_one(&done))
}

/// The asset's unfinished job.
pub async fn unfinished(db: impl PgExecutor<'_>, asset: AssetId) -> sqlx::Result<Option<JobId>> {
    sqlx::query_scalar("select id from fine_tune_job where asset_id = $1 and status in ('pending', 'running')")
        .bind(asset)
        .fetch_optional(db)
        .await
}

/// One job.
pub async fn job(db: impl PgExecutor<'_>, id: JobId) -> sqlx::Result<Option<Job>> {
    sqlx::query_as(
        "select j.id, a.key as asset, j.status, j.cause, j.stage, j.progress, j.eta_s, j.attempts, j.cancel_requested,
             j.recipe, j.promotion, j.verdict, m.version as model_version, m.data_card - 'spreads' as data, j.error, j.created_at, j.started_at,
             j.finished_at, j.updated_at, j.curve, j.rung, j.why,
             (select p.reason from probation p where p.model_id = j.model_id and p.state = 'rolled_back'
              order by p.began_at desc limit 1) as rolled_back
         from fine_tune_job j join asset a on a.id = j.asset_id left join model_version m on m.id = j.model_id
         where j.id = $1",
    )
    .bind(id)
    .fetch_optional(db)
    .await
}

/// Jobs, newest first.
pub async fn jobs(db: impl PgExecutor<'_>, filter: Filter, limit: i64) -> sqlx::Result<Vec<Job>> {
    sqlx::query_as(
        "select j.id, a.key as asset, j.status, j.cause, j.stage, j.progress, j.eta_s, j.attempts, j.cancel_requested,
             j.recipe, j.promotion, j.verdict, m.version as model_version, m.data_card - 'spreads' as data, j.error, j.created_at, j.started_at,
             j.finished_at, j.updated_at, j.curve, j.rung, j.why,
             (select p.reason from probation p where p.model_id = j.model_id and p.state = 'rolled_back'
              order by p.began_at desc limit 1) as rolled_back
         from fine_tune_job j join asset a on a.id = j.asset_id left join model_version m on m.id = j.model_id
         where ($1::int8 is null or j.asset_id = $1) and ($2::text is null or j.status = $2)
             and ($3::uuid is null or j.id < $3)
         order by j.id desc limit $4",
    )
    .bind(filter.asset)
    .bind(filter.status)
    .bind(filter.before)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Jobs that changed after an instant, in the order of their changes; of one asset or of all.
pub async fn changed_since(
    db: impl PgExecutor<'_>,
    at: DateTime<Utc>,
    asset: Option<AssetId>,
    limit: i64,
) -> sqlx::Result<Vec<Job>> {
    sqlx::query_as(
        "select j.id, a.key as asset, j.status, j.cause, j.stage, j.progress, j.eta_s, j.attempts, j.cancel_requested,
             j.recipe, j.promotion, j.verdict, m.version as model_version, m.data_card - 'spreads' as data, j.error, j.created_at, j.started_at,
             j.finished_at, j.updated_at, j.curve, j.rung, j.why,
             (select p.reason from probation p where p.model_id = j.model_id and p.state = 'rolled_back'
              order by p.began_at desc limit 1) as rolled_back
         from fine_tune_job j join asset a on a.id = j.asset_id left join model_version m on m.id = j.model_id
         where j.updated_at > $1 and ($2::int8 is null or j.asset_id = $2)
         order by j.updated_at, j.id limit $3",
    )
    .bind(at)
    .bind(asset)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Asks for a job to be stopped: a waiting one ends at once, a running one at its next sign of
/// life. The new status; `None` when it has ended already or never was.
pub async fn request_cancel(db: impl PgExecutor<'_>, id: JobId, now: DateTime<Utc>) -> sqlx::Result<Option<Status>> {
    sqlx::query_scalar(
        "update fine_tune_job set cancel_requested = true, updated_at = $2::timestamptz,
             status = case when status = 'pending' then 'cancelled' else status end,
             stage = case when status = 'pending' then 'done' else stage end,
             finished_at = case when status = 'pending' then $2::timestamptz end
         where id = $1 and status in ('pending', 'running') returning status",
    )
    .bind(id)
    .bind(now)
    .fetch_optional(db)
    .await
}

/// Assets of which enough is new since their newest job, and which have no unfinished one.
/// `first` and `fresh` count frames: readings over the signals of the type, so that an asset
/// that sends only some of its signals at a time waits a little longer.
pub async fn due(db: impl PgExecutor<'_>, first: i64, fresh: i64, limit: i64) -> sqlx::Result<Vec<AssetId>> {
    sqlx::query_scalar(
        "select t.asset_id from twin t
         join asset a on a.id = t.asset_id
         join asset_type y on y.id = a.asset_type_id
         left join lateral (
             select frames_seen from fine_tune_job j where j.asset_id = t.asset_id order by created_at desc limit 1
         ) newest on true
         where t.readings - coalesce(newest.frames_seen, 0)
                 >= case when newest.frames_seen is null then $1::int8 else $2::int8 end * jsonb_array_length(y.document -> 'signals')
             and t.readings >= $1::int8 * jsonb_array_length(y.document -> 'signals')
             and y.document @? '$.signals[*] ? (@.role == \"output\")'
             and not exists (
                 select from fine_tune_job u where u.asset_id = t.asset_id and u.status in ('pending', 'running')
             )
         order by t.asset_id limit $3",
    )
    .bind(first)
    .bind(fresh)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// Ends a job with its result, all or nothing: the version with its bytes, the champion if the
/// verdict says so and nothing else was promoted meanwhile, the job closed. A late worker's token
/// no longer matches, and everything rolls back.
///
/// `against` is the version that the candidate was compared with, `None` for the base.
pub async fn succeed(
    db: &PgPool,
    clock: &Clock,
    lease: Lease,
    candidate: &Candidate,
    verdict: &Verdict,
    against: Option<ModelId>,
) -> Result<Finish, Unspent> {
    let attempt = async {
        let mut tx = db.begin().await?;
        match lease.lock(&mut tx).await? {
            None => return Ok(Finish::Late),
            // Lets go of the job, which is then closed as cancelled.
            Some(true) => {
                tx.rollback().await?;
                return Ok(Finish::Cancelled);
            }
            Some(false) => {}
        }
        let now = clock.now();
        let mut verdict = verdict.clone();
        if verdict.promoted && serving(&mut tx, lease.asset, now).await? != against {
            verdict.withhold("another version was promoted while it learned, so it was not promoted");
        }
        if verdict.promoted {
            let gone = probation::rolled_back(&mut *tx, lease.asset).await?;
            if let Some(objection) = stale(&gone, &digest(&candidate.weights), &candidate.data) {
                verdict.withhold(&objection);
            }
        }
        let id = ModelId::mint(clock);
        let version = insert_version(&mut tx, id, &lease, candidate, &verdict, now).await?;
        if verdict.promoted {
            crown(&mut *tx, lease.asset, Some(id), &verdict.reason, now).await?;
            trail::of_version(&mut *tx, clock, Act::Promote, id, &verdict.reason).await?;
        }
        if !lease.succeed(&mut tx, id, &stored(&verdict)?, now).await? {
            return Ok(Finish::Late);
        }
        tx.commit().await?;
        Ok(Finish::Succeeded { version, verdict: Box::new(verdict) })
    };
    match attempt.await {
        Ok(Finish::Cancelled) => lease.cancel(db, clock.now()).await.map(|_| Finish::Cancelled),
        Ok(finish) => Ok(finish),
        Err(source) => Err(Unspent { lease, source }),
    }
}

/// The version that serves, locked until the transaction ends; `None` for the base.
pub(super) async fn serving(
    tx: &mut PgConnection,
    asset: AssetId,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<ModelId>> {
    // There must be a row to lock, or a promotion by hand could slip in between.
    sqlx::query(
        "insert into champion (asset_id, changed_at, reason) values ($1, $2, 'the base model serves')
         on conflict (asset_id) do nothing",
    )
    .bind(asset)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    sqlx::query_scalar("select model_id from champion where asset_id = $1 for update").bind(asset).fetch_one(tx).await
}

async fn insert_version(
    tx: &mut PgConnection,
    id: ModelId,
    lease: &Lease,
    candidate: &Candidate,
    verdict: &Verdict,
    now: DateTime<Utc>,
) -> sqlx::Result<i32> {
    let scores = json!({
        "candidate": verdict.candidate, "champion": verdict.champion, "naive": verdict.naive, "vs_naive": verdict.vs_naive,
        "sparsity": candidate.sparsity, "health": verdict.health, "remaining": verdict.remaining,
    });
    let (curve, recipe) = (stored(&candidate.curve)?, stored(&candidate.recipe)?);
    let card = stored(&candidate.data)?;
    let ancestry = candidate.ancestry.as_ref().map(stored).transpose()?;
    let search = candidate.search.as_ref().map(stored).transpose()?;
    // The job's row is locked and it is the asset's only unfinished one: nobody else counts here.
    sqlx::query_scalar(
        "insert into model_version (id, asset_id, version, job_id, base, weights, sha256, recipe, calibration, scores, curve,
             promoted, reason, created_at, note, data_card, ancestry, search)
         select $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17
         from model_version where asset_id = $2
         returning version",
    )
    .bind(id)
    .bind(lease.asset)
    .bind(lease.job)
    .bind(&candidate.base)
    .bind(&candidate.weights)
    .bind(digest(&candidate.weights).as_slice())
    .bind(recipe)
    .bind(&candidate.calibration)
    .bind(scores)
    .bind(curve)
    .bind(verdict.promoted)
    .bind(&verdict.reason)
    .bind(now)
    .bind(&candidate.note)
    .bind(card)
    .bind(ancestry)
    .bind(search)
    .fetch_one(tx)
    .await
}

/// As the database keeps it.
fn stored(value: &impl serde::Serialize) -> sqlx::Result<Value> {
    serde_json::to_value(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Makes a version (`None`: the base) the one that serves, on probation, and remembers what served before.
/// Whether anything changed: promoting what serves already does not.
pub async fn crown(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    model: Option<ModelId>,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "insert into champion (asset_id, model_id, changed_at, reason, probation_from)
         values ($1, $2, $3, $4, case when $2::uuid is null then null else $3::timestamptz end)
         on conflict (asset_id) do update set model_id = excluded.model_id, previous_id = champion.model_id,
             changed_at = excluded.changed_at, reason = excluded.reason, probation_from = excluded.probation_from
         where champion.model_id is distinct from excluded.model_id",
    )
    .bind(asset)
    .bind(model)
    .bind(now)
    .bind(reason)
    .execute(db)
    .await?;
    Ok(touched_one(&done))
}

/// Lets what served before serve again; once more undoes that. `false` when nothing but the base
/// ever served.
pub async fn roll_back(db: impl PgExecutor<'_>, asset: AssetId, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "update champion set model_id = previous_id, previous_id = model_id, changed_at = $2, reason = 'rolled back by hand',
             probation_from = null
         where asset_id = $1 and model_id is distinct from previous_id",
    )
    .bind(asset)
    .bind(now)
    .execute(db)
    .await?;
    Ok(touched_one(&done))
}

/// What serves assets since an instant or later, in the order of the changes; of one asset or of all.
pub async fn served_since(
    db: impl PgExecutor<'_>,
    at: DateTime<Utc>,
    asset: Option<AssetId>,
    limit: i64,
) -> sqlx::Result<Vec<Served>> {
    sqlx::query_as(
        "select a.key as asset, coalesce(m.version, 0) as version, c.changed_at, c.reason
         from champion c join asset a on a.id = c.asset_id left join model_version m on m.id = c.model_id
         where c.changed_at > $1 and ($2::int8 is null or c.asset_id = $2)
         order by c.changed_at, c.asset_id limit $3",
    )
    .bind(at)
    .bind(asset)
    .bind(limit)
    .fetch_all(db)
    .await
}
