//! Where events may be sent: the guard against requests that a server is talked into making (SSRF).
//!
//! A name is resolved once and the connection goes to the very address that was checked, so that a name
//! that points elsewhere a moment later gains nothing. Addresses that are not public are refused, whatever
//! they are called, unless a setting lists their network. Held at registration and at every attempt.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use ipnet::IpNet;
use url::{Host, Position, Url};

/// Characters of an address at most.
pub const MAX_URL: usize = 2_000;

/// Networks that are not public, and what they are. What is not here and below `2000::/3` is public.
const CLOSED: &[(&str, &str)] = &[
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by a carrier's customers"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "for documentation"),
    ("192.88.99.0/24", "a relay to IPv6"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "an IPv4 address in disguise"),
    ("::/96", "an IPv4 address in disguise"),
    ("64:ff9b::/96", "translated to IPv4"),
    ("64:ff9b:1::/48", "translated to IPv4"),
    ("100::/64", "discarded"),
    ("2001::/23", "reserved"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "a tunnel to IPv4"),
    ("3fff::/20", "for documentation"),
    ("5f00::/16", "reserved"),
    ("fc00::/7", "unique to a site"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "private"),
    ("ff00::/8", "multicast"),
];
/// All public IPv6 addresses lie in here.
const PUBLIC_V6: &str = "2000::/3";

static CLOSED_NETWORKS: LazyLock<Vec<(IpNet, &str)>> = LazyLock::new(|| {
    let network = |(text, what): &(&str, &'static str)| (text.parse().expect("a network of ours"), *what);
    CLOSED.iter().map(network).collect()
});
static PUBLIC_V6_NETWORK: LazyLock<IpNet> = LazyLock::new(|| PUBLIC_V6.parse().expect("a network of ours"));

/// What may be connected to.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Whether plain HTTP is taken.
    pub allow_http: bool,
    /// Networks that are allowed although they are not public.
    pub networks: Vec<IpNet>,
    /// How names become addresses.
    pub names: Names,
}

/// Resolves names: by the system, or as a test says.
#[derive(Clone, Debug, Default)]
pub struct Names(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Fixed(Arc<Mutex<HashMap<String, Vec<IpAddr>>>>),
}

/// An address that may be tried, once its name has been resolved.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// As it stands in the header.
    pub(super) authority: String,
    pub(super) path: String,
}

/// Why nothing is sent there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No address at all.
    #[error("is not an absolute URL of at most {MAX_URL} characters")]
    Syntax,
    /// Something else than HTTP.
    #[error("must begin with https://")]
    Scheme,
    /// HTTP without TLS.
    #[error("must begin with https://; this server sends nothing without encryption (webhook-allow-http)")]
    Plain,
    /// Somebody's password.
    #[error("must not hold a user name or a password")]
    Credentials,
    /// What no server ever sees.
    #[error("must not hold a fragment")]
    Fragment,
    /// A name that leads nowhere.
    #[error("{0} cannot be resolved to an address")]
    Unresolved(String),
    /// An address that is not public.
    #[error("{0} is no public address but {1}, and its network is not allowed (webhook-networks)")]
    Closed(IpAddr, &'static str),
}

impl Names {
    /// Names that lead where a test says.
    #[must_use]
    pub fn fixed() -> Self {
        Self(Source::Fixed(Arc::default()))
    }

    /// Makes a fixed name lead elsewhere; the system's are not ours.
    pub fn point(&self, name: &str, addresses: &[IpAddr]) {
        if let Source::Fixed(known) = &self.0 {
            known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), addresses.to_vec());
        }
    }

    async fn resolve(&self, name: &str, port: u16) -> Vec<IpAddr> {
        match &self.0 {
            Source::Fixed(known) => {
                known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default()
            }
            Source::System => match tokio::net::lookup_host((name, port)).await {
                Ok(found) => found.map(|address| address.ip()).collect(),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a receiver's name was not resolved");
                    Vec::new()
                }
            },
        }
    }
}

impl Guard {
    /// Reads an address and refuses what its text alone forbids.
    pub(super) fn target(&self, text: &str) -> Result<Target, Refused> {
        if text.len() > MAX_URL || text.chars().any(char::is_control) {
            return Err(Refused::Syntax);
        }
        let url = Url::parse(text).map_err(|_| Refused::Syntax)?;
        let tls = match url.scheme() {
            "https" => true,
            "http" if self.allow_http => false,
            "http" => return Err(Refused::Plain),
            _ => return Err(Refused::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        if url.fragment().is_some() {
            return Err(Refused::Fragment);
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else { return Err(Refused::Syntax) };
        Ok(Target {
            host: host.to_owned(),
            port,
            tls,
            authority: url[Position::BeforeHost..Position::AfterPort].to_owned(),
            path: url[Position::BeforePath..Position::AfterQuery].to_owned(),
        })
    }

    /// The addresses that may be connected to. Refuses when there is none.
    pub(super) async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, Refused> {
        let found = match &target.host {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => self.names.resolve(name, target.port).await,
        };
        let (mut open, mut closed) = (Vec::new(), None);
        for address in found {
            match self.closed(address) {
                None => open.push(SocketAddr::new(address, target.port)),
                Some(what) => closed = closed.or(Some(Refused::Closed(address, what))),
            }
        }
        match closed {
            _ if !open.is_empty() => Ok(open),
            Some(refused) => Err(refused),
            None => Err(Refused::Unresolved(target.host.to_string())),
        }
    }

    /// What an address is, if it must not be connected to.
    fn closed(&self, address: IpAddr) -> Option<&'static str> {
        if self.networks.iter().any(|network| network.contains(&address)) {
            return None;
        }
        let known = CLOSED_NETWORKS.iter().find(|(network, _)| network.contains(&address)).map(|(_, what)| *what);
        let foreign = address.is_ipv6() && !PUBLIC_V6_NETWORK.contains(&address);
        known.or(foreign.then_some("reserved"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard { allow_http: true, ..Guard::default() }
    }

    #[tokio::test]
    async fn every_kind_of_address_that_is_not_public_is_refused() {
        for (address, what) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("169.254.169.254", "link-local"),
            ("100.64.0.1", "shared by a carrier's customers"),
            ("100.127.255.255", "shared by a carrier's customers"),
            ("192.0.0.8", "reserved"),
            ("192.0.2.1", "for documentation"),
            ("198.18.0.1", "for benchmarks"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("[::]", "unspecified"),
            ("[::1]", "loopback"),
            ("[::ffff:127.0.0.1]", "an IPv4 address in disguise"),
            ("[::ffff:8.8.8.8]", "an IPv4 address in disguise"),
            ("[::7f00:1]", "an IPv4 address in disguise"),
            ("[64:ff9b::a9fe:a9fe]", "translated to IPv4"),
            ("[64:ff9b:1::1]", "translated to IPv4"),
            ("[2002:7f00:1::]", "a tunnel to IPv4"),
            ("[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "reserved"),
            ("[2001:db8::1]", "for documentation"),
            ("[fc00::1]", "unique to a site"),
            ("[fd12:3456::1]", "unique to a site"),
            ("[fe80::1]", "link-local"),
            ("[ff02::1]", "multicast"),
            ("[4000::1]", "reserved"),
            // Other ways to write 127.0.0.1 and 169.254.169.254.
            ("127.1", "loopback"),
            ("0x7f000001", "loopback"),
            ("2130706433", "loopback"),
            ("0177.0.0.1", "loopback"),
            ("2852039166", "link-local"),
            ("①②⑦.0.0.1", "loopback"),
        ] {
            let target = guard().target(&format!("https://{address}/hook")).unwrap();
            match guard().addresses(&target).await {
                Err(Refused::Closed(_, found)) => assert_eq!(found, what, "{address}"),
                other => panic!("{address}: {other:?}"),
            }
        }
        for public in ["8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.167.1.1", "[2606:4700::1111]"] {
            let target = guard().target(&format!("https://{public}/")).unwrap();
            assert_eq!(guard().addresses(&target).await.map(|found| found.len()), Ok(1), "{public}");
        }
    }

    #[tokio::test]
    async fn a_name_is_what_it_resolves_to() {
        let names = Names::fixed();
        let guard = Guard { names: names.clone(), ..guard() };
        let target = guard.target("https://receiver.example/").unwrap();
        let unresolved = Refused::Unresolved("receiver.example".to_owned());
        assert_eq!(guard.addresses(&target).await, Err(unresolved));
        names.point("receiver.example", &["10.0.0.1".parse().unwrap(), "fe80::1".parse().unwrap()]);
        assert_eq!(guard.addresses(&target).await, Err(Refused::Closed("10.0.0.1".parse().unwrap(), "private")));
        // Of several only the public ones are tried.
        names.point("receiver.example", &["10.0.0.1".parse().unwrap(), "8.8.8.8".parse().unwrap()]);
        assert_eq!(guard.addresses(&target).await, Ok(vec!["8.8.8.8:443".parse().unwrap()]));
        let local = Guard::default();
        let target = local.target("https://localhost/").unwrap();
        assert!(matches!(local.addresses(&target).await, Err(Refused::Closed(_, "loopback"))));
    }

    #[tokio::test]
    async fn a_listed_network_is_allowed_and_no_other() {
        let networks = vec!["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let guard = Guard { networks, ..guard() };
        for (address, allowed) in [("10.1.2.3", true), ("10.2.2.3", false), ("[fd00::1]", true), ("[fc00::1]", false)] {
            let target = guard.target(&format!("https://{address}/")).unwrap();
            assert_eq!(guard.addresses(&target).await.is_ok(), allowed, "{address}");
        }
        // A disguise does not make it another network.
        let target = guard.target("https://[::ffff:10.1.2.3]/").unwrap();
        assert!(guard.addresses(&target).await.is_err());
    }

    #[test]
    fn a_text_is_refused_for_what_it_says() {
        let strict = Guard::default();
        for (text, refused) in [
            ("", Refused::Syntax),
            ("receiver.example/hook", Refused::Syntax),
            ("https://", Refused::Syntax),
            ("https://a b/", Refused::Syntax),
            ("https://receiver.example/\0", Refused::Syntax),
            ("https://receiver.example:99999/", Refused::Syntax),
            ("ftp://receiver.example/", Refused::Scheme),
            ("file:///etc/passwd", Refused::Scheme),
            ("gopher://receiver.example/", Refused::Scheme),
            ("javascript:alert(1)", Refused::Scheme),
            ("http://receiver.example/", Refused::Plain),
            ("https://ada:secret@receiver.example/", Refused::Credentials),
            ("https://ada@receiver.example/", Refused::Credentials),
            ("https://receiver.example/#part", Refused::Fragment),
        ] {
            assert_eq!(strict.target(text).err(), Some(refused), "{text}");
        }
        assert_eq!(strict.target(&format!("https://a.example/{}", "a".repeat(MAX_URL))).err(), Some(Refused::Syntax));
        let target = strict.target("https://Receiver.example:8443/hook?a=b%20c").unwrap();
        assert_eq!((&*target.authority, &*target.path), ("receiver.example:8443", "/hook?a=b%20c"));
        assert_eq!((target.port, target.tls), (8443, true));
        let plain = guard().target("http://receiver.example").unwrap();
        assert_eq!((&*plain.authority, &*plain.path, plain.port, plain.tls), ("receiver.example", "/", 80, false));
    }
}
