//! SQL of what was learned: model versions, and which of them serves an asset.
//!
//! Reading only. Versions are born, promoted and rolled back in `training::store`, in the
//! transaction that closes the job.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;

use super::digest;
use crate::ids::{AssetId, JobId, ModelId};

/// Why weights cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The database said no.
    #[error("the model version could not be read")]
    Database(#[from] sqlx::Error),
    /// The bytes are not those that were stored: a flipped bit in safetensors loads silently.
    #[error("the weights of model version {0} are damaged")]
    Damaged(ModelId),
}

/// The version that serves an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ChampionRow {
    /// Its id.
    pub model_id: ModelId,
    /// Its number within the asset, 1 or more.
    pub version: i32,
}

/// A version with its weights.
#[derive(Clone, Debug)]
pub struct ModelRow {
    /// Its id.
    pub id: ModelId,
    /// Whose it is.
    pub asset: AssetId,
    /// Its number within the asset, 1 or more.
    pub version: i32,
    /// Base model whose backbone the head belongs to.
    pub base: String,
    /// The head as safetensors, with what else learned; the bytes match `sha256`.
    pub weights: Arc<[u8]>,
    /// SHA-256 of the weights.
    pub sha256: [u8; 32],
    /// Conformal widths, as the learner wrote them.
    pub calibration: Value,
    /// Score cards on the holdout: `candidate`, `champion` and `naive`.
    pub scores: Value,
    /// Why nothing was learned, when the head is the base model's own.
    pub note: Option<String>,
}

/// A version that learned and serves an asset, for others of its type.
#[derive(Clone, Debug)]
pub struct KinRow {
    /// Its id.
    pub id: ModelId,
    /// Base model whose backbone the head belongs to.
    pub base: String,
    /// The head as safetensors; the bytes match their hash.
    pub weights: Arc<[u8]>,
}

/// What a version learned from, in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct LearnedFrom {
    /// Instant of the first frame; `None` where that is not known.
    pub first: Option<DateTime<Utc>>,
    /// Instant of the last one.
    pub last: DateTime<Utc>,
}

/// A version without its weights, for lists.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ListedModel {
    /// Its id.
    pub id: ModelId,
    /// Its number within the asset, 1 or more.
    pub version: i32,
    /// The job that made it.
    pub job_id: JobId,
    /// Base model whose backbone the head belongs to.
    pub base: String,
    /// Settings that it learned with.
    pub recipe: Value,
    /// Score cards on the holdout.
    pub scores: Value,
    /// Losses by step.
    pub curve: Value,
    /// Whether the verdict made it champion when it was born.
    pub promoted: bool,
    /// The verdict in words.
    pub reason: String,
    /// Why nothing was learned, when the head is the base model's own.
    pub note: Option<String>,
    /// When it was born.
    pub created_at: DateTime<Utc>,
    /// What it learned from and what was left out.
    pub data: Option<Value>,
    /// Which head it began from, where its type had others that learned.
    pub ancestry: Option<Value>,
    /// What a search for settings tried; lists leave out the trials.
    pub search: Option<Value>,
}

/// The version that serves an asset; `None` when the base model does.
pub async fn champion(db: impl PgExecutor<'_>, asset: AssetId) -> sqlx::Result<Option<ChampionRow>> {
    sqlx::query_as(
        "select m.id as model_id, m.version from champion c join model_version m on m.id = c.model_id
         where c.asset_id = $1",
    )
    .bind(asset)
    .fetch_optional(db)
    .await
}

/// The versions that serve many assets, in one round trip; an asset served by the base model is
/// left out.
pub async fn champions(db: impl PgExecutor<'_>, assets: &[AssetId]) -> sqlx::Result<Vec<(AssetId, ChampionRow)>> {
    let assets: Vec<i64> = assets.iter().map(|asset| asset.0).collect();
    let rows: Vec<(AssetId, ModelId, i32)> = sqlx::query_as(
        "select c.asset_id, m.id, m.version from champion c join model_version m on m.id = c.model_id
         where c.asset_id = any($1)",
    )
    .bind(assets)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(asset, model_id, version)| (asset, ChampionRow { model_id, version })).collect())
}

/// Id of an asset's version by its number.
pub async fn numbered(db: impl PgExecutor<'_>, asset: AssetId, number: i32) -> sqlx::Result<Option<ModelId>> {
    sqlx::query_scalar("select id from model_version where asset_id = $1 and version = $2")
        .bind(asset)
        .bind(number)
        .fetch_optional(db)
        .await
}

/// Instants of the first and the last frame that a version learned from, by its data card; of a version
/// that has none everything before its birth.
pub async fn learned_from(db: impl PgExecutor<'_>, model: ModelId) -> sqlx::Result<Option<LearnedFrom>> {
    sqlx::query_as(
        "select (data_card ->> 'first')::timestamptz as first,
             coalesce((data_card ->> 'last')::timestamptz, created_at) as last
         from model_version where id = $1",
    )
    .bind(model)
    .fetch_optional(db)
    .await
}

/// A version with its weights, checked against their hash; `None` when there is no such version.
pub async fn weights(db: impl PgExecutor<'_>, model: ModelId) -> Result<Option<ModelRow>, WeightsError> {
    type Row = (AssetId, i32, String, Vec<u8>, Vec<u8>, Value, Value, Option<String>);
    let row: Option<Row> = sqlx::query_as(
        "select asset_id, version, base, weights, sha256, calibration, scores, note from model_version where id = $1",
    )
    .bind(model)
    .fetch_optional(db)
    .await?;
    let Some((asset, version, base, weights, stored, calibration, scores, note)) = row else {
        return Ok(None);
    };
    let sha256 = digest(&weights);
    if stored != sha256 {
        return Err(WeightsError::Damaged(model));
    }
    Ok(Some(ModelRow { id: model, asset, version, base, weights: weights.into(), sha256, calibration, scores, note }))
}

/// Score cards that the asset's first version was judged by, and the base model that served until then, where
/// that is known.
pub async fn first_scores(db: impl PgExecutor<'_>, asset: AssetId) -> sqlx::Result<Option<(Value, Option<String>)>> {
    sqlx::query_as("select scores, data_card ->> 'without' from model_version where asset_id = $1 and version = 1")
        .bind(asset)
        .fetch_optional(db)
        .await
}

/// Versions that learned and serve other assets of an asset's type, whatever version of it, the newest first.
/// One that is damaged cannot serve either, and is left out.
pub async fn kin(db: impl PgExecutor<'_>, asset: AssetId, limit: i64) -> sqlx::Result<Vec<KinRow>> {
    let rows: Vec<(ModelId, String, Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "select m.id, m.base, m.weights, m.sha256
         from champion c join model_version m on m.id = c.model_id
         join asset a on a.id = c.asset_id join asset_type t on t.id = a.asset_type_id
         where c.asset_id <> $1 and m.note is null and t.key = (
             select own.key from asset_type own join asset x on x.asset_type_id = own.id where x.id = $1
         )
         order by m.created_at desc, m.id desc limit $2",
    )
    .bind(asset)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let whole = |(id, base, weights, sha256): (ModelId, String, Vec<u8>, Vec<u8>)| {
        let sound = sha256 == digest(&weights);
        if !sound {
            tracing::error!(model.id = %id, "the weights of a model version are damaged: they are not pooled");
        }
        sound.then(|| KinRow { id, base, weights: weights.into() })
    };
    Ok(rows.into_iter().filter_map(whole).collect())
}

/// One version of an asset by its number, with all that a search tried.
pub async fn version(db: impl PgExecutor<'_>, asset: AssetId, number: i32) -> sqlx::Result<Option<ListedModel>> {
    sqlx::query_as(
        "select id, version, job_id, base, recipe, scores, curve, promoted, reason, note, created_at, data_card - 'spreads' as data,
             ancestry, search
         from model_version where asset_id = $1 and version = $2",
    )
    .bind(asset)
    .bind(number)
    .fetch_optional(db)
    .await
}

/// Versions of an asset, newest first, older than version `before`.
pub async fn list(
    db: impl PgExecutor<'_>,
    asset: AssetId,
    before: Option<i32>,
    limit: i64,
) -> sqlx::Result<Vec<ListedModel>> {
    sqlx::query_as(
        "select id, version, job_id, base, recipe, scores, curve, promoted, reason, note, created_at, data_card - 'spreads' as data,
             ancestry, search - 'trials' as search
         from model_version
         where asset_id = $1 and ($2::int4 is null or version < $2) order by version desc limit $3",
    )
    .bind(asset)
    .bind(before)
    .bind(limit)
    .fetch_all(db)
    .await
}
