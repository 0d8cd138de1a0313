//! `POST .../predict`, `GET .../predictions`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ledger::actual::PlanAndActual;
use super::{Ask, Cause, ForecastError, Forecasts, Prediction, anomaly, ledger, store};
use crate::ids::PredictionId;
use crate::model::EngineError;
use crate::reading::instant;
use crate::web::extract::{Json, Path, Query};
use crate::web::page::{self, Limit, Page};
use crate::web::problem::{self, Document, Problem};

const PREDICTIONS: &str = "predictions";
/// The same in the order of their states.
const BY_STATE: &str = "predictions-by-state";

/// The room's resources.
pub fn router(forecasts: Forecasts) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(predict))
        .routes(routes!(list))
        .routes(routes!(read))
        .with_state(forecasts.clone())
        .merge(ledger::router(forecasts.clone()))
        .merge(anomaly::routes::router(forecasts))
}

impl From<ForecastError> for Problem {
    fn from(error: ForecastError) -> Self {
        match error {
            ForecastError::Asset(error) => error.into(),
            ForecastError::Reading(error) => error.into(),
            ForecastError::Database(error) => error.into(),
            ForecastError::NoReadings | ForecastError::NoOutputs | ForecastError::TooShort { .. } => {
                Self::new(problem::INSUFFICIENT_DATA, error.to_string())
            }
            ForecastError::NoVersion(_) => Self::new(problem::NOT_FOUND, error.to_string()),
            ForecastError::Unusable | ForecastError::Gone(_) => Self::new(problem::CONFLICT, error.to_string()),
            ForecastError::Invalid(wrong) => wrong.into_iter().fold(
                Self::new(problem::INVALID, "the request was understood but cannot be carried out"),
                |problem, (pointer, detail)| problem.at(pointer, detail),
            ),
            ForecastError::Beyond { pointer, detail, max } => {
                let kind = if pointer == "/horizon" { problem::HORIZON_TOO_LARGE } else { problem::INVALID };
                Self::new(kind, "more is asked for than can be given").at(pointer, detail).max(max)
            }
            ForecastError::Engine(EngineError::Busy) => {
                Self::new(problem::BUSY, "the model has more requests than it can take")
                    .retry_after(Duration::from_secs(1))
            }
            ForecastError::Ending | ForecastError::Engine(EngineError::Stopped) => {
                Self::new(problem::BUSY, "the server is ending").retry_after(Duration::from_secs(5))
            }
            // Live answers fall back; what asks for a version itself hears why there is none.
            ForecastError::Engine(error @ EngineError::Base(_)) => Self::new(problem::CONFLICT, error.to_string()),
            ForecastError::Engine(error) => Self::internal(&error),
        }
    }
}

/// What to predict.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct PredictRequest {
    /// Steps ahead, 1 to 512; 60 when left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 512)]
    pub horizon: Option<usize>,
    /// Quantile levels between 0.01 and 0.99; 0.1, 0.5 and 0.9 when left out.
    #[serde(default)]
    pub quantiles: Option<Vec<f64>>,
    /// Predict from a past instant instead of now: RFC 3339.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub as_of: Option<String>,
    /// Known futures of inputs, by signal: at least `horizon` values.
    #[serde(default)]
    pub inputs: BTreeMap<String, Vec<f64>>,
    /// Joint sample paths of each output, 1 to 1,000; none when left out. At most 1,000,000 values
    /// in all.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000)]
    pub samples: Option<usize>,
    /// Decides the samples: the same seed gives the same paths. 0 when left out.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Also say in `health` what class the asset is in, and will be, where the version was taught it.
    #[serde(default)]
    pub health: bool,
    /// Also say in `risk` how likely each limit of the outputs (of alarm rules, and of the type) is broken
    /// within the horizon, and when, as a distribution.
    #[serde(default)]
    pub limits: bool,
}

/// Which predictions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PredictionsQuery {
    /// Items of a page, 1 to 1,000.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Limit,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Only those made from a state at this instant or later: RFC 3339 or epoch milliseconds.
    pub after: Option<String>,
    /// Only those made from a state before this instant; with `limit=1` what was said last before it.
    pub before: Option<String>,
    /// Only the twin's own forecasts (`refresh`), or only those that somebody asked for (`request`).
    pub cause: Option<String>,
}

/// Which prediction.
#[derive(Debug, Deserialize)]
struct PredictionPath {
    asset: String,
    id: PredictionId,
}

/// A prediction as it was served, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Vintage {
    /// As it was served.
    #[serde(flatten)]
    pub prediction: Prediction,
    /// What was measured since, and how well it was said; absent until the first step has come to
    /// pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<PlanAndActual>,
}

/// Predict an asset from its live state
///
/// Nothing of the past is sent: the stored readings are the state. Without known futures the inputs
/// follow what is desired, or hold their last value; the answer says which. When no model can
/// answer the naive forecast does, and says so. Where labels taught it, `health` has the class of the asset
/// now and at a few instants ahead, with who says so, and when it is first in another.
#[utoipa::path(
    post, path = "/v1/assets/{asset}/predict", tag = "predictions",
    params(("asset" = String, Path, description = "Key of the asset")),
    request_body = PredictRequest,
    responses(
        (status = 200, description = "The prediction", body = Prediction),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be predicted so, or not yet", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Busy", body = Document, content_type = "application/problem+json"),
    )
)]
async fn predict(
    State(forecasts): State<Forecasts>,
    Path(asset): Path<String>,
    Json(request): Json<PredictRequest>,
) -> Result<Json<Prediction>, Problem> {
    let as_of = request.as_of.as_deref().map(instant::from_text).transpose();
    let as_of = as_of.map_err(|error| Problem::invalid("/as_of", error.to_string()))?;
    let PredictRequest { horizon, quantiles, inputs, samples, seed, health, limits, .. } = request;
    let ask = Ask { horizon, quantiles, as_of, inputs, samples, seed, health, limits };
    Ok(Json(forecasts.predict(&asset, &ask, Cause::Request).await?))
}

/// List the predictions of an asset, newest first, as they were served
///
/// With `before` or `after` in the order of the states that they were made from, the newest first.
#[utoipa::path(
    get, path = "/v1/assets/{asset}/predictions", tag = "predictions",
    params(("asset" = String, Path, description = "Key of the asset"), PredictionsQuery),
    responses(
        (status = 200, description = "A page of predictions", body = Page<Prediction>),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "Not an instant, a cause or a cursor of this list", body = Document, content_type = "application/problem+json"),
    )
)]
async fn list(
    State(forecasts): State<Forecasts>,
    Path(asset): Path<String>,
    Query(query): Query<PredictionsQuery>,
) -> Result<Json<Page<Prediction>>, Problem> {
    let PredictionsQuery { limit, cursor, after, before, cause } = query;
    let at = |name: &'static str, text: Option<String>| {
        let at = text.as_deref().map(instant::from_text).transpose();
        at.map_err(|error| Problem::invalid(name, error.to_string()))
    };
    let (after, before) = (at("after", after)?, at("before", before)?);
    let (cause, cursor) = (ledger::checked_cause(cause.as_deref())?, cursor.as_deref());
    let asset = forecasts.assets.find(&asset).await?;
    if after.is_none() && before.is_none() {
        let older = cursor.map(|cursor| page::position(PREDICTIONS, cursor)).transpose()?;
        let rows = store::list(&forecasts.db, asset.id, cause, older, limit.rows()).await?;
        return Ok(Json(Page::of(PREDICTIONS, rows, limit, |prediction| prediction.id)));
    }
    let older = cursor.map(|cursor| page::position(BY_STATE, cursor)).transpose()?;
    let rows = store::of_states(&forecasts.db, asset.id, cause, (after, before), older, limit.rows()).await?;
    Ok(Json(Page::of(BY_STATE, rows, limit, |prediction| (prediction.state.observed_at, prediction.id))))
}

/// Read one prediction as it was served, beside what was measured since
///
/// Plan against actual: the measured value of every step that has come to pass, the error of the
/// median, how often the bands held so far, and whether the inputs did what was assumed of them.
#[utoipa::path(
    get, path = "/v1/assets/{asset}/predictions/{id}", tag = "predictions",
    params(("asset" = String, Path, description = "Key of the asset"), ("id" = PredictionId, Path, description = "Its id")),
    responses(
        (status = 200, description = "The prediction and what became of it", body = Vintage),
        (status = 404, description = "No such asset or prediction", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "Not an id", body = Document, content_type = "application/problem+json"),
    )
)]
async fn read(State(forecasts): State<Forecasts>, Path(path): Path<PredictionPath>) -> Result<Json<Vintage>, Problem> {
    let asset = forecasts.assets.find(&path.asset).await?;
    let found = store::find(&forecasts.db, asset.id, path.id).await?;
    let forgotten = || Problem::new(problem::NOT_FOUND, "there is no such prediction, or it was forgotten");
    let prediction = found.ok_or_else(forgotten)?;
    let outcome = forecasts.actual(&asset, &prediction).await?;
    Ok(Json(Vintage { prediction, outcome }))
}
