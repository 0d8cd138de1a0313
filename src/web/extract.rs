//! Extractors whose refusals are problems: body, query, path, and the headers of a live stream.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body::{self, MAX_BODY};
use super::json::{self, JsonError};
use super::problem::{self, Problem};

/// A JSON body, strictly read; and a JSON answer.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// A JSON merge patch (RFC 7396), as a tree.
#[derive(Clone, Debug)]
pub struct MergePatch(pub serde_json::Value);

/// Query parameters. Unknown ones are refused where the type denies them.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// Parameters of the path.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        body::expect_type(request.headers(), "application/json")?;
        let bytes = body::read(request.into_body(), MAX_BODY).await?;
        json::read(&bytes).map(Self).map_err(Problem::from)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync> FromRequest<S> for MergePatch {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        body::expect_type(request.headers(), "application/merge-patch+json")?;
        let bytes = body::read(request.into_body(), MAX_BODY).await?;
        json::parse(&bytes).map(Self).map_err(Problem::from)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parsed(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|path| Self(path.0))
            .map_err(unreadable_path)
    }
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Syntax(detail) => Self::new(problem::INVALID_JSON, detail),
            JsonError::Shape(fault) => Self::invalid(fault.pointer(), fault.detail),
        }
    }
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    if text.contains("%00") {
        return Err(Problem::invalid("query", "contains U+0000, which cannot be stored"));
    }
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let detail = error.inner().to_string();
        // A fault of the whole (unknown, missing or repeated parameter) names it between backticks.
        let name = match error.path().to_string().as_str() {
            "." | "?" => detail.split('`').nth(1).unwrap_or("query").to_owned(),
            path => path.to_owned(),
        };
        Problem::invalid(name, detail)
    })
}

fn unreadable_path(rejection: PathRejection) -> Problem {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return Problem::internal(&rejection);
    };
    if failed.status() == StatusCode::INTERNAL_SERVER_ERROR {
        return Problem::internal(&failed);
    }
    match failed.into_kind() {
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => {
            Problem::invalid(key, format!("is not a {expected_type}"))
        }
        ErrorKind::DeserializeError { key, message, .. } => Problem::invalid(key, message),
        ErrorKind::InvalidUtf8InPathParam { .. } => Problem::new(problem::BAD_REQUEST, "the path is not UTF-8"),
        kind => Problem::invalid("path", kind.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Wanted {
        limit: Option<u16>,
        name: Option<String>,
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        let wrong = |text: &str| parsed::<Wanted>(text).unwrap_err().errors[0].pointer.clone();
        assert_eq!(wrong("limit=x"), "limit");
        assert_eq!(wrong("limit=-1&name=a"), "limit");
        assert_eq!(wrong("limt=1"), "limt");
        assert_eq!(wrong("limit=1&limit=2"), "limit");
        assert_eq!(wrong("name=%00"), "query");
        parsed::<Wanted>("limit=1&name=%20a").unwrap();
    }
}
