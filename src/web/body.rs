//! Reading a request's body: its type, its size, its time.

use std::error::Error;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tower_http::timeout::TimeoutError;

use super::problem::{self, Problem};

/// Largest body that is read, in bytes, before and after decompression.
pub const MAX_BODY: usize = 16 << 20;

/// Reads a whole body of at most `limit` bytes. A declared length beyond the limit is refused
/// before anything is read.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if caused_by::<LengthLimitError>(error.as_ref()) => Err(too_large(limit)),
        Err(error) if caused_by::<TimeoutError>(error.as_ref()) => {
            Err(Problem::new(problem::TIMEOUT, "the body did not arrive in time"))
        }
        Err(_) => Err(Problem::new(problem::BAD_REQUEST, "the body ended before it was complete")),
    }
}

/// Refuses a body whose type is not `wanted`, or that is compressed. `charset=utf-8` may be named.
pub fn expect_type(headers: &HeaderMap, wanted: &str) -> Result<(), Problem> {
    if let Some(coding) = headers.get(header::CONTENT_ENCODING)
        && coding != "identity"
    {
        return Err(Problem::new(problem::UNSUPPORTED_MEDIA_TYPE, "this resource takes no compressed body"));
    }
    match media_type(headers) {
        Some(media) if media == wanted => Ok(()),
        _ => Err(Problem::new(
            problem::UNSUPPORTED_MEDIA_TYPE,
            format!("this resource takes {wanted} in UTF-8; name it in Content-Type"),
        )),
    }
}

/// The body's media type in lower case, without parameters. `None` when it is missing, unreadable
/// or has a parameter other than `charset=utf-8`.
#[must_use]
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let utf8 = parts.all(|parameter| {
        let parameter = parameter.to_ascii_lowercase();
        matches!(parameter.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
    });
    (utf8 && !media.is_empty()).then_some(media)
}

fn too_large(limit: usize) -> Problem {
    Problem::new(problem::TOO_LARGE, format!("the body is larger than {limit} bytes"))
}

fn caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<E>() {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(content_type: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
        media_type(&headers)
    }

    #[test]
    fn only_utf8_may_be_named() {
        assert_eq!(typed("application/json").as_deref(), Some("application/json"));
        assert_eq!(typed("Application/JSON; Charset=UTF-8").as_deref(), Some("application/json"));
        assert_eq!(typed("application/json; charset=utf-16"), None);
        assert_eq!(media_type(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        assert_eq!(read(Body::from("123"), 3).await.unwrap(), Bytes::from("123"));
        assert_eq!(read(Body::from("1234"), 3).await.unwrap_err().kind, problem::TOO_LARGE);
        let chunks = futures::stream::iter(["12", "34"].map(Ok::<_, std::io::Error>));
        assert_eq!(read(Body::from_stream(chunks), 3).await.unwrap_err().kind, problem::TOO_LARGE);
    }
}
