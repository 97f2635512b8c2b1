//! The frames and their types.

use core::net::SocketAddr;
use core::time::Duration;

use crate::key::NodePublic;

/// A frame's first byte (Tailscale `derp/derp.go`). Types that are not named here are skipped by their length.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FrameType(pub u8);

impl FrameType {
    /// Server to client: the server's key.
    pub const SERVER_KEY: Self = Self(0x01);
    /// Client to server: the client's key and its sealed [`super::ClientInfo`].
    pub const CLIENT_INFO: Self = Self(0x02);
    /// Server to client: the sealed [`super::ServerInfo`].
    pub const SERVER_INFO: Self = Self(0x03);
    /// Client to server: a packet to relay.
    pub const SEND_PACKET: Self = Self(0x04);
    /// Server to client: a relayed packet.
    pub const RECV_PACKET: Self = Self(0x05);
    /// Server to client: nothing, to show that the server lives.
    pub const KEEP_ALIVE: Self = Self(0x06);
    /// Client to server: whether this is the client's home.
    pub const NOTE_PREFERRED: Self = Self(0x07);
    /// Server to client: a peer cannot be reached here.
    pub const PEER_GONE: Self = Self(0x08);
    /// Server to mesh peer: a client is connected here.
    pub const PEER_PRESENT: Self = Self(0x09);
    /// Mesh peer to server: a packet that another relay received.
    pub const FORWARD_PACKET: Self = Self(0x0a);
    /// Mesh peer to server: asks for PeerPresent and PeerGone of all clients.
    pub const WATCH_CONNS: Self = Self(0x10);
    /// Mesh peer to server: closes a client's connection.
    pub const CLOSE_PEER: Self = Self(0x11);
    /// Either way: asks for a Pong.
    pub const PING: Self = Self(0x12);
    /// Either way: answers a Ping.
    pub const PONG: Self = Self(0x13);
    /// Server to client: what is wrong with this connection.
    pub const HEALTH: Self = Self(0x14);
    /// Server to client: the server is about to restart.
    pub const RESTARTING: Self = Self(0x15);
}

/// One frame, borrowing what it carries from the buffer that it was read from.
///
/// Payloads may be longer than what is understood of them: newer peers append fields.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// 0x01: the handshake, `MAGIC || key`.
    ServerKey {
        /// The server's key, to which ClientInfo is sealed.
        key: NodePublic,
    },
    /// 0x02: `key || nonce || box`.
    ClientInfo {
        /// The key that the client claims; opening `sealed` proves it.
        key: NodePublic,
        /// See [`super::open_client_info`].
        sealed: &'a [u8],
    },
    /// 0x03: `nonce || box`.
    ServerInfo {
        /// See [`super::open_server_info`].
        sealed: &'a [u8],
    },
    /// 0x04: `dst || data`.
    SendPacket {
        /// Whom the packet is for.
        dst: NodePublic,
        /// The packet.
        data: &'a [u8],
    },
    /// 0x05: `src || data`.
    RecvPacket {
        /// Whom the packet is from.
        src: NodePublic,
        /// The packet.
        data: &'a [u8],
    },
    /// 0x06: empty.
    KeepAlive,
    /// 0x07: one byte, 0 or 1.
    NotePreferred {
        /// This region is the client's home.
        home: bool,
    },
    /// 0x08: `peer || reason`.
    PeerGone {
        /// The peer that cannot be reached over this server.
        peer: NodePublic,
        /// Reason of the peer's absence.
        reason: PeerGoneReason,
    },
    /// 0x09: `peer [|| ip (16) || port (2)] [|| flags]`.
    PeerPresent {
        /// The client that is connected.
        peer: NodePublic,
        /// Address from which it connected, from servers that say.
        address: Option<SocketAddr>,
        /// Facts that the server knows about it.
        flags: PeerPresentFlags,
    },
    /// 0x0a: `src || dst || data`.
    ForwardPacket {
        /// Whom the packet is from.
        src: NodePublic,
        /// Whom the packet is for.
        dst: NodePublic,
        /// The packet.
        data: &'a [u8],
    },
    /// 0x10: empty.
    WatchConns,
    /// 0x11: `peer`.
    ClosePeer {
        /// Whose connection is to be closed.
        peer: NodePublic,
    },
    /// 0x12: eight bytes.
    Ping([u8; 8]),
    /// 0x13: the eight bytes of the Ping.
    Pong([u8; 8]),
    /// 0x14: text, usually UTF-8; empty when all is well again.
    Health(&'a [u8]),
    /// 0x15: two 32-bit numbers of milliseconds.
    Restarting {
        /// Time after which to connect again.
        reconnect_in: Duration,
        /// For how long to go on trying.
        try_for: Duration,
    },
    /// Any other type, which both ends skip.
    Unknown {
        /// Its type.
        kind: FrameType,
        /// Its payload.
        payload: &'a [u8],
    },
}

/// Reason why a peer cannot be reached (`derp.PeerGoneReasonType`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PeerGoneReason(pub u8);

impl PeerGoneReason {
    /// It was connected and left.
    pub const DISCONNECTED: Self = Self(0x00);
    /// The server does not know it.
    pub const NOT_HERE: Self = Self(0x01);
}

/// Facts that a server knows about a client, for its mesh (`derp.PeerPresentFlags`).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PeerPresentFlags(pub u8);

impl PeerPresentFlags {
    /// An ordinary client.
    pub const REGULAR: Self = Self(1);
    /// Another relay of the mesh.
    pub const MESH_PEER: Self = Self(2);
    /// A prober that watches the relay.
    pub const PROBER: Self = Self(4);
    /// A client that would rather be on another node of the region.
    pub const NOT_IDEAL: Self = Self(8);

    /// Returns `true` when all flags of `other` are set here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
