//! The HTTP of what another version would say.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Scenarios;
use super::super::golden::{GoldenError, ModelDiff};
use crate::web::extract::{Json, Path, Query};
use crate::web::problem::{self, Document, Problem};

pub(super) fn router() -> OpenApiRouter<Scenarios> {
    OpenApiRouter::new().routes(routes!(diff))
}

impl From<GoldenError> for Problem {
    fn from(error: GoldenError) -> Self {
        match error {
            GoldenError::NoVersion(_) => Self::new(problem::NOT_FOUND, error.to_string()),
            GoldenError::Same => Self::invalid("against", error.to_string()),
            GoldenError::Saved(error) => error.into(),
        }
    }
}

#[derive(Debug, Deserialize)]
struct VersionPath {
    asset: String,
    version: i32,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DiffQuery {
    /// Number of the version to compare with, 0 for the base model; when left out the one that serves or, where
    /// that is the version itself, the one that served before.
    against: Option<i32>,
}

/// Compare what two versions say to the saved scenarios
///
/// Both answer the asset's newest saved scenarios, twenty at most, from the same frozen state with the same seed. The
/// answer says for each output how far their medians lie apart: of the unmodified future, and of the difference that
/// the scenario makes, in its unit and as a share of its range. Of each limit it says how likely both hold it to be
/// kept. A scenario that can no longer be asked says why. Nothing is kept.
#[utoipa::path(
    get, path = "/v1/assets/{asset}/models/{version}/diff", tag = "what-if", params(
        ("asset" = String, Path, description = "Key of the asset"),
        ("version" = i32, Path, description = "Number of the version, 0 for the base model"), DiffQuery),
    responses(
        (status = 200, description = "The differences; no scenarios where none are saved", body = ModelDiff),
        (status = 404, description = "No such asset or version", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Weights are damaged", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It is the version itself, or there is too little history", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Busy", body = Document, content_type = "application/problem+json"),
    )
)]
async fn diff(
    State(scenarios): State<Scenarios>,
    Path(VersionPath { asset, version }): Path<VersionPath>,
    Query(query): Query<DiffQuery>,
) -> Result<Json<ModelDiff>, Problem> {
    Ok(Json(scenarios.diff(&asset, version, query.against).await?))
}
