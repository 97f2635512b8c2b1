//! What a process is told to be.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use dayfly_wire::key::{MachinePublic, NodePrivate};
use serde::Serialize;

pub use crate::derp::ClientRate;
pub use crate::origin::{HostName, HostNameError, OriginError, OriginRule};
pub use crate::upstream::{UpstreamUrl, UpstreamUrlError};
pub use crate::www::PageHeaders;

/// Everything that can be set.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where HTTP (or HTTPS, with [`tls`](Self::tls)) is served. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Where metrics are served, by HTTP.
    pub metrics_listen: Option<SocketAddr>,
    /// Lets a new process listen on the same ports before this one is gone.
    pub reuse_port: bool,
    /// TLS; plain HTTP without it.
    pub tls: Option<TlsFiles>,
    /// Serves plain HTTP on addresses that others can reach, where something in front speaks TLS.
    pub allow_plain_http: bool,
    /// Names by which something in front asks for this server. Without TLS, requests on loopback have to name one of
    /// them, the machine itself, or the host of an origin that may use the gateway; and requests on all addresses, once
    /// this is not empty.
    pub public_hosts: Vec<HostName>,
    /// The relay; none without it.
    pub derp: Option<DerpConfig>,
    /// Where the gateway leads; nowhere by default.
    pub gateway: GatewayConfig,
    /// The page; none without it.
    pub page: PageConfig,
    /// How much at once.
    pub limits: Limits,
}

/// Files with a certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, followed by those that lead to its authority.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
}

/// What a relay is told.
#[derive(Clone, Debug)]
pub struct DerpConfig {
    /// The relay's key.
    pub key: NodePrivate,
    /// Where STUN is served.
    pub stun_listen: Vec<SocketAddr>,
    /// Whom to ask about clients.
    pub verify_url: Option<UpstreamUrl>,
    /// Lets clients in when that server cannot be asked.
    pub verify_fail_open: bool,
    /// How much is read from one client.
    pub client_rate: Option<ClientRate>,
}

/// Where the gateway leads.
#[derive(Clone, Debug, Default)]
pub struct GatewayConfig {
    /// The control server.
    pub control: Option<UpstreamUrl>,
    /// The control server's key, which the page is told to take no other for.
    pub control_key: Option<MachinePublic>,
    /// Relays by region; region 0 stands for requests that name no other.
    pub relays: Vec<(u32, UpstreamUrl)>,
    /// Pages that may use it, besides those that come from this server.
    pub allow_origins: Vec<OriginRule>,
    /// Authorities of upstreams' certificates, besides those that the system trusts, or these certificates themselves
    /// (PEM).
    pub upstream_ca: Vec<PathBuf>,
}

impl GatewayConfig {
    /// The settings of a page that comes from this server and has none of its own: the ways through this gateway.
    /// `None` where it leads nowhere.
    pub(crate) fn page_settings(&self) -> Option<String> {
        if self.control.is_none() && self.relays.is_empty() {
            return None;
        }
        let relays = self.relays.iter().map(|(region, _)| match region {
            0 => ("*".to_owned(), "/gateway/derp/".to_owned()),
            region => (region.to_string(), format!("/gateway/derp/{region}")),
        });
        let relays: BTreeMap<String, String> = relays.collect();
        let settings = PageSettings {
            control_url: self.control.as_ref().map(|_| "/"),
            control_key: self.control_key.as_ref().map(ToString::to_string),
            relays,
        };
        serde_json::to_string(&settings).ok()
    }
}

/// What the page reads from `config.json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    control_url: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control_key: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    relays: BTreeMap<String, String>,
}

/// The page.
#[derive(Clone, Debug, Default)]
pub struct PageConfig {
    /// The directory that is served.
    pub www: Option<PathBuf>,
    /// The file that is served as `/config.json`.
    pub config: Option<PathBuf>,
    /// Its headers.
    pub headers: PageHeaders,
}

/// How much at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How many connections may be open. Further ones are closed at once.
    pub max_connections: usize,
    /// How many connections are accepted in a second; further ones wait in the system's queue.
    pub accept_per_second: u32,
    /// How long a process that ends may take to let its clients go.
    pub drain: Duration,
}

impl Config {
    /// All servers that the process may connect to.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &UpstreamUrl> {
        let relays = self.gateway.relays.iter().map(|(_, url)| url);
        let verifier = self.derp.iter().filter_map(|derp| derp.verify_url.as_ref());
        self.gateway.control.iter().chain(relays).chain(verifier)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections: 65_536, accept_per_second: 2_000, drain: Duration::from_secs(5) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_of_the_ways_through_its_gateway() {
        let upstream: UpstreamUrl = "http://10.0.0.3:8444".parse().unwrap();
        let mut gateway = GatewayConfig::default();
        assert_eq!(gateway.page_settings(), None);
        gateway.relays = vec![(0, upstream.clone()), (900, upstream.clone())];
        let relays = r#""relays":{"*":"/gateway/derp/","900":"/gateway/derp/900"}"#;
        assert_eq!(gateway.page_settings().as_deref(), Some(format!("{{{relays}}}").as_str()));
        gateway.control = Some(upstream);
        assert_eq!(gateway.page_settings(), Some(format!(r#"{{"controlUrl":"/",{relays}}}"#)));
        let key = format!("mkey:{}", "1a".repeat(32));
        gateway.control_key = Some(key.parse().unwrap());
        let pinned = format!(r#"{{"controlUrl":"/","controlKey":"{key}",{relays}}}"#);
        assert_eq!(gateway.page_settings(), Some(pinned));
    }
}
