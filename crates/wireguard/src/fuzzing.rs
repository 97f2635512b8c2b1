//! What the fuzz targets run on arbitrary bytes, shared with the property tests.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::Duration;

use dayfly_moment::Moment;
use rand_core::{TryCryptoRng, TryRng};
use zeroize::Zeroizing;

use crate::crypto::{mac, mac1_key};
use crate::message::{INITIATION_LEN, MACS_LEN, RESPONSE_LEN, TAG_LEN, kind};
use crate::{DATA_OFFSET, Device, Key, PeerConfig, ReceiveError, Received, sealed_len};

/// The sender, as the carrier names it.
const SOURCE: Key = [3; 32];

/// Moment at which everything happens.
const NOW: Moment = Moment::from_start(Duration::from_secs(10));

/// A counter: enough for keys and numbers that differ.
struct Counter(u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 += 1;
        Ok(self.0 as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        self.0 += 1;
        dest.fill(self.0 as u8);
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

/// A device that awaits the response of one peer and has a session with another, that other, and the device's numbers
/// for the two.
fn devices(now: Moment, rng: &mut Counter) -> (Device, Device, Vec<[u8; 4]>) {
    let config = |public_key| PeerConfig { public_key, preshared_key: None, persistent_keepalive: None };
    let mut device = Device::new(Zeroizing::new([1; 32]), Duration::from_secs(1));
    let mut peer = Device::new(Zeroizing::new([2; 32]), Duration::from_secs(1));
    let absent = Device::new(Zeroizing::new([3; 32]), Duration::ZERO).public_key();
    device.add_peer(config(peer.public_key()));
    device.add_peer(config(absent));
    peer.add_peer(config(device.public_key()));
    device.connect(&absent, now, rng);
    device.connect(&peer.public_key(), now, rng);
    let mut numbers = Vec::new();
    while let Some(mut transmit) = device.poll_transmit() {
        if let Some((&kind::INITIATION, rest)) = transmit.datagram.split_first_chunk() {
            numbers.extend(rest.first_chunk::<4>());
        }
        let _ = peer.handle(&SOURCE, &mut transmit.datagram, now, rng);
        while let Some(mut answer) = peer.poll_transmit() {
            let _ = device.handle(&SOURCE, &mut answer.datagram, now, rng);
        }
    }
    (device, peer, numbers)
}

/// Checks that a datagram of somebody who has none of the keys is not taken, whatever it is.
///
/// It is tried as it is, and as a message to each handshake and session that there is, with the first MAC made right.
///
/// # Panics
/// Where a datagram is taken, or leaves a timeout that is never over.
pub fn datagram(bytes: &[u8]) {
    let (now, rng) = (NOW, &mut Counter(0));
    let (mut device, _, numbers) = devices(now, rng);
    assert_eq!(numbers.len(), 2, "one number for each handshake");
    let mut attempts = vec![bytes.to_vec()];
    for number in numbers {
        let mut named = bytes.to_vec();
        // Where a message names its receiver depends on its type.
        let at = if named.starts_with(&kind::RESPONSE) { 8 } else { 4 };
        if let Some(place) = named.get_mut(at..at + 4) {
            place.copy_from_slice(&number);
        }
        if (named.len() == INITIATION_LEN && named.starts_with(&kind::INITIATION))
            || (named.len() == RESPONSE_LEN && named.starts_with(&kind::RESPONSE))
        {
            let (body, macs) = named.split_at_mut(bytes.len() - MACS_LEN);
            let mac1 = mac(&mac1_key(&device.public_key()), body).unwrap_or_default();
            macs[..16].copy_from_slice(&mac1);
        }
        attempts.push(named);
    }
    for mut attempt in attempts {
        let taken = device.handle(&SOURCE, &mut attempt, now, rng);
        assert!(taken.is_err(), "{taken:?}");
    }
    // Nothing was moved: what was due before is due still, once.
    device.handle_timeout(now, rng);
    assert!(device.poll_timeout().is_some_and(|at| at > now));
}

thread_local! {
    /// A device and a peer that have a session, kept because their handshake takes much longer than a packet.
    static SESSION: RefCell<(Device, Device)> = RefCell::new({
        let (device, peer, _) = devices(NOW, &mut Counter(0));
        (device, peer)
    });
}

/// Checks what a peer with a session sends: its content is taken where it is an IP packet or empty, the same datagram is not
/// taken again, and one that was damaged is not taken at all.
///
/// The first two bytes tell where and how a datagram is damaged, the rest is the content.
///
/// # Panics
/// Where a datagram is taken that should not be, or the other way round.
pub fn packet(bytes: &[u8]) {
    let Some((&[at, flip], content)) = bytes.split_first_chunk() else { return };
    SESSION.with_borrow_mut(|(device, peer)| packet_between(peer, device, (at, flip), content));
}

fn packet_between(peer: &mut Device, device: &mut Device, (at, flip): (u8, u8), content: &[u8]) {
    let (now, rng) = (NOW, &mut Counter(0));
    let (key, sender) = (device.public_key(), peer.public_key());
    let mut datagram = vec![0; sealed_len(content.len())];
    datagram[DATA_OFFSET..DATA_OFFSET + content.len()].copy_from_slice(content);
    let mut padded = datagram[DATA_OFFSET..datagram.len() - TAG_LEN].to_vec();
    assert_eq!(peer.seal(&key, &mut datagram, content.len(), now), Ok(()));
    let mut copy = datagram.clone();
    if let Some(byte) = copy.get_mut(usize::from(at))
        && flip != 0
    {
        *byte ^= flip;
        let taken = device.handle(&SOURCE, &mut copy, now, rng);
        assert!(taken.is_err(), "{taken:?}");
        copy.copy_from_slice(&datagram);
    }
    let packet_len = crate::packet::ip_len(&padded);
    let expected = match packet_len.and_then(|len| padded.get_mut(..len)) {
        Some(packet) => Ok(Received::Packet { peer: sender, packet }),
        None if content.is_empty() => Ok(Received::Keepalive { peer: sender }),
        None => Err(ReceiveError::NoIpPacket),
    };
    assert_eq!(device.handle(&SOURCE, &mut datagram, now, rng), expected);
    assert_eq!(device.handle(&SOURCE, &mut copy, now, rng), Err(ReceiveError::Replayed));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Bytes that begin like a message and are as long as one, most of the time.
    fn messages() -> impl Strategy<Value = Vec<u8>> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..300);
        (0..6_u8, any::<bool>(), bytes).prop_map(|(kind, fit, mut bytes)| {
            let len = match kind {
                1 => 148,
                2 => 92,
                3 => 64,
                _ => bytes.len(),
            };
            if fit {
                bytes.resize(len, kind);
            }
            if let Some(start) = bytes.get_mut(..4) {
                start.copy_from_slice(&[kind, 0, 0, 0]);
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn datagrams(bytes: Vec<u8>) {
            super::datagram(&bytes);
        }

        #[test]
        fn packets(at: u8, flip: u8, v4: bool, len in 0..60_u8, mut content in proptest::collection::vec(any::<u8>(), 0..60)) {
            super::packet(&[&[at, flip][..], &content].concat());
            if let Some(start) = content.get_mut(..6) {
                let header = if v4 { [0x45, 0, 0, len, 0, 0] } else { [0x60, 0, 0, 0, 0, len] };
                start.copy_from_slice(&header);
            }
            super::packet(&[&[at, flip][..], &content].concat());
        }

        #[test]
        fn datagrams_like_messages(bytes in messages()) {
            super::datagram(&bytes);
        }
    }
}
