//! One process: its listeners and its end.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::config::{Config, UpstreamUrl};
use crate::derp::rate::TokenBucket;
use crate::derp::verify::Verifier;
use crate::derp::{self, Restart, Timeouts};
use crate::error::StartError;
use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::origin::{AllowedHosts, AllowedOrigins};
use crate::shared::{Place, Shared};
use crate::socket::Socket;
use crate::stun;
use crate::tls::{self, Certificate};
use crate::upstream::Upstream;
use crate::web;

/// How long a TLS handshake may take.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the kernel tries to deliver data to a client that does not take it, also where nobody waits for that.
const USER_TIMEOUT: Duration = Duration::from_secs(15);
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
/// How many connections the listener for metrics may have open.
const MAX_OPS_CONNECTIONS: usize = 16;
/// How long to wait after an error that will not go away at once, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Within what time clients of a relay that goes down should come back, so that they don't come all at once.
const RECONNECT_WITHIN: Duration = Duration::from_secs(2);
/// For how long they should try.
const TRY_FOR: Duration = Duration::from_secs(30);

/// Where a process really listens.
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
    shared: Arc<Shared>,
    http: Vec<TcpListener>,
    stun: Vec<UdpSocket>,
    ops: Option<TcpListener>,
    tls: Option<Arc<ServerConfig>>,
    addresses: Addresses,
}

impl Relay {
    /// Reads all files and listens. Nothing is answered before [`run`](Self::run). In a Tokio runtime only.
    ///
    /// # Errors
    /// When a file cannot be read, an address is taken, or plain HTTP would be reachable by others.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        if config.listen.is_empty() {
            return Err(StartError::NoListener);
        }
        if config.tls.is_none()
            && !config.allow_plain_http
            && let Some(address) = config.listen.iter().find(|address| !address.ip().is_loopback())
        {
            return Err(StartError::PlainHttp(*address));
        }
        let metrics = Arc::new(Metrics::default());
        let site = Shared::load_site(&config)?;
        // Reading what the system trusts takes time and memory, which a process without upstreams saves.
        let trust = match config.upstreams().any(UpstreamUrl::is_tls) {
            true => tls::client_config(&config.gateway.upstream_ca)?,
            false => None,
        };
        let upstream = |url: &UpstreamUrl| Upstream::new(url.clone(), trust.clone());
        let gateway = Arc::new(Gateway {
            control: config.gateway.control.as_ref().map(upstream),
            relays: config.gateway.relays.iter().map(|(region, url)| (*region, upstream(url))).collect(),
            origins: AllowedOrigins(config.gateway.allow_origins.clone()),
            metrics: Arc::clone(&metrics),
        });
        let derp = config.derp.as_ref().map(|derp| {
            let verifier =
                derp.verify_url.as_ref().map(|url| Verifier::new(upstream(url), derp.verify_fail_open));
            let timeouts = Timeouts::default();
            let metrics = Arc::clone(&metrics);
            Arc::new(derp::Server::new(derp.key.clone(), verifier, derp.client_rate, timeouts, metrics))
        });
        let derp_key = derp.as_ref().map(|derp| *derp.public_key());
        let certificate = match &config.tls {
            Some(files) => Some(Certificate::load(&files.certificate, &files.key, derp_key)?),
            None => None,
        };
        let tls = match &certificate {
            Some(certificate) => Some(certificate.server_config()?),
            None => None,
        };
        let listen = |address: &SocketAddr| listen(*address, config.reuse_port);
        let http = config.listen.iter().map(listen).collect::<Result<Vec<_>, _>>()?;
        let ops = config.metrics_listen.as_ref().map(listen).transpose()?;
        let stun = config.derp.iter().flat_map(|derp| &derp.stun_listen);
        let stun =
            stun.map(|address| listen_udp(*address, config.reuse_port)).collect::<Result<Vec<_>, _>>()?;
        let addresses = Addresses {
            http: http.iter().filter_map(|listener| listener.local_addr().ok()).collect(),
            stun: stun.iter().filter_map(|socket| socket.local_addr().ok()).collect(),
            metrics: ops.as_ref().and_then(|listener| listener.local_addr().ok()),
        };
        let shared = Arc::new(Shared {
            metrics,
            derp,
            gateway,
            hosts: AllowedHosts::new(&config.public_hosts, &config.gateway.allow_origins),
            site: RwLock::default(),
            certificate,
            closing: watch::Sender::new(false),
            connections: Arc::new(Semaphore::new(config.limits.max_connections)),
            config,
        });
        shared.publish(site);
        Ok(Self { shared, http, stun, ops, tls, addresses })
    }

    /// Where it listens, with the ports that were taken for 0.
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The relay's public key, if it is a relay.
    pub fn derp_key(&self) -> Option<dayfly_wire::key::NodePublic> {
        self.shared.derp.as_ref().map(|derp| *derp.public_key())
    }

    /// What has it read its certificate and its page again.
    pub fn reloader(&self) -> Reloader {
        Reloader(Arc::clone(&self.shared))
    }

    /// Serves until `shutdown` is ready, then tells clients of the relay to come back later, and ends when all
    /// connections have ended or [`Limits::drain`](crate::config::Limits::drain) is over.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { shared, http, stun, ops, tls, .. } = self;
        let mut tasks = JoinSet::new();
        for listener in http {
            tasks.spawn(accept(Arc::clone(&shared), listener, tls.clone()));
        }
        for socket in stun {
            tasks.spawn(stun::serve(socket, Arc::clone(&shared.metrics)));
        }
        if let Some(listener) = ops {
            tasks.spawn(accept_ops(Arc::clone(&shared), listener));
        }
        shutdown.await;
        tasks.shutdown().await;
        tracing::info!(connections = shared.metrics.open.get(), "going down");
        shared.closing.send_replace(true);
        if let Some(derp) = &shared.derp {
            derp.restart(Restart { reconnect_within: RECONNECT_WITHIN, try_for: TRY_FOR });
        }
        let all = u32::try_from(shared.config.limits.max_connections).unwrap_or(u32::MAX);
        let drained = timeout(shared.config.limits.drain, shared.connections.acquire_many(all)).await;
        tracing::info!(left = shared.metrics.open.get(), drained = drained.is_ok(), "down");
    }
}

/// Has a running [`Relay`] read its files again.
#[derive(Clone, Debug)]
pub struct Reloader(Arc<Shared>);

impl Reloader {
    /// Reads the certificate and the page again; what cannot be read stays as it was, and is logged.
    pub fn reload(&self) {
        self.0.reload();
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, tls: Option<Arc<ServerConfig>>) {
    let tls = tls.map(TlsAcceptor::from);
    let loopback = is_loopback(&listener);
    let per_second = f64::from(shared.config.limits.accept_per_second.max(1));
    let mut rate = TokenBucket::new(per_second, per_second, Instant::now());
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
                {
                    tracing::error!(%error, "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        shared.metrics.accepted.add(1);
        let Some(place) = Place::take(&shared) else {
            shared.metrics.refused_full.add(1);
            continue;
        };
        let (shared, tls) = (Arc::clone(&shared), tls.clone());
        tokio::spawn(async move {
            if let Some(changed) = serve(&shared, stream, peer, loopback, tls).await {
                // A task of its own, so that what HTTP needed is freed now and not when the connection ends.
                tokio::spawn(async move {
                    changed.run(shared.closing()).await;
                    drop(place);
                });
            }
        });
        let now = Instant::now();
        if let Some(pause) = rate.charge(1, now) {
            sleep_until(now + pause).await;
        }
    }
}

/// Serves HTTP on a connection. Returns what it has become, if that is something else.
async fn serve(
    shared: &Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    loopback: bool,
    tls: Option<TlsAcceptor>,
) -> Option<web::Changed> {
    let socket = SockRef::from(&stream);
    let options = socket.set_tcp_nodelay(true).and_then(|()| set_user_timeout(&socket));
    if let Err(error) = options {
        tracing::debug!(%peer, %error, "connection failed before its first byte");
        return None;
    }
    let socket = match tls {
        None => Socket::Plain(stream),
        Some(tls) => match timeout(TLS_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => Socket::Tls(Box::new(stream)),
            Ok(Err(error)) => {
                shared.metrics.tls_failed.add(1);
                if !tls::is_noise(&error) {
                    tracing::debug!(%peer, %error, "TLS handshake failed");
                }
                return None;
            }
            Err(_) => {
                shared.metrics.tls_failed.add(1);
                return None;
            }
        },
    };
    web::serve(shared, socket, peer, loopback).await
}

fn is_loopback(listener: &TcpListener) -> bool {
    listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
}

#[cfg(target_os = "linux")]
fn set_user_timeout(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

#[cfg(not(target_os = "linux"))]
fn set_user_timeout(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(USER_TIMEOUT))
}

async fn accept_ops(shared: Arc<Shared>, listener: TcpListener) {
    let loopback = is_loopback(&listener);
    // Places of its own: metrics matter most when all others are taken.
    let places = Arc::new(Semaphore::new(MAX_OPS_CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(permit) = Arc::clone(&places).try_acquire_owned() else { continue };
                let (closing, shared) = (shared.closing(), Arc::clone(&shared));
                tokio::spawn(async move {
                    tokio::select! {
                        () = web::serve_ops(shared, stream, loopback) => {}
                        () = closing => {}
                    }
                    drop(permit);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn listen(address: SocketAddr, reuse_port: bool) -> Result<TcpListener, StartError> {
    let open = || {
        let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        prepare(&socket, address, reuse_port)?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|source| StartError::Listen { address, source })
}

fn listen_udp(address: SocketAddr, reuse_port: bool) -> Result<UdpSocket, StartError> {
    let open = || {
        let socket = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        prepare(&socket, address, reuse_port)?;
        UdpSocket::from_std(socket.into())
    };
    open().map_err(|source| StartError::Listen { address, source })
}

fn prepare(socket: &RawSocket, address: SocketAddr, reuse_port: bool) -> io::Result<()> {
    #[cfg(unix)]
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())
}
