//! `GET /v1/assets/{asset}/outcomes`.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{KEPT_DAYS, Outcomes, OutcomesAsk};
use crate::forecast::Forecasts;
use crate::web::extract::{Json, Path, Query};
use crate::web::problem::{Document, Problem};

/// Days when a request does not say.
const DAYS: u32 = 30;

/// The ledger's resources.
pub(in crate::forecast) fn router(forecasts: Forecasts) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(outcomes)).with_state(forecasts)
}

/// Which outcomes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OutcomesQuery {
    /// Days back from today (UTC) that the predictions were made in, 1 to 400; 30 when left out.
    #[param(minimum = 1, maximum = 400, default = 30)]
    days: Option<u32>,
    /// Only the twin's own forecasts (`refresh`), or only those that somebody asked for (`request`).
    cause: Option<String>,
    /// Only of this model version; 0 for the base model and the fallback.
    version: Option<i32>,
}

/// Sum up how the predictions of an asset turned out
///
/// Every served prediction is compared once with what was measured, when readings have reached its last
/// step: per output, model version and lead time its errors, its skill against the naive forecast from
/// the same state, and how often its bands held. What came after the inputs had left what was assumed
/// of them is counted, not scored.
#[utoipa::path(
    get, path = "/v1/assets/{asset}/outcomes", tag = "predictions",
    params(("asset" = String, Path, description = "Key of the asset"), OutcomesQuery),
    responses(
        (status = 200, description = "What became of the predictions", body = Outcomes),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "Not a window, or not a cause", body = Document, content_type = "application/problem+json"),
    )
)]
async fn outcomes(
    State(forecasts): State<Forecasts>,
    Path(asset): Path<String>,
    Query(query): Query<OutcomesQuery>,
) -> Result<Json<Outcomes>, Problem> {
    let days = query.days.unwrap_or(DAYS);
    if !(1..=KEPT_DAYS).contains(&days) {
        return Err(Problem::invalid("days", format!("is not between 1 and {KEPT_DAYS}: sums are kept no longer")));
    }
    let cause = checked_cause(query.cause.as_deref())?;
    Ok(Json(forecasts.outcomes(&asset, &OutcomesAsk { days, cause, version: query.version }).await?))
}

/// Refuses what is no cause of a prediction.
pub(in crate::forecast) fn checked_cause(cause: Option<&str>) -> Result<Option<&str>, Problem> {
    match cause {
        Some(other) if !["refresh", "request"].contains(&other) => {
            Err(Problem::invalid("cause", "is neither refresh nor request"))
        }
        known => Ok(known),
    }
}
