//! Settings of a process.

use std::net::SocketAddr;

pub use dayfly_http::client::{ServerUrl, ServerUrlError};
pub use dayfly_http::origin::{HostName, HostNameError, OriginError, OriginRule};
pub use dayfly_http::server::Limits;
pub use dayfly_http::tls::TlsFiles;

pub use crate::derp::{ClientRate, DerpConfig};
pub use crate::gateway::{GatewayConfig, RelayRegion};
pub use crate::site::{PageConfig, PageHeaders};
pub use crate::stun::StunConfig;

/// Everything that can be set. Each part has a field of its own.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Addresses where HTTP (or HTTPS, with [`tls`](Self::tls)) is served. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Address where metrics are served, by HTTP.
    pub metrics_listen: Option<SocketAddr>,
    /// Lets a new process listen on the same ports before this one has ended.
    pub reuse_port: bool,
    /// TLS; plain HTTP without it.
    pub tls: Option<TlsFiles>,
    /// Serves plain HTTP on addresses that others can reach, where something in front speaks TLS.
    pub allow_plain_http: bool,
    /// Names by which something in front asks for this server. Without TLS, requests on loopback have to name one of
    /// them, the machine itself, or the host of an origin that may use the gateway; and requests on all addresses, once
    /// this is not empty.
    pub public_hosts: Vec<HostName>,
    /// Bounds on what is served at once.
    pub limits: Limits,
    /// The relay; none without it.
    pub derp: Option<DerpConfig>,
    /// STUN; on no address by default.
    pub stun: StunConfig,
    /// The servers that the gateway leads to; none by default.
    pub gateway: GatewayConfig,
    /// The page; none by default.
    pub page: PageConfig,
}

impl Config {
    /// All servers that the process may connect to.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &ServerUrl> {
        let relays = self.gateway.relays.iter().map(|(_, url)| url);
        let verifier = self.derp.iter().filter_map(|derp| derp.verify_url.as_ref());
        self.gateway.control.iter().chain(relays).chain(verifier)
    }
}
