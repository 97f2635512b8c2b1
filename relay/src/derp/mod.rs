//! The DERP server: packets between clients that are known by their keys (Tailscale `derp/derpserver`).
//!
//! What a client sees is what Tailscale's derper shows, with these differences: queues are longer but bounded in
//! bytes, since many packets are read and written at once; peers are notified each time that one leaves, not only the
//! first; and clients are notified when the server goes down. There is no mesh: a client that uses its frames is
//! disconnected.

mod config;
mod connection;
mod handshake;
pub(crate) mod meta_certificate;
mod metrics;
mod options;
mod outbox;
mod registry;
pub(crate) mod routes;
mod verify;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use dayfly_http::Duplex;
use dayfly_http::client::Upstream;
use dayfly_http::rate::LogLimit;
use dayfly_http::tls::Trust;
use dayfly_http::websocket::close_code;
use dayfly_platform::random::SystemRng;
use dayfly_wire::derp;
use dayfly_wire::key::{NodePrivate, NodePublic};
use rand_core::Rng as _;
use tokio::io::{AsyncRead, AsyncWrite};

pub use self::config::{ClientRate, DerpConfig};
use self::connection::Connection;
pub(crate) use self::metrics::Metrics;
use self::metrics::PeerGone;
pub(crate) use self::options::DerpArgs;
pub use self::options::KeyFileError;
#[cfg(test)]
pub(crate) use self::options::MIN_BURST;
use self::registry::{Peer, Registry};
use self::verify::Verifier;

/// Interval of KeepAlive where none is set. Many proxies close a connection that was silent for 60 s.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(40);

/// Time limits of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// Time from the request to the end of the handshake.
    pub(crate) handshake: Duration,
    /// Time for which a write may make no progress.
    pub(crate) write: Duration,
    /// Interval of KeepAlive, to which up to a twelfth is added.
    pub(crate) keep_alive: Duration,
}

impl Default for Timeouts {
    /// Returns derper's 10 s and 2 s; and 40 s, where derper has 60 s, for so long proxies keep what is silent.
    fn default() -> Self {
        Self { handshake: Duration::from_secs(10), write: Duration::from_secs(2), keep_alive: KEEP_ALIVE }
    }
}

/// A DERP server, whose clients reach each other.
#[derive(Debug)]
pub(crate) struct Server {
    key: NodePrivate,
    public: NodePublic,
    registry: Registry,
    next_id: AtomicU64,
    verifier: Option<Verifier>,
    rate: Option<ClientRate>,
    timeouts: Timeouts,
    metrics: Metrics,
    /// Bounds what clients that are rejected write into the log.
    log_limit: LogLimit,
    /// Set when the server goes down.
    restart: OnceLock<Restart>,
}

/// Advice to clients when the server goes down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restart {
    /// Time within which each client gets another moment to come back at, so that they don't all come at once.
    pub(crate) reconnect_within: Duration,
    /// Time for which they should try.
    pub(crate) try_for: Duration,
}

impl Restart {
    fn notify(&self, peer: &Peer) {
        let share = f64::from(SystemRng.next_u32()) / f64::from(u32::MAX);
        let reconnect_in = self.reconnect_within.mul_f64(share);
        peer.outbox.close_with(|out| derp::put_restarting(out, reconnect_in, self.try_for));
    }
}

/// The source of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// The client's address.
    pub(crate) ip: IpAddr,
    /// The way in which it speaks DERP, for the log.
    pub(crate) transport: &'static str,
}

impl Server {
    /// Makes a server of its settings. `trust` tells which certificates its admission server may have.
    pub(crate) fn configured(config: DerpConfig, trust: &Trust, metrics: Metrics) -> Self {
        let DerpConfig { key, verify_url, verify_fail_open, client_rate, keep_alive } = config;
        let verifier = verify_url
            .map(|url| Verifier::new(Upstream::new(url, trust.clone(), crate::USER_AGENT), verify_fail_open));
        let timeouts = Timeouts { keep_alive, ..Timeouts::default() };
        Self::new(key, verifier, client_rate, timeouts, metrics)
    }

    /// Makes a server.
    fn new(
        key: NodePrivate,
        verifier: Option<Verifier>,
        rate: Option<ClientRate>,
        timeouts: Timeouts,
        metrics: Metrics,
    ) -> Self {
        Self {
            public: key.public(),
            key,
            registry: Registry::new(),
            next_id: AtomicU64::new(1),
            verifier,
            rate,
            timeouts,
            metrics,
            log_limit: LogLimit::default(),
            restart: OnceLock::new(),
        }
    }

    /// The server's public key.
    pub(crate) const fn public_key(&self) -> &NodePublic {
        &self.public
    }

    /// Serves one client until either end is done.
    pub(crate) async fn serve<S>(self: Arc<Self>, mut link: Duplex<S>, source: Source)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let client = match self.handshake(&mut link, source).await {
            Ok(client) => client,
            Err(error) => {
                self.metrics.rejected(error.reason());
                if let Some(unlogged) = self.log_limit.pass() {
                    tracing::info!(ip = %source.ip, transport = source.transport, %error, unlogged, "client rejected");
                }
                return link.close(close_code::POLICY).await;
            }
        };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let peer = Arc::new(Peer::new(id, client.key));
        let duplicates = self.registry.add(&peer);
        // Asked after the client was added: one that comes while the others are notified is notified here.
        if let Some(restart) = self.restart.get() {
            restart.notify(&peer);
        }
        self.metrics.client_connected(duplicates > 1);
        tracing::debug!(id, client = %client.key.short(), ip = %source.ip, transport = source.transport, duplicates, "client connected");
        let mut connection = Connection::new(Arc::clone(&self), link, peer, client.early);
        let end = connection.run(client.server_info).await;
        let (peer, link, reached) = connection.into_parts();
        peer.outbox.unregister();
        if let Some(reached) = self.registry.remove(&peer, reached) {
            for other in reached.into_values().filter_map(|other| other.upgrade()) {
                if other.outbox.push_peer_gone(&peer.key, derp::PeerGoneReason::DISCONNECTED) {
                    self.metrics.peer_gone.of(PeerGone::Disconnected).inc();
                }
            }
        }
        self.metrics.client_disconnected(end.reason());
        tracing::debug!(id, client = %peer.key.short(), ip = %source.ip, reason = %end, "client disconnected");
        link.close(end.close_code()).await;
    }

    /// Notifies all clients that the server goes down, and has their connections end.
    pub(crate) fn restart(&self, restart: Restart) {
        let restart = self.restart.get_or_init(|| restart);
        self.registry.for_each(|peer| restart.notify(peer));
    }

    /// The answer to a request that becomes a native DERP connection, without its first line.
    pub(crate) fn upgrade_headers(&self) -> [(&'static str, String); 2] {
        let key = self.public.to_string();
        let digits = key.trim_start_matches(NodePublic::PREFIX).to_owned();
        [("Derp-Version", derp::PROTOCOL_VERSION.to_string()), ("Derp-Public-Key", digits)]
    }
}

/// A client whose handshake was accepted.
#[derive(Debug)]
struct Client {
    key: NodePublic,
    /// The sealed answer, to be written first.
    server_info: Vec<u8>,
    /// Bytes that were read beyond the handshake.
    early: Bytes,
}

#[cfg(test)]
mod tests;
