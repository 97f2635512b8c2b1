//! Accepting connections that peers open.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use super::TcpStream;
use super::node_core::NodeCore;
use super::stream::Remote;
use crate::netmap::PeerIdentity;
use crate::tunnel::netstack::{ListenError, ListenerId};

/// A TCP port on which peers may connect to the node, as far as the packet filter admits them: see
/// [`Node::listen`](crate::Node::listen).
///
/// It has a bounded backlog, and what is not accepted in time is reset. Dropping it closes the port; connections that were
/// accepted go on.
pub struct Listener {
    core: Arc<NodeCore>,
    id: ListenerId,
    port: u16,
}

impl Listener {
    pub(super) fn open(core: &Arc<NodeCore>, port: u16) -> Result<Self, ListenError> {
        let id = core.with(|tunnel, _| tunnel.listen(port))?;
        Ok(Self { core: Arc::clone(core), id, port })
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the next connection. Returns it with the identity of its peer, whom WireGuard has authenticated; `None`
    /// once the node has ended. It can be cancelled without losing a connection.
    pub async fn accept(&mut self) -> Option<(TcpStream, PeerIdentity)> {
        loop {
            let next = poll_fn(|context| self.core.with(|tunnel, _| tunnel.poll_accept(self.id, context)));
            let accepted = next.await.ok()?;
            let peer = self.core.map().whois_key(&accepted.peer);
            let remote = Remote { address: accepted.remote.ip(), key: accepted.peer };
            let ends = [accepted.local, accepted.remote];
            let stream = TcpStream::new(Arc::clone(&self.core), accepted.handle, ends, remote);
            // A peer that has just been removed from the map is nobody's.
            if let Some(peer) = peer {
                return Some((stream, peer));
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.core.with(|tunnel, now| tunnel.stop_listening(self.id, now));
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("port", &self.port).finish_non_exhaustive()
    }
}
