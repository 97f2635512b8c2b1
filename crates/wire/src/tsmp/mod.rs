//! TSMP: short messages between the two ends of a tunnel, as IP protocol 99 inside WireGuard.
//!
//! What is read and written here follows the IP header (Tailscale `net/packet/tsmp.go`). Packet filters always
//! let the protocol through, so a peer may send anything; who sent it is told by the tunnel.

use thiserror::Error;

use crate::key::DiscoPublic;

/// TSMP's IP protocol number, "any private encryption scheme" (Tailscale `types/ipproto/ipproto.go`).
pub const IP_PROTOCOL: u8 = 99;

/// Reason why the other end rejected a connection (`packet.TailscaleRejectReason`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RejectReason(pub u8);

impl RejectReason {
    /// The tailnet's policy does not allow it.
    pub const ACL: Self = Self(b'A');
    /// The machine takes no connections at all ("shields up").
    pub const SHIELDS_UP: Self = Self(b'S');
    /// The subnet router's host does not forward packets.
    pub const IP_FORWARDING: Self = Self(b'F');
    /// The host's own firewall blocks it.
    pub const HOST_FIREWALL: Self = Self(b'W');
    /// An app connector does not serve it.
    pub const APP_CONNECTOR: Self = Self(b'T');
}

/// A connection that the other end refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reject {
    /// The IP protocol of the connection: 6 for TCP, 17 for UDP.
    pub protocol: u8,
    /// Reason of the rejection.
    pub reason: RejectReason,
    /// The port from which the connection was tried, at the receiver of this message.
    pub src_port: u16,
    /// The port that it was tried to.
    pub dst_port: u16,
    /// The rejection is a guess about the host's set-up, and may be wrong.
    pub maybe_broken: bool,
}

/// Message of TSMP, in an IP packet of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// `!`: a connection was refused.
    Reject(Reject),
    /// `p`: asks for a Pong.
    Ping([u8; 8]),
    /// `o`: answers a Ping.
    Pong {
        /// Bytes that the Ping carried.
        data: [u8; 8],
        /// The port of the sender's PeerAPI; 0 when it has none.
        peer_api_port: u16,
    },
    /// `a`: the sender's disco key has changed.
    DiscoKey(DiscoPublic),
}

/// Reason why a TSMP message cannot be read.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum TsmpError {
    /// Its first byte is none that is known here, or it is empty.
    #[error("TSMP message of an unknown type")]
    UnknownType,
    /// The message ends too early.
    #[error("TSMP message {:?} is cut short", char::from(*kind))]
    TooShort {
        /// First byte of the message.
        kind: u8,
    },
}

impl Message {
    /// Reads what follows the IP header. Bytes after the message are ignored.
    ///
    /// # Errors
    /// When the type is unknown, which newer peers may send, or the message is cut short.
    pub fn parse(payload: &[u8]) -> Result<Self, TsmpError> {
        let (&kind, body) = payload.split_first().ok_or(TsmpError::UnknownType)?;
        let short = TsmpError::TooShort { kind };
        Ok(match kind {
            b'!' => {
                let ([protocol, reason, s0, s1, d0, d1], flags) = body.split_first_chunk().ok_or(short)?;
                Self::Reject(Reject {
                    protocol: *protocol,
                    reason: RejectReason(*reason),
                    src_port: u16::from_be_bytes([*s0, *s1]),
                    dst_port: u16::from_be_bytes([*d0, *d1]),
                    maybe_broken: flags.first().is_some_and(|flags| flags & 1 == 1),
                })
            }
            b'p' => Self::Ping(*body.first_chunk().ok_or(short)?),
            b'o' => {
                let (data, port) = body.split_first_chunk().ok_or(short)?;
                let peer_api_port = u16::from_be_bytes(*port.first_chunk().ok_or(short)?);
                Self::Pong { data: *data, peer_api_port }
            }
            b'a' => Self::DiscoKey(DiscoPublic::from_bytes(*body.first_chunk().ok_or(short)?)),
            _ => return Err(TsmpError::UnknownType),
        })
    }

    /// Writes what follows the IP header at the end of `out`.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Reject(reject) => {
                out.extend_from_slice(&[b'!', reject.protocol, reject.reason.0]);
                out.extend_from_slice(&reject.src_port.to_be_bytes());
                out.extend_from_slice(&reject.dst_port.to_be_bytes());
                out.push(u8::from(reject.maybe_broken));
            }
            Self::Ping(data) => {
                out.push(b'p');
                out.extend_from_slice(data);
            }
            Self::Pong { data, peer_api_port } => {
                out.push(b'o');
                out.extend_from_slice(data);
                out.extend_from_slice(&peer_api_port.to_be_bytes());
            }
            Self::DiscoKey(key) => {
                out.push(b'a');
                out.extend_from_slice(key.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests;
