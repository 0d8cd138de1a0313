//! The dashboard: the page that people open, embedded in the binary.
//!
//! Its source is `ui/`: plain modules that the browser loads as they are, without a build step.
//! It knows nothing that the public API does not tell, so it needs no rooms. The chart library is
//! fetched by `docker/setup.sh`; a server that was built without it serves a page that says so.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::web::extract::Path;
use crate::web::problem::{self, Problem};

/// Our own files.
#[derive(RustEmbed)]
#[folder = "src/dashboard/ui/"]
struct Ui;

/// The chart library as it was published.
#[derive(RustEmbed)]
#[folder = ".vendor/uplot/dist/"]
#[allow_missing = true]
struct Charts;

/// Under which the chart library's files appear.
const CHARTS: &str = "vendor/";
/// Kept by the browser, but asked about each time: after an update nobody sees an old page.
const CACHING: HeaderValue = HeaderValue::from_static("no-cache");

/// `/` and the files under `/ui/`.
pub fn router() -> Router {
    Router::new().route("/", get(index)).route("/ui/{*path}", get(file))
}

async fn index(headers: HeaderMap) -> Result<Response, Problem> {
    serve("index.html", &headers)
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    serve(&path, &headers)
}

fn serve(path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let (found, missing) = match path.strip_prefix(CHARTS) {
        Some(path) => (
            Charts::get(path),
            "the chart library was not there when this server was built: run sh docker/setup.sh, then build again",
        ),
        None => (Ui::get(path), "the dashboard has no such file"),
    };
    let file = found.ok_or_else(|| Problem::new(problem::NOT_FOUND, missing))?;
    let tag = tag(&file);
    let asked = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = asked.split(',').map(str::trim).any(|one| one.strip_prefix("W/").unwrap_or(one) == tag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Body::from(file.data).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, media(file.metadata.mimetype()));
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, CACHING);
    headers.insert(header::ETAG, HeaderValue::from_str(&tag).map_err(|error| Problem::internal(&error))?);
    Ok(response)
}

/// The first half of the content's SHA-256, in quotes.
fn tag(file: &EmbeddedFile) -> String {
    let mut tag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        // Writing into memory does not fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

fn media(guess: &str) -> HeaderValue {
    let text = if guess.starts_with("text/") { format!("{guess}; charset=utf-8") } else { guess.to_owned() };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

#[cfg(test)]
mod tests;
