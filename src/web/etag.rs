//! Entity tags: a client that read something can say so when it reads or changes it again.

use std::convert::Infallible;
use std::fmt::Display;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::extract::Json;
use super::problem::{self, Problem};

/// A strong entity tag, without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(String);

/// What the request says in `If-Match` and `If-None-Match`.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
}

/// An answer with its tag.
#[derive(Clone, Debug)]
pub struct Tagged<T>(pub ETag, pub T);

impl ETag {
    /// A tag from something that changes whenever the resource does.
    #[must_use]
    pub fn new(tag: impl Display) -> Self {
        Self(tag.to_string())
    }

    fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("\"{}\"", self.0)).ok()
    }

    /// Whether a header's list names this tag. A weak one counts only where `weak` is allowed.
    fn listed(&self, list: &str, weak: bool) -> bool {
        list.trim() == "*"
            || list.split(',').map(str::trim).any(|tag| {
                let tag = if weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
                tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(self.0.as_str())
            })
    }
}

impl Conditions {
    /// Refuses a change that was made to another version of the resource.
    pub fn allow_change(&self, current: &ETag) -> Result<(), Problem> {
        match &self.if_match {
            Some(list) if !current.listed(list, false) => {
                Err(Problem::new(problem::PRECONDITION_FAILED, "If-Match names another version than the present one"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the request demands a version at all.
    #[must_use]
    pub fn demands_version(&self) -> bool {
        self.if_match.is_some()
    }

    /// The answer to a read: the resource, or 304 if the client has it already.
    pub fn answer<T: Serialize>(&self, tag: ETag, body: T) -> Response {
        match &self.if_none_match {
            Some(list) if tag.listed(list, true) => Tagged(tag, StatusCode::NOT_MODIFIED).into_response(),
            _ => Tagged(tag, Json(body)).into_response(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Conditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            if_match: list(&parts.headers, &header::IF_MATCH),
            if_none_match: list(&parts.headers, &header::IF_NONE_MATCH),
        })
    }
}

impl<T: IntoResponse> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        if let Some(tag) = self.0.header() {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// All lines of a header as one list; a line that cannot be read matches nothing.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<&str> = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    if lines.is_empty() { None } else { Some(lines.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_needs_the_present_tag_when_it_names_one() {
        let tag = ETag::new("7-2");
        let given = |list: &str| Conditions { if_match: Some(list.to_owned()), if_none_match: None }.allow_change(&tag);
        assert!(Conditions::default().allow_change(&tag).is_ok());
        for right in ["\"7-2\"", "*", "\"7-1\", \"7-2\""] {
            assert!(given(right).is_ok(), "{right} was refused");
        }
        for wrong in ["\"7-1\"", "7-2", "W/\"7-2\"", "", "\""] {
            assert_eq!(given(wrong).unwrap_err().kind, problem::PRECONDITION_FAILED, "{wrong} was taken");
        }
    }

    #[test]
    fn a_reader_who_has_it_gets_304() {
        let reader = |list: &str| Conditions { if_match: None, if_none_match: Some(list.to_owned()) };
        assert_eq!(reader("W/\"1\"").answer(ETag::new(1), "x").status(), StatusCode::NOT_MODIFIED);
        assert_eq!(reader("\"0\"").answer(ETag::new(1), "x").status(), StatusCode::OK);
    }
}
