//! Errors as RFC 9457 problem documents.
//!
//! Every error answer of the server is one of the [`Kind`]s below; each has a page at
//! `/problems/<slug>` that says what to do. A [`Problem`] never carries SQL, a path, or the
//! source of an error: those go to the log, once, at the boundary.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// The media type of problem documents.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A class of problems: what the `type` of the document points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Last part of the `type` URI, `/problems/<slug>`.
    pub slug: &'static str,
    /// HTTP status of the answer.
    pub status: u16,
    /// Short and the same for every occurrence.
    pub title: &'static str,
    /// What the caller can do, for the page.
    pub advice: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $status:literal $slug:literal $title:literal $advice:literal;)+) => {
        $(
            #[doc = $title]
            pub const $name: Kind = Kind { slug: $slug, status: $status, title: $title, advice: $advice };
        )+
        /// Every kind, for the pages and the documentation.
        pub const ALL: &[Kind] = &[$($name),+];
    };
}

kinds! {
    INVALID_JSON = 400 "invalid-json" "The body is not valid JSON" "Send one JSON document (RFC 8259) in UTF-8. NaN, Infinity, comments and trailing commas are not JSON.";
    BAD_REQUEST = 400 "bad-request" "The request could not be read" "Check the request line, the headers and the body's encoding.";
    KEY_NEEDED = 401 "key-needed" "A key is needed" "Send an API key as Authorization: Bearer cpk_..., or sign in on the dashboard. An admin makes keys on the dashboard's page Keys; on the server's machine `counterpart key create` does.";
    FORBIDDEN = 403 "forbidden" "This request is not allowed" "A browser may change things only from pages of this server, under a host name that the server knows (COUNTERPART_SERVER_HOSTS).";
    ROLE_NEEDED = 403 "role-needed" "The key's role does not allow this" "Use a key with one of the roles that the detail names.";
    NOT_FOUND = 404 "not-found" "There is no such thing" "Check the spelling of the path and of the names in it; lists show what exists.";
    METHOD_NOT_ALLOWED = 405 "method-not-allowed" "This resource does not take that method" "The Allow header lists the methods that it takes.";
    TIMEOUT = 408 "timeout" "The request took too long" "Send it again; an ingest request is safe to repeat.";
    CONFLICT = 409 "conflict" "The request does not fit the present state" "Read the resource, then decide again.";
    PRECONDITION_FAILED = 412 "precondition-failed" "Somebody changed it meanwhile" "Read it again, apply your change to the new version, and send its ETag in If-Match.";
    TOO_LARGE = 413 "too-large" "The body is too large" "Split it: 16 MiB a body before and after decompression, 100,000 readings a request.";
    URI_TOO_LONG = 414 "uri-too-long" "The address is too long" "Keep path and query below 8 KiB.";
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported-media-type" "This body type is not taken here" "Name the body's type in Content-Type; the detail lists what is taken.";
    INVALID = 422 "invalid" "Something in the request is not valid" "Each entry of errors points to a value and says what is wrong with it.";
    NOTHING_STORED = 422 "nothing-stored" "Nothing of the request could be stored" "Each entry of errors names an item and says why it was refused.";
    BATCH_TOO_LARGE = 422 "batch-too-large" "The request holds too much" "Split it: at most 100,000 readings or 1,000 events a request. For history use POST /v1/imports.";
    MALFORMED_ITEM = 422 "malformed-item" "This item is not written as readings are" "See the forms of telemetry in the reference; names may not appear twice.";
    INVALID_INSTANT = 422 "invalid-instant" "This is no instant" "Write RFC 3339 with an offset and at most six digits after the point, or epoch milliseconds as a number.";
    TIMESTAMP_IN_FUTURE = 422 "timestamp-in-future" "The reading lies in the future" "Set the sender's clock; COUNTERPART_READING_CLOCK_SKEW_S says how far ahead it may be.";
    TOO_OLD = 422 "too-old" "The reading is older than what is kept" "Readings begin in 1970, and where COUNTERPART_READING_RETENTION_DAYS says.";
    UNKNOWN_ASSET = 422 "unknown-asset" "The reading names an asset that does not exist" "Make the asset first, or check the spelling: upper and lower case differ.";
    UNKNOWN_SIGNAL = 422 "unknown-signal" "The asset's type has no such signal" "Check the spelling, or add the signal in a new version of the type.";
    WRONG_TYPE = 422 "wrong-type" "The value does not fit the kind of the signal" "Number signals take JSON numbers, boolean signals true or false, enum signals one of their labels.";
    OUT_OF_RANGE = 422 "out-of-range" "The value is outside the limits of the signal" "Correct the sender or the limits of the asset's type; a type with on_invalid warn keeps such readings as uncertain.";
    KEY_REUSED = 422 "idempotency-key-reused" "The key belongs to another request" "An Idempotency-Key names one request for a day: use a new key for a new one.";
    HORIZON_TOO_LARGE = 422 "horizon-too-large" "The horizon is too large" "Ask for at most as many steps as max says; for a longer view use a type with a longer interval.";
    INSUFFICIENT_DATA = 422 "insufficient-data" "There are too few readings for this" "Send more readings; the detail says how many are needed.";
    HEADERS_TOO_LARGE = 431 "headers-too-large" "The headers are too large" "Send at most 100 headers of 32 KiB together.";
    INTERNAL = 500 "internal" "The server made a mistake" "It has been logged. Sending the request again is safe.";
    BUSY = 503 "busy" "The server is busy" "Send it again after the seconds in Retry-After.";
    UNAVAILABLE = 503 "unavailable" "The database cannot be reached" "Send it again after the seconds in Retry-After; what was acknowledged is safe.";
}

/// The kind for an error that came with nothing but a status, and what can be said about it.
#[must_use]
pub fn of_status(status: StatusCode) -> (Kind, &'static str) {
    let fallback = if status.is_server_error() { INTERNAL } else { BAD_REQUEST };
    // Where several kinds share a status the first one is the most general, save for 400.
    let kind = ALL.iter().copied().find(|kind| kind.status == status.as_u16() && *kind != INVALID_JSON);
    (kind.unwrap_or(fallback), status.canonical_reason().unwrap_or("the request was refused"))
}

/// One value that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or the name of a parameter.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// An error answer.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Its class.
    pub kind: Kind,
    /// This occurrence in words.
    pub detail: Cow<'static, str>,
    /// The values that are wrong, where that can be said.
    pub errors: Vec<FieldError>,
    /// Seconds after which to try again.
    retry_after_s: Option<u32>,
    /// What the value that is too large can be at most.
    max: Option<u32>,
}

/// The document as it is sent: `application/problem+json`.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// `/problems/<slug>`, a page that the server serves.
    pub r#type: String,
    /// The same for every occurrence of the type.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence in words.
    pub detail: Cow<'static, str>,
    /// The values that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What a value that is too large, or the number of items in a list, can be at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

impl Problem {
    /// A problem of a kind, with this occurrence in words.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), retry_after_s: None, max: None }
    }

    /// One wrong value: the common case of [`INVALID`].
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(INVALID, "the request was understood but cannot be carried out").at(pointer, detail)
    }

    /// Points to one more wrong value.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after_s = Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1));
        self
    }

    /// Says what a value that is too large can be at most.
    #[must_use]
    pub fn max(mut self, max: usize) -> Self {
        self.max = Some(u32::try_from(max).unwrap_or(u32::MAX));
        self
    }

    /// The document, where it is not an answer of its own.
    #[must_use]
    pub fn document(self) -> Document {
        Document {
            r#type: format!("/problems/{}", self.kind.slug),
            title: self.kind.title,
            status: self.kind.status,
            detail: self.detail,
            errors: self.errors,
            max: self.max,
        }
    }

    /// Logs an error whose cause the caller must not see, and hides it.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = error as &dyn std::error::Error, "request failed");
        Self::new(INTERNAL, "an unexpected error was logged")
    }
}

impl From<sqlx::Error> for Problem {
    /// Database trouble: away or overloaded is [`UNAVAILABLE`], anything else our mistake.
    fn from(error: sqlx::Error) -> Self {
        if crate::db::is_away(&error) {
            tracing::warn!(error = &error as &dyn std::error::Error, "database away");
            return Self::new(UNAVAILABLE, "the database did not answer").retry_after(Duration::from_secs(1));
        }
        Self::internal(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after_s = self.retry_after_s;
        let body = serde_json::to_vec(&self.document()).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"counterpart\""));
        }
        if let Some(wait) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        response
    }
}
