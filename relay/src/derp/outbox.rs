//! What waits to be written to one client.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use dayfly_wire::derp::{self, PacketTooLong, PeerGoneReason};
use dayfly_wire::key::NodePublic;
use futures::task::AtomicWaker;

/// Packets that may wait, of disco and of other kinds each. derper has 32; ours are written many at a time, and
/// one read of a sender can hold more than 32.
const MAX_PACKETS: usize = 256;
/// Bytes of packets that may wait, of disco and of other kinds each. Several of the longest packets fit.
const MAX_BYTES: usize = 512 << 10;
/// Bytes of notices that may wait: PeerGone of some 13,000 peers.
const MAX_NOTICES: usize = 512 << 10;
/// Buffers that have grown beyond this are given back once they are empty.
const KEEP_CAPACITY: usize = 64 << 10;

/// A client's queues: filled by the connections of its peers, emptied by its own.
///
/// Packets are written here as whole frames, so that its connection can write many of them by one system call, and
/// so that nothing is allocated for each. When a queue is full its oldest packets make room.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pending: Mutex<Pending>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Pending {
    /// PeerGone and Restarting.
    notices: Vec<u8>,
    /// Disco packets. A flood of others must not keep peers from finding each other.
    disco: PacketQueue,
    packets: PacketQueue,
    /// The connection has to close.
    closing: bool,
}

/// Outcome of queueing a packet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Pushed {
    /// Older packets that made room for it.
    pub(super) dropped: usize,
    /// Nothing waited before: the connection has to be woken.
    pub(super) wake: bool,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        // What the lock protects is whole after any step, so a panic elsewhere does no harm to it.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a packet from `src`. The caller wakes the connection, once for many packets.
    ///
    /// # Errors
    /// When the packet is longer than DERP relays.
    pub(super) fn push_packet(
        &self,
        src: &NodePublic,
        data: &[u8],
        is_disco: bool,
    ) -> Result<Pushed, PacketTooLong> {
        let head = derp::recv_packet_head(src, data.len())?;
        let mut pending = self.lock();
        let wake = pending.is_empty();
        let queue = if is_disco { &mut pending.disco } else { &mut pending.packets };
        Ok(Pushed { dropped: queue.push(&head, data), wake })
    }

    /// Queues PeerGone and wakes the connection. Returns false where too many notices wait.
    pub(super) fn push_peer_gone(&self, peer: &NodePublic, reason: PeerGoneReason) -> bool {
        let mut pending = self.lock();
        let fits = pending.notices.len() < MAX_NOTICES;
        if fits {
            derp::put_peer_gone(&mut pending.notices, peer, reason);
        }
        drop(pending);
        self.waker.wake();
        fits
    }

    /// Queues a Health frame; an empty text says that all is well again.
    pub(super) fn push_health(&self, text: &str) {
        let mut pending = self.lock();
        if pending.notices.len() < MAX_NOTICES {
            derp::put_health(&mut pending.notices, text);
        }
        drop(pending);
        self.waker.wake();
    }

    /// Has the connection write what waits and a last notice, and close. Only the first notice counts.
    pub(super) fn close_with(&self, put: impl FnOnce(&mut Vec<u8>)) {
        let mut pending = self.lock();
        if !pending.closing {
            pending.closing = true;
            put(&mut pending.notices);
        }
        drop(pending);
        self.waker.wake();
    }

    /// Wakes the connection.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    /// The connection's task: whom to wake.
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// Moves what waits into `batch`, which is empty. Returns whether the connection has to close after it.
    pub(super) fn take(&self, batch: &mut Batch) -> bool {
        let mut pending = self.lock();
        let Pending { notices, disco, packets, closing } = &mut *pending;
        mem::swap(&mut batch.parts[0], notices);
        batch.starts[1] = disco.swap(&mut batch.parts[1]);
        batch.starts[2] = packets.swap(&mut batch.parts[2]);
        *closing
    }

    /// Gives back all memory, if nothing waits.
    pub(super) fn shrink(&self) {
        let mut pending = self.lock();
        if pending.is_empty() {
            let closing = pending.closing;
            *pending = Pending { closing, ..Pending::default() };
        }
    }

    /// Forgets the task, when its connection has ended.
    pub(super) fn unregister(&self) -> Option<Waker> {
        self.waker.take()
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.notices.is_empty() && self.disco.lens.is_empty() && self.packets.lens.is_empty()
    }
}

/// Frames one behind the other, of which the oldest can be dropped.
#[derive(Debug, Default)]
struct PacketQueue {
    bytes: Vec<u8>,
    /// Offset at which the oldest frame starts.
    start: usize,
    lens: VecDeque<u32>,
}

impl PacketQueue {
    /// Adds a frame and returns how many made room for it.
    fn push(&mut self, head: &[u8], data: &[u8]) -> usize {
        let len = head.len() + data.len();
        let mut dropped = 0;
        while self.lens.len() >= MAX_PACKETS || self.bytes.len() - self.start + len > MAX_BYTES {
            let Some(oldest) = self.lens.pop_front() else { break };
            self.start += oldest as usize;
            dropped += 1;
        }
        // What was dropped is moved over once it is half of all, so each byte is moved once on average.
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(data);
        self.lens.push_back(len as u32);
        dropped
    }

    /// Exchanges the frames for an empty buffer and returns where in it they start.
    fn swap(&mut self, other: &mut Vec<u8>) -> usize {
        mem::swap(&mut self.bytes, other);
        self.lens.clear();
        mem::take(&mut self.start)
    }
}

/// Frames that a connection is writing: notices, disco, packets.
#[derive(Debug, Default)]
pub(super) struct Batch {
    parts: [Vec<u8>; 3],
    starts: [usize; 3],
}

impl Batch {
    /// Returns `true` if all is written.
    pub(super) fn is_empty(&self) -> bool {
        self.slices().iter().all(|slice| slice.is_empty())
    }

    /// The bytes that are left to write, in order.
    pub(super) fn slices(&self) -> [&[u8]; 3] {
        let part = |i: usize| self.parts[i].get(self.starts[i]..).unwrap_or_default();
        [part(0), part(1), part(2)]
    }

    /// Room for frames of the connection itself, ahead of packets. Only before anything of the batch is written.
    pub(super) fn own(&mut self) -> &mut Vec<u8> {
        &mut self.parts[0]
    }

    /// `written` more bytes went out.
    pub(super) fn advance(&mut self, mut written: usize) {
        for (part, start) in self.parts.iter_mut().zip(&mut self.starts) {
            let taken = written.min(part.len() - *start);
            *start += taken;
            written -= taken;
            if *start == part.len() {
                *start = 0;
                part.clear();
                if part.capacity() > KEEP_CAPACITY {
                    *part = Vec::new();
                }
            }
        }
    }

    /// Gives back all memory, if all is written.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use dayfly_wire::derp::{Decoded, Frame, MAX_PACKET_LEN, Receiver, decode};
    use proptest::prelude::*;

    use super::*;

    const SRC: NodePublic = NodePublic::from_bytes([7; 32]);

    /// The packets in a batch, in order.
    fn packets(batch: &mut Batch) -> Vec<Vec<u8>> {
        let bytes = batch.slices().concat();
        batch.advance(bytes.len());
        let (mut rest, mut packets) = (bytes.as_slice(), Vec::new());
        while let Some(Decoded { frame, consumed }) = decode(rest, Receiver::Client).unwrap() {
            if let Frame::RecvPacket { src, data } = frame {
                assert_eq!(src, SRC);
                packets.push(data.to_vec());
            }
            rest = &rest[consumed..];
        }
        assert!(rest.is_empty());
        packets
    }

    fn take(outbox: &Outbox) -> Vec<Vec<u8>> {
        let mut batch = Batch::default();
        outbox.take(&mut batch);
        packets(&mut batch)
    }

    #[test]
    fn the_oldest_packets_make_room() {
        let outbox = Outbox::default();
        let mut dropped = 0;
        for i in 0..MAX_PACKETS as u32 + 10 {
            dropped += outbox.push_packet(&SRC, &i.to_be_bytes(), false).unwrap().dropped;
        }
        let packets = take(&outbox);
        assert_eq!((dropped, packets.len()), (10, MAX_PACKETS));
        assert_eq!(packets[0], 10_u32.to_be_bytes());
    }

    #[test]
    fn a_queue_of_the_longest_packets_is_bounded_in_bytes() {
        let outbox = Outbox::default();
        for _ in 0..100 {
            outbox.push_packet(&SRC, &[0; MAX_PACKET_LEN], false).unwrap();
        }
        assert!(outbox.lock().packets.bytes.capacity() <= 4 * MAX_BYTES);
        assert_eq!(take(&outbox).len(), MAX_BYTES / (MAX_PACKET_LEN + 37));
    }

    #[test]
    fn a_flood_of_packets_drops_no_disco() {
        let outbox = Outbox::default();
        outbox.push_packet(&SRC, b"disco", true).unwrap();
        for _ in 0..2 * MAX_PACKETS {
            outbox.push_packet(&SRC, b"flood", false).unwrap();
        }
        assert_eq!(take(&outbox)[0], b"disco");
    }

    #[test]
    fn only_the_first_packet_wakes() {
        let outbox = Outbox::default();
        assert!(outbox.push_packet(&SRC, b"1", false).unwrap().wake);
        assert!(!outbox.push_packet(&SRC, b"2", true).unwrap().wake);
        take(&outbox);
        assert!(outbox.push_packet(&SRC, b"3", true).unwrap().wake);
    }

    #[test]
    fn notices_are_bounded() {
        let outbox = Outbox::default();
        let queued =
            (0..20_000).filter(|_| outbox.push_peer_gone(&SRC, PeerGoneReason::DISCONNECTED)).count();
        assert!((10_000..15_000).contains(&queued), "{queued}");
    }

    proptest! {
        #[test]
        fn what_is_not_dropped_arrives_in_order(lens in proptest::collection::vec(0_usize..40_000, 0..80)) {
            let outbox = Outbox::default();
            let (mut sent, mut dropped) = (Vec::new(), 0);
            for (i, len) in lens.iter().enumerate() {
                let packet = vec![i as u8; *len];
                dropped += outbox.push_packet(&SRC, &packet, false).unwrap().dropped;
                sent.push(packet);
            }
            prop_assert_eq!(take(&outbox), sent.split_off(dropped));
        }

        #[test]
        fn a_batch_goes_out_in_any_pieces(pieces in proptest::collection::vec(1_usize..50, 100)) {
            let outbox = Outbox::default();
            outbox.push_packet(&SRC, b"later", false).unwrap();
            outbox.push_packet(&SRC, b"disco", true).unwrap();
            outbox.push_peer_gone(&SRC, PeerGoneReason::NOT_HERE);
            let mut batch = Batch::default();
            outbox.take(&mut batch);
            let (whole, mut written) = (batch.slices().concat(), Vec::new());
            for piece in pieces {
                let left = batch.slices().concat();
                let piece = piece.min(left.len());
                written.extend_from_slice(&left[..piece]);
                batch.advance(piece);
            }
            prop_assert!(batch.is_empty());
            prop_assert_eq!(written, whole);
        }
    }
}
