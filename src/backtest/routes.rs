//! Backtests over HTTP. Handlers only translate.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Backtest, BacktestError, Backtests, NewBacktest};
use crate::ids::BacktestId;
use crate::job::Status;
use crate::web::extract::{Json, Path, Query};
use crate::web::page::{self, Limit, Page};
use crate::web::problem::{self, Document, Problem};

const BACKTESTS: &str = "backtests";

/// The room's resources.
pub fn router(backtests: Backtests) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read))
        .routes(routes!(cancel))
        .with_state(backtests)
}

/// Which backtests to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BacktestsQuery {
    /// Only those in this status.
    pub status: Option<Status>,
    /// Items of a page, 1 to 1,000.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    pub limit: Limit,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// Which backtest. Named, so that a refusal can name what is wrong.
#[derive(Debug, Deserialize)]
pub struct BacktestPath {
    /// Key of the asset.
    pub asset: String,
    /// Its id.
    pub id: BacktestId,
}

/// Ask how good forecasts would have been on an asset's own history
///
/// A rolling-origin backtest: the last windows of the history are forecast by a model version, by two naive
/// forecasts and by a linear ARX, each from the readings up to the window's start and no later one, and scored
/// against what was then measured. The answer says which of the windows the version had learned from: its
/// scores there are better than they would be on new readings. The work is a job; the stream tells its steps
/// as `backtest`.
#[utoipa::path(
    post, path = "/v1/assets/{asset}/backtests", tag = "backtests", request_body = NewBacktest,
    params(("asset" = String, Path, description = "Key of the asset")),
    responses(
        (status = 202, description = "It waits for a worker", body = Backtest, headers(("location" = String, description = "The backtest"))),
        (status = 404, description = "No such asset or version", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "The asset has too many unfinished ones", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be done so, or there are too few readings", body = Document, content_type = "application/problem+json"),
    )
)]
async fn create(
    State(backtests): State<Backtests>,
    Path(asset): Path<String>,
    Json(ask): Json<NewBacktest>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Backtest>), Problem> {
    let backtest = backtests.request(&asset, &ask).await?;
    let location = format!("/v1/assets/{}/backtests/{}", backtest.asset, backtest.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(backtest)))
}

/// List an asset's backtests, newest first
///
/// Results without `origins`, which one backtest alone has.
#[utoipa::path(
    get, path = "/v1/assets/{asset}/backtests", tag = "backtests",
    params(("asset" = String, Path, description = "Key of the asset"), BacktestsQuery),
    responses(
        (status = 200, description = "A page of backtests", body = Page<Backtest>),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "A parameter is not valid", body = Document, content_type = "application/problem+json"),
    )
)]
async fn list(
    State(backtests): State<Backtests>,
    Path(asset): Path<String>,
    Query(query): Query<BacktestsQuery>,
) -> Result<Json<Page<Backtest>>, Problem> {
    let before = query.cursor.as_deref().map(|cursor| page::position(BACKTESTS, cursor)).transpose()?;
    let rows = backtests.list(&asset, query.status, before, query.limit.rows()).await?;
    Ok(Json(Page::of(BACKTESTS, rows, query.limit, |backtest| backtest.id)))
}

/// Read a backtest: how far it is, and its result once it has one
#[utoipa::path(
    get, path = "/v1/assets/{asset}/backtests/{id}", tag = "backtests",
    params(("asset" = String, Path, description = "Key of the asset"), ("id" = BacktestId, Path, description = "Its id")),
    responses(
        (status = 200, description = "The backtest", body = Backtest),
        (status = 404, description = "No such asset or backtest", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "Not an id", body = Document, content_type = "application/problem+json"),
    )
)]
async fn read(State(backtests): State<Backtests>, Path(path): Path<BacktestPath>) -> Result<Json<Backtest>, Problem> {
    Ok(Json(backtests.backtest(&path.asset, path.id).await?))
}

/// Stop a backtest. One that waits is cancelled at once, one that runs within moments.
#[utoipa::path(
    post, path = "/v1/assets/{asset}/backtests/{id}/cancel", tag = "backtests",
    params(("asset" = String, Path, description = "Key of the asset"), ("id" = BacktestId, Path, description = "Its id")),
    responses(
        (status = 202, description = "It is cancelled, or will be", body = Backtest),
        (status = 404, description = "No such asset or backtest", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It has ended already", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "Not an id", body = Document, content_type = "application/problem+json"),
    )
)]
async fn cancel(
    State(backtests): State<Backtests>,
    Path(path): Path<BacktestPath>,
) -> Result<(StatusCode, Json<Backtest>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(backtests.cancel(&path.asset, path.id).await?)))
}

impl From<BacktestError> for Problem {
    fn from(error: BacktestError) -> Self {
        let words = error.to_string();
        match error {
            BacktestError::Asset(error) => error.into(),
            BacktestError::Reading(error) => error.into(),
            BacktestError::Database(error) => error.into(),
            BacktestError::Invalid(wrong) => {
                let too_far = |wrong: &super::Wrong| wrong.pointer == "/horizon" && wrong.max.is_some();
                let kind = if wrong.iter().all(too_far) { problem::HORIZON_TOO_LARGE } else { problem::INVALID };
                // With several wrong values it would not be clear whose maximum it is.
                let max = if let [one] = &wrong[..] { one.max } else { None };
                let problem =
                    wrong.into_iter().fold(Self::new(kind, words), |p, wrong| p.at(wrong.pointer, wrong.detail));
                max.map_or(problem.clone(), |max| problem.max(max))
            }
            BacktestError::TooShort(_) => Self::new(problem::INSUFFICIENT_DATA, words),
            BacktestError::NoVersion(_) | BacktestError::NoBacktest(_) => Self::new(problem::NOT_FOUND, words),
            BacktestError::TooMany | BacktestError::Ended => Self::new(problem::CONFLICT, words),
            BacktestError::Ending => Self::new(problem::BUSY, words).retry_after(Duration::from_secs(5)),
        }
    }
}
