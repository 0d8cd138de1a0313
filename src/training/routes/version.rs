//! `GET /v1/assets/{asset}/models/{version}`.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ModelVersion, VersionPath};
use crate::training::Training;
use crate::web::extract::{Json, Path};
use crate::web::problem::{Document, Problem};

pub(super) fn router() -> OpenApiRouter<Training> {
    OpenApiRouter::new().routes(routes!(version))
}

/// Read a model version, with all that a search for its settings tried.
#[utoipa::path(
    get, path = "/v1/assets/{asset}/models/{version}", tag = "fine-tuning",
    params(("asset" = String, Path, description = "Key of the asset"), ("version" = i32, Path, description = "Number of the version, 1 or more")),
    responses(
        (status = 200, description = "The version", body = ModelVersion),
        (status = 404, description = "No such asset or version", body = Document, content_type = "application/problem+json"),
    )
)]
async fn version(
    State(training): State<Training>,
    Path(VersionPath { asset, version }): Path<VersionPath>,
) -> Result<Json<ModelVersion>, Problem> {
    let (serves, model) = training.model(&asset, version).await?;
    let probation = training.probations(&asset, &[version]).await?.pop();
    let champion = if serves { model.version } else { 0 };
    Ok(Json(ModelVersion { probation, ..ModelVersion::of(model, champion) }))
}
