//! Content of received datagrams.

use crate::crypto::Key;

/// What a received datagram was.
#[derive(Debug, Eq, PartialEq)]
pub enum Received<'a> {
    /// An IP packet, in the buffer that was handed in, as long as its header says. It is never empty.
    Packet {
        /// Who proved to have sent it. Whether the peer may use the packet's source address is the caller's to check.
        peer: Key,
        /// The packet.
        packet: &'a mut [u8],
    },
    /// An empty message, which tells that the session lives.
    Keepalive {
        /// Who sent it.
        peer: Key,
    },
    /// A handshake message that moved a handshake on.
    Handshake {
        /// Who sent it.
        peer: Key,
    },
    /// A cookie, for our next handshake message.
    Nothing,
}
