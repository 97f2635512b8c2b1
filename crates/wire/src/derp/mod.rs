//! DERP: packets relayed between nodes by a server that knows them by their keys.
//!
//! A connection is a stream of frames, each a one-byte type, a big-endian 32-bit length and a payload
//! (Tailscale `derp/derp.go`). This module parses and builds frames for both ends: [`decode`] reads one, the
//! `put_*` functions write one, [`ClientInfo`] and [`ServerInfo`] are what the handshakes carry inside their
//! boxes. Which frames may come when, and what they do, is decided by the relay and by the node.

mod decode;
mod encode;
mod frame;
mod info;

pub use crate::disco::looks_like_disco;
pub use decode::{Decoded, FrameError, Header, Receiver, decode};
pub use encode::{
    PacketTooLong, put_client_info, put_close_peer, put_forward_packet, put_health, put_keep_alive,
    put_note_preferred, put_peer_gone, put_peer_present, put_ping, put_pong, put_recv_packet, put_restarting,
    put_send_packet, put_server_info, put_server_key, put_watch_conns, recv_packet_head,
};
pub use frame::{Frame, FrameType, PeerGoneReason, PeerPresentFlags};
pub use info::{ClientInfo, InfoError, MeshKey, ServerInfo, open_client_info, open_server_info};

/// The protocol version that both handshakes tell (`derp.ProtocolVersion`).
pub const PROTOCOL_VERSION: u32 = 2;
/// First bytes of a ServerKey frame, before the key: `DERP` and a key (`derp.Magic`).
pub const MAGIC: [u8; 8] = *b"DERP\xf0\x9f\x94\x91";
/// Length of a frame's header in bytes (`derp.FrameHeaderLen`).
pub const HEADER_LEN: usize = 5;
/// The longest packet that is relayed, in bytes without the frame around it (`derp.MaxPacketSize`).
pub const MAX_PACKET_LEN: usize = 64 << 10;
/// The longest payload that a client takes in one frame, in bytes (`derp_client.go`, `recvTimeout`).
pub const MAX_FRAME_LEN: usize = 1 << 20;
/// The longest ClientInfo payload that a server takes, in bytes (`derpserver.go`, `recvClientKey`).
pub const MAX_CLIENT_INFO_LEN: usize = 256 << 10;
/// The longest ServerKey payload that a client takes, in bytes (`derp_client.go`, `recvServerKey`).
pub const MAX_SERVER_KEY_LEN: usize = 1 << 10;
/// The longest Ping that a server takes, in bytes (`derpserver.go`, `handleFramePing`).
pub const MAX_PING_LEN: usize = 1000;
/// Longest time between a server's KeepAlives; it adds up to 5 s (`derp.KeepAlive`).
pub const KEEP_ALIVE: core::time::Duration = core::time::Duration::from_secs(60);

#[cfg(test)]
mod tests;
