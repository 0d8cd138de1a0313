//! The HTTP of saved scenarios.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Scenarios;
use super::super::saved::{Filter, SavedError, SavedScenario, ScenarioForm};
use crate::ids::ScenarioId;
use crate::web::etag::{Conditions, ETag, Tagged};
use crate::web::extract::{Json, MergePatch, Path, Query};
use crate::web::page::{Limit, Page};
use crate::web::problem::{self, Document, Problem};

/// Times that a change is tried again for a caller who named no version.
const ATTEMPTS: usize = 5;

pub(super) fn router() -> OpenApiRouter<Scenarios> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(read, change, delete)).routes(routes!(duplicate))
}

impl From<SavedError> for Problem {
    fn from(error: SavedError) -> Self {
        let detail = error.to_string();
        match error {
            SavedError::NotFound | SavedError::NoRun => Self::new(problem::NOT_FOUND, detail),
            SavedError::Changed => Self::new(problem::PRECONDITION_FAILED, detail),
            SavedError::HasChildren | SavedError::OtherState(_) => Self::new(problem::CONFLICT, detail),
            SavedError::Forecast(error) => error.into(),
            SavedError::Asset(error) => error.into(),
            SavedError::Database(error) => error.into(),
            SavedError::Stored(error) => Self::internal(&error),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only scenarios with this tag.
    tag: Option<String>,
    /// Only the children of this scenario.
    parent: Option<ScenarioId>,
    /// Items of a page at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ScenarioPath {
    pub(super) asset: String,
    pub(super) id: ScenarioId,
}

/// The duplicate to be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = DuplicateScenario)]
struct DuplicateForm {
    /// Its name; that of the original with `(copy)` when left out.
    name: Option<String>,
}

fn tagged(scenario: SavedScenario) -> Tagged<Json<SavedScenario>> {
    Tagged(ETag::new(scenario.tag()), Json(scenario))
}

fn created(scenario: SavedScenario) -> Response {
    let location = [(header::LOCATION, format!("/v1/assets/{}/scenarios/{}", scenario.asset, scenario.id))];
    (StatusCode::CREATED, location, tagged(scenario)).into_response()
}

/// Keep a scenario
///
/// A hypothesis with a name, to be run again and again. A child has the overrides of its parents
/// before its own, and what else it does not say from the nearest parent that does.
#[utoipa::path(post, path = "/v1/assets/{asset}/scenarios", tag = "what-if",
    params(("asset" = String, Path, description = "Key of the asset")), request_body = ScenarioForm, responses(
    (status = 201, description = "It is kept", body = SavedScenario, headers(
        ("ETag" = String, description = "Its version"), ("Location" = String, description = "Where it is"))),
    (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
    (status = 422, description = "It could never be run", body = Document, content_type = "application/problem+json")))]
async fn create(
    State(scenarios): State<Scenarios>,
    Path(asset): Path<String>,
    Json(form): Json<ScenarioForm>,
) -> Result<Response, Problem> {
    Ok(created(scenarios.create(&asset, form).await?))
}

/// List the scenarios of an asset, newest first
#[utoipa::path(get, path = "/v1/assets/{asset}/scenarios", tag = "what-if",
    params(("asset" = String, Path, description = "Key of the asset"), ListQuery), responses(
    (status = 200, description = "A page of scenarios", body = Page<SavedScenario>),
    (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json")))]
async fn list(
    State(scenarios): State<Scenarios>,
    Path(asset): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<SavedScenario>>, Problem> {
    let filter = Filter { tag: query.tag, parent: query.parent };
    Ok(Json(scenarios.list(&asset, &filter, query.limit, query.cursor.as_deref()).await?))
}

/// Show a scenario
#[utoipa::path(get, path = "/v1/assets/{asset}/scenarios/{id}", tag = "what-if", params(
    ("asset" = String, Path, description = "Key of the asset"),
    ("id" = ScenarioId, Path, description = "Its id"),
    ("If-None-Match" = Option<String>, Header, description = "The ETag of what the client has")), responses(
    (status = 200, description = "The scenario", body = SavedScenario,
        headers(("ETag" = String, description = "Its version"))),
    (status = 304, description = "The client has it already"),
    (status = 404, description = "No such asset or scenario", body = Document, content_type = "application/problem+json")))]
async fn read(
    State(scenarios): State<Scenarios>,
    Path(path): Path<ScenarioPath>,
    conditions: Conditions,
) -> Result<Response, Problem> {
    let scenario = scenarios.scenario(&path.asset, path.id).await?;
    Ok(conditions.answer(ETag::new(scenario.tag()), scenario))
}

/// Change a scenario
///
/// A JSON merge patch: what is not mentioned stays, null removes. With `If-Match` nothing is changed
/// if somebody else was faster. Runs that were made keep what they said.
#[utoipa::path(patch, path = "/v1/assets/{asset}/scenarios/{id}", tag = "what-if", params(
    ("asset" = String, Path, description = "Key of the asset"),
    ("id" = ScenarioId, Path, description = "Its id"),
    ("If-Match" = Option<String>, Header, description = "The ETag of what was read")),
    request_body(content = Object, content_type = "application/merge-patch+json",
        description = "What is to be different, as in a new scenario"), responses(
    (status = 200, description = "The scenario as it is now", body = SavedScenario,
        headers(("ETag" = String, description = "Its new version"))),
    (status = 404, description = "No such asset or scenario", body = Document, content_type = "application/problem+json"),
    (status = 412, description = "Somebody changed it meanwhile", body = Document, content_type = "application/problem+json"),
    (status = 422, description = "It could never be run", body = Document, content_type = "application/problem+json")))]
async fn change(
    State(scenarios): State<Scenarios>,
    Path(path): Path<ScenarioPath>,
    conditions: Conditions,
    MergePatch(patch): MergePatch,
) -> Result<Tagged<Json<SavedScenario>>, Problem> {
    for attempt in 1.. {
        let present = scenarios.scenario(&path.asset, path.id).await?;
        conditions.allow_change(&ETag::new(present.tag()))?;
        match scenarios.patch(&present, &patch).await {
            Err(SavedError::Changed) if attempt < ATTEMPTS && !conditions.demands_version() => {}
            other => return Ok(tagged(other?)),
        }
    }
    Err(SavedError::Changed.into())
}

/// Delete a scenario with its runs
///
/// Refused while others inherit from it.
#[utoipa::path(delete, path = "/v1/assets/{asset}/scenarios/{id}", tag = "what-if", params(
    ("asset" = String, Path, description = "Key of the asset"),
    ("id" = ScenarioId, Path, description = "Its id"),
    ("If-Match" = Option<String>, Header, description = "The ETag of what was read")), responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "No such asset or scenario", body = Document, content_type = "application/problem+json"),
    (status = 409, description = "Others inherit from it", body = Document, content_type = "application/problem+json"),
    (status = 412, description = "Somebody changed it meanwhile", body = Document, content_type = "application/problem+json")))]
async fn delete(
    State(scenarios): State<Scenarios>,
    Path(path): Path<ScenarioPath>,
    conditions: Conditions,
) -> Result<StatusCode, Problem> {
    for attempt in 1.. {
        let present = scenarios.scenario(&path.asset, path.id).await?;
        conditions.allow_change(&ETag::new(present.tag()))?;
        match scenarios.delete(&present).await {
            Err(SavedError::Changed) if attempt < ATTEMPTS && !conditions.demands_version() => {}
            other => return Ok(other.map(|()| StatusCode::NO_CONTENT)?),
        }
    }
    Err(SavedError::Changed.into())
}

/// Keep a copy of a scenario
///
/// It has the same parent and its own overrides; runs are not copied.
#[utoipa::path(post, path = "/v1/assets/{asset}/scenarios/{id}/duplicate", tag = "what-if", params(
    ("asset" = String, Path, description = "Key of the asset"),
    ("id" = ScenarioId, Path, description = "Id of the original")), request_body = DuplicateForm, responses(
    (status = 201, description = "The copy", body = SavedScenario, headers(
        ("ETag" = String, description = "Its version"), ("Location" = String, description = "Where it is"))),
    (status = 404, description = "No such asset or scenario", body = Document, content_type = "application/problem+json")))]
async fn duplicate(
    State(scenarios): State<Scenarios>,
    Path(path): Path<ScenarioPath>,
    Json(form): Json<DuplicateForm>,
) -> Result<Response, Problem> {
    Ok(created(scenarios.duplicate(&path.asset, path.id, form.name).await?))
}
