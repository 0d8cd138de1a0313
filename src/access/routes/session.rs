//! How a request carries its key: in `Authorization`, or in a cookie for pages, whose live stream
//! cannot send headers. Signing in puts a key into the cookie, signing out takes it away.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::{Access, ApiKey, Caller, Role};
use crate::ids::ApiKeyId;
use crate::web::extract::Json;
use crate::web::problem::{self, Document, Problem};

/// The cookie that holds a key.
pub const COOKIE: &str = "counterpart_key";
/// How long a page stays signed in.
const SIGNED_IN: TimeDelta = TimeDelta::days(30);

pub(super) fn router() -> OpenApiRouter<Access> {
    OpenApiRouter::new().routes(routes!(begin, show, end)).routes(routes!(line))
}

/// A key as a request brings it.
#[derive(Clone, Copy)]
pub struct Credential<'r> {
    /// What stands where a key should.
    pub key: &'r str,
    /// Whether the browser sent it by itself: any page can make it do so.
    pub by_cookie: bool,
}

/// The key of a request: that of `Authorization` before that of the cookie. Another scheme than Bearer
/// belongs to somebody else, such as a proxy in between.
#[must_use]
pub fn credential(headers: &HeaderMap) -> Option<Credential<'_>> {
    let mut authorization = headers.get_all(header::AUTHORIZATION).iter().filter_map(|line| line.to_str().ok());
    if let Some(key) = authorization.find_map(bearer) {
        return Some(Credential { key, by_cookie: false });
    }
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, key)| Credential { key, by_cookie: true })
}

fn bearer(text: &str) -> Option<&str> {
    let (scheme, key) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

/// A key to sign in with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct SessionForm {
    /// The key.
    key: String,
}

/// Who asks, and what they may do.
#[derive(Debug, Serialize, ToSchema)]
struct Session {
    /// Whether this server asks for keys.
    key_needed: bool,
    /// What the one who asks may do; without keys everything.
    role: Role,
    /// The key that was used; null where none is needed.
    key: Option<SessionKey>,
}

/// The key of whoever asks.
#[derive(Debug, Serialize, ToSchema)]
struct SessionKey {
    /// Its id.
    id: ApiKeyId,
    /// Who or what uses it.
    name: String,
    /// Its first characters, by which it is recognised.
    prefix: String,
    /// From when on it is refused; null for never.
    expires_at: Option<DateTime<Utc>>,
}

impl From<&ApiKey> for SessionKey {
    fn from(key: &ApiKey) -> Self {
        Self { id: key.id, name: key.name.clone(), prefix: key.prefix.clone(), expires_at: key.expires_at }
    }
}

/// How to come by a key.
#[derive(Debug, Serialize, ToSchema)]
struct KeyLine {
    /// The line that makes a key, in a shell on the server's machine. A server that other machines reach does not
    /// say where its database lies.
    #[schema(example = "counterpart key --data-dir /srv/twin create --name NAME --role reader")]
    command: String,
}

/// Show how to come by a key
///
/// For whoever has none. It takes a shell on the server's machine, and the rights of the database's owner there.
#[utoipa::path(get, path = "/v1/session/key-command", tag = "keys", responses(
    (status = 200, description = "The line that makes a key", body = KeyLine)))]
async fn line(State(access): State<Access>) -> Response {
    let line = KeyLine { command: access.line.to_string() };
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(line)).into_response()
}

/// Sign in
///
/// Puts a key into a cookie that scripts cannot read and that is sent from pages of this server only. For
/// the dashboard; programs send `Authorization` with each request.
#[utoipa::path(post, path = "/v1/session", tag = "keys", request_body = SessionForm, responses(
    (status = 204, description = "Signed in", headers(("Set-Cookie" = String, description = "The cookie"))),
    (status = 401, description = "The key is not taken", body = Document, content_type = "application/problem+json")))]
async fn begin(
    State(access): State<Access>,
    headers: HeaderMap,
    Json(form): Json<SessionForm>,
) -> Result<Response, Problem> {
    let sent = form.key.trim();
    let key = access.identify(sent).await?.map_err(|refusal| {
        let detail = refusal.to_string();
        Problem::new(problem::KEY_NEEDED, detail.clone()).at("/key", detail)
    })?;
    let left = key.expires_at.map_or(SIGNED_IN, |end| (end - access.clock.now()).min(SIGNED_IN));
    let cookie = cookie(sent, left, &headers)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Show who asks
#[utoipa::path(get, path = "/v1/session", tag = "keys", responses(
    (status = 200, description = "Who asks, and what they may do", body = Session)))]
async fn show(caller: Caller) -> Response {
    let session = match &caller {
        Caller::Anybody => Session { key_needed: false, role: caller.role(), key: None },
        Caller::Key(key) => Session { key_needed: true, role: caller.role(), key: Some(SessionKey::from(&**key)) },
    };
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(session)).into_response()
}

/// Sign out
///
/// Takes the cookie away. The key stays as it is: where it may have been seen by others, revoke it.
#[utoipa::path(delete, path = "/v1/session", tag = "keys", responses(
    (status = 204, description = "Signed out", headers(("Set-Cookie" = String, description = "The end of the cookie")))))]
async fn end(headers: HeaderMap) -> Result<Response, Problem> {
    let cookie = cookie("", TimeDelta::zero(), &headers)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// The cookie for the API alone. Whether the page came encrypted is known from its own origin, which
/// browsers send with each change; no proxy has to be believed.
fn cookie(key: &str, left: TimeDelta, headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let encrypted = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let secure = if encrypted { "; Secure" } else { "" };
    let seconds = left.num_seconds().max(0);
    let text = format!("{COOKIE}={key}; Path=/v1; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::from_str(&text).map_err(|error| Problem::internal(&error))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pairs: &[(header::HeaderName, &'static str)]) -> Option<(String, bool)> {
        let headers: HeaderMap =
            pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        credential(&headers).map(|one| (one.key.to_owned(), one.by_cookie))
    }

    #[test]
    fn a_key_is_found_where_it_may_stand() {
        use header::{AUTHORIZATION, COOKIE};
        let of = |key: &str, by_cookie| Some((key.to_owned(), by_cookie));
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[(AUTHORIZATION, "Bearer cpk_a")]), of("cpk_a", false));
        assert_eq!(found(&[(AUTHORIZATION, "bearer  cpk_a ")]), of("cpk_a", false));
        assert_eq!(found(&[(AUTHORIZATION, "Bearer ")]), of("", false), "a wrong key is no lack of one");
        assert_eq!(found(&[(AUTHORIZATION, "cpk_a")]), None);
        assert_eq!(found(&[(AUTHORIZATION, "Basic cpk_a"), (COOKIE, "counterpart_key=cpk_b")]), of("cpk_b", true));
        assert_eq!(found(&[(COOKIE, "a=b; counterpart_key=cpk_a; c=d")]), of("cpk_a", true));
        assert_eq!(found(&[(COOKIE, "a=b"), (COOKIE, "counterpart_key=cpk_a")]), of("cpk_a", true));
        assert_eq!(found(&[(COOKIE, "xcounterpart_key=cpk_a")]), None);
        assert_eq!(found(&[(COOKIE, "counterpart_key=cpk_a"), (AUTHORIZATION, "Bearer cpk_b")]), of("cpk_b", false));
    }
}
