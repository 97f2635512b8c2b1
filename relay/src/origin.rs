//! Which pages may use what this server has for browsers.

use std::str::FromStr;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use thiserror::Error;

/// Why a text is no origin.
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
pub(crate) struct AllowedOrigins(pub(crate) Vec<OriginRule>);

impl AllowedOrigins {
    /// Checks a request's `Origin`. Requests without one don't come from pages, and are allowed.
    ///
    /// # Errors
    /// The origin that is not allowed.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), String> {
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

/// Whether a page of this origin came from the host that the request is for. The scheme is not compared: a proxy in
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

/// Whether a request to a listener on loopback really means this machine: a page of another site can have its name
/// point here, but then its requests carry that name.
pub(crate) fn host_is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_matches(['[', ']']);
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
}
