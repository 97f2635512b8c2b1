//! One process: puts its parts together, serves them, and ends them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dayfly_http::client::ServerUrl;
use dayfly_http::origin::AllowedHosts;
use dayfly_http::tls::{Certificate, Trust};
use dayfly_http::{Registry, Router, Routes, Server, ServerConfig};
use dayfly_wire::key::NodePublic;

use crate::config::Config;
use crate::derp::{self, Restart};
use crate::error::StartError;
use crate::gateway::Gateway;
use crate::probes;
use crate::site::Site;
use crate::stun::Stun;

/// Time within which clients of a relay that goes down should come back, so that they don't come all at once.
const RECONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Time for which they should try.
const TRY_FOR: Duration = Duration::from_secs(30);

/// Addresses where a process really listens.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Addresses {
    /// HTTP or HTTPS.
    pub http: Vec<SocketAddr>,
    /// STUN.
    pub stun: Vec<SocketAddr>,
    /// Metrics.
    pub metrics: Option<SocketAddr>,
}

/// A relay, a gateway and a page, as far as they are configured, on one process' listeners.
#[derive(Debug)]
pub struct Relay {
    server: Server,
    router: Router,
    stun: Stun,
    derp: Option<Arc<derp::Server>>,
    reloader: Reloader,
    addresses: Addresses,
}

impl Relay {
    /// Reads all files and listens. Nothing is answered before [`run`](Self::run). In a Tokio runtime only.
    ///
    /// # Errors
    /// When a file cannot be read, an address is taken, or plain HTTP would be reachable by others.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        Self::bind_with(config, |_| [])
    }

    /// Does what [`bind`](Self::bind) does, and serves the routes of other parts beside the relay's. `more` makes them,
    /// and their metrics in the process' registry.
    ///
    /// # Errors
    /// As [`bind`](Self::bind), and when two parts want to answer the same path.
    pub fn bind_with<R>(config: Config, more: impl FnOnce(&Registry) -> R) -> Result<Self, StartError>
    where
        R: IntoIterator<Item = Routes>,
    {
        let registry = Registry::new("dayfly");
        let site = Arc::new(Site::load(config.page.clone(), config.gateway.page_settings())?);
        let trust = trust(&config)?;
        let gateway = Gateway::new(&config.gateway, &trust, &registry);
        let derp_metrics = derp::Metrics::new(&registry);
        let derp = config.derp.map(|derp| Arc::new(derp::Server::configured(derp, &trust, derp_metrics)));
        let extra_chain = derp.as_ref().map(|derp| derp::meta_certificate::chain(*derp.public_key()));
        let certificate = config.tls.map(|files| Certificate::load(files, extra_chain)).transpose()?;

        let mut parts = vec![probes::routes(), site.routes()];
        parts.extend(derp.as_ref().map(derp::routes::routes));
        parts.extend(gateway.routes(derp.is_some()));
        parts.extend(more(&registry));
        let router = Router::new(parts)?;

        let server = ServerConfig {
            listen: config.listen,
            metrics_listen: config.metrics_listen,
            reuse_port: config.reuse_port,
            certificate: certificate.clone(),
            allow_plain_http: config.allow_plain_http,
            hosts: AllowedHosts::new(&config.public_hosts, &config.gateway.allow_origins),
            limits: config.limits,
        };
        let server = Server::bind(server, &registry)?;
        let stun = Stun::bind(&config.stun, config.reuse_port, &registry)?;
        let addresses = Addresses {
            http: server.http_addresses(),
            stun: stun.addresses(),
            metrics: server.metrics_address(),
        };
        site.compress();
        let reloader = Reloader { certificate, site };
        Ok(Self { server, router, stun, derp, reloader, addresses })
    }

    /// Addresses where it listens, with the ports that were taken for 0.
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The relay's public key, if it is a relay.
    pub fn derp_key(&self) -> Option<NodePublic> {
        self.derp.as_ref().map(|derp| *derp.public_key())
    }

    /// A handle that has it read its certificate and its page again.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Serves until `shutdown` is ready, then has clients of the relay come back later, and ends when all
    /// connections have ended or [`Limits::drain`](crate::config::Limits::drain) is over.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { server, router, stun, derp, .. } = self;
        let closing = server.closing();
        let beside = async move {
            tokio::select! {
                () = stun.serve() => {}
                () = closing.wait() => {}
            }
            if let Some(derp) = derp {
                derp.restart(Restart { reconnect_within: RECONNECT_WITHIN, try_for: TRY_FOR });
            }
        };
        tokio::join!(server.run(Arc::new(router), shutdown), beside);
    }
}

/// Reads which certificates of upstreams are trusted. A process that reaches none by https saves the time and memory.
fn trust(config: &Config) -> Result<Trust, StartError> {
    if !config.upstreams().any(ServerUrl::is_tls) {
        return Ok(Trust::nobody());
    }
    let trust = Trust::system_and(&config.gateway.upstream_ca)?;
    if trust.is_nobody() {
        tracing::warn!("upstreams are reached by https, but no certificates are trusted: give --upstream-ca");
    }
    Ok(trust)
}

/// Has a running [`Relay`] read its files again.
#[derive(Clone, Debug)]
pub struct Reloader {
    certificate: Option<Arc<Certificate>>,
    site: Arc<Site>,
}

impl Reloader {
    /// Reads the certificate and the page again; what cannot be read stays as it was, and is logged.
    pub fn reload(&self) {
        match self.certificate.as_ref().map(|certificate| certificate.reload()) {
            Some(Ok(())) => tracing::info!("certificate read again"),
            Some(Err(error)) => tracing::error!(%error, "certificate not read again"),
            None => {}
        }
        self.site.reload();
    }
}
