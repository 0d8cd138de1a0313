//! Live streams as server-sent events.
//!
//! A stream lives until its client leaves or the server ends: an open one would otherwise hold up
//! the end for ever. Comments every 15 seconds keep proxies from closing an idle stream.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt as _, future};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// How often an idle stream says that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its kind, for `addEventListener`.
    pub name: &'static str,
    /// Where to resume after it.
    pub id: i64,
    /// One line of JSON.
    data: String,
}

/// The id of the last event that a client saw before it lost the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastEventId(pub Option<i64>);

impl Event {
    /// An event that carries `data` as JSON.
    pub fn new<T: Serialize>(name: &'static str, id: i64, data: &T) -> Result<Self, serde_json::Error> {
        Ok(Self { name, id, data: serde_json::to_string(data)? })
    }
}

/// Answers with a stream of events that ends with the server.
pub fn answer<S>(events: S, end: CancellationToken) -> Response
where
    S: Stream<Item = Event> + Send + 'static,
{
    let first = axum::response::sse::Event::default().retry(RETRY).comment("open");
    let events = events
        .map(|event| axum::response::sse::Event::default().event(event.name).id(event.id.to_string()).data(event.data));
    let stream = futures::stream::once(future::ready(first))
        .chain(events)
        .take_until(end.cancelled_owned())
        .map(Ok::<_, Infallible>);
    let mut response = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would otherwise hold events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let text = parts.headers.get("last-event-id").and_then(|value| value.to_str().ok());
        Ok(Self(text.and_then(|text| text.parse().ok())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_ends_with_the_server() {
        let end = CancellationToken::new();
        let event = Event::new("state", 7, &serde_json::json!({"seq": 1})).unwrap();
        let events = futures::stream::iter([event]).chain(futures::stream::pending());
        let response = answer(events, end.clone());
        let mut body = response.into_body().into_data_stream();
        let mut text = String::new();
        while !text.contains("id: 7") {
            text += std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap();
        }
        assert!(text.contains("event: state\n") && text.contains("data: {\"seq\":1}\n"), "{text}");
        end.cancel();
        while body.next().await.is_some() {}
    }
}
