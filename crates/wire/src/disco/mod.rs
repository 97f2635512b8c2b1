//! Disco: the messages by which nodes find paths to each other, each sealed from one disco key to another.
//!
//! A packet is `magic (6) || sender's key (32) || nonce (24) || box`, and the box holds
//! `type (1) || version (1) || body` (Tailscale `disco/disco.go`). Bodies may be longer than what is understood
//! of them. Messages of relays over UDP (types 4 to 9) are [`Message::Unknown`] here: a node that knows nothing
//! of such relays ignores them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rand_core::CryptoRng;
use thiserror::Error;

use crate::key::{DiscoPublic, KEY_LEN, NodePublic};
use crate::nacl::{NONCE_LEN, OpenError, SharedKey};

/// First bytes of a disco packet: `TS` and a speech balloon (`disco.Magic`).
pub const MAGIC: [u8; 6] = *b"TS\xf0\x9f\x92\xac";
/// Length of the head before the box: magic, sender and nonce, in bytes.
pub const HEADER_LEN: usize = MAGIC.len() + KEY_LEN + NONCE_LEN;
/// Length of an address in a message: 16 bytes of IP, 2 of port.
const ADDRESS_LEN: usize = 18;
/// The address that stands for "over DERP" where disco names one; the port is the region (`tailcfg.DerpMagicIP`).
pub const DERP_MAGIC_IP: Ipv4Addr = Ipv4Addr::new(127, 3, 3, 40);

/// Identifies a [`Message::Ping`] and the Pong that answers it.
pub type TxId = [u8; 12];

/// Returns `true` for a packet that is disco rather than WireGuard, by its first bytes (`disco.LooksLikeDiscoWrapper`).
///
/// Relays use the same test to decide whom to tell that a peer is gone.
pub fn looks_like_disco(packet: &[u8]) -> bool {
    packet.len() >= HEADER_LEN && packet.starts_with(&MAGIC)
}

/// The address that Pongs name for a Ping that came over the DERP region `region`.
pub const fn derp_address(region: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(DERP_MAGIC_IP), region)
}

/// Reason why a disco packet cannot be read.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DiscoError {
    /// It does not start as disco packets do, or ends before the box.
    #[error("not a disco packet")]
    NotDisco,
    /// The box was not sealed by the sender that the packet names, or not for us.
    #[error("disco packet that its sender did not seal for us: {0}")]
    Open(#[from] OpenError),
    /// The message in the box ends too early.
    #[error("disco message of type {kind:#04x} has {len} bytes, fewer than {min}")]
    TooShort {
        /// The message's type; 0 when even that is missing.
        kind: u8,
        /// Its body's length in bytes.
        len: usize,
        /// The shortest that makes sense.
        min: usize,
    },
}

/// The outside of a disco packet: who claims to have sent it, and the box.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Envelope<'a> {
    /// The sender's key; only opening the box proves it.
    pub sender: DiscoPublic,
    /// Nonce, and the box behind it.
    sealed: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Takes a packet's outside apart.
    ///
    /// # Errors
    /// [`DiscoError::NotDisco`], exactly where [`looks_like_disco`] is false.
    pub fn parse(packet: &'a [u8]) -> Result<Self, DiscoError> {
        let body = packet.strip_prefix(&MAGIC).ok_or(DiscoError::NotDisco)?;
        let (sender, sealed) = body.split_first_chunk().ok_or(DiscoError::NotDisco)?;
        if sealed.len() < NONCE_LEN {
            return Err(DiscoError::NotDisco);
        }
        Ok(Self { sender: DiscoPublic::from_bytes(*sender), sealed })
    }

    /// Opens the box and reads the message in it. `shared` is our disco key with [`Self::sender`].
    ///
    /// # Errors
    /// When the box is not the sender's, or the message is cut short.
    pub fn open(&self, shared: &SharedKey) -> Result<Message, DiscoError> {
        Message::parse(&shared.open(self.sealed)?)
    }
}

/// Message of a disco packet.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// 0x01: asks for a Pong on the same path.
    Ping {
        /// Comes back in the Pong.
        tx_id: TxId,
        /// The sender's node key, from senders newer than version 1.16.
        node: Option<NodePublic>,
    },
    /// 0x02: answers a Ping.
    Pong {
        /// Transaction of the Ping.
        tx_id: TxId,
        /// Address from which the Ping was seen to come; [`derp_address`] when it came over a relay.
        src: SocketAddr,
    },
    /// 0x03: asks the receiver, over DERP, to ping these addresses.
    CallMeMaybe {
        /// Addresses at which the sender may be reached.
        endpoints: Vec<SocketAddr>,
    },
    /// Any other type, to be ignored.
    Unknown {
        /// First byte of the message.
        kind: u8,
    },
}

const PING: u8 = 1;
const PONG: u8 = 2;
const CALL_ME_MAYBE: u8 = 3;

impl Message {
    /// Reads what was in the box: `type || version || body`.
    ///
    /// # Errors
    /// When it ends too early for its type.
    pub fn parse(plaintext: &[u8]) -> Result<Self, DiscoError> {
        let [kind, _version, body @ ..] = plaintext else {
            return Err(DiscoError::TooShort { kind: 0, len: plaintext.len(), min: 2 });
        };
        let too_short = |min| DiscoError::TooShort { kind: *kind, len: body.len(), min };
        Ok(match *kind {
            PING => {
                let (tx_id, rest) = body.split_first_chunk().ok_or(too_short(12))?;
                let node = rest.first_chunk().map(|key| NodePublic::from_bytes(*key));
                Self::Ping { tx_id: *tx_id, node }
            }
            PONG => {
                let (tx_id, rest) = body.split_first_chunk().ok_or(too_short(12 + ADDRESS_LEN))?;
                let src = rest.first_chunk().ok_or(too_short(12 + ADDRESS_LEN))?;
                Self::Pong { tx_id: *tx_id, src: read_address(src) }
            }
            CALL_ME_MAYBE => {
                let (addresses, rest) = body.as_chunks();
                // A body that does not divide into addresses carries none.
                let endpoints =
                    if rest.is_empty() { addresses.iter().map(read_address).collect() } else { Vec::new() };
                Self::CallMeMaybe { endpoints }
            }
            kind => Self::Unknown { kind },
        })
    }

    /// Writes what goes into the box. An unknown message is its type alone.
    fn plaintext(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 + 12 + KEY_LEN);
        match self {
            Self::Ping { tx_id, node } => {
                out.extend_from_slice(&[PING, 0]);
                out.extend_from_slice(tx_id);
                if let Some(node) = node {
                    out.extend_from_slice(node.as_bytes());
                }
            }
            Self::Pong { tx_id, src } => {
                out.extend_from_slice(&[PONG, 0]);
                out.extend_from_slice(tx_id);
                write_address(&mut out, *src);
            }
            Self::CallMeMaybe { endpoints } => {
                out.extend_from_slice(&[CALL_ME_MAYBE, 0]);
                for endpoint in endpoints {
                    write_address(&mut out, *endpoint);
                }
            }
            Self::Unknown { kind } => out.extend_from_slice(&[*kind, 0]),
        }
        out
    }

    /// Makes the packet that brings this message from `sender` to the peer that `shared` was made with.
    pub fn seal(
        &self,
        sender: &DiscoPublic,
        shared: &SharedKey,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Vec<u8> {
        let plaintext = self.plaintext();
        let mut packet = Vec::with_capacity(MAGIC.len() + KEY_LEN + crate::nacl::OVERHEAD + plaintext.len());
        packet.extend_from_slice(&MAGIC);
        packet.extend_from_slice(sender.as_bytes());
        shared.seal_into(rng, &plaintext, &mut packet);
        packet
    }
}

/// Reads an address; IPv4 comes in IPv6's notation.
fn read_address(bytes: &[u8; ADDRESS_LEN]) -> SocketAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[..16]);
    let ip = IpAddr::V6(Ipv6Addr::from(octets)).to_canonical();
    SocketAddr::new(ip, u16::from_be_bytes([bytes[16], bytes[17]]))
}

fn write_address(out: &mut Vec<u8>, address: SocketAddr) {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    out.extend_from_slice(&ip.octets());
    out.extend_from_slice(&address.port().to_be_bytes());
}

#[cfg(test)]
mod tests;
