//! Fine-tune jobs and model versions over HTTP. Handlers only translate.

mod data_health;
mod version;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Ancestry, CurvePoint, DataCard, Job, Probation, Promotion, Served, Status, Training, TrainingError};
use crate::ids::JobId;
use crate::model::store::ListedModel;
use crate::model::{Recipe, SearchRecord};
use crate::score::ScoreCard;
use crate::web::extract::{Json, Path, Query};
use crate::web::page::{self, Limit, Page};
use crate::web::problem::{self, Document, Problem};

const JOBS: &str = "fine-tune-jobs";
const MODELS: &str = "models";

/// The room's resources.
pub fn router(training: Training) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read))
        .routes(routes!(cancel))
        .routes(routes!(models))
        .routes(routes!(promote))
        .routes(routes!(roll_back))
        .merge(data_health::router())
        .merge(version::router())
        .with_state(training)
}

/// A job to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct NewFineTuneJob {
    /// Key of the asset whose readings it learns from.
    pub asset: String,
    /// Settings that differ from the defaults.
    #[serde(default)]
    #[schema(value_type = Option<Recipe>)]
    pub recipe: Option<Map<String, Value>>,
    /// Who decides whether a candidate that passes the gate serves.
    #[serde(default)]
    pub promote: Promotion,
}

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobsQuery {
    /// Only this asset's.
    pub asset: Option<String>,
    /// Only those in this status.
    pub status: Option<Status>,
    /// Items of a page, 1 to 1,000.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Limit,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// Which versions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ModelsQuery {
    /// Items of a page, 1 to 1,000.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Limit,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// Which version. Named, so that a refusal can name what is wrong.
#[derive(Debug, Deserialize)]
pub struct VersionPath {
    /// Key of the asset.
    pub asset: String,
    /// Number of the version, 0 for the base.
    pub version: i32,
}

/// An asset's model versions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Models {
    /// Number of the version that serves; 0 is the base model.
    pub champion: i32,
    /// Since when it serves, and why; null when nothing but the base model ever served.
    pub serving: Option<Served>,
    /// Name of the base model that answers where no version serves.
    pub base: String,
    /// The versions.
    pub items: Vec<ModelVersion>,
    /// The cursor of the next page; null on the last one.
    pub next: Option<String>,
}

/// A result of fine-tuning.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelVersion {
    /// Its number within the asset, 1 or more.
    pub version: i32,
    /// When it was born.
    pub created_at: DateTime<Utc>,
    /// The job that made it.
    pub job: JobId,
    /// Base model whose backbone its head belongs to.
    pub base: String,
    /// Settings that it learned with.
    #[schema(value_type = Recipe)]
    pub recipe: Value,
    /// Whether the verdict made it champion when it was born.
    pub promoted: bool,
    /// Whether it serves now.
    pub champion: bool,
    /// The verdict in words.
    pub reason: String,
    /// Why nothing was learned, when its head is the base model's own or the pooled one with bands made honest.
    pub note: Option<String>,
    /// Score cards on the holdout that it was judged by.
    #[schema(value_type = Scores)]
    pub scores: Value,
    /// Losses by step.
    #[schema(value_type = Vec<CurvePoint>)]
    pub curve: Value,
    /// What it learned from and what was left out; null for versions made before that was kept.
    #[schema(value_type = Option<DataCard>)]
    pub data: Option<Value>,
    /// Which head it began from; null where its type had no other asset that learned.
    #[schema(value_type = Option<Ancestry>)]
    pub ancestry: Option<Value>,
    /// What a search for settings tried; null without one.
    #[schema(value_type = Option<SearchRecord>)]
    pub search: Option<Value>,
    /// How it did beside what served before it, after it was last promoted; null where it never was.
    pub probation: Option<Probation>,
}

/// Score cards of three forecasters on the same windows.
#[derive(Debug, Serialize, ToSchema)]
pub struct Scores {
    /// This version.
    pub candidate: ScoreCard,
    /// What served when it was born.
    pub champion: ScoreCard,
    /// The naive forecast.
    pub naive: ScoreCard,
    /// Share of the naive forecast's CRPS that this version saves.
    pub vs_naive: Option<f64>,
    /// Share of the head's weights, biases left out, that are exactly 0; not there for older versions.
    pub sparsity: Option<f64>,
}

/// What serves an asset now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Serving {
    /// Key of the asset.
    pub asset: String,
    /// Number of the version that serves; 0 is the base model.
    pub champion: i32,
}

/// Ask for a fine-tune job. An asset has at most one unfinished job.
#[utoipa::path(
    post, path = "/v1/fine-tune-jobs", tag = "fine-tuning", request_body = NewFineTuneJob,
    responses(
        (status = 202, description = "The job waits for a worker", body = Job, headers(("location" = String, description = "The job"))),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "The asset has an unfinished job", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The recipe cannot be used", body = Document, content_type = "application/problem+json"),
    )
)]
async fn create(
    State(training): State<Training>,
    Json(new): Json<NewFineTuneJob>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Job>), Problem> {
    let job = training.request(&new.asset, &new.recipe.unwrap_or_default(), new.promote).await?;
    let location = format!("/v1/fine-tune-jobs/{}", job.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(job)))
}

/// List fine-tune jobs, newest first.
#[utoipa::path(
    get, path = "/v1/fine-tune-jobs", tag = "fine-tuning", params(JobsQuery),
    responses(
        (status = 200, description = "A page of jobs", body = Page<Job>),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is not valid", body = Document, content_type = "application/problem+json"),
    )
)]
async fn list(State(training): State<Training>, Query(query): Query<JobsQuery>) -> Result<Json<Page<Job>>, Problem> {
    let before = query.cursor.as_deref().map(|cursor| page::position(JOBS, cursor)).transpose()?;
    let jobs = training.jobs(query.asset.as_deref(), query.status, before, query.limit.rows()).await?;
    Ok(Json(Page::of(JOBS, jobs, query.limit, |job| job.id)))
}

/// Read a fine-tune job: how far it is, and its verdict once it has one.
#[utoipa::path(
    get, path = "/v1/fine-tune-jobs/{job}", tag = "fine-tuning", params(("job" = JobId, Path, description = "Id of the job")),
    responses(
        (status = 200, description = "The job", body = Job),
        (status = 404, description = "No such job", body = Document, content_type = "application/problem+json"),
    )
)]
async fn read(State(training): State<Training>, Path(job): Path<JobId>) -> Result<Json<Job>, Problem> {
    Ok(Json(training.job(job).await?))
}

/// Stop a fine-tune job. One that waits is cancelled at once, one that runs within moments.
#[utoipa::path(
    post, path = "/v1/fine-tune-jobs/{job}/cancel", tag = "fine-tuning",
    params(("job" = JobId, Path, description = "Id of the job")),
    responses(
        (status = 202, description = "It is cancelled, or will be", body = Job),
        (status = 404, description = "No such job", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It has ended already", body = Document, content_type = "application/problem+json"),
    )
)]
async fn cancel(State(training): State<Training>, Path(job): Path<JobId>) -> Result<(StatusCode, Json<Job>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(training.cancel(job).await?)))
}

/// List an asset's model versions, newest first, with their scores and verdicts.
#[utoipa::path(
    get, path = "/v1/assets/{asset}/models", tag = "fine-tuning",
    params(("asset" = String, Path, description = "Key of the asset"), ModelsQuery),
    responses(
        (status = 200, description = "A page of versions, and which one serves", body = Models),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is not valid", body = Document, content_type = "application/problem+json"),
    )
)]
async fn models(
    State(training): State<Training>,
    Path(asset): Path<String>,
    Query(query): Query<ModelsQuery>,
) -> Result<Json<Models>, Problem> {
    let before = query.cursor.as_deref().map(|cursor| page::position(MODELS, cursor)).transpose()?;
    let (champion, listed) = training.models(&asset, before, query.limit.rows()).await?;
    let champion = champion.map_or(0, |champion| champion.version);
    let Page { items, next } = Page::of(MODELS, listed, query.limit, |model| model.version);
    let versions: Vec<i32> = items.iter().map(|model| model.version).collect();
    let mut probations = training.probations(&asset, &versions).await?;
    let (serving, base) = (training.served(&asset).await?, training.base(&asset).await?);
    let items = items.into_iter().map(|model| {
        let own = probations.iter().position(|probation| probation.version == model.version);
        let probation = own.map(|place| probations.swap_remove(place));
        ModelVersion { probation, ..ModelVersion::of(model, champion) }
    });
    Ok(Json(Models { champion, serving, base, items: items.collect(), next }))
}

/// Let a version serve by hand; 0 is the base model.
#[utoipa::path(
    post, path = "/v1/assets/{asset}/models/{version}/promote", tag = "fine-tuning",
    params(("asset" = String, Path, description = "Key of the asset"), ("version" = i32, Path, description = "Number of the version, 0 for the base")),
    responses(
        (status = 200, description = "It serves", body = Serving),
        (status = 404, description = "No such asset or version", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Its weights are damaged", body = Document, content_type = "application/problem+json"),
    )
)]
async fn promote(
    State(training): State<Training>,
    Path(VersionPath { asset, version }): Path<VersionPath>,
) -> Result<Json<Serving>, Problem> {
    let champion = training.promote(&asset, version).await?;
    Ok(Json(Serving { asset, champion }))
}

/// Let what served before serve again. Doing it twice undoes it.
#[utoipa::path(
    post, path = "/v1/assets/{asset}/models/roll-back", tag = "fine-tuning",
    params(("asset" = String, Path, description = "Key of the asset")),
    responses(
        (status = 200, description = "It serves", body = Serving),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Nothing but the base model ever served", body = Document, content_type = "application/problem+json"),
    )
)]
async fn roll_back(State(training): State<Training>, Path(asset): Path<String>) -> Result<Json<Serving>, Problem> {
    let champion = training.roll_back(&asset).await?;
    Ok(Json(Serving { asset, champion }))
}

impl ModelVersion {
    fn of(model: ListedModel, champion: i32) -> Self {
        let ListedModel {
            version,
            job_id: job,
            base,
            recipe,
            scores,
            curve,
            promoted,
            reason,
            note,
            created_at,
            data,
            ancestry,
            search,
            ..
        } = model;
        let champion = version == champion;
        let probation = None;
        Self {
            version,
            created_at,
            job,
            base,
            recipe,
            promoted,
            champion,
            reason,
            note,
            scores,
            curve,
            data,
            ancestry,
            search,
            probation,
        }
    }
}

impl From<TrainingError> for Problem {
    fn from(error: TrainingError) -> Self {
        let words = error.to_string();
        match error {
            TrainingError::Asset(error) => error.into(),
            TrainingError::Reading(error) => error.into(),
            TrainingError::Database(error) => error.into(),
            TrainingError::Forecast(error) => error.into(),
            TrainingError::Recipe(invalid) => {
                let problem = Self::new(problem::INVALID, words);
                invalid.into_iter().fold(problem, |p, wrong| p.at(format!("/recipe{}", wrong.pointer), wrong.detail))
            }
            TrainingError::NoJob(_) | TrainingError::NoVersion(_) => Self::new(problem::NOT_FOUND, words),
            TrainingError::Unfinished(_)
            | TrainingError::Ended
            | TrainingError::NothingBefore
            | TrainingError::Damaged(_) => Self::new(problem::CONFLICT, words),
        }
    }
}
