//! A server: its listeners, what it takes at once, and its end.
//!
//! Connections are accepted up to a rate and a count. Each is a task that speaks TLS where there is a certificate, then
//! HTTP/1.1, until a request takes it over ([`Takeover`](crate::Takeover)). A plain request has ten seconds for its head;
//! a connection serves requests for ten minutes, and the answer that is being written then has one minute more, streams
//! included. [`Server::run`] ends when all connections have ended, or the time for that is over.

mod accept;
mod connection;
mod ops;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::rustls;

use crate::closing::Closing;
use crate::listen;
use crate::metrics::{Counter, Gauge, Registry};
use crate::origin::AllowedHosts;
use crate::service::Service;
use crate::tls::{Certificate, TlsError};

/// Settings of a server.
#[derive(Clone, Debug, Default)]
pub struct ServerConfig {
    /// Addresses where HTTP (or HTTPS, with [`certificate`](Self::certificate)) is served. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Address where metrics and health are served, by HTTP.
    pub metrics_listen: Option<SocketAddr>,
    /// Lets a new process listen on the same ports before this one has ended.
    pub reuse_port: bool,
    /// The certificate; plain HTTP without it.
    pub certificate: Option<Arc<Certificate>>,
    /// Serves plain HTTP on addresses that others can reach, where something in front speaks TLS.
    pub allow_plain_http: bool,
    /// Names that plain requests may ask for.
    pub hosts: AllowedHosts,
    /// Bounds on what is served at once.
    pub limits: Limits,
}

/// Bounds on what a server does at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections that may be open. Further ones are closed at once.
    pub max_connections: usize,
    /// Connections that are accepted in a second; further ones wait in the system's queue.
    pub accept_per_second: u32,
    /// Time in which the connections of a server that goes down may end.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections: 65_536, accept_per_second: 2_000, drain: Duration::from_secs(5) }
    }
}

/// Reasons why a server cannot listen.
#[derive(Debug, Error)]
pub enum BindError {
    /// No address was given.
    #[error("there is no address to listen on")]
    NoListener,
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// Plain HTTP would be reachable by others.
    #[error("{0} can be reached by others, and plain HTTP would show them what passes")]
    PlainHttp(SocketAddr),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A server that listens and serves a [`Service`], usually a [`Router`](crate::Router).
///
/// ```
/// use std::sync::Arc;
///
/// use dayfly_http::{Registry, Router, Routes, Server, ServerConfig, StatusCode, text};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hello = Routes::new("hello").path("/hello", async |_, _| text(StatusCode::OK, "hello"));
/// let router = Router::new([hello])?;
/// let config = ServerConfig { listen: vec!["127.0.0.1:0".parse()?], ..ServerConfig::default() };
/// let server = Server::bind(config, &Registry::new("example"))?;
/// println!("listening on {:?}", server.http_addresses());
/// server.run(Arc::new(router), async { /* until the process is told to end */ }).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    http: Vec<TcpListener>,
    ops: Option<TcpListener>,
    tls: Option<Arc<rustls::ServerConfig>>,
    hosts: AllowedHosts,
    limits: Limits,
    metrics: Metrics,
    registry: Registry,
    closing: watch::Sender<bool>,
    is_closing: Closing,
}

/// The server's own metrics.
#[derive(Debug)]
struct Metrics {
    /// TCP connections that are open now.
    open: Gauge,
    /// Accepted TCP connections.
    accepted: Counter,
    /// Connections that were closed at once, since too many were open.
    refused_full: Counter,
    /// TLS handshakes that failed.
    tls_failed: Counter,
    /// HTTP requests.
    requests: Counter,
}

impl Metrics {
    fn new(registry: &Registry) -> Self {
        Self {
            open: registry.gauge("connections", "TCP connections that are open"),
            accepted: registry.counter("connections", "TCP connections accepted"),
            refused_full: registry.counter("connections_refused", "TCP connections beyond the limit"),
            tls_failed: registry.counter("tls_failed", "TLS handshakes that failed"),
            requests: registry.counter("http_requests", "HTTP requests"),
        }
    }
}

impl Server {
    /// Listens. Nothing is answered before [`run`](Self::run). In a Tokio runtime only.
    ///
    /// # Errors
    /// When an address is taken, plain HTTP would be reachable by others, or TLS cannot be set up.
    pub fn bind(config: ServerConfig, registry: &Registry) -> Result<Self, BindError> {
        if config.listen.is_empty() {
            return Err(BindError::NoListener);
        }
        if config.certificate.is_none()
            && !config.allow_plain_http
            && let Some(address) = config.listen.iter().find(|address| !address.ip().is_loopback())
        {
            return Err(BindError::PlainHttp(*address));
        }
        let listen = |address: &SocketAddr| {
            let address = *address;
            listen::tcp(address, config.reuse_port).map_err(|source| BindError::Listen { address, source })
        };
        let http = config.listen.iter().map(listen).collect::<Result<Vec<_>, _>>()?;
        let ops = config.metrics_listen.as_ref().map(listen).transpose()?;
        let tls = config.certificate.as_ref().map(Certificate::server_config).transpose()?;
        let (closing, is_closing) = Closing::new();
        Ok(Self {
            http,
            ops,
            tls,
            hosts: config.hosts,
            limits: config.limits,
            metrics: Metrics::new(registry),
            registry: registry.clone(),
            closing,
            is_closing,
        })
    }

    /// Addresses where HTTP is served, with the ports that were taken for 0.
    pub fn http_addresses(&self) -> Vec<SocketAddr> {
        self.http.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Address where metrics are served, if they are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.ops.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// A watch on the end of this server, for what has to end with it.
    pub fn closing(&self) -> Closing {
        self.is_closing.clone()
    }

    /// Serves until `shutdown` is ready, then closes its listeners, sets off [`closing`](Self::closing), and ends when
    /// all connections have ended or [`Limits::drain`] is over.
    pub async fn run(self, service: Arc<dyn Service>, shutdown: impl Future<Output = ()>) {
        let Self { http, ops, tls, hosts, limits, metrics, registry, closing, is_closing } = self;
        let permits = Arc::new(Semaphore::new(limits.max_connections));
        let state = Arc::new(State { service, hosts, limits, metrics, permits, closing: is_closing });
        let mut tasks = JoinSet::new();
        for listener in http {
            tasks.spawn(accept::accept(Arc::clone(&state), listener, tls.clone()));
        }
        if let Some(listener) = ops {
            tasks.spawn(ops::accept(registry, listener, state.closing.clone()));
        }
        shutdown.await;
        tasks.shutdown().await;
        tracing::info!(connections = state.metrics.open.get(), "going down");
        closing.send_replace(true);
        let all = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
        let drained = timeout(limits.drain, state.permits.acquire_many(all)).await;
        tracing::info!(left = state.metrics.open.get(), drained = drained.is_ok(), "down");
    }
}

/// State that all connections of a server use.
struct State {
    service: Arc<dyn Service>,
    hosts: AllowedHosts,
    limits: Limits,
    metrics: Metrics,
    /// One for each connection that may be open.
    permits: Arc<Semaphore>,
    closing: Closing,
}

/// Permit of one connection to be open. It stays the connection's own when the protocol changes.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    open: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionPermit {
    /// Takes a permit, if one is left.
    fn take(state: &State) -> Option<Self> {
        let permit = Arc::clone(&state.permits).try_acquire_owned().ok()?;
        state.metrics.open.inc();
        Some(Self { open: state.metrics.open.clone(), _permit: permit })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.open.dec();
    }
}

fn is_loopback(listener: &TcpListener) -> bool {
    listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
}
