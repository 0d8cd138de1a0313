//! `POST /v1/assets/{asset}/what-if` and `POST .../retro-what-if`, and below them the doors of what is kept.

mod golden;
mod runs;
mod saved;

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::retro::{RetroWhatIf, Retrospect};
use super::{Outcome, Scenarios, WhatIf};
use crate::web::extract::{Json, Path};
use crate::web::problem::{Document, Problem};

/// The room's resources.
pub fn router(scenarios: Scenarios) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(what_if))
        .routes(routes!(retro_what_if))
        .merge(saved::router())
        .merge(runs::router())
        .merge(golden::router())
        .with_state(scenarios)
}

/// Ask what would be if inputs were set otherwise
///
/// Every scenario is answered beside the baseline, with the difference between the two. Constraints
/// are judged on joint sample paths: the probability that a limit has been broken by each step, and
/// when it is. KPIs sum up each future. Overrides may depend on what the scenario itself simulates, and
/// the answer may go on in the assets that this one feeds, whose limits and KPIs are judged there. Nothing is
/// changed at the asset, and nothing is stored.
#[utoipa::path(
    post, path = "/v1/assets/{asset}/what-if", tag = "what-if",
    params(("asset" = String, Path, description = "Key of the asset")),
    request_body = WhatIf,
    responses(
        (status = 200, description = "Baseline, scenarios and differences", body = Outcome),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be asked so, or not yet", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Busy", body = Document, content_type = "application/problem+json"),
    )
)]
async fn what_if(
    State(scenarios): State<Scenarios>,
    Path(asset): Path<String>,
    Json(request): Json<WhatIf>,
) -> Result<Json<Outcome>, Problem> {
    Ok(Json(scenarios.what_if(&asset, &request).await?))
}

/// Ask what would have been if inputs had been set otherwise
///
/// Starts at a past instant. The baseline is what really happened; whatever else made the outputs what
/// they were is carried over, so that without overrides the answer is what was measured. Nothing is
/// changed, and nothing is stored.
#[utoipa::path(
    post, path = "/v1/assets/{asset}/retro-what-if", tag = "what-if",
    params(("asset" = String, Path, description = "Key of the asset")),
    request_body = RetroWhatIf,
    responses(
        (status = 200, description = "What happened, what would have, and the differences", body = Retrospect),
        (status = 404, description = "No such asset or model version", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be asked so, or nothing was measured then", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Busy", body = Document, content_type = "application/problem+json"),
    )
)]
async fn retro_what_if(
    State(scenarios): State<Scenarios>,
    Path(asset): Path<String>,
    Json(request): Json<RetroWhatIf>,
) -> Result<Json<Retrospect>, Problem> {
    Ok(Json(scenarios.retro_what_if(&asset, &request).await?))
}
