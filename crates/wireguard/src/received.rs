//! Content of received datagrams.

use crate::crypto::Key;

/// Content of a received datagram.
#[derive(Debug, Eq, PartialEq)]
pub enum Received<'a> {
    /// An IP packet, in the buffer that was handed in, as long as its header says. It is never empty.
    Packet {
        /// Peer that proved to have sent it. The caller checks that it may use the packet's source address.
        peer: Key,
        /// The packet.
        packet: &'a mut [u8],
    },
    /// An empty message: the session lives.
    Keepalive {
        /// Peer that sent it.
        peer: Key,
    },
    /// A handshake message that moved a handshake on.
    Handshake {
        /// Peer that sent it.
        peer: Key,
    },
    /// A cookie, for our next handshake message.
    Nothing,
}
