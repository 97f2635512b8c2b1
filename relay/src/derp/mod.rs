//! The DERP server: packets between clients that are known by their keys (Tailscale `derp/derpserver`).
//!
//! What a client sees is what Tailscale's derper shows, with these differences: queues are longer but bounded in
//! bytes, since many packets are read and written at once; a peer that leaves is told of each time, not only the
//! first; and clients are told when the server goes down. There is no mesh: a client that uses its frames is
//! disconnected.

mod connection;
mod handshake;
mod outbox;
pub(crate) mod rate;
mod registry;
pub(crate) mod verify;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use dayfly_platform::random::SystemRng;
use dayfly_wire::derp;
use dayfly_wire::key::{NodePrivate, NodePublic};
use rand_core::Rng as _;
use tokio::io::{AsyncRead, AsyncWrite};

use self::connection::Connection;
use self::registry::{Peer, Registry};
use self::verify::Verifier;
use crate::link::Link;
use crate::metrics::Metrics;
use crate::websocket::close_code;

/// How a client may be slowed down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientRate {
    /// How many bytes a second are read from one client, frames included.
    pub bytes_per_second: u64,
    /// How many bytes may come at once after a pause. At least one of the longest frames.
    pub burst: u64,
}

/// Times of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// From the request to the end of the greetings.
    pub(crate) handshake: Duration,
    /// How long a write may make no progress.
    pub(crate) write: Duration,
    /// How often KeepAlive is sent, to which up to a twelfth is added.
    pub(crate) keep_alive: Duration,
}

impl Default for Timeouts {
    /// derper's: 10 s, 2 s, 60 s and up to 5 s more.
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            write: Duration::from_secs(2),
            keep_alive: derp::KEEP_ALIVE,
        }
    }
}

/// One DERP server.
#[derive(Debug)]
pub(crate) struct Server {
    key: NodePrivate,
    public: NodePublic,
    registry: Registry,
    next_id: AtomicU64,
    verifier: Option<Verifier>,
    rate: Option<ClientRate>,
    timeouts: Timeouts,
    metrics: Arc<Metrics>,
    /// Set when the server goes down.
    restart: OnceLock<Restart>,
}

/// What clients are told when the server goes down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restart {
    /// Each client is told another moment within this time to come back at, so that they don't all come at once.
    pub(crate) reconnect_within: Duration,
    /// For how long they should try.
    pub(crate) try_for: Duration,
}

impl Restart {
    fn tell(&self, peer: &Peer) {
        let share = f64::from(SystemRng.next_u32()) / f64::from(u32::MAX);
        let reconnect_in = self.reconnect_within.mul_f64(share);
        peer.outbox.close_with(|out| derp::put_restarting(out, reconnect_in, self.try_for));
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The client's address.
    pub(crate) ip: IpAddr,
    /// How it speaks DERP, for the log.
    pub(crate) transport: &'static str,
}

impl Server {
    pub(crate) fn new(
        key: NodePrivate,
        verifier: Option<Verifier>,
        rate: Option<ClientRate>,
        timeouts: Timeouts,
        metrics: Arc<Metrics>,
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
            restart: OnceLock::new(),
        }
    }

    /// The server's key.
    pub(crate) const fn public_key(&self) -> &NodePublic {
        &self.public
    }

    /// Serves one client until either end is done.
    pub(crate) async fn serve<S>(self: Arc<Self>, mut link: Link<S>, origin: Origin)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let client = match self.greet(&mut link, origin).await {
            Ok(client) => client,
            Err(error) => {
                self.metrics.rejected(error.reason());
                tracing::info!(ip = %origin.ip, transport = origin.transport, %error, "client rejected");
                return link.close(close_code::POLICY).await;
            }
        };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let peer = Arc::new(Peer::new(id, client.key));
        let duplicates = self.registry.add(&peer);
        // Asked after the client was added: one that comes while the others are told is told here.
        if let Some(restart) = self.restart.get() {
            restart.tell(&peer);
        }
        self.metrics.client_connected(duplicates > 1);
        tracing::debug!(id, client = %client.key.short(), ip = %origin.ip, transport = origin.transport, duplicates, "client connected");
        let mut connection = Connection::new(Arc::clone(&self), link, peer, client.early);
        let end = connection.run(client.server_info).await;
        let (peer, link, reached) = connection.into_parts();
        peer.outbox.unregister();
        if let Some(reached) = self.registry.remove(&peer, reached) {
            for other in reached.into_values().filter_map(|other| other.upgrade()) {
                if other.outbox.push_peer_gone(&peer.key, derp::PeerGoneReason::DISCONNECTED) {
                    self.metrics.peer_gone_disconnected.add(1);
                }
            }
        }
        self.metrics.client_disconnected(end.reason());
        tracing::debug!(id, client = %peer.key.short(), ip = %origin.ip, reason = %end, "client disconnected");
        link.close(end.close_code()).await;
    }

    /// Tells all clients that the server goes down, and has their connections end.
    pub(crate) fn restart(&self, restart: Restart) {
        let restart = self.restart.get_or_init(|| restart);
        self.registry.for_each(|peer| restart.tell(peer));
    }

    /// The answer to a request that becomes a native DERP connection, without its first line.
    pub(crate) fn upgrade_headers(&self) -> [(&'static str, String); 2] {
        let key = self.public.to_string();
        let digits = key.trim_start_matches(NodePublic::PREFIX).to_owned();
        [("Derp-Version", derp::PROTOCOL_VERSION.to_string()), ("Derp-Public-Key", digits)]
    }
}

/// A client whose greeting was accepted.
#[derive(Debug)]
struct Client {
    key: NodePublic,
    /// The sealed answer, to be written first.
    server_info: Vec<u8>,
    /// What was read beyond the greeting.
    early: Bytes,
}

#[cfg(test)]
mod tests;
