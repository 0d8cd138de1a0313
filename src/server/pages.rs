//! Doors that belong to no room: health, metrics, and the pages that problems point to.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use sqlx::Connection as _;

use super::Rooms;
use crate::web::extract::Path;
use crate::web::problem::{self, Kind, Problem};

/// How long the database may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn router(rooms: Rooms) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/problems", get(problems))
        .route("/problems/{slug}", get(one_problem))
        .with_state(rooms)
}

pub(super) async fn not_found() -> Problem {
    Problem::new(problem::NOT_FOUND, "there is nothing at this address; /docs shows what there is")
}

pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(problem::METHOD_NOT_ALLOWED, "the Allow header lists the methods that this resource takes")
}

/// Whether requests can be served: the database answers and the server is not about to end.
async fn ready(State(rooms): State<Rooms>) -> Result<&'static str, Problem> {
    let unready = |detail: &'static str| Problem::new(problem::UNAVAILABLE, detail).retry_after(PATIENCE);
    if rooms.end.is_cancelled() {
        return Err(unready("the server is about to end"));
    }
    let answer = tokio::time::timeout(PATIENCE, async { rooms.db.acquire().await?.ping().await }).await;
    match answer {
        Ok(Ok(())) => Ok("ready\n"),
        Ok(Err(_)) | Err(_) => Err(unready("the database does not answer")),
    }
}

async fn metrics(State(rooms): State<Rooms>) -> Response {
    let media = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, media)], rooms.metrics.encode()).into_response()
}

async fn problems() -> Html<String> {
    let entry =
        |kind: &Kind| format!("<li><a href=\"/problems/{}\">{} {}</a></li>", kind.slug, kind.status, kind.title);
    page("Problems", &format!("<ul>{}</ul>", problem::ALL.iter().map(entry).collect::<String>()))
}

async fn one_problem(Path(slug): Path<String>) -> Result<Html<String>, Problem> {
    let kind = problem::ALL.iter().find(|kind| kind.slug == slug);
    let kind = kind.ok_or_else(|| Problem::new(problem::NOT_FOUND, "there is no such kind of problem"))?;
    let body = format!(
        "<p>HTTP status {}.</p><p>{}</p><p><a href=\"/problems\">All problems</a></p>",
        kind.status, kind.advice
    );
    Ok(page(kind.title, &body))
}

/// Title and body are ours, so nothing needs escaping.
fn page(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title} - Counterpart</title><main><h1>{title}</h1>{body}</main></html>"
    ))
}
