//! `GET /v1/assets/{asset}/models/{version}/responses`.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Audit, AuditError, Audits};
use crate::features::responses::Response;
use crate::web::extract::{Json, Path};
use crate::web::problem::{self, Document, Problem};

/// The room's resources.
pub fn router(audits: Audits) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(responses)).with_state(audits)
}

#[derive(Deserialize)]
struct VersionPath {
    asset: String,
    version: i32,
}

/// How a model version answers its control inputs.
#[derive(Debug, Serialize, ToSchema)]
struct ModelResponses {
    /// Key of the asset.
    asset: String,
    /// Number of the version; 0 is the base model.
    version: i32,
    /// When it was measured.
    measured_at: DateTime<Utc>,
    /// Steps that each probe lasts.
    steps: usize,
    /// Seconds of a step.
    step_s: f64,
    /// The states of the asset from which it was probed.
    states: Vec<DateTime<Utc>>,
    /// Every control input with every output.
    responses: Vec<Response>,
    /// Where it answers otherwise than the asset's type declares, in words; null where it agrees.
    contradiction: Option<String>,
}

/// Read how a model version answers its control inputs
///
/// Step probes, up and down and of two sizes, at several states of the asset's own history. Measured
/// when somebody first asks, and kept with the version; version 0, the base model, is measured anew.
#[utoipa::path(
    get, path = "/v1/assets/{asset}/models/{version}/responses", tag = "fine-tuning",
    params(("asset" = String, Path, description = "Key of the asset"), ("version" = i32, Path, description = "Number of the version, 0 for the base")),
    responses(
        (status = 200, description = "Sign, gain, delay and settling time of every pair", body = ModelResponses),
        (status = 404, description = "No such asset or version", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Its weights are damaged", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "There is too little history to probe from", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Busy", body = Document, content_type = "application/problem+json"),
    )
)]
async fn responses(
    State(audits): State<Audits>,
    Path(VersionPath { asset, version }): Path<VersionPath>,
) -> Result<Json<ModelResponses>, Problem> {
    let Audit { version, measured_at, responses: found, contradiction } = audits.of(&asset, version).await?;
    Ok(Json(ModelResponses {
        asset,
        version,
        measured_at,
        steps: found.steps,
        step_s: found.step_s,
        states: found.states,
        responses: found.responses,
        contradiction,
    }))
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::NoVersion(_) => Self::new(problem::NOT_FOUND, error.to_string()),
            AuditError::Forecast(error) => error.into(),
            AuditError::Stored(error) => Self::internal(&error),
        }
    }
}
