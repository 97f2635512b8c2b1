//! Pages that may use a server, and names by which it may be asked for.

use std::str::FromStr;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use thiserror::Error;

/// A text is no origin.
#[derive(Debug, Error)]
#[error("{0:?} is not an origin: it looks like https://host or https://host:port, or * for all")]
pub struct OriginError(String);

/// An origin that is allowed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OriginRule {
    /// Every page, of whichever site.
    Any,
    /// The pages of one origin.
    Exactly(String),
}

impl FromStr for OriginRule {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        match parts(text) {
            Some(_) => Ok(Self::Exactly(text.to_ascii_lowercase())),
            None => Err(OriginError(text.to_owned())),
        }
    }
}

/// Scheme and authority of a web origin.
fn parts(origin: &str) -> Option<(&str, &str)> {
    let (scheme, authority) = origin.split_once("://")?;
    let plain =
        !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' ', ',', ';', '\'', '"', '\\']);
    (plain && matches!(scheme, "http" | "https")).then_some((scheme, authority))
}

/// The origins that are allowed, besides this server's own.
#[derive(Clone, Debug, Default)]
pub struct AllowedOrigins(pub Vec<OriginRule>);

impl AllowedOrigins {
    /// Checks a request's `Origin`. Requests without one don't come from pages, and are allowed.
    ///
    /// # Errors
    /// The origin that is not allowed.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), String> {
        let Some(origin) = headers.get(ORIGIN) else {
            return Ok(());
        };
        let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        let allowed = self.0.iter().any(|rule| match rule {
            OriginRule::Any => true,
            OriginRule::Exactly(allowed) => *allowed == origin,
        });
        if allowed || is_own(&origin, headers) { Ok(()) } else { Err(origin) }
    }
}

/// Returns `true` if a page of this origin came from the host that the request is for. The scheme is not compared: a proxy in
/// front may be the one that speaks TLS.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let (Some((scheme, authority)), Some(host)) = (parts(origin), headers.get(HOST)) else {
        return false;
    };
    let Ok(host) = host.to_str() else { return false };
    let default = if scheme == "https" { ":443" } else { ":80" };
    let bare = |authority: &str| authority.strip_suffix(default).unwrap_or(authority).to_ascii_lowercase();
    bare(authority) == bare(host)
}

/// A text is no host's name.
#[derive(Debug, Error)]
#[error("{0:?} is not a host's name: it looks like relay.example.com, without a scheme and without a port")]
pub struct HostNameError(String);

/// A host's name in lower case, without a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostName(String);

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if text.is_empty() || !text.bytes().all(plain) {
            return Err(HostNameError(text.to_owned()));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// The names by which requests may ask for this server, besides those of the machine itself.
///
/// A page of another site can have its own name point to an address of this machine (DNS rebinding). For the browser it
/// is then of this server's origin, and may ask for and read all that is here; but its requests carry that name.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts {
    names: Vec<String>,
    /// Some were given for their own sake.
    are_given: bool,
}

impl AllowedHosts {
    /// Allows the names that were given, and those of origins whose pages may use the server.
    pub fn new(given: &[HostName], origins: &[OriginRule]) -> Self {
        let of_origins = origins.iter().filter_map(|rule| match rule {
            OriginRule::Any => None,
            OriginRule::Exactly(origin) => parts(origin).map(|(_, authority)| without_port(authority)),
        });
        let names = given.iter().map(|name| name.0.as_str()).chain(of_origins).map(str::to_owned).collect();
        Self { names, are_given: !given.is_empty() }
    }

    /// Returns `true` if requests on a plain listener have to name their host: always on loopback, which pages of other sites
    /// reach by the browser, and elsewhere once it was told which names are right. Nobody else has a certificate for
    /// their name here, so that TLS needs no such check.
    pub const fn are_checked(&self, loopback: bool) -> bool {
        loopback || self.are_given
    }

    /// Returns `true` if a request asks for this server by one of these names, or by an address or name of the machine.
    pub fn allow(&self, headers: &HeaderMap) -> bool {
        let name = host_name(headers);
        name.is_some_and(|name| {
            is_local(name) || self.names.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
        })
    }
}

/// Returns `true` if a request to a listener on loopback really means this machine.
pub fn host_is_local(headers: &HeaderMap) -> bool {
    host_name(headers).is_some_and(is_local)
}

/// The host that a request asks for, without its port.
fn host_name(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST).and_then(|host| host.to_str().ok()).map(without_port)
}

fn without_port(authority: &str) -> &str {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    name.trim_matches(['[', ']'])
}

/// Returns `true` if no name server decides where this leads.
fn is_local(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    fn allowed(rules: &[&str], host: &str, origin: Option<&str>) -> bool {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        AllowedOrigins(rules).check(&headers(host, origin)).is_ok()
    }

    #[test]
    fn a_page_may_use_the_server_that_it_came_from() {
        assert!(allowed(&[], "relay.example", Some("https://relay.example")));
        assert!(allowed(&[], "relay.example:443", Some("https://Relay.example")));
        assert!(allowed(&[], "127.0.0.1:8443", Some("http://127.0.0.1:8443")));
        assert!(allowed(&[], "relay.example", None));
    }

    #[test]
    fn other_pages_may_not_unless_they_are_named() {
        assert!(!allowed(&[], "relay.example", Some("https://evil.example")));
        assert!(!allowed(&[], "relay.example:8443", Some("https://relay.example")));
        assert!(!allowed(&[], "relay.example", Some("null")));
        assert!(!allowed(
            &["https://page.example"],
            "relay.example",
            Some("https://page.example.evil.example")
        ));
        assert!(allowed(&["https://page.example"], "relay.example", Some("https://page.example")));
        assert!(allowed(&["*"], "relay.example", Some("null")));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in ["page.example", "https://page.example/", "https://", "https://a, https://b", ""] {
            assert!(text.parse::<OriginRule>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_point_here_are_not_this_machine() {
        assert!(!host_is_local(&headers("evil.example:9090", None)));
        assert!(!host_is_local(&headers("localhost.evil.example", None)));
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:9090", "[::1]:9090", "[::1]"] {
            assert!(host_is_local(&headers(host, None)), "{host}");
        }
    }

    #[test]
    fn a_server_is_asked_for_by_names_that_it_was_told() {
        let given: HostName = "Relay.example".parse().unwrap();
        let origins = ["https://page.example:8443", "*"].map(|rule| rule.parse().unwrap());
        let hosts = AllowedHosts::new(&[given], &origins);
        for host in ["relay.example", "RELAY.example:443", "page.example", "localhost:8443", "[::1]:8443"] {
            assert!(hosts.allow(&headers(host, None)), "{host}");
        }
        for host in ["evil.example", "relay.example.evil.example", "x.relay.example", ""] {
            assert!(!hosts.allow(&headers(host, None)), "{host}");
        }
        assert!(!hosts.allow(&HeaderMap::new()));
        for text in ["", "https://relay.example", "relay.example:443", "*", "relay example"] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_checked_on_loopback_and_wherever_they_were_given() {
        let origins = ["https://page.example".parse().unwrap()];
        let given = ["relay.example".parse().unwrap()];
        let checked = |given: &[HostName]| {
            [true, false].map(|loopback| AllowedHosts::new(given, &origins).are_checked(loopback))
        };
        assert_eq!((checked(&[]), checked(&given)), ([true, false], [true, true]));
    }
}
