//! What the fuzz targets run on arbitrary bytes, shared with the property tests.
//!
//! Each function reads its input with one parser and asserts what must hold of anything that the parser takes.

use crate::derp::{Frame, HEADER_LEN, Receiver};
use crate::key::{ChallengePublic, DiscoPublic, MachinePublic, NodePrivate, NodePublic};

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
