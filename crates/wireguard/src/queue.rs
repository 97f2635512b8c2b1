//! Packets that wait for a session.

use std::collections::VecDeque;

use crate::message::{DATA_OFFSET, sealed_len};

/// Packets of one peer that wait for a session. The oldest is dropped for one more.
pub const MAX_QUEUED_PACKETS: usize = 64;
/// Bytes that the packets of one peer that wait for a session take, as datagrams. The oldest are dropped for more.
pub const MAX_QUEUED_BYTES: usize = 128 << 10;

/// A packet in the buffer of the datagram that will carry it.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) datagram: Vec<u8>,
    pub(crate) packet_len: usize,
}

impl Waiting {
    pub(crate) fn new(packet: &[u8]) -> Self {
        let mut datagram = vec![0; sealed_len(packet.len())];
        if let Some(place) = datagram.get_mut(DATA_OFFSET..).and_then(|rest| rest.get_mut(..packet.len())) {
            place.copy_from_slice(packet);
        }
        Self { datagram, packet_len: packet.len() }
    }
}

/// A bounded queue of packets, the newest of which are kept.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    packets: VecDeque<Waiting>,
    bytes: usize,
}

impl Queue {
    /// Keeps a packet, and drops as many of the oldest as that takes. `false` for one that is too long by itself.
    pub(crate) fn push(&mut self, packet: &[u8]) -> bool {
        let len = sealed_len(packet.len());
        if len > MAX_QUEUED_BYTES {
            return false;
        }
        while self.packets.len() >= MAX_QUEUED_PACKETS || self.bytes + len > MAX_QUEUED_BYTES {
            if self.pop().is_none() {
                break;
            }
        }
        self.bytes += len;
        self.packets.push_back(Waiting::new(packet));
        true
    }

    /// Takes the oldest packet.
    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        let oldest = self.packets.pop_front()?;
        self.bytes -= oldest.datagram.len();
        Some(oldest)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.packets = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut Queue) -> Vec<u8> {
        std::iter::from_fn(|| queue.pop()).map(|waiting| waiting.datagram[DATA_OFFSET]).collect()
    }

    #[test]
    fn the_oldest_packets_are_dropped_by_number_and_by_bytes() {
        let mut queue = Queue::default();
        for id in 0..70 {
            assert!(queue.push(&[id; 100]));
        }
        assert_eq!(drain(&mut queue), (6..70).collect::<Vec<_>>());
        assert_eq!(queue.bytes, 0);

        let long = 30 << 10;
        for id in 0..6 {
            assert!(queue.push(&vec![id; long]));
        }
        assert_eq!(queue.bytes, 4 * sealed_len(long));
        assert_eq!(drain(&mut queue), [2, 3, 4, 5]);
    }

    #[test]
    fn a_packet_that_can_never_fit_is_refused_and_costs_no_other() {
        let mut queue = Queue::default();
        assert!(queue.push(&[1]));
        assert!(!queue.push(&vec![2; MAX_QUEUED_BYTES]));
        assert_eq!(drain(&mut queue), [1]);
    }
}
