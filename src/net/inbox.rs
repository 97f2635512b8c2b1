//! Messages that a WebSocket has received and its reader has not read yet.
//!
//! Batching: messages shorter than [`LONG`] are delivered at once. Longer ones are gathered until [`PIECE`] bytes wait
//! or [`PIECE_LIMIT`] has passed; the first [`ALONE`] of them in a row are delivered at once too.
//!
//! Relays cut what they send into messages of two packets, and waking a reader for each of them costs more than reading
//! it. A short message may be an answer that somebody waits for, and so may a few longer ones: half of a handshake, a
//! map. Only then is more sure to follow.

use std::collections::VecDeque;
use std::time::Duration;

use dayfly_platform::time::Moment;

/// Length in bytes from which on a message is taken for a part of more.
pub const LONG: usize = 1024;
/// Long messages in a row that are delivered at once.
pub const ALONE: u32 = 3;
/// Bytes that are a good piece: more of them are not waited for.
pub const PIECE: usize = 16 * 1024;
/// Time for which the rest of a piece is waited for.
pub const PIECE_LIMIT: Duration = Duration::from_millis(2);
/// Cost of what may wait for its reader, in bytes. Windows of TCP inside keep an honest peer far below it.
pub const MAX_UNREAD: usize = 32 * 1024 * 1024;
/// Cost of a message besides its bytes, so that tiny ones are bounded as well.
const MESSAGE_COST: usize = 64;

/// Message as a browser or a test has it.
pub trait Message {
    /// Returns the length in bytes.
    fn length(&self) -> usize;
    /// Fills `target` with the bytes from `start` on, of which there are enough.
    fn copy_into(&self, start: usize, target: &mut [u8]);
}

/// Moment at which a message that was received is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Before anything else is received.
    Now,
    /// At this moment, should nothing be delivered before.
    By(Moment),
}

/// Error for more than [`MAX_UNREAD`].
#[derive(Debug, PartialEq, Eq)]
pub struct Overfull;

/// Messages that wait for their reader, in order.
#[derive(Debug)]
pub struct Inbox<M> {
    messages: VecDeque<M>,
    /// Bytes of the first message that have been read.
    read: usize,
    /// Cost of `messages`.
    cost: usize,
    /// Long messages since the last short one.
    long: u32,
    /// Moment until which a piece is gathered.
    gathering: Option<Moment>,
}

impl<M> Default for Inbox<M> {
    fn default() -> Self {
        Self { messages: VecDeque::new(), read: 0, cost: 0, long: 0, gathering: None }
    }
}

impl<M: Message> Inbox<M> {
    /// Takes a message in. Returns when the reader is to be woken for it.
    ///
    /// # Errors
    /// [`Overfull`] when the reader has fallen far behind. Nothing is left to be read then.
    pub fn receive(&mut self, message: M, now: Moment) -> Result<Delivery, Overfull> {
        let length = message.length();
        if length == 0 {
            return Ok(Delivery::Now);
        }
        self.cost += length + MESSAGE_COST;
        if self.cost > MAX_UNREAD {
            *self = Self::default();
            return Err(Overfull);
        }
        self.messages.push_back(message);
        self.long = if length >= LONG { self.long.saturating_add(1) } else { 0 };
        if self.long <= ALONE || self.cost >= PIECE {
            return Ok(Delivery::Now);
        }
        // A limit that runs already is left to: it is of what came first.
        let limit = *self.gathering.get_or_insert(now + PIECE_LIMIT);
        if now < limit {
            return Ok(Delivery::By(limit));
        }
        self.gathering = None;
        Ok(Delivery::Now)
    }

    /// Takes in that the limit of a piece has passed: the next one has its own.
    pub fn limit_passed(&mut self) {
        self.gathering = None;
    }

    /// Returns how many bytes wait.
    pub fn unread(&self) -> usize {
        self.cost - self.messages.len() * MESSAGE_COST - self.read
    }

    /// Copies what waits into `buffer`, of as many messages as fit. Returns how many bytes that were.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(message) = self.messages.front()
            && filled < buffer.len()
        {
            let length = message.length();
            let count = (length - self.read).min(buffer.len() - filled);
            message.copy_into(self.read, &mut buffer[filled..filled + count]);
            filled += count;
            self.read += count;
            if self.read == length {
                self.cost -= length + MESSAGE_COST;
                self.messages.pop_front();
                self.read = 0;
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Message for Vec<u8> {
        fn length(&self) -> usize {
            self.len()
        }

        fn copy_into(&self, start: usize, target: &mut [u8]) {
            target.copy_from_slice(&self[start..start + target.len()]);
        }
    }

    const MILLI: Duration = Duration::from_millis(1);

    fn at(milliseconds: u32) -> Moment {
        Moment::START + MILLI * milliseconds
    }

    fn receive(inbox: &mut Inbox<Vec<u8>>, length: usize, now: Moment) -> Delivery {
        inbox.receive(vec![7; length], now).unwrap()
    }

    /// An inbox whose next long message is one more than are delivered at once, and in which nothing waits.
    fn in_a_row() -> Inbox<Vec<u8>> {
        let mut inbox = Inbox::default();
        for _ in 0..ALONE {
            assert_eq!(receive(&mut inbox, LONG, at(0)), Delivery::Now);
        }
        drain(&mut inbox);
        inbox
    }

    fn drain(inbox: &mut Inbox<Vec<u8>>) -> usize {
        let mut buffer = vec![0; 2 * PIECE];
        std::iter::from_fn(|| Some(inbox.read(&mut buffer)).filter(|read| *read > 0)).sum()
    }

    #[test]
    fn a_short_message_is_delivered_at_once_and_so_are_the_first_long_ones_after_it() {
        let mut inbox = in_a_row();
        assert!(matches!(receive(&mut inbox, LONG, at(1)), Delivery::By(_)));
        assert_eq!(receive(&mut inbox, LONG - 1, at(1)), Delivery::Now);
        for _ in 0..ALONE {
            assert_eq!(receive(&mut inbox, LONG, at(1)), Delivery::Now);
        }
        assert!(matches!(receive(&mut inbox, LONG, at(1)), Delivery::By(_)));
    }

    #[test]
    fn long_messages_are_gathered_until_there_is_a_piece_of_them() {
        let mut inbox = in_a_row();
        let mut gathered = 0;
        while let Delivery::By(limit) = receive(&mut inbox, LONG, at(5)) {
            assert_eq!(limit, at(5) + PIECE_LIMIT);
            gathered += 1;
        }
        assert!((PIECE / (LONG + MESSAGE_COST)..=PIECE / LONG).contains(&gathered), "{gathered}");
        assert_eq!(drain(&mut inbox), (gathered + 1) * LONG);
    }

    #[test]
    fn what_is_gathered_is_waited_for_no_longer_than_the_limit_of_its_first_message() {
        let mut inbox = in_a_row();
        let limit = Delivery::By(at(5) + PIECE_LIMIT);
        assert_eq!(receive(&mut inbox, LONG, at(5)), limit);
        assert_eq!(receive(&mut inbox, LONG, at(6)), limit);
        // The timer is late: what comes then is not gathered any more.
        assert_eq!(receive(&mut inbox, LONG, at(7)), Delivery::Now);
        assert_eq!(receive(&mut inbox, LONG, at(8)), Delivery::By(at(8) + PIECE_LIMIT));
        inbox.limit_passed();
        assert_eq!(receive(&mut inbox, LONG, at(9)), Delivery::By(at(9) + PIECE_LIMIT));
    }

    #[test]
    fn a_reader_that_falls_far_behind_is_an_error_however_small_the_messages_are() {
        for length in [1, LONG, MAX_UNREAD / 3] {
            let mut inbox = Inbox::default();
            let error =
                (0..=MAX_UNREAD / MESSAGE_COST).find_map(|_| inbox.receive(vec![0; length], at(0)).err());
            assert_eq!(error, Some(Overfull), "{length}");
            assert_eq!(inbox.unread(), 0);
        }
    }

    #[test]
    fn an_empty_message_is_nothing() {
        let mut inbox = Inbox::default();
        assert_eq!(receive(&mut inbox, 0, at(0)), Delivery::Now);
        assert_eq!(inbox.unread(), 0);
    }

    proptest! {
        #[test]
        fn the_bytes_that_were_received_are_read_in_their_order(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            sizes in prop::collection::vec(1..150usize, 1..10),
        ) {
            let mut inbox = Inbox::default();
            for message in &messages {
                inbox.receive(message.clone(), at(0)).unwrap();
            }
            let mut read = Vec::new();
            for size in sizes.into_iter().cycle() {
                let mut buffer = vec![0; size];
                let count = inbox.read(&mut buffer);
                read.extend_from_slice(&buffer[..count]);
                prop_assert!(count == size || inbox.unread() == 0, "a buffer was left half full");
                if count == 0 {
                    break;
                }
            }
            prop_assert_eq!(read, messages.concat());
            prop_assert_eq!(inbox.cost, 0);
        }
    }
}
