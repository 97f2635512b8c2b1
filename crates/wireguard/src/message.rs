//! The layout of the four messages (section 5.4).

use crate::error::ReceiveError;

/// Length of a handshake initiation.
pub(crate) const INITIATION_LEN: usize = 148;
/// Length of a handshake response.
pub(crate) const RESPONSE_LEN: usize = 92;
/// Length of a cookie reply.
pub(crate) const COOKIE_REPLY_LEN: usize = 64;
/// Offset of the IP packet in a data message.
pub const DATA_OFFSET: usize = 16;
/// Length of an authentication tag.
pub(crate) const TAG_LEN: usize = 16;
/// Length of the two MACs together, with which both handshake messages end.
pub(crate) const MACS_LEN: usize = 32;
/// Offset of the noise message in an initiation, behind type and sender.
pub(crate) const INITIATION_NOISE: usize = 8;
/// Offset of the noise message in a response, behind type, sender and receiver.
pub(crate) const RESPONSE_NOISE: usize = 12;

const PADDING: usize = 16;

/// A message's type, and the three zero bytes behind it.
pub(crate) mod kind {
    pub(crate) const INITIATION: [u8; 4] = [1, 0, 0, 0];
    pub(crate) const RESPONSE: [u8; 4] = [2, 0, 0, 0];
    pub(crate) const COOKIE_REPLY: [u8; 4] = [3, 0, 0, 0];
    pub(crate) const DATA: [u8; 4] = [4, 0, 0, 0];
}

/// Returns `true` for a handshake initiation, by the datagram's type.
#[must_use]
pub fn is_initiation(datagram: &[u8]) -> bool {
    datagram.starts_with(&kind::INITIATION)
}

/// Length of the datagram that carries an IP packet of `packet_len` bytes: header, packet padded to 16 bytes, tag.
#[must_use]
pub const fn sealed_len(packet_len: usize) -> usize {
    DATA_OFFSET + padded_len(packet_len) + TAG_LEN
}

pub(crate) const fn padded_len(packet_len: usize) -> usize {
    packet_len.next_multiple_of(PADDING)
}

/// A datagram by its type, with a length that its type can have.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    Initiation(&'a [u8; INITIATION_LEN]),
    Response(&'a [u8; RESPONSE_LEN]),
    CookieReply(&'a [u8; COOKIE_REPLY_LEN]),
    Data(Data<'a>),
}

/// A data message.
#[derive(Debug)]
pub(crate) struct Data<'a> {
    pub(crate) receiver: u32,
    pub(crate) counter: u64,
    /// The encrypted packet.
    pub(crate) text: &'a mut [u8],
    pub(crate) tag: [u8; TAG_LEN],
}

impl<'a> Message<'a> {
    pub(crate) fn parse(datagram: &'a mut [u8]) -> Result<Self, ReceiveError> {
        let malformed = ReceiveError::Malformed;
        match *datagram.first_chunk().ok_or(malformed)? {
            kind::INITIATION => <&[u8; _]>::try_from(&*datagram).map(Self::Initiation).map_err(|_| malformed),
            kind::RESPONSE => <&[u8; _]>::try_from(&*datagram).map(Self::Response).map_err(|_| malformed),
            kind::COOKIE_REPLY => {
                <&[u8; _]>::try_from(&*datagram).map(Self::CookieReply).map_err(|_| malformed)
            }
            kind::DATA => Data::parse(datagram).map(Self::Data).ok_or(malformed),
            _ => Err(malformed),
        }
    }
}

impl<'a> Data<'a> {
    fn parse(datagram: &'a mut [u8]) -> Option<Self> {
        let (header, rest) = datagram.split_first_chunk_mut::<DATA_OFFSET>()?;
        let (text, tag) = rest.split_last_chunk_mut::<TAG_LEN>()?;
        let (_, receiver) = header.split_first_chunk::<4>()?;
        let (receiver, counter) = receiver.split_first_chunk::<4>()?;
        let counter = counter.first_chunk::<8>()?;
        Some(Self {
            receiver: u32::from_le_bytes(*receiver),
            counter: u64::from_le_bytes(*counter),
            text,
            tag: *tag,
        })
    }
}

/// The header of a data message.
pub(crate) fn data_header(receiver: u32, counter: u64) -> [u8; DATA_OFFSET] {
    let mut header = [0; DATA_OFFSET];
    header[..4].copy_from_slice(&kind::DATA);
    header[4..8].copy_from_slice(&receiver.to_le_bytes());
    header[8..].copy_from_slice(&counter.to_le_bytes());
    header
}

/// The four bytes at `at`, an index.
pub(crate) fn index<const LEN: usize>(message: &[u8; LEN], at: usize) -> u32 {
    message.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
