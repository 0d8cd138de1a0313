//! `POST /v1/assets/{asset}/goal-seek`.

use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{GoalSeek, SeekOutcome, Seeks};
use crate::web::extract::{Json, Path};
use crate::web::problem::{Document, Problem};

/// The room's resources.
pub fn router(seeks: Seeks) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(goal_seek)).with_state(seeks)
}

/// Search the control schedule that serves an aim best
///
/// Minimises or maximises a KPI, or tracks a setpoint, over the horizon; keeps limits with their
/// probabilities; stays within the data that the serving model was trained on unless it may leave
/// it. The result is judged anew on sample paths that the search never saw. Hanging up ends the
/// search. Nothing is changed at the asset, and nothing is stored.
#[utoipa::path(
    post, path = "/v1/assets/{asset}/goal-seek", tag = "what-if",
    params(("asset" = String, Path, description = "Key of the asset")),
    request_body = GoalSeek,
    responses(
        (status = 200, description = "The best schedule that was found; `met` says whether it keeps everything", body = SeekOutcome),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be asked so, or not yet", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Busy", body = Document, content_type = "application/problem+json"),
    )
)]
async fn goal_seek(
    State(seeks): State<Seeks>,
    Path(asset): Path<String>,
    Json(request): Json<GoalSeek>,
) -> Result<Json<SeekOutcome>, Problem> {
    Ok(Json(seeks.seek(&asset, &request).await?))
}
