//! Requests that may be sent again: `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07).
//!
//! A client that lost an answer does not know whether its request was carried out. With a key it
//! sends the same request again and gets the answer of the first one; the same key with another
//! request is refused, and so is one that is still in work. Only answers of success are kept: what
//! was refused may be mended and sent under the same key. The request is carried out to its end even
//! when its client leaves. A server that dies over a request leaves its key taken for a minute; after
//! that the request is carried out anew.

mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chrono::TimeDelta;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use tracing::Instrument as _;

use super::problem::{self, Problem};
use crate::clock::Clock;
use store::Known;

/// The request header.
pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Set on an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, in characters.
pub const MAX_KEY: usize = 255;
/// Largest body of a request with a key, and of an answer that is kept.
const MAX_KEPT: usize = 1 << 20;
/// How long an answer is kept.
const KEPT: TimeDelta = TimeDelta::hours(24);
/// How long a request may be in work before its server counts as dead.
const IN_WORK: TimeDelta = TimeDelta::seconds(60);
/// Headers that belong to an answer.
const HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::ETAG, header::LOCATION];

/// Where answers are kept.
#[derive(Clone, Debug)]
pub struct Kept {
    db: PgPool,
    clock: Clock,
}

impl Kept {
    /// Keeps them in the database.
    #[must_use]
    pub fn new(db: PgPool, clock: Clock) -> Self {
        Self { db, clock }
    }

    /// The answer to a request that came before; `None` when it is to be carried out now.
    async fn earlier(&self, request: &store::Request) -> Result<Option<Response>, Problem> {
        let now = self.clock.now();
        // A second look: the key may be freed in between.
        for _ in 0..2 {
            if store::begin(&self.db, request, now, now - KEPT).await.map_err(Problem::from)? {
                return Ok(None);
            }
            let Some(known) = store::known(&self.db, request).await.map_err(Problem::from)? else { continue };
            if known.fingerprint != request.fingerprint {
                let detail = "this Idempotency-Key came with another request before";
                return Err(Problem::new(problem::KEY_REUSED, detail).at(KEY.as_str(), "use a new key"));
            }
            let started_at = known.started_at;
            if let Some(answer) = replay(known) {
                return Ok(Some(answer));
            }
            if now - started_at > IN_WORK
                && store::take_over(&self.db, request, started_at, now).await.map_err(Problem::from)?
            {
                return Ok(None);
            }
            break;
        }
        let detail = "a request with this Idempotency-Key is still in work";
        Err(Problem::new(problem::CONFLICT, detail).retry_after(Duration::from_secs(1)))
    }

    /// Keeps an answer of success, and frees the key of any other and of one that is too large.
    async fn settle(&self, request: &store::Request, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        let bytes = match to_bytes(body, usize::MAX).await {
            Ok(bytes) => bytes,
            Err(error) => return Problem::internal(&error).into_response(),
        };
        let written = if parts.status.is_success() && bytes.len() <= MAX_KEPT {
            let of = |name: &HeaderName| {
                Some((name.as_str().to_owned(), parts.headers.get(name)?.to_str().ok()?.to_owned()))
            };
            let headers: BTreeMap<String, String> = HEADERS.iter().filter_map(of).collect();
            store::keep(&self.db, request, parts.status.as_u16().cast_signed(), &headers, &bytes).await
        } else {
            store::release(&self.db, request).await
        };
        if let Err(error) = written {
            tracing::warn!(error = &error as &dyn std::error::Error, "an answer could not be kept for its key");
        }
        Response::from_parts(parts, Body::from(bytes))
    }
}

/// Carries a request with a key out once. For POST alone: the other methods are idempotent by nature.
pub async fn once(State(kept): State<Kept>, request: Request, next: Next) -> Response {
    let Some(key) = request.headers().get(KEY).filter(|_| request.method() == Method::POST) else {
        return next.run(request).await;
    };
    let Some(key) = key_of(key) else {
        let detail = format!("has 1 to {MAX_KEY} visible ASCII characters");
        return Problem::invalid(KEY.as_str(), detail).into_response();
    };
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, MAX_KEPT).await {
        Ok(body) => body,
        Err(error) => {
            tracing::debug!(error = %error, "the body of a request with a key was not read");
            let detail = "a request with an Idempotency-Key has at most 1 MiB";
            return Problem::new(problem::TOO_LARGE, detail).into_response();
        }
    };
    let named =
        store::Request { key, fingerprint: fingerprint(&parts.uri, parts.headers.get(header::CONTENT_TYPE), &body) };
    match kept.earlier(&named).await {
        Ok(Some(answer)) => return answer,
        Ok(None) => {}
        Err(problem) => return problem.into_response(),
    }
    let request = Request::from_parts(parts, Body::from(body));
    // In a task of its own, because a client that leaves is the very one that will ask again.
    let work = async move {
        let response = next.run(request).await;
        kept.settle(&named, response).await
    };
    match tokio::spawn(work.in_current_span()).await {
        Ok(response) => response,
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// A key as it is written, with or without the quotes of a structured field.
fn key_of(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let plain = bare.bytes().all(|byte| byte.is_ascii_graphic());
    (plain && (1..=MAX_KEY).contains(&bare.len())).then(|| bare.to_owned())
}

/// Tells requests apart that come under one key.
fn fingerprint(uri: &Uri, media: Option<&HeaderValue>, body: &Bytes) -> Vec<u8> {
    let mut hash = Sha256::new();
    let address = uri.path_and_query().map(PathAndQuery::as_str).unwrap_or_default();
    // Lengths keep the parts apart.
    for part in [address.as_bytes(), media.map_or(&b""[..], HeaderValue::as_bytes), body] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().to_vec()
}

fn replay(known: Known) -> Option<Response> {
    let status = StatusCode::from_u16(known.status?.cast_unsigned()).ok()?;
    let mut response = (status, known.body?).into_response();
    for (name, value) in known.headers?.0 {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_may_be_quoted_and_are_plain() {
        let long = "a".repeat(MAX_KEY);
        for (given, key) in [
            ("8e03978e", Some("8e03978e")),
            ("\"8e03978e\"", Some("8e03978e")),
            (&long, Some(&*long)),
            ("", None),
            ("\"\"", None),
            ("two words", None),
            (&format!("{long}a"), None),
        ] {
            assert_eq!(key_of(&HeaderValue::from_str(given).unwrap()).as_deref(), key, "{given}");
        }
        assert_eq!(key_of(&HeaderValue::from_bytes("schlüssel".as_bytes()).unwrap()), None);
    }

    #[test]
    fn parts_of_a_request_cannot_stand_in_for_one_another() {
        let json = HeaderValue::from_static("application/json");
        let of = |address: &'static str, body: &'static str| {
            fingerprint(&Uri::from_static(address), Some(&json), &Bytes::from(body))
        };
        assert_eq!(of("/v1/assets?a=1", "{}"), of("/v1/assets?a=1", "{}"));
        assert_ne!(of("/v1/assets?a=1", "{}"), of("/v1/assets?a=", "1{}"));
        assert_ne!(of("/v1/assets", "{}"), of("/v1/asset-types", "{}"));
        let bare = fingerprint(&Uri::from_static("/v1/assets"), None, &Bytes::from("{}"));
        assert_ne!(of("/v1/assets", "{}"), bare);
    }
}
