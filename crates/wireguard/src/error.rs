//! Why a packet was not sealed, and why a datagram was dropped.

/// Reason why a packet was not encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealError {
    /// No such peer was added.
    #[error("no such peer")]
    UnknownPeer,
    /// There is no session that may be used. [`Device::queue`](crate::Device::queue) keeps the packet and starts a handshake.
    #[error("no session with the peer")]
    NoSession,
    /// The buffer is not [`sealed_len`](crate::sealed_len) bytes of the packet's length long.
    #[error("the buffer does not fit the packet")]
    Buffer,
}

/// Reason why a datagram was dropped. Anybody can cause most of these, so they are for counting, not for showing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum ReceiveError {
    /// It is no WireGuard message, or of a length that its type cannot have.
    #[error("not a WireGuard message")]
    Malformed,
    /// It is for a session or a handshake that is not, or not any more.
    #[error("for an unknown session")]
    UnknownIndex,
    /// Its first MAC is wrong: the sender does not know our public key.
    #[error("the message's MAC is wrong")]
    Mac,
    /// It was not encrypted by who it should be, or was changed on its way.
    #[error("not authentic")]
    Unauthenticated,
    /// It was received before, or is too old to tell whether it was.
    #[error("received before")]
    Replayed,
    /// The initiator is authentic, and none of our peers.
    #[error("from nobody that is known")]
    UnknownPeer,
    /// The peer initiates more often than every 20 ms.
    #[error("too many handshakes of one peer")]
    TooOften,
    /// Too many handshake messages come. A cookie was sent, or this source has sent its share.
    #[error("too many handshake messages")]
    UnderLoad,
    /// The session is over.
    #[error("the session is over")]
    Expired,
    /// The data is authentic, and no IP packet.
    #[error("the content is no IP packet")]
    NoIpPacket,
    /// A handshake could not be computed, for example because the generator or the keys were refused.
    #[error("the handshake could not be computed")]
    Handshake,
}
