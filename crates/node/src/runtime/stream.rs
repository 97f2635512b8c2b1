//! An open TCP connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dayfly_wire::key::NodePublic;
use smoltcp::iface::SocketHandle;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::node_core::NodeCore;
use crate::netmap::{NetMap, Peer};
use crate::tunnel::TcpFault;

/// The other end of a connection. A name may mean another machine a moment later, when the map of the tailnet changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The address that was dialled.
    pub address: IpAddr,
    /// Node key of the peer that it is, or that routes to it.
    pub key: NodePublic,
}

impl Remote {
    /// The peer at the other end as `map` describes it now; `None` when what is sent to the address goes to no peer any
    /// more, or to another.
    #[must_use]
    pub fn peer<'a>(&self, map: &'a NetMap) -> Option<Peer<'a>> {
        map.route(self.address).filter(|peer| peer.key() == self.key)
    }
}

/// A TCP connection to a peer. Shutting it down sends FIN; dropping it closes it.
pub struct TcpStream {
    core: Arc<NodeCore>,
    handle: SocketHandle,
    local_addr: SocketAddr,
    peer_addr: SocketAddr,
    remote: Remote,
}

impl TcpStream {
    /// Takes over a socket. `ends` are this node's and the peer's.
    pub(super) fn new(
        core: Arc<NodeCore>,
        handle: SocketHandle,
        ends: [SocketAddr; 2],
        remote: Remote,
    ) -> Self {
        let [local_addr, peer_addr] = ends;
        Self { core, handle, local_addr, peer_addr, remote }
    }

    /// Returns this node's address and port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the peer's address and port.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer_addr
    }

    /// The other end.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.remote
    }

    pub(super) fn handle(&self) -> SocketHandle {
        self.handle
    }
}

impl std::fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpStream").finish_non_exhaustive()
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        self.core.with(|tunnel, now| tunnel.release(self.handle, now));
    }
}

fn io_error(fault: TcpFault) -> io::Error {
    match fault {
        TcpFault::Refused => io::ErrorKind::ConnectionRefused.into(),
        TcpFault::Rejected(_) => io::ErrorKind::PermissionDenied.into(),
        TcpFault::Reset => io::Error::new(io::ErrorKind::ConnectionReset, "the machine cut the connection"),
        TcpFault::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, "the machine has not answered for six minutes")
        }
        TcpFault::NoRoute => io::Error::new(
            io::ErrorKind::NetworkUnreachable,
            "the machine was removed from the tailnet, is kept from this node, or its key has expired",
        ),
        TcpFault::Aborted => {
            io::Error::new(io::ErrorKind::ConnectionAborted, "this node has left the tailnet")
        }
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let free = out.initialize_unfilled();
        if free.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let read = self.core.with(|tunnel, now| tunnel.poll_read(self.handle, cx, free, now));
        read.map(|read| match read {
            Ok(read) => {
                out.advance(read);
                Ok(())
            }
            Err(fault) => Err(io_error(fault)),
        })
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.core.with(|tunnel, now| tunnel.poll_write(self.handle, cx, bytes, now));
        written.map_err(io_error)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was written is on its way.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.core.with(|tunnel, now| tunnel.finish(self.handle, now));
        Poll::Ready(Ok(()))
    }
}
