//! The SQL of saved scenarios and their runs.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use sqlx::types::Json;

use super::form::Settings;
use super::run::{Run, RunSummary};
use super::{Filter, SavedError, SavedScenario, ScenarioForm};
use crate::ids::{AssetId, ModelId, RunId, ScenarioId};

/// A row of `scenario`.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct ScenarioRow {
    id: ScenarioId,
    parent_id: Option<ScenarioId>,
    name: String,
    description: Option<String>,
    tags: Vec<String>,
    settings: Json<serde_json::Value>,
    expires_at: Option<DateTime<Utc>>,
    revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// What the database decided of a scenario.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub(super) struct Written {
    pub(super) revision: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl ScenarioRow {
    pub(super) fn complete(self, asset: &str) -> Result<SavedScenario, SavedError> {
        let settings: Settings = serde_json::from_value(self.settings.0)?;
        Ok(SavedScenario {
            id: self.id,
            asset: asset.to_owned(),
            name: self.name,
            description: self.description,
            tags: self.tags,
            parent: self.parent_id,
            overrides: settings.overrides,
            horizon: settings.horizon,
            limits: settings.limits,
            constraints: settings.constraints,
            kpis: settings.kpis,
            expires_at: self.expires_at,
            revision: self.revision,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Lets one writer of an asset's scenarios at a time go on, until its transaction ends: two that each
/// see no circle could make one together.
pub(super) async fn lock(db: impl PgExecutor<'_>, asset: AssetId) -> sqlx::Result<()> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('scenario ' || $1::text, 0))")
        .bind(asset.0.to_string())
        .execute(db)
        .await
        .map(drop)
}

pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    id: ScenarioId,
    form: &ScenarioForm,
    now: DateTime<Utc>,
) -> sqlx::Result<Written> {
    sqlx::query_as(
        "insert into scenario (asset_id, id, parent_id, name, description, tags, settings, expires_at, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
         returning revision, created_at, updated_at",
    )
    .bind(asset)
    .bind(id)
    .bind(form.parent)
    .bind(&form.name)
    .bind(&form.description)
    .bind(&form.tags)
    .bind(Json(form.settings()))
    .bind(form.expires_at)
    .bind(now)
    .fetch_one(db)
    .await
}

/// `None` when the scenario is no longer in the revision that was read.
pub(super) async fn update(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    id: ScenarioId,
    form: &ScenarioForm,
    revision: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Written>> {
    sqlx::query_as(
        "update scenario set parent_id = $4, name = $5, description = $6, tags = $7, settings = $8, expires_at = $9,
             updated_at = $10, revision = revision + 1
         where asset_id = $1 and id = $2 and revision = $3
         returning revision, created_at, updated_at",
    )
    .bind(asset)
    .bind(id)
    .bind(revision)
    .bind(form.parent)
    .bind(&form.name)
    .bind(&form.description)
    .bind(&form.tags)
    .bind(Json(form.settings()))
    .bind(form.expires_at)
    .bind(now)
    .fetch_optional(db)
    .await
}

/// Whether it was there in that revision.
pub(super) async fn delete(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    id: ScenarioId,
    revision: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query("delete from scenario where asset_id = $1 and id = $2 and revision = $3")
        .bind(asset)
        .bind(id)
        .bind(revision)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets what has expired and no other scenario inherits from.
pub(super) async fn forget_expired(db: impl PgExecutor<'_>, asset: AssetId, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "delete from scenario s where s.asset_id = $1 and s.expires_at <= $2
             and not exists (select from scenario c where c.asset_id = s.asset_id and c.parent_id = s.id)",
    )
    .bind(asset)
    .bind(now)
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn find(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    id: ScenarioId,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<ScenarioRow>> {
    sqlx::query_as(
        "select id, parent_id, name, description, tags, settings, expires_at, revision, created_at, updated_at
         from scenario where asset_id = $1 and id = $2 and (expires_at is null or expires_at > $3)",
    )
    .bind(asset)
    .bind(id)
    .bind(now)
    .fetch_optional(db)
    .await
}

pub(super) async fn list(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    filter: &Filter,
    before: Option<ScenarioId>,
    now: DateTime<Utc>,
    rows: i64,
) -> sqlx::Result<Vec<ScenarioRow>> {
    sqlx::query_as(
        "select id, parent_id, name, description, tags, settings, expires_at, revision, created_at, updated_at
         from scenario
         where asset_id = $1 and (expires_at is null or expires_at > $2)
             and ($3::text is null or $3 = any(tags)) and ($4::uuid is null or parent_id = $4)
             and ($5::uuid is null or id < $5)
         order by id desc limit $6",
    )
    .bind(asset)
    .bind(now)
    .bind(&filter.tag)
    .bind(filter.parent)
    .bind(before)
    .bind(rows)
    .fetch_all(db)
    .await
}

/// A scenario and those that it inherits from, the eldest first, over at most so many generations.
pub(super) async fn family(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    id: ScenarioId,
    depth: i32,
) -> sqlx::Result<Vec<ScenarioRow>> {
    sqlx::query_as(
        "with recursive line (id, depth) as (
             select $2::uuid, 1
             union all
             select s.parent_id, l.depth + 1 from scenario s join line l on s.id = l.id
             where s.asset_id = $1 and s.parent_id is not null and l.depth < $3
         )
         select s.id, s.parent_id, s.name, s.description, s.tags, s.settings, s.expires_at, s.revision, s.created_at,
             s.updated_at
         from line l join scenario s on s.id = l.id and s.asset_id = $1 order by l.depth desc",
    )
    .bind(asset)
    .bind(id)
    .bind(depth)
    .fetch_all(db)
    .await
}

/// A scenario and those that it inherits from, by id, over at most so many generations; empty when
/// there is no such scenario.
pub(super) async fn lineage(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    id: ScenarioId,
    depth: i32,
) -> sqlx::Result<Vec<ScenarioId>> {
    sqlx::query_scalar(
        "with recursive line (id, parent_id, depth) as (
             select id, parent_id, 1 from scenario where asset_id = $1 and id = $2
             union all
             select s.id, s.parent_id, l.depth + 1 from scenario s join line l on s.id = l.parent_id
             where s.asset_id = $1 and l.depth < $3
         )
         select id from line",
    )
    .bind(asset)
    .bind(id)
    .bind(depth)
    .fetch_all(db)
    .await
}

/// Generations from a scenario down to its farthest descendant: 1 without any, or while it is not yet
/// kept.
pub(super) async fn height(db: impl PgExecutor<'_>, asset: AssetId, id: ScenarioId, depth: i32) -> sqlx::Result<i32> {
    sqlx::query_scalar(
        "with recursive line (id, depth) as (
             select $2::uuid, 1
             union all
             select s.id, l.depth + 1 from scenario s join line l on s.parent_id = l.id
             where s.asset_id = $1 and l.depth < $3
         )
         select max(depth) from line",
    )
    .bind(asset)
    .bind(id)
    .bind(depth)
    .fetch_one(db)
    .await
}

pub(super) async fn insert_run(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    run: &Run,
    model: Option<ModelId>,
) -> sqlx::Result<()> {
    let Run { summary, request, frozen, outcome, hash } = run;
    sqlx::query(
        "insert into scenario_run (asset_id, id, scenario_id, repeat_of, created_at, as_of, model_id, seed, input_hash,
             request, frozen, outcome)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(asset)
    .bind(summary.id)
    .bind(summary.scenario)
    .bind(summary.repeat_of)
    .bind(summary.created_at)
    .bind(summary.as_of)
    .bind(model)
    .bind(summary.seed)
    .bind(&hash[..])
    .bind(request)
    .bind(frozen)
    .bind(outcome)
    .execute(db)
    .await
    .map(drop)
}

/// A row of `scenario_run`.
type RunRow = (
    RunId,
    ScenarioId,
    Option<RunId>,
    DateTime<Utc>,
    DateTime<Utc>,
    Option<ModelId>,
    i64,
    Vec<u8>,
    String,
    String,
    String,
);

pub(super) async fn find_run(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    scenario: ScenarioId,
    id: RunId,
) -> sqlx::Result<Option<Run>> {
    let row: Option<RunRow> = sqlx::query_as(
        "select id, scenario_id, repeat_of, created_at, as_of, model_id, seed, input_hash, request, frozen, outcome
         from scenario_run where asset_id = $1 and scenario_id = $2 and id = $3",
    )
    .bind(asset)
    .bind(scenario)
    .bind(id)
    .fetch_optional(db)
    .await?;
    Ok(row.map(|(id, scenario, repeat_of, created_at, as_of, model, seed, hash, request, frozen, outcome)| Run {
        summary: RunSummary::new(id, scenario, repeat_of, created_at, as_of, model, seed, &hash),
        hash,
        request,
        frozen,
        outcome,
    }))
}

/// Runs of a scenario, the newest first, without what was answered.
pub(super) async fn runs(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    scenario: ScenarioId,
    before: Option<RunId>,
    rows: i64,
) -> sqlx::Result<Vec<RunSummary>> {
    type Row = (RunId, ScenarioId, Option<RunId>, DateTime<Utc>, DateTime<Utc>, Option<ModelId>, i64, Vec<u8>);
    let rows: Vec<Row> = sqlx::query_as(
        "select id, scenario_id, repeat_of, created_at, as_of, model_id, seed, input_hash
         from scenario_run where asset_id = $1 and scenario_id = $2 and ($3::uuid is null or id < $3)
         order by id desc limit $4",
    )
    .bind(asset)
    .bind(scenario)
    .bind(before)
    .bind(rows)
    .fetch_all(db)
    .await?;
    let summary = |(id, scenario, repeat_of, created_at, as_of, model, seed, hash): Row| {
        RunSummary::new(id, scenario, repeat_of, created_at, as_of, model, seed, &hash)
    };
    Ok(rows.into_iter().map(summary).collect())
}
