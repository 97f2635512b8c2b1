//! The URLs that a page dials: the control server's, and relays'.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dayfly_node::{DerpAddress, DialError};
use dayfly_wire::ts2021::{HANDSHAKE_HEADER, KEY_PATH, PATH};

/// Limit on the overrides of relays.
pub const MAX_RELAYS: usize = 64;

/// The port that `wss:` means when none is named.
const TLS_PORT: u16 = 443;

/// The base URL of a control server: `http(s)://host[:port][/path]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlUrl {
    /// Without a trailing slash.
    url: String,
    secure: bool,
}

impl ControlUrl {
    /// Reads a base URL. `page_is_secure` says whether the page came over TLS: such a page may open no connection
    /// without TLS but to its own machine.
    ///
    /// # Errors
    /// [`DialError::BadAddress`] when it is not `https:` or `http:`, names no host, has a query or a fragment, or
    /// can't be used from this page.
    pub fn parse(text: &str, page_is_secure: bool) -> Result<Self, DialError> {
        let url = text.trim().trim_end_matches('/');
        let bad = |reason: &str| DialError::BadAddress { url: shown(url), reason: reason.to_owned() };
        let (secure, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            _ => return Err(bad("it has to begin with https://")),
        };
        if rest.contains(['?', '#', '@']) || rest.bytes().any(|c| !c.is_ascii_graphic()) {
            return Err(bad("it may have a host, a port and a path, and nothing else"));
        }
        let host = host_of(rest);
        if host.is_empty() {
            return Err(bad("it names no host"));
        }
        if page_is_secure && !secure && !is_loopback(host) {
            return Err(bad("a page that came over https may not use a server without TLS"));
        }
        let scheme = if secure { "https" } else { "http" };
        Ok(Self { url: format!("{scheme}://{rest}"), secure })
    }

    /// Returns scheme, host, port and path, as they are shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Returns the URL of the server's key for a node of capability version `version`.
    #[must_use]
    pub fn key(&self, version: u16) -> String {
        format!("{}{KEY_PATH}?v={version}", self.url)
    }

    /// Returns the URL at which ts2021 begins, without its parameter.
    #[must_use]
    pub fn ts2021(&self) -> String {
        let (_, rest) = self.url.split_once("://").unwrap_or_default();
        format!("{}://{rest}{PATH}", if self.secure { "wss" } else { "ws" })
    }

    /// Returns the URL of the WebSocket that carries ts2021, with the Noise initiation in its query
    /// (control/controlhttp/client_js.go `Dialer.Dial`, tailscale v1.102.5).
    #[must_use]
    pub fn handshake(&self, initiation: &[u8]) -> String {
        let mut url = self.ts2021();
        url.push('?');
        url.push_str(HANDSHAKE_HEADER);
        url.push('=');
        // In standard base64 these three have a meaning of their own in a query.
        for c in BASE64_STANDARD.encode(initiation).chars() {
            match c {
                '+' => url.push_str("%2B"),
                '/' => url.push_str("%2F"),
                '=' => url.push_str("%3D"),
                _ => url.push(c),
            }
        }
        url
    }

    /// Returns `true` if it is on this machine and without TLS: a set-up for development and tests.
    #[must_use]
    pub fn is_local_and_plain(&self) -> bool {
        !self.secure && self.url.split_once("://").is_some_and(|(_, rest)| is_loopback(host_of(rest)))
    }
}

/// Ways to the relays of a tailnet: as their map says, or through a gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayUrls {
    /// URLs of gateways by the region that they lead to.
    gateways: BTreeMap<u32, String>,
    /// URL of a gateway for every other region.
    any: Option<String>,
    /// Relays on this machine may be without TLS.
    plain_on_loopback: bool,
}

impl RelayUrls {
    /// Reads `ConnectOptions.relays`: from a region's number or `*` to a gateway's URL.
    ///
    /// # Errors
    /// [`DialError::BadAddress`] for a name that is neither, or a URL that is not `wss:` (`ws:` to this machine).
    pub fn parse<'a>(
        relays: impl IntoIterator<Item = (&'a str, &'a str)>,
        control: &ControlUrl,
    ) -> Result<Self, DialError> {
        let mut urls = Self { plain_on_loopback: control.is_local_and_plain(), ..Self::default() };
        for (region, url) in relays.into_iter().take(MAX_RELAYS) {
            let bad = |reason: String| Err(DialError::BadAddress { url: shown(url), reason });
            let number = match region {
                "*" => None,
                _ => match region.parse::<NonZeroU32>() {
                    Ok(number) => Some(number.get()),
                    Err(_) => return bad(format!("{region:?} is neither the number of a region nor *")),
                },
            };
            let usable = match url.split_once("://") {
                Some(("wss", rest)) => !host_of(rest).is_empty(),
                Some(("ws", rest)) => is_loopback(host_of(rest)),
                _ => false,
            };
            if !usable || url.bytes().any(|c| !c.is_ascii_graphic()) || url.contains('#') {
                return bad("the way to a relay has to be a wss:// address".to_owned());
            }
            match number {
                Some(number) => drop(urls.gateways.insert(number, url.to_owned())),
                None => urls.any = Some(url.to_owned()),
            }
        }
        Ok(urls)
    }

    /// Returns the WebSockets to try for a relay, in this order. All but relays on this machine are reached by TLS.
    #[must_use]
    pub fn of(&self, relay: &DerpAddress) -> Vec<String> {
        if let Some(gateway) = self.gateways.get(&relay.region).or(self.any.as_ref()) {
            return vec![through_gateway(gateway, relay.region)];
        }
        let host = if relay.host.contains(':') && !relay.host.starts_with('[') {
            format!("[{}]", relay.host)
        } else {
            relay.host.clone()
        };
        let port = if relay.port == TLS_PORT { String::new() } else { format!(":{}", relay.port) };
        let secure = format!("wss://{host}{port}/derp");
        if self.plain_on_loopback && is_loopback(&host) {
            return vec![format!("ws://{host}:{}/derp", relay.port), secure];
        }
        vec![secure]
    }
}

/// A gateway's URL for one region. Where it names a place and not a relay, the region is added, as `dayfly-relay`
/// has it: `/gateway/derp/REGION`.
fn through_gateway(url: &str, region: u32) -> String {
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    if path.is_empty() {
        format!("{}/gateway/derp/{region}", url.trim_end_matches('/'))
    } else if path.ends_with('/') {
        format!("{url}{region}")
    } else {
        url.to_owned()
    }
}

/// The host of `host[:port][/path]`, IPv6 addresses with their brackets.
fn host_of(rest: &str) -> &str {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.split_once(']') {
        Some((address, _)) if address.starts_with('[') => &authority[..=address.len()],
        _ => authority.split(':').next().unwrap_or_default(),
    }
}

/// Returns `true` if a host is this machine: what browsers call potentially trustworthy (W3C Secure Contexts, 3.1).
fn is_loopback(host: &str) -> bool {
    let is_127 = |host: &str| host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host == "[::1]"
        || is_127(host)
}

/// A piece of an address that is short enough to be shown.
fn shown(url: &str) -> String {
    url.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(url: &str) -> ControlUrl {
        ControlUrl::parse(url, false).unwrap()
    }

    fn relay(host: &str, port: u16) -> DerpAddress {
        DerpAddress { region: 901, host: host.to_owned(), port, insecure_for_tests: true }
    }

    fn urls(control_url: &str, relays: &[(&str, &str)], relay: &DerpAddress) -> Vec<String> {
        RelayUrls::parse(relays.iter().copied(), &control(control_url)).unwrap().of(relay)
    }

    #[test]
    fn a_control_server_keeps_its_port_and_path() {
        let url = control("HTTPS://control.test:8443/tailnet/");
        assert_eq!(url.key(145), "https://control.test:8443/tailnet/key?v=145");
        assert_eq!(url.ts2021(), "wss://control.test:8443/tailnet/ts2021");
        assert_eq!(control(" http://127.0.0.1:8080 ").ts2021(), "ws://127.0.0.1:8080/ts2021");
    }

    #[test]
    fn the_initiation_survives_the_query() {
        // 0xfb 0xff makes `+` and `/`, and the length makes padding.
        let url = control("https://h").handshake(&[0xfb, 0xff, 0xbf, 0xff]);
        assert_eq!(url, "wss://h/ts2021?X-Tailscale-Handshake=%2B%2F%2B%2F%2Fw%3D%3D");
    }

    #[test]
    fn what_is_no_control_server_is_refused() {
        for url in [
            "",
            "control.test",
            "ftp://x",
            "https://",
            "https://:80",
            "https://u@h",
            "https://h?a",
            "https://h h",
        ] {
            assert!(matches!(ControlUrl::parse(url, false), Err(DialError::BadAddress { .. })), "{url}");
        }
    }

    #[test]
    fn a_page_over_tls_stays_with_tls_but_for_its_own_machine() {
        assert!(ControlUrl::parse("http://control.test", true).is_err());
        assert!(ControlUrl::parse("http://control.test", false).is_ok());
        for local in ["http://localhost:1", "http://127.8.0.1", "http://[::1]:80/x", "https://control.test"] {
            assert!(ControlUrl::parse(local, true).is_ok(), "{local}");
        }
    }

    #[test]
    fn relays_are_reached_by_tls() {
        let https = "https://control.test";
        assert_eq!(urls(https, &[], &relay("derp.test", 443)), ["wss://derp.test/derp"]);
        assert_eq!(urls(https, &[], &relay("derp.test", 8443)), ["wss://derp.test:8443/derp"]);
        assert_eq!(urls(https, &[], &relay("fd00::1", 443)), ["wss://[fd00::1]/derp"]);
        assert_eq!(urls(https, &[], &relay("127.0.0.1", 1)), ["wss://127.0.0.1:1/derp"]);
        assert_eq!(urls("http://10.0.0.1", &[], &relay("127.0.0.1", 1)), ["wss://127.0.0.1:1/derp"]);
    }

    #[test]
    fn beside_a_plain_control_server_of_this_machine_a_relay_may_be_plain_too() {
        let local = "http://127.0.0.1:8080";
        assert_eq!(
            urls(local, &[], &relay("localhost", 443)),
            ["ws://localhost:443/derp", "wss://localhost/derp"]
        );
        assert_eq!(urls(local, &[], &relay("derp.test", 443)), ["wss://derp.test/derp"]);
    }

    #[test]
    fn a_gateway_replaces_the_way_to_its_regions() {
        let relays = [("901", "wss://g.test/derp?region=901"), ("*", "wss://any.test/")];
        let https = "https://control.test";
        assert_eq!(urls(https, &relays, &relay("x", 1)), ["wss://g.test/derp?region=901"]);
        let other = DerpAddress { region: 7, ..relay("x", 1) };
        assert_eq!(urls(https, &relays, &other), ["wss://any.test/gateway/derp/7"]);
        assert_eq!(urls(https, &[("7", "wss://a/b/")], &other), ["wss://a/b/7"]);
        assert_eq!(urls(https, &[("7", "ws://127.0.0.1:9")], &other), ["ws://127.0.0.1:9/gateway/derp/7"]);
    }

    #[test]
    fn overrides_that_lead_nowhere_are_refused() {
        let control = control("https://control.test");
        for (region, url) in [
            ("x", "wss://h"),
            ("0", "wss://h"),
            ("-1", "wss://h"),
            ("1", "https://h"),
            ("1", "ws://h"),
            ("1", "wss://"),
        ] {
            assert!(RelayUrls::parse([(region, url)], &control).is_err(), "{region} {url}");
        }
    }
}
