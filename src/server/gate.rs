//! Who may pass: every request is checked here against the key that it brings and the table of rights.

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::{Config, rights};
use crate::access::routes::credential;
use crate::access::{Access, Caller, Right};
use crate::web::problem::{self, Problem};

/// What the gate knows of its server.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    access: Access,
    /// Other machines reach the server, and nobody said that this may be without keys.
    exposed: bool,
}

impl Gate {
    pub(super) fn new(access: Access, config: &Config) -> Self {
        Self { access, exposed: config.is_exposed() }
    }

    /// Who sends a request that needs something.
    async fn caller(&self, request: &Parts) -> Result<Caller, Problem> {
        if self.access.is_open(self.exposed).await? {
            return Ok(Caller::Anybody);
        }
        let refuse = |detail: String| Problem::new(problem::KEY_NEEDED, detail);
        let sent = credential(&request.headers).ok_or_else(|| refuse("the request brings no key".to_owned()))?;
        let key = self.access.identify(sent.key).await?.map_err(|refusal| refuse(refusal.to_string()))?;
        if sent.by_cookie && !request.method.is_safe() && !from_own_page(request) {
            let detail = "a request that changes something brings a key in a cookie only from pages of this server";
            return Err(Problem::new(problem::FORBIDDEN, detail));
        }
        Ok(Caller::Key(key))
    }
}

/// Lets a request through whose sender may have what it asks for, and says who that is.
pub(super) async fn admitted(State(gate): State<Gate>, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let route = parts.extensions.get::<MatchedPath>();
    let right = rights::needed(&parts.method, route.map(MatchedPath::as_str), parts.uri.path());
    if right == Right::Open {
        return Ok(next.run(Request::from_parts(parts, body)).await);
    }
    let caller = gate.caller(&parts).await?;
    let changes = matches!(right, Right::Operate | Right::Administer) && !parts.method.is_safe();
    let trail = changes.then(|| gate.access.pending(&caller, parts.method.as_str(), parts.uri.path()));
    let response = if right.roles().contains(&caller.role()) {
        parts.extensions.insert(caller);
        next.run(Request::from_parts(parts, body)).await
    } else {
        let (roles, own) = (right.in_words(), caller.role().name());
        let detail = format!("this takes a key with the role {roles}; yours has {own}");
        Problem::new(problem::ROLE_NEEDED, detail).into_response()
    };
    if let Some(trail) = trail {
        trail.answered(response.status().as_u16());
    }
    Ok(response)
}

/// Whether a browser says that a page of this server sent it. The layer against foreign pages lets
/// pass what does not come from a browser at all; with a cookie that cannot be.
fn from_own_page(request: &Parts) -> bool {
    let headers = &request.headers;
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = request.uri.authority().map(Authority::as_str).or_else(|| text(header::HOST));
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    origin.is_some() && origin == host
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;

    #[test]
    fn only_a_browser_vouches_for_a_page() {
        let own = |headers: &[(&str, &str)]| {
            let request = headers
                .iter()
                .fold(Request::builder().method(Method::POST), |r, (name, value)| r.header(*name, *value));
            from_own_page(&request.uri("/v1/assets").body(()).unwrap().into_parts().0)
        };
        assert!(own(&[("host", "twin:8080"), ("sec-fetch-site", "same-origin")]));
        assert!(own(&[("host", "twin:8080"), ("origin", "http://twin:8080")]));
        for foreign in [
            &[("host", "twin:8080")][..],
            &[("host", "twin:8080"), ("origin", "null")],
            &[("host", "twin:8080"), ("origin", "http://twin:9090")],
            &[("host", "twin:8080"), ("origin", "http://evil")],
            &[("host", "twin:8080"), ("sec-fetch-site", "same-site"), ("origin", "http://twin:8080")],
            &[("host", "twin:8080"), ("sec-fetch-site", "none")],
            &[("origin", "http://twin:8080")],
        ] {
            assert!(!own(foreign), "{foreign:?}");
        }
    }
}
