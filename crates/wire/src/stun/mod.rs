//! STUN binding requests and responses (RFC 8489), as far as nodes and relays use them.
//!
//! Nodes ask relays from where their packets seem to come. A relay answers only what comes from a Tailscale node:
//! a request with `SOFTWARE` `tailnode` that ends in a right `FINGERPRINT` (Tailscale `net/stun/stun.go`), so that
//! it is of little use to anyone else.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

/// Length of a message's header in bytes (RFC 8489, section 5).
pub const HEADER_LEN: usize = 20;
/// Length of a request that [`request`] builds, in bytes.
pub const REQUEST_LEN: usize = HEADER_LEN + 12 + FINGERPRINT_LEN;

/// Identifies a request and the response to it.
pub type TxId = [u8; 12];

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const MAPPED_ADDRESS: u16 = 0x0001;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// Type of the attribute in drafts of RFC 5389, which some servers still use.
const XOR_MAPPED_ADDRESS_DRAFT: u16 = 0x8020;
const SOFTWARE: u16 = 0x8022;
const FINGERPRINT: u16 = 0x8028;
const FINGERPRINT_LEN: usize = 8;
/// Value that the fingerprint's CRC is combined with (RFC 8489, section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;
/// The name that relays want to see.
const TAILNODE: &[u8; 8] = b"tailnode";

/// Reason why a packet is not a request to answer, or not a response to use.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum StunError {
    /// It is something else: disco, WireGuard, or noise.
    #[error("not a STUN message")]
    NotStun,
    /// It is STUN, but not a binding request.
    #[error("not a STUN binding request")]
    NotBindingRequest,
    /// It is STUN, but not the answer to a binding request.
    #[error("not a successful STUN binding response")]
    NotBindingResponse,
    /// An attribute is longer than what follows, or too short for what it is.
    #[error("STUN message with a malformed attribute")]
    MalformedAttribute,
    /// It is not from a Tailscale node.
    #[error("STUN request of other software")]
    OtherSoftware,
    /// The last attribute is no fingerprint.
    #[error("STUN request without a fingerprint at its end")]
    NoFingerprint,
    /// The fingerprint does not belong to the message.
    #[error("STUN request with a wrong fingerprint")]
    WrongFingerprint,
    /// A response tells no address.
    #[error("STUN response without an address")]
    NoAddress,
}

/// Returns `true` for STUN, on a port that is shared with disco and WireGuard.
pub fn looks_like_stun(packet: &[u8]) -> bool {
    packet.len() >= HEADER_LEN && packet[0] & 0b1100_0000 == 0 && packet[4..8] == COOKIE
}

/// Builds a binding request as Tailscale nodes send it.
pub fn request(tx_id: &TxId) -> [u8; REQUEST_LEN] {
    let mut message = [0; REQUEST_LEN];
    write_header(&mut message, BINDING_REQUEST, tx_id);
    message[20..22].copy_from_slice(&SOFTWARE.to_be_bytes());
    message[23] = TAILNODE.len() as u8;
    message[24..32].copy_from_slice(TAILNODE);
    let fingerprint = fingerprint(&message[..32]);
    message[32..34].copy_from_slice(&FINGERPRINT.to_be_bytes());
    message[35] = 4;
    message[36..40].copy_from_slice(&fingerprint.to_be_bytes());
    message
}

/// Reads a binding request, as strictly as Tailscale's relays do.
///
/// # Errors
/// When it is not one that a relay answers. Nothing should be sent back then.
pub fn parse_request(packet: &[u8]) -> Result<TxId, StunError> {
    let (kind, tx_id, attributes) = parse_header(packet)?;
    if kind != BINDING_REQUEST {
        return Err(StunError::NotBindingRequest);
    }
    let mut from_tailnode = false;
    let mut last = None;
    for attribute in Attributes(attributes) {
        let (kind, value) = attribute?;
        from_tailnode |= kind == SOFTWARE && value == TAILNODE;
        last = Some((kind, value));
    }
    if !from_tailnode {
        return Err(StunError::OtherSoftware);
    }
    let Some((FINGERPRINT, value)) = last else {
        return Err(StunError::NoFingerprint);
    };
    let value: [u8; 4] = value.try_into().map_err(|_| StunError::WrongFingerprint)?;
    let covered = packet.get(..packet.len() - FINGERPRINT_LEN).ok_or(StunError::WrongFingerprint)?;
    if u32::from_be_bytes(value) != fingerprint(covered) {
        return Err(StunError::WrongFingerprint);
    }
    Ok(tx_id)
}

/// A binding response: 32 bytes for an IPv4 address, 44 for IPv6.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Response {
    message: [u8; 44],
    len: usize,
}

impl AsRef<[u8]> for Response {
    fn as_ref(&self) -> &[u8] {
        &self.message[..self.len]
    }
}

/// Builds the response that tells a requester its address. IPv4 in IPv6's notation is told as IPv4.
pub fn response(tx_id: &TxId, address: SocketAddr) -> Response {
    let mut message = [0; 44];
    let mask = address_mask(tx_id);
    let (family, ip_len) = match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            message[28..32].copy_from_slice(&ip.octets());
            (1, 4)
        }
        IpAddr::V6(ip) => {
            message[28..44].copy_from_slice(&ip.octets());
            (2, 16)
        }
    };
    let len = HEADER_LEN + 8 + ip_len;
    write_header(&mut message[..len], BINDING_SUCCESS, tx_id);
    message[20..22].copy_from_slice(&XOR_MAPPED_ADDRESS.to_be_bytes());
    message[23] = 4 + ip_len as u8;
    message[25] = family;
    message[26..28].copy_from_slice(&address.port().to_be_bytes());
    for (byte, mask) in message[26..28].iter_mut().zip(COOKIE) {
        *byte ^= mask;
    }
    for (byte, mask) in message[28..len].iter_mut().zip(mask) {
        *byte ^= mask;
    }
    Response { message, len }
}

/// Reads a binding response: which request it answers, and the address that it tells.
///
/// # Errors
/// When it is not a successful response or tells no address.
pub fn parse_response(packet: &[u8]) -> Result<(TxId, SocketAddr), StunError> {
    let (kind, tx_id, attributes) = parse_header(packet)?;
    if kind != BINDING_SUCCESS {
        return Err(StunError::NotBindingResponse);
    }
    let len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let attributes = attributes.get(..len).ok_or(StunError::MalformedAttribute)?;
    let (mut address, mut plain_address) = (None, None);
    for attribute in Attributes(attributes) {
        match attribute? {
            (XOR_MAPPED_ADDRESS | XOR_MAPPED_ADDRESS_DRAFT, value) => {
                address = Some(parse_address(value, COOKIE, &address_mask(&tx_id))?);
            }
            (MAPPED_ADDRESS, value) => plain_address = Some(parse_address(value, [0; 4], &[0; 16])?),
            _ => {}
        }
    }
    Ok((tx_id, address.or(plain_address).ok_or(StunError::NoAddress)?))
}

fn write_header(message: &mut [u8], kind: [u8; 2], tx_id: &TxId) {
    let len = (message.len() - HEADER_LEN) as u16;
    message[..2].copy_from_slice(&kind);
    message[2..4].copy_from_slice(&len.to_be_bytes());
    message[4..8].copy_from_slice(&COOKIE);
    message[8..20].copy_from_slice(tx_id);
}

fn parse_header(packet: &[u8]) -> Result<([u8; 2], TxId, &[u8]), StunError> {
    if !looks_like_stun(packet) {
        return Err(StunError::NotStun);
    }
    let (header, attributes) = packet.split_first_chunk::<HEADER_LEN>().ok_or(StunError::NotStun)?;
    let mut tx_id = [0; 12];
    tx_id.copy_from_slice(&header[8..]);
    Ok(([header[0], header[1]], tx_id, attributes))
}

/// Walks over attributes: type, length, value, padding to four bytes (RFC 8489, section 14).
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), StunError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let attribute = self.split();
        if attribute.is_none() {
            self.0 = &[];
        }
        Some(attribute.ok_or(StunError::MalformedAttribute))
    }
}

impl<'a> Attributes<'a> {
    fn split(&mut self) -> Option<(u16, &'a [u8])> {
        let ([k0, k1, l0, l1], rest) = self.0.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        self.0 = rest.get(len.next_multiple_of(4)..)?;
        Some((u16::from_be_bytes([*k0, *k1]), &rest[..len]))
    }
}

/// Mask that addresses are combined with: the cookie and the transaction (RFC 8489, section 14.2).
fn address_mask(tx_id: &TxId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&COOKIE);
    mask[4..].copy_from_slice(tx_id);
    mask
}

fn parse_address(value: &[u8], port_mask: [u8; 4], ip_mask: &[u8; 16]) -> Result<SocketAddr, StunError> {
    let ([_, family, p0, p1], ip) = value.split_first_chunk().ok_or(StunError::MalformedAttribute)?;
    let port = u16::from_be_bytes([p0 ^ port_mask[0], p1 ^ port_mask[1]]);
    let len = match family {
        1 => 4,
        2 => 16,
        _ => return Err(StunError::MalformedAttribute),
    };
    let mut octets = [0; 16];
    let ip = ip.get(..len).ok_or(StunError::MalformedAttribute)?;
    for ((octet, byte), mask) in octets.iter_mut().zip(ip).zip(ip_mask) {
        *octet = byte ^ mask;
    }
    let ip = match octets {
        [a, b, c, d, ..] if len == 4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        octets => IpAddr::V6(Ipv6Addr::from(octets)).to_canonical(),
    };
    Ok(SocketAddr::new(ip, port))
}

/// The value of a FINGERPRINT after `covered`: CRC-32 of IEEE 802.3, bit by bit, for messages are short and few.
fn fingerprint(covered: &[u8]) -> u32 {
    let crc = covered.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    });
    !crc ^ FINGERPRINT_XOR
}

#[cfg(test)]
mod tests;
