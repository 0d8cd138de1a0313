//! Requests that no room should see: malformed, oversized, or under a name that is not ours.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::Response;

use super::Config;
use crate::web::problem::{self, Problem};

/// Bytes of path and query.
const MAX_URI: usize = 8 << 10;
const MAX_HEADERS: usize = 100;
/// Bytes of all headers.
const MAX_HEADER_BYTES: usize = 32 << 10;

/// The host names under which the server may be asked.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    /// `None` allows all.
    known: Option<Arc<[String]>>,
    /// Whether it may be asked under any address; then it asks for keys. Nobody's name is an address.
    addresses: bool,
}

impl Hosts {
    pub(super) fn of(config: &Config) -> Self {
        let named = || config.hosts.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
        Self { known: (!config.insecure).then(named), addresses: config.is_exposed() }
    }

    fn allow(&self, authority: &str) -> bool {
        let Some(known) = &self.known else { return true };
        let host = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        };
        let host = host.to_ascii_lowercase();
        host == "localhost"
            || host.parse().is_ok_and(|ip: IpAddr| self.addresses || ip.is_loopback())
            || known.contains(&host)
    }
}

/// Refuses a name that the server does not know. Otherwise a page from anywhere could let its own
/// name point to this machine and, being of "the same site" then, ask whatever it likes (DNS
/// rebinding).
pub(super) async fn known_host(State(hosts): State<Hosts>, request: Request, next: Next) -> Result<Response, Problem> {
    let authority = request.uri().authority().map(Authority::as_str);
    let named = authority.or_else(|| request.headers().get(header::HOST).and_then(|host| host.to_str().ok()));
    if named.is_none_or(|name| hosts.allow(name)) {
        return Ok(next.run(request).await);
    }
    Err(Problem::new(problem::FORBIDDEN, "the server is not known under the host name of this request"))
}

/// Refuses addresses and headers that are too long or malformed.
pub(super) async fn well_formed(request: Request, next: Next) -> Result<Response, Problem> {
    let uri = request.uri();
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if target.len() > MAX_URI {
        return Err(Problem::new(problem::URI_TOO_LONG, format!("path and query have more than {MAX_URI} bytes")));
    }
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        let detail = format!("there are more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes of them");
        return Err(Problem::new(problem::HEADERS_TOO_LARGE, detail));
    }
    if !escapes_are_whole(target) {
        return Err(Problem::new(problem::BAD_REQUEST, "a % in the address is not followed by two hexadecimal digits"));
    }
    Ok(next.run(request).await)
}

fn escapes_are_whole(target: &str) -> bool {
    let mut escapes = target.split('%');
    escapes.next();
    escapes.all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_and_its_proxy_are_known() {
        let config = Config { hosts: vec!["Twin.Example".to_owned()], ..Config::default() };
        let hosts = Hosts::of(&config);
        for known in
            ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]", "twin.example", "TWIN.example:443"]
        {
            assert!(hosts.allow(known), "{known} was refused");
        }
        for unknown in ["", "evil.example", "localhost.evil.example:8080", "10.0.0.1", "[fe80::1]:80"] {
            assert!(!hosts.allow(unknown), "{unknown} was allowed");
        }
        let exposed = Hosts::of(&Config { bind: "0.0.0.0:0".parse().unwrap(), ..config });
        assert!(exposed.allow("10.0.0.1:8080") && exposed.allow("twin.example") && !exposed.allow("evil.example"));
        assert!(Hosts::of(&Config { insecure: true, ..Config::default() }).allow("evil.example"));
    }

    #[test]
    fn escapes_need_two_digits() {
        assert!(escapes_are_whole("/a%20b?c=%C3%a4"));
        for broken in ["/%", "/%z", "/%zz", "/%2", "/%2g", "/%é", "/a?b=%"] {
            assert!(!escapes_are_whole(broken), "{broken} was taken");
        }
    }
}
