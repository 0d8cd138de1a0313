//! `GET /v1/assets/{asset}/anomalies`.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Anomalies, AnomalyAsk};
use crate::forecast::Forecasts;
use crate::reading::instant;
use crate::web::extract::{Json, Path, Query};
use crate::web::problem::{Document, Problem};

/// The anomalies' door.
pub(in crate::forecast) fn router(forecasts: Forecasts) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(read_anomalies)).with_state(forecasts)
}

/// Which stretch of history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::forecast) struct AnomaliesQuery {
    /// Begin of the range: RFC 3339 or epoch milliseconds. A day before `to` by default.
    pub from: Option<String>,
    /// End of the range, not part of it. Just behind the newest frame by default.
    pub to: Option<String>,
    /// Probability that a step of normal operation is called an anomaly; 0.001 by default.
    #[param(minimum = 0.00001, maximum = 0.05)]
    pub false_alarm_rate: Option<f64>,
    /// Points of the answer, 1 to 11,000; 1,000 by default. A longer range is thinned to the highest
    /// score of each stretch; intervals are never thinned.
    #[param(minimum = 1, maximum = 11000)]
    pub max_points: Option<usize>,
}

/// Find anomalies in the history of an asset
///
/// Every step has a score in units of the threshold, and says what each output has to do with it.
/// Normal operation is learned from the newest 4,096 frames without those that are flagged. Three
/// things are looked for: a step that differs from what the steps before it say, a level that differs
/// from what the inputs say, and small differences of one sign that do not go away.
#[utoipa::path(
    get, path = "/v1/assets/{asset}/anomalies", tag = "predictions",
    params(("asset" = String, Path, description = "Key of the asset"), AnomaliesQuery),
    responses(
        (status = 200, description = "Scores and intervals", body = Anomalies),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "A parameter that cannot be, or too little history", body = Document, content_type = "application/problem+json"),
    )
)]
async fn read_anomalies(
    State(forecasts): State<Forecasts>,
    Path(asset): Path<String>,
    Query(query): Query<AnomaliesQuery>,
) -> Result<Json<Anomalies>, Problem> {
    let at = |name: &'static str, text: Option<&str>| {
        text.map(instant::from_text).transpose().map_err(|error| Problem::invalid(name, error.to_string()))
    };
    let ask = AnomalyAsk {
        from: at("from", query.from.as_deref())?,
        to: at("to", query.to.as_deref())?,
        false_alarm_rate: query.false_alarm_rate,
        max_points: query.max_points,
    };
    Ok(Json(forecasts.anomalies(&asset, &ask).await?))
}
