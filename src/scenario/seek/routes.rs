//! `POST /v1/assets/{asset}/goal-seek`.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, future, stream};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{GoalSeek, Heard, SeekOutcome, SeekProgress, Seeks};
use crate::forecast::ForecastError;
use crate::web::extract::{Json, Path};
use crate::web::problem::{Document, Problem};
use crate::web::sse;

/// The room's resources.
pub fn router(seeks: Seeks) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(goal_seek)).with_state(seeks)
}

/// Search the control schedule that serves an aim best
///
/// Minimises or maximises a KPI, or tracks a setpoint, over the horizon; keeps limits with their
/// probabilities; stays within the data that the serving model was trained on unless it may leave
/// it. The result is judged anew on sample paths that the search never saw. Hanging up ends the
/// search. Nothing is changed at the asset, and nothing is stored. With `Accept: text/event-stream` the
/// answer is a stream: a `progress` event after each generation with the best schedule so far, then
/// `outcome` with what is answered otherwise, or `problem` with a problem document.
#[utoipa::path(
    post, path = "/v1/assets/{asset}/goal-seek", tag = "what-if",
    params(("asset" = String, Path, description = "Key of the asset")),
    request_body = GoalSeek,
    responses(
        (status = 200, description = "The best schedule that was found; `met` says whether it keeps everything", content(
            (SeekOutcome = "application/json"), (SeekProgress = "text/event-stream"))),
        (status = 404, description = "No such asset", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be asked so, or not yet", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Busy", body = Document, content_type = "application/problem+json"),
    )
)]
async fn goal_seek(
    State(seeks): State<Seeks>,
    Path(asset): Path<String>,
    headers: HeaderMap,
    Json(request): Json<GoalSeek>,
) -> Result<Response, Problem> {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if !accepts.is_some_and(|accepts| accepts.contains("text/event-stream")) {
        return Ok(Json(seeks.seek(&asset, &request).await?).into_response());
    }
    let mut heard = seeks.seek_told(asset, request);
    // What cannot be sought is refused as it always is.
    let first = match heard.recv().await {
        Some(Heard::Ended(ended)) if ended.is_err() => return Err(ended.err().map_or_else(ended_early, Problem::from)),
        Some(first) => first,
        None => return Err(ended_early()),
    };
    let rest = stream::unfold(heard, async |mut heard| Some((heard.recv().await?, heard)));
    let events = stream::once(future::ready(first)).chain(rest).enumerate().filter_map(async |(place, heard)| {
        event(i64::try_from(place).unwrap_or(i64::MAX), heard)
            .inspect_err(|error| tracing::error!(error = error as &dyn std::error::Error, "an event was not written"))
            .ok()
    });
    Ok(sse::answer(events, CancellationToken::new()))
}

fn event(id: i64, heard: Heard) -> Result<sse::Event, serde_json::Error> {
    match heard {
        Heard::Progress(progress) => sse::Event::new("progress", id, &progress),
        Heard::Ended(ended) => match *ended {
            Ok(outcome) => sse::Event::new("outcome", id, &outcome),
            Err(error) => sse::Event::new("problem", id, &Problem::from(error).document()),
        },
    }
}

fn ended_early() -> Problem {
    Problem::from(ForecastError::Ending)
}
