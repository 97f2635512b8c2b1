//! Writing frames. Each function appends one whole frame to a growing buffer.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use bytes::BufMut;
use rand_core::CryptoRng;
use thiserror::Error;

use super::{
    ClientInfo, FrameType, HEADER_LEN, InfoError, MAGIC, MAX_PACKET_LEN, PeerGoneReason, PeerPresentFlags,
    ServerInfo, info,
};
use crate::key::{KEY_LEN, NodePrivate, NodePublic};
use crate::nacl::SharedKey;

/// A packet is longer than DERP relays.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a relayed packet has at most {MAX_PACKET_LEN} bytes, this one has {len}")]
pub struct PacketTooLong {
    /// Its length in bytes.
    pub len: usize,
}

/// The header of a frame whose payload is known to be shorter than 4 GiB.
fn head(kind: FrameType, len: usize) -> [u8; HEADER_LEN] {
    let [a, b, c, d] = (len as u32).to_be_bytes();
    [kind.0, a, b, c, d]
}

fn put(out: &mut impl BufMut, kind: FrameType, parts: &[&[u8]]) {
    out.put_slice(&head(kind, parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        out.put_slice(part);
    }
}

fn packet_len(data: &[u8]) -> Result<(), PacketTooLong> {
    if data.len() > MAX_PACKET_LEN { Err(PacketTooLong { len: data.len() }) } else { Ok(()) }
}

/// Appends ServerKey (0x01): a server's first frame.
pub fn put_server_key(out: &mut impl BufMut, key: &NodePublic) {
    put(out, FrameType::SERVER_KEY, &[&MAGIC, key.as_bytes()]);
}

/// Appends ClientInfo (0x02): a client's first frame, `info` sealed to the server's key.
///
/// # Errors
/// When `info` is longer than a server takes.
pub fn put_client_info(
    out: &mut impl BufMut,
    client: &NodePrivate,
    server: &NodePublic,
    info: &ClientInfo,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(), InfoError> {
    let sealed = info::seal_client_info(&client.shared(server), info, rng)?;
    put(out, FrameType::CLIENT_INFO, &[client.public().as_bytes(), &sealed]);
    Ok(())
}

/// Appends ServerInfo (0x03): a server's answer to a ClientInfo that it accepts.
///
/// # Errors
/// When `info` is longer than a client takes.
pub fn put_server_info(
    out: &mut impl BufMut,
    shared: &SharedKey,
    info: &ServerInfo,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(), InfoError> {
    let sealed = info::seal_server_info(shared, info, rng)?;
    put(out, FrameType::SERVER_INFO, &[&sealed]);
    Ok(())
}

/// Appends SendPacket (0x04).
///
/// # Errors
/// When `data` is longer than [`MAX_PACKET_LEN`]; `out` is then unchanged.
pub fn put_send_packet(out: &mut impl BufMut, dst: &NodePublic, data: &[u8]) -> Result<(), PacketTooLong> {
    packet_len(data)?;
    put(out, FrameType::SEND_PACKET, &[dst.as_bytes(), data]);
    Ok(())
}

/// Appends RecvPacket (0x05).
///
/// # Errors
/// When `data` is longer than [`MAX_PACKET_LEN`]; `out` is then unchanged.
pub fn put_recv_packet(out: &mut impl BufMut, src: &NodePublic, data: &[u8]) -> Result<(), PacketTooLong> {
    out.put_slice(&recv_packet_head(src, data.len())?);
    out.put_slice(data);
    Ok(())
}

/// Returns the head of a RecvPacket (0x05) with a packet of `len` bytes, for writers that gather.
///
/// The SendPacket that brought the packet has the same length, so a relay may also overwrite that frame's first
/// bytes with these and pass the frame on as it lies.
///
/// # Errors
/// When `len` is more than [`MAX_PACKET_LEN`].
pub fn recv_packet_head(src: &NodePublic, len: usize) -> Result<[u8; HEADER_LEN + KEY_LEN], PacketTooLong> {
    if len > MAX_PACKET_LEN {
        return Err(PacketTooLong { len });
    }
    let mut bytes = [0; HEADER_LEN + KEY_LEN];
    bytes[..HEADER_LEN].copy_from_slice(&head(FrameType::RECV_PACKET, KEY_LEN + len));
    bytes[HEADER_LEN..].copy_from_slice(src.as_bytes());
    Ok(bytes)
}

/// Appends KeepAlive (0x06).
pub fn put_keep_alive(out: &mut impl BufMut) {
    put(out, FrameType::KEEP_ALIVE, &[]);
}

/// Appends NotePreferred (0x07).
pub fn put_note_preferred(out: &mut impl BufMut, home: bool) {
    put(out, FrameType::NOTE_PREFERRED, &[&[u8::from(home)]]);
}

/// Appends PeerGone (0x08).
pub fn put_peer_gone(out: &mut impl BufMut, peer: &NodePublic, reason: PeerGoneReason) {
    put(out, FrameType::PEER_GONE, &[peer.as_bytes(), &[reason.0]]);
}

/// Appends PeerPresent (0x09) in its longest form; IPv4 addresses go in IPv6's notation.
pub fn put_peer_present(
    out: &mut impl BufMut,
    peer: &NodePublic,
    address: SocketAddr,
    flags: PeerPresentFlags,
) {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let parts: [&[u8]; 4] = [peer.as_bytes(), &ip.octets(), &address.port().to_be_bytes(), &[flags.0]];
    put(out, FrameType::PEER_PRESENT, &parts);
}

/// Appends ForwardPacket (0x0a).
///
/// # Errors
/// When `data` is longer than [`MAX_PACKET_LEN`]; `out` is then unchanged.
pub fn put_forward_packet(
    out: &mut impl BufMut,
    src: &NodePublic,
    dst: &NodePublic,
    data: &[u8],
) -> Result<(), PacketTooLong> {
    packet_len(data)?;
    put(out, FrameType::FORWARD_PACKET, &[src.as_bytes(), dst.as_bytes(), data]);
    Ok(())
}

/// Appends WatchConns (0x10).
pub fn put_watch_conns(out: &mut impl BufMut) {
    put(out, FrameType::WATCH_CONNS, &[]);
}

/// Appends ClosePeer (0x11).
pub fn put_close_peer(out: &mut impl BufMut, peer: &NodePublic) {
    put(out, FrameType::CLOSE_PEER, &[peer.as_bytes()]);
}

/// Appends Ping (0x12).
pub fn put_ping(out: &mut impl BufMut, payload: [u8; 8]) {
    put(out, FrameType::PING, &[&payload]);
}

/// Appends Pong (0x13), with what the Ping carried.
pub fn put_pong(out: &mut impl BufMut, payload: [u8; 8]) {
    put(out, FrameType::PONG, &[&payload]);
}

/// Appends Health (0x14). An empty text tells that all is well again.
pub fn put_health(out: &mut impl BufMut, text: &str) {
    put(out, FrameType::HEALTH, &[text.as_bytes()]);
}

/// Appends Restarting (0x15), in whole milliseconds.
pub fn put_restarting(out: &mut impl BufMut, reconnect_in: Duration, try_for: Duration) {
    let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX).to_be_bytes();
    put(out, FrameType::RESTARTING, &[&millis(reconnect_in), &millis(try_for)]);
}
