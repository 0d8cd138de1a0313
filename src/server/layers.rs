//! What every request passes through, from the outside in: it is named, timed and counted; its
//! answer is compressed, gets its headers and is dressed as a problem if it is an error; a panic
//! becomes an answer; what is malformed, foreign, not allowed or too slow is refused before a room
//! sees it.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_http::timeout::RequestBodyDeadlineLayer;
use tracing::Instrument as _;
use uuid::{NoContext, Timestamp, Uuid};

use super::gate::{Gate, admitted};
use super::{Config, Rooms, guard};
use crate::clock::Clock;
use crate::observe::{Counter, EncodeLabelSet, Family, Gauge, Histogram, Metrics};
use crate::web::body::MAX_BODY;
use crate::web::problem::{self, Problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Bounds of the latency histogram in seconds.
const LATENCIES: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Everything from here, nothing inline, no framing.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                   connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The API reference (Swagger UI) styles itself inline.
const CSP_DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                        img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
                        form-action 'none'; frame-ancestors 'none'";

/// Puts the layers around a router. Each `layer` goes around those before it. Requests of `patient`
/// are not timed.
pub(super) fn around(router: Router, patient: Router, rooms: &Rooms, config: &Config) -> Router {
    router
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(RequestBodyDeadlineLayer::new(Duration::from_secs(config.body_timeout_s)))
        .layer(from_fn_with_state(Duration::from_secs(config.request_timeout_s), in_time))
        .merge(patient)
        .layer(from_fn_with_state(Gate::new(rooms.access.clone(), config), admitted))
        .layer(CsrfLayer::new().with_rejection_response(foreign))
        .layer(from_fn(guard::well_formed))
        .layer(from_fn_with_state(guard::Hosts::of(config), guard::known_host))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(dressed))
        .layer(from_fn(with_headers))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(Watch::new(&rooms.metrics, rooms.clock.clone()), watched))
}

/// What is measured of requests.
#[derive(Clone)]
struct Watch {
    clock: Clock,
    requests: Family<Request_, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    in_work: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request_ {
    method: &'static str,
    route: String,
    status: u16,
}

impl Watch {
    fn new(metrics: &Metrics, clock: Clock) -> Self {
        let seconds = Family::new_with_constructor((|| Histogram::new(LATENCIES)) as fn() -> Histogram);
        Self {
            clock,
            requests: metrics.register("http_requests", "Requests answered", Family::default()),
            seconds: metrics.register("http_request_seconds", "Time until an answer began", seconds),
            in_work: metrics.register("http_requests_in_work", "Requests without an answer yet", Gauge::default()),
        }
    }
}

/// Counts a request as in work until it is answered or its client has left.
struct InWork(Gauge);

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Names a request, times and counts it. The route is the pattern, so that keys of assets never
/// become labels.
async fn watched(State(watch): State<Watch>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method(request.method());
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let id = request_id(request.headers(), &watch.clock);
    watch.in_work.inc();
    let in_work = InWork(watch.in_work.clone());
    let span = tracing::info_span!("request", request.id = %id, http.method = method, http.route = route);
    let mut response = next.run(request).instrument(span.clone()).await;
    drop(in_work);

    let took = started.elapsed();
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(http.status = status, took_ms = took.as_secs_f64() * 1e3, "answered"));
    watch.requests.get_or_create(&Request_ { method, route: route.clone(), status }).inc();
    watch.seconds.get_or_create(&Route { method, route }).observe(took.as_secs_f64());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The client's id if it is a plain one, otherwise one of ours.
fn request_id(headers: &HeaderMap, clock: &Clock) -> String {
    let plain = |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(plain);
    given.map_or_else(
        || {
            let now = clock.now();
            let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
            Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos())).to_string()
        },
        str::to_owned,
    )
}

/// The method as a label: unknown ones are one, so that nobody can make labels.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| method == known).unwrap_or("other")
}

async fn with_headers(request: Request, next: Next) -> Response {
    let docs = request.uri().path().starts_with("/docs");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, if docs { CSP_DOCS } else { CSP }),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What is shown is live: it may be kept, but must be asked for again.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

/// Makes a problem of an error that did not come as one, such as those of the framework.
async fn dressed(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|media| media == problem::MEDIA_TYPE);
    if problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (kind, detail) = problem::of_status(status);
    let mut dressed = Problem::new(kind, detail).into_response();
    *dressed.status_mut() = status;
    for name in [header::ALLOW, header::RETRY_AFTER, header::CONNECTION] {
        if let Some(value) = response.headers().get(&name) {
            dressed.headers_mut().insert(name, value.clone());
        }
    }
    dressed
}

async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    if let Ok(response) = tokio::time::timeout(limit, next.run(request)).await {
        return response;
    }
    tracing::warn!(limit_ms = limit.as_millis(), "request took too long");
    Problem::new(problem::TIMEOUT, "the answer was not ready in time").into_response()
}

fn foreign(_: ProtectionError) -> Response {
    Problem::new(problem::FORBIDDEN, "a page of another site asked for a change").into_response()
}

#[expect(clippy::needless_pass_by_value, reason = "the layer gives it away")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = said.unwrap_or("not a text"), "a request panicked");
    let mut response = Problem::new(problem::INTERNAL, "an unexpected error was logged").into_response();
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.map(Body::new)
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use http_body_util::BodyExt as _;
    use serde_json::Value;
    use tokio_util::sync::CancellationToken;
    use tower::ServiceExt as _;

    use super::*;
    use crate::db::fixture;
    use crate::server::RoomsConfig;

    async fn panics() -> &'static str {
        panic!("the secret reason")
    }

    async fn never() -> &'static str {
        std::future::pending().await
    }

    #[tokio::test]
    async fn whatever_goes_wrong_outside_a_room_is_a_problem_too() {
        let routes = Router::new()
            .route("/panics", get(panics))
            .route("/never", get(never))
            .route("/takes", post(|body: String| async move { body }));
        // No time at all: what waits for anything is too late.
        let config = Config { request_timeout_s: 0, ..Config::default() };
        // No door of these is in the table: nobody but an admin may pass, and here everybody is one.
        let rooms =
            Rooms::new(fixture::fresh().await.pool, Clock::system(), CancellationToken::new(), &RoomsConfig::default());
        let app = around(routes, Router::new(), &rooms.unwrap(), &config);
        let long = "x".repeat(MAX_BODY + 1);
        for (method, path, body, status, slug) in [
            ("GET", "/panics", "", 500, "internal"),
            ("GET", "/never", "", 408, "timeout"),
            ("GET", "/nowhere", "", 404, "not-found"),
            ("DELETE", "/panics", "", 405, "method-not-allowed"),
            ("POST", "/takes", long.as_str(), 413, "too-large"),
        ] {
            let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
            let request = request.body(Body::from(body.to_owned())).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{method} {path}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], problem::MEDIA_TYPE, "{method} {path}");
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            let said: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!((&said["type"], &said["status"]), (&format!("/problems/{slug}").into(), &status.into()));
            assert!(!said.to_string().contains("secret"), "{said}");
        }
    }
}
