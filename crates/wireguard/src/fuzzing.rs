//! What the fuzz target runs on arbitrary bytes, shared with the property tests.

use std::convert::Infallible;
use std::time::Duration;

use rand_core::{TryCryptoRng, TryRng};
use zeroize::Zeroizing;

use crate::crypto::{mac, mac1_key};
use crate::message::{INITIATION_LEN, MACS_LEN, RESPONSE_LEN, kind};
use crate::{Device, Key, PeerConfig};

/// The sender, as the carrier names it.
const SOURCE: Key = [3; 32];

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

/// A device that awaits the response of one peer and has a session with another, and its numbers for the two.
fn device(now: Duration, rng: &mut Counter) -> (Device, Vec<[u8; 4]>) {
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
    (device, numbers)
}

/// A datagram of somebody who has none of the keys: whatever it is, it is not taken.
///
/// It is tried as it is, and as a message to each handshake and session that there is, with the first MAC made right.
///
/// # Panics
/// Where a datagram is taken, or leaves a timeout that is never over.
pub fn datagram(bytes: &[u8]) {
    let now = Duration::from_secs(10);
    let rng = &mut Counter(0);
    let (mut device, numbers) = device(now, rng);
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
        fn datagrams_like_messages(bytes in messages()) {
            super::datagram(&bytes);
        }
    }
}
