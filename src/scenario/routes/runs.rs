//! The HTTP of runs of saved scenarios.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Scenarios;
use super::super::saved::run::{RunForm, RunSummary, RunView};
use super::saved::ScenarioPath;
use crate::ids::{RunId, ScenarioId};
use crate::web::extract::{Json, Path, Query};
use crate::web::page::{Limit, Page};
use crate::web::problem::{Document, Problem};

pub(super) fn router() -> OpenApiRouter<Scenarios> {
    OpenApiRouter::new().routes(routes!(run, runs)).routes(routes!(read_run))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RunsQuery {
    /// Items of a page at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
    /// `next` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RunPath {
    asset: String,
    id: ScenarioId,
    run: RunId,
}

/// Run a scenario and keep the answer
///
/// From the live state, or from that of a past instant. The run keeps the state's instant, the model
/// version, the seed and a hash of everything that it followed from; with `repeat_of` an earlier run is
/// answered again, byte for byte, whatever was measured or learned since. Where that cannot be, because
/// readings from before the run came late or the version is gone, it is a 409.
#[utoipa::path(post, path = "/v1/assets/{asset}/scenarios/{id}/runs", tag = "what-if", params(
    ("asset" = String, Path, description = "Key of the asset"),
    ("id" = ScenarioId, Path, description = "Id of the scenario")), request_body = RunForm, responses(
    (status = 201, description = "The run and its answer", body = RunView, headers(
        ("Location" = String, description = "Where it is"))),
    (status = 404, description = "No such asset, scenario or run", body = Document, content_type = "application/problem+json"),
    (status = 409, description = "The run cannot be repeated", body = Document, content_type = "application/problem+json"),
    (status = 422, description = "It cannot be run so, or not yet", body = Document, content_type = "application/problem+json"),
    (status = 503, description = "Busy", body = Document, content_type = "application/problem+json")))]
async fn run(
    State(scenarios): State<Scenarios>,
    Path(path): Path<ScenarioPath>,
    Json(form): Json<RunForm>,
) -> Result<Response, Problem> {
    let run = scenarios.run(&path.asset, path.id, form).await?;
    let location = format!("/v1/assets/{}/scenarios/{}/runs/{}", path.asset, path.id, run.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(run)).into_response())
}

/// List the runs of a scenario, newest first, without their answers
#[utoipa::path(get, path = "/v1/assets/{asset}/scenarios/{id}/runs", tag = "what-if", params(
    ("asset" = String, Path, description = "Key of the asset"),
    ("id" = ScenarioId, Path, description = "Id of the scenario"), RunsQuery), responses(
    (status = 200, description = "A page of runs", body = Page<RunSummary>),
    (status = 404, description = "No such asset or scenario", body = Document, content_type = "application/problem+json")))]
async fn runs(
    State(scenarios): State<Scenarios>,
    Path(path): Path<ScenarioPath>,
    Query(query): Query<RunsQuery>,
) -> Result<Json<Page<RunSummary>>, Problem> {
    Ok(Json(scenarios.runs(&path.asset, path.id, query.limit, query.cursor.as_deref()).await?))
}

/// Show a run and its answer
#[utoipa::path(get, path = "/v1/assets/{asset}/scenarios/{id}/runs/{run}", tag = "what-if", params(
    ("asset" = String, Path, description = "Key of the asset"),
    ("id" = ScenarioId, Path, description = "Id of the scenario"),
    ("run" = RunId, Path, description = "Id of the run")), responses(
    (status = 200, description = "The run", body = RunView),
    (status = 404, description = "No such asset, scenario or run", body = Document, content_type = "application/problem+json")))]
async fn read_run(State(scenarios): State<Scenarios>, Path(path): Path<RunPath>) -> Result<Json<RunView>, Problem> {
    Ok(Json(scenarios.find_run(&path.asset, path.id, path.run).await?))
}
