//! Reading frames.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use thiserror::Error;

use super::{
    Frame, FrameType, HEADER_LEN, MAGIC, MAX_CLIENT_INFO_LEN, MAX_FRAME_LEN, MAX_PACKET_LEN, MAX_PING_LEN,
    MAX_SERVER_KEY_LEN, PeerGoneReason, PeerPresentFlags,
};
use crate::key::{KEY_LEN, NodePublic};

/// Reason why a frame, and with it the connection, cannot be read.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum FrameError {
    /// Its payload is longer than any of its type may be.
    #[error("DERP frame of type {:#04x} has {len} bytes, more than {max}", kind.0)]
    TooLong {
        /// Type of the frame.
        kind: FrameType,
        /// Its payload's length in bytes, as its header tells.
        len: usize,
        /// The longest that is taken.
        max: usize,
    },
    /// Its payload does not hold what a frame of its type has to.
    #[error("DERP frame of type {:#04x} has {len} bytes, fewer than {min}", kind.0)]
    TooShort {
        /// Type of the frame.
        kind: FrameType,
        /// Its payload's length in bytes.
        len: usize,
        /// The shortest that makes sense.
        min: usize,
    },
    /// A ServerKey frame starts with something else: the other end does not speak DERP.
    #[error("the server's handshake is not DERP's")]
    BadMagic,
}

/// The end of a connection that reads: the two have different limits, and a server is the stricter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Receiver {
    /// A client, reading what a server sent.
    Client,
    /// A server, reading what a client or a mesh peer sent.
    Server,
}

/// A frame's header: its type and the length of the payload that follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// Type of the frame.
    pub kind: FrameType,
    /// The payload's length in bytes, the header not counted.
    pub len: usize,
}

impl Header {
    /// Reads a header from its five bytes.
    pub const fn parse([kind, a, b, c, d]: [u8; HEADER_LEN]) -> Self {
        Self { kind: FrameType(kind), len: u32::from_be_bytes([a, b, c, d]) as usize }
    }

    /// Checks the length against what `receiver` takes of this type, before anything of it is buffered.
    ///
    /// # Errors
    /// When the payload is too long, or too short to hold what every frame of the type holds.
    pub const fn check(self, receiver: Receiver) -> Result<(), FrameError> {
        let Self { kind, len } = self;
        let (min, max) = limits(kind, receiver);
        if len < min {
            return Err(FrameError::TooShort { kind, len, min });
        }
        if len > max {
            return Err(FrameError::TooLong { kind, len, max });
        }
        Ok(())
    }
}

/// The shortest and the longest payload of a type.
const fn limits(kind: FrameType, receiver: Receiver) -> (usize, usize) {
    match (receiver, kind) {
        (_, FrameType::CLIENT_INFO) => (KEY_LEN + crate::nacl::OVERHEAD, MAX_CLIENT_INFO_LEN),
        (_, FrameType::SEND_PACKET | FrameType::RECV_PACKET) => (KEY_LEN, KEY_LEN + MAX_PACKET_LEN),
        (_, FrameType::FORWARD_PACKET) => (2 * KEY_LEN, 2 * KEY_LEN + MAX_PACKET_LEN),
        (_, FrameType::SERVER_KEY) => (MAGIC.len() + KEY_LEN, MAX_SERVER_KEY_LEN),
        (_, FrameType::SERVER_INFO) => (crate::nacl::OVERHEAD, MAX_FRAME_LEN),
        (Receiver::Server, FrameType::PING | FrameType::PONG) => (8, MAX_PING_LEN),
        (Receiver::Client, FrameType::PING | FrameType::PONG) => (8, MAX_FRAME_LEN),
        (Receiver::Server, FrameType::NOTE_PREFERRED) => (1, 1),
        (Receiver::Client, FrameType::NOTE_PREFERRED) => (1, MAX_FRAME_LEN),
        (Receiver::Server, FrameType::WATCH_CONNS) => (0, 0),
        (Receiver::Server, FrameType::CLOSE_PEER) => (KEY_LEN, KEY_LEN),
        (_, FrameType::PEER_GONE | FrameType::PEER_PRESENT | FrameType::CLOSE_PEER) => {
            (KEY_LEN, MAX_FRAME_LEN)
        }
        (_, FrameType::RESTARTING) => (8, MAX_FRAME_LEN),
        _ => (0, MAX_FRAME_LEN),
    }
}

/// A frame and where it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decoded<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// Number of bytes of the buffer that it took.
    pub consumed: usize,
}

/// Reads the first frame in `buffer`, or tells by `None` that it is not complete yet.
///
/// The length is checked as soon as the header is there, so that a reader never buffers more than the longest
/// frame that it would take.
///
/// # Errors
/// When the frame is malformed. The connection is of no use then.
pub fn decode(buffer: &[u8], receiver: Receiver) -> Result<Option<Decoded<'_>>, FrameError> {
    let Some((head, rest)) = buffer.split_first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let header = Header::parse(*head);
    header.check(receiver)?;
    let Some(payload) = rest.get(..header.len) else {
        return Ok(None);
    };
    let frame = Frame::parse(header.kind, payload)?;
    Ok(Some(Decoded { frame, consumed: HEADER_LEN + header.len }))
}

/// Takes the next `N` bytes off the front of a payload of type `kind`.
struct Payload<'a> {
    kind: FrameType,
    whole: usize,
    rest: &'a [u8],
}

impl<'a> Payload<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], FrameError> {
        let taken = self.whole - self.rest.len();
        let short = FrameError::TooShort { kind: self.kind, len: self.whole, min: taken + N };
        let (head, rest) = self.rest.split_first_chunk().ok_or(short)?;
        self.rest = rest;
        Ok(head)
    }

    fn key(&mut self) -> Result<NodePublic, FrameError> {
        self.take().copied().map(NodePublic::from_bytes)
    }

    fn millis(&mut self) -> Result<Duration, FrameError> {
        self.take().map(|bytes| Duration::from_millis(u32::from_be_bytes(*bytes).into()))
    }
}

impl<'a> Frame<'a> {
    /// Reads the payload of a frame of type `kind`. Its length has been checked by [`Header::check`].
    ///
    /// # Errors
    /// When the payload is too short for its type, or a handshake is not DERP's.
    pub fn parse(kind: FrameType, payload: &'a [u8]) -> Result<Self, FrameError> {
        let mut payload = Payload { kind, whole: payload.len(), rest: payload };
        Ok(match kind {
            FrameType::SERVER_KEY => {
                if *payload.take()? != MAGIC {
                    return Err(FrameError::BadMagic);
                }
                Self::ServerKey { key: payload.key()? }
            }
            FrameType::CLIENT_INFO => Self::ClientInfo { key: payload.key()?, sealed: payload.rest },
            FrameType::SERVER_INFO => Self::ServerInfo { sealed: payload.rest },
            FrameType::SEND_PACKET => Self::SendPacket { dst: payload.key()?, data: payload.rest },
            FrameType::RECV_PACKET => Self::RecvPacket { src: payload.key()?, data: payload.rest },
            FrameType::KEEP_ALIVE => Self::KeepAlive,
            FrameType::NOTE_PREFERRED => Self::NotePreferred { home: *payload.take()? != [0] },
            FrameType::PEER_GONE => Self::PeerGone {
                peer: payload.key()?,
                // Old servers sent no reason.
                reason: payload
                    .rest
                    .first()
                    .map_or(PeerGoneReason::DISCONNECTED, |reason| PeerGoneReason(*reason)),
            },
            FrameType::PEER_PRESENT => Self::peer_present(payload)?,
            FrameType::FORWARD_PACKET => {
                Self::ForwardPacket { src: payload.key()?, dst: payload.key()?, data: payload.rest }
            }
            FrameType::WATCH_CONNS => Self::WatchConns,
            FrameType::CLOSE_PEER => Self::ClosePeer { peer: payload.key()? },
            FrameType::PING => Self::Ping(*payload.take()?),
            FrameType::PONG => Self::Pong(*payload.take()?),
            FrameType::HEALTH => Self::Health(payload.rest),
            FrameType::RESTARTING => {
                Self::Restarting { reconnect_in: payload.millis()?, try_for: payload.millis()? }
            }
            _ => Self::Unknown { kind, payload: payload.rest },
        })
    }

    /// Servers of different ages tell the key alone, the key and an address, or those and flags.
    fn peer_present(mut payload: Payload<'a>) -> Result<Self, FrameError> {
        let peer = payload.key()?;
        let mut address = None;
        let mut flags = PeerPresentFlags::default();
        if let Ok(bytes) = payload.take::<18>() {
            let (ip, port) = bytes.split_at(16);
            let mut octets = [0; 16];
            octets.copy_from_slice(ip);
            let ip = IpAddr::V6(Ipv6Addr::from(octets)).to_canonical();
            address = Some(SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]])));
            flags = PeerPresentFlags(payload.rest.first().copied().unwrap_or_default());
        }
        Ok(Self::PeerPresent { peer, address, flags })
    }
}
