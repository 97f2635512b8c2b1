//! What the fuzz targets run on arbitrary bytes, shared with the property tests.
//!
//! Each function reads its input with one parser and asserts what must hold of anything that the parser takes.

use crate::control::{MapFrames, MapResponse, RegisterResponse};
use crate::derp::{Frame, HEADER_LEN, Receiver};
use crate::key::{ChallengePublic, DiscoPublic, MachinePrivate, MachinePublic, NodePrivate, NodePublic};

fn derp_frames(bytes: &[u8], receiver: Receiver) {
    let mut rest = bytes;
    while let Ok(Some(decoded)) = crate::derp::decode(rest, receiver) {
        assert!(decoded.consumed >= HEADER_LEN && decoded.consumed <= rest.len());
        let payload = &rest[HEADER_LEN..decoded.consumed];
        if let Frame::SendPacket { data, .. } | Frame::RecvPacket { data, .. } = decoded.frame {
            assert_eq!(data, &payload[32..]);
        }
        // A frame is read the same way when it is all that there is, and not at all when a byte is missing.
        let alone = &rest[..decoded.consumed];
        assert_eq!(crate::derp::decode(alone, receiver), Ok(Some(decoded)));
        assert_eq!(crate::derp::decode(&alone[..alone.len() - 1], receiver), Ok(None));
        rest = &rest[decoded.consumed..];
    }
}

/// A stream of DERP frames at a client.
pub fn derp_client_frames(bytes: &[u8]) {
    derp_frames(bytes, Receiver::Client);
}

/// A stream of DERP frames at a relay.
pub fn derp_server_frames(bytes: &[u8]) {
    derp_frames(bytes, Receiver::Server);
}

/// A disco packet, and what is inside of one.
pub fn disco(bytes: &[u8]) {
    let envelope = crate::disco::Envelope::parse(bytes);
    assert_eq!(envelope.is_ok(), crate::disco::looks_like_disco(bytes));
    let _ = crate::disco::Message::parse(bytes);
}

/// A STUN request at a relay.
pub fn stun_request(bytes: &[u8]) {
    if crate::stun::parse_request(bytes).is_ok() {
        assert!(crate::stun::looks_like_stun(bytes));
    }
}

/// A STUN response at a node.
pub fn stun_response(bytes: &[u8]) {
    if let Ok((tx_id, address)) = crate::stun::parse_response(bytes) {
        assert_eq!(
            crate::stun::parse_response(crate::stun::response(&tx_id, address).as_ref()),
            Ok((tx_id, address))
        );
    }
}

/// The text of a key.
pub fn keys(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = text.parse::<NodePublic>() {
        assert_eq!(key.to_string(), text.to_lowercase());
    }
    let _ = text.parse::<MachinePublic>();
    let _ = text.parse::<DiscoPublic>();
    let _ = text.parse::<ChallengePublic>();
    let _ = text.parse::<NodePrivate>();
    let _ = serde_json::from_slice::<NodePublic>(bytes);
}

/// A TSMP message.
pub fn tsmp(bytes: &[u8]) {
    if let Ok(message) = crate::tsmp::Message::parse(bytes) {
        let mut again = Vec::new();
        message.put(&mut again);
        assert_eq!(crate::tsmp::Message::parse(&again), Ok(message));
    }
}

/// What a server gets as the first message of a ts2021 connection, and a node as the answer.
pub fn ts2021_handshake(bytes: &[u8]) {
    let key = MachinePrivate::from_bytes([7; 32]);
    // Nobody who has not the server's key can make a message that it accepts.
    assert!(crate::ts2021::accept(bytes, &key, &mut Counter(1)).is_err());
    if let Ok(Some(length)) = crate::ts2021::first_frame_len(bytes) {
        assert!(length >= 3);
    }
    if let Ok((handshake, _)) = crate::ts2021::Handshake::initiate(1, &key, &key.public(), &mut Counter(2)) {
        assert!(handshake.finish(bytes).is_err());
    }
    if let Some(header) = bytes.first_chunk() {
        let _ = crate::ts2021::parse_early_header(header);
    }
}

/// A map stream, in pieces.
pub fn map_stream(bytes: &[u8]) {
    let mut frames = MapFrames::new();
    for piece in bytes.chunks(7) {
        frames.push(piece);
        while let Ok(Some(message)) = frames.next_message() {
            let mut again = Vec::new();
            let _ = crate::control::write_map_frame(&message, &mut again);
        }
    }
}

/// Answers of a coordination server, as JSON: a map, a registration, a key.
pub fn control_answers(bytes: &[u8]) {
    if let Ok(message) = crate::control::from_json::<MapResponse>(bytes) {
        let again = serde_json::to_vec(&message).unwrap_or_default();
        assert_eq!(crate::control::from_json::<MapResponse>(&again).ok(), Some(message));
    }
    let _ = crate::control::from_json::<RegisterResponse>(bytes);
    let _ = crate::control::parse_control_key(bytes);
}

/// A generator that repeats itself, so that a crash can be repeated.
struct Counter(u64);

impl rand_core::TryRng for Counter {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.try_next_u64().map(|next| (next >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for byte in out {
            *byte = (self.try_next_u64()? >> 56) as u8;
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Counter {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            super::ts2021_handshake(&bytes);
            super::map_stream(&bytes);
            super::control_answers(&bytes);
        }

        #[test]
        fn any_json_is_read_without_harm(
            name in "Node|Peers|PeersChanged|DERPMap|PacketFilters|UserProfiles|DNSConfig|OnlineChange|ControlTime|KeepAlive",
            value in r#"null|true|-1|1e400|""|"x"|\[\]|\[null\]|\[\{\}\]|\{\}|\{"1":null\}|\{"Regions":\{"1":\{"Nodes":null\}\}\}"#,
        ) {
            super::control_answers(format!("{{\"{name}\":{value}}}").as_bytes());
        }

        #[test]
        fn frames_of_any_length_are_read_without_harm(length: u32, body: Vec<u8>) {
            super::map_stream(&[&length.to_le_bytes()[..], &body].concat());
            for kind in 0..5 {
                let header = [0, 1, kind, (length >> 8) as u8, length as u8];
                super::ts2021_handshake(&[&header[..], &body].concat());
                super::ts2021_handshake(&[&header[2..], &body].concat());
            }
        }
    }
}
