//! Ports that peers may connect to, and the connections that nobody has accepted yet.
//!
//! `smoltcp` has no backlog: a socket that listens becomes the one connection. So a socket, with its buffers, is made for
//! each segment that opens a connection to a port with a listener. Until it is accepted it counts towards the listener's
//! backlog.

use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dayfly_platform::time::Moment;
use dayfly_wire::key::NodePublic;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, State};

/// Connections to one port that have not been accepted, half open ones among them. The segment that would open one more is
/// dropped, and the peer sends it again.
pub(crate) const BACKLOG: usize = 16;
/// Ports of one node that may be listened on at once.
const MAX_LISTENERS: usize = 64;
/// Time in which a peer has to complete TCP's handshake (RFC 9293 section 3.5).
pub(crate) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Time in which an open connection has to be accepted; it is reset then.
pub(crate) const ACCEPT_LIMIT: Duration = Duration::from_secs(30);

/// A port that is listened on. Numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerId(u64);

/// Reason why a port cannot be listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Port 0 names no port.
    #[error("port 0 can't be listened on")]
    NoPort,
    /// Another listener has the port.
    #[error("port {port} is listened on already")]
    InUse {
        /// The port.
        port: u16,
    },
    /// The node listens on 64 ports, or has ended.
    #[error("this node can't listen on any more ports")]
    TooMany,
}

/// A connection that a peer has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The connection's socket, which is the caller's from now on.
    pub(crate) handle: SocketHandle,
    /// This node's end.
    pub(crate) local: SocketAddr,
    /// The peer's end.
    pub(crate) remote: SocketAddr,
    /// Node key of the peer that opened it. The connection ends when its address goes to another.
    pub(crate) peer: NodePublic,
}

/// Listeners of a node.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    listeners: Vec<Listener>,
    next: u64,
    closed: bool,
}

#[derive(Debug)]
struct Listener {
    id: ListenerId,
    port: u16,
    /// Connections that nobody has accepted, the oldest first.
    backlog: Vec<Unaccepted>,
    /// Wakes whoever waits for a connection.
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Unaccepted {
    handle: SocketHandle,
    /// TCP's handshake is complete.
    is_open: bool,
    /// Moment at which it is given up.
    until: Moment,
}

impl Listener {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Listeners {
    /// Listens on `port`, of each of this node's addresses.
    pub(super) fn open(&mut self, port: u16) -> Result<ListenerId, ListenError> {
        if port == 0 {
            return Err(ListenError::NoPort);
        }
        if self.has_port(port) {
            return Err(ListenError::InUse { port });
        }
        if self.closed || self.listeners.len() >= MAX_LISTENERS {
            return Err(ListenError::TooMany);
        }
        let id = ListenerId(self.next);
        self.next += 1;
        self.listeners.push(Listener { id, port, backlog: Vec::new(), waker: None });
        Ok(id)
    }

    /// Returns `true` while somebody listens on `port`.
    pub(super) fn has_port(&self, port: u16) -> bool {
        self.listeners.iter().any(|listener| listener.port == port)
    }

    /// Returns `true` while the port's backlog takes one more connection.
    pub(super) fn has_room(&self, port: u16) -> bool {
        self.listeners.iter().any(|listener| listener.port == port && listener.backlog.len() < BACKLOG)
    }

    /// Adds a connection that has just been begun to the backlog of `port`.
    pub(super) fn begun(&mut self, port: u16, handle: SocketHandle, now: Moment) {
        if let Some(listener) = self.listeners.iter_mut().find(|listener| listener.port == port) {
            let until = now + HANDSHAKE_LIMIT;
            listener.backlog.push(Unaccepted { handle, is_open: false, until });
        }
    }

    /// Takes note of how unaccepted connections are now, and wakes those who wait for one that is open. Hands those that
    /// came to nothing, or were not accepted in time, to `drop`, and forgets them.
    pub(super) fn review(
        &mut self,
        sockets: &mut SocketSet<'static>,
        now: Moment,
        mut drop: impl FnMut(SocketHandle),
    ) {
        for listener in &mut self.listeners {
            let mut opened = false;
            listener.backlog.retain_mut(|unaccepted| {
                let socket = sockets.get_mut::<Socket<'_>>(unaccepted.handle);
                let is_new = match socket.state() {
                    State::SynReceived => false,
                    // Reset by the peer, or never begun.
                    State::Listen | State::Closed => {
                        socket.abort();
                        drop(unaccepted.handle);
                        return false;
                    }
                    _ => !unaccepted.is_open,
                };
                if is_new {
                    (unaccepted.is_open, unaccepted.until) = (true, now + ACCEPT_LIMIT);
                    opened = true;
                }
                let in_time = now < unaccepted.until;
                if !in_time {
                    socket.abort();
                    drop(unaccepted.handle);
                }
                in_time
            });
            if opened {
                listener.wake();
            }
        }
    }

    /// Takes the oldest open connection off the backlog. `Ready(None)` where the listener was closed.
    pub(super) fn poll_accept(
        &mut self,
        id: ListenerId,
        context: &Context<'_>,
    ) -> Poll<Option<SocketHandle>> {
        let Some(listener) = self.listeners.iter_mut().find(|listener| listener.id == id) else {
            return Poll::Ready(None);
        };
        match listener.backlog.iter().position(|unaccepted| unaccepted.is_open) {
            Some(at) => Poll::Ready(Some(listener.backlog.remove(at).handle)),
            None => {
                listener.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Ends a listener, and returns the connections that it has not accepted.
    pub(super) fn close(&mut self, id: ListenerId) -> Vec<SocketHandle> {
        let Some(at) = self.listeners.iter().position(|listener| listener.id == id) else {
            return Vec::new();
        };
        let mut listener = self.listeners.remove(at);
        listener.wake();
        listener.backlog.into_iter().map(|unaccepted| unaccepted.handle).collect()
    }

    /// Ends all listeners, and lets none be opened again. Returns the connections that were not accepted.
    pub(super) fn close_all(&mut self) -> Vec<SocketHandle> {
        self.closed = true;
        let ids: Vec<_> = self.listeners.iter().map(|listener| listener.id).collect();
        ids.into_iter().flat_map(|id| self.close(id)).collect()
    }

    /// The moment at which [`Listeners::review`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.listeners.iter().flat_map(|listener| &listener.backlog).map(|unaccepted| unaccepted.until).min()
    }
}
