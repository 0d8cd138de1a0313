//! `GET /v1/assets/{asset}/data-health`.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::reading::instant;
use crate::training::Training;
use crate::training::data_health::DataHealth;
use crate::web::extract::{Json, Path, Query};
use crate::web::problem::{Document, Problem};

pub(super) fn router() -> OpenApiRouter<Training> {
    OpenApiRouter::new().routes(routes!(data_health))
}

/// Which readings to look at.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HealthQuery {
    /// Begin of the range: RFC 3339 or epoch milliseconds. Without it the newest 10,000 frames before `to`.
    from: Option<String>,
    /// End of the range, not part of it. Just behind the newest frame by default.
    to: Option<String>,
}

/// Whether an asset's readings can be believed, and are enough to learn from
///
/// Gaps, impossible values, spikes, changes that are too fast, stuck sensors, units that change, repeated
/// frames and clocks that jump, for each signal, with the flags of QARTOD (IOOS manuals for real-time
/// quality control): 1 pass, 2 not evaluated, 3 suspect, 4 fail, 9 missing. Limits come from the asset's
/// type; where it says nothing thresholds come from the data, and are given. Fine-tuning leaves out what
/// fails; what is suspect stays. Predictions take readings as they come, save those that their source marks
/// as bad. Nothing that is stored is changed.
#[utoipa::path(
    get, path = "/v1/assets/{asset}/data-health", tag = "fine-tuning",
    params(("asset" = String, Path, description = "Key of the asset"), HealthQuery),
    responses(
        (status = 200, description = "What was found, and what is done about it", body = DataHealth),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "A parameter makes no sense", body = Document, content_type = "application/problem+json"),
    )
)]
async fn data_health(
    State(training): State<Training>,
    Path(asset): Path<String>,
    Query(query): Query<HealthQuery>,
) -> Result<Json<DataHealth>, Problem> {
    let at = |name: &str, text: Option<&str>| {
        text.map(instant::from_text).transpose().map_err(|error| Problem::invalid(name, error.to_string()))
    };
    let (from, to) = (at("from", query.from.as_deref())?, at("to", query.to.as_deref())?);
    Ok(Json(training.data_health(&asset, from, to).await?))
}
