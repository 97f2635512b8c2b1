//! What the fuzz targets run on arbitrary bytes, shared with the property tests.
//!
//! Each function reads its input with one parser and asserts what must hold of anything that the parser takes.

use std::sync::LazyLock;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::control::{
    EarlyPayload, MapFrames, MapRequest, MapResponse, RegisterRequest, RegisterResponse, Timestamp,
};
use crate::derp::{Frame, HEADER_LEN, Receiver};
use crate::key::{ChallengePublic, DiscoPublic, MachinePrivate, MachinePublic, NodePrivate, NodePublic};
use crate::nacl::SharedKey;

/// The key of whoever reads.
static KEY: LazyLock<MachinePrivate> = LazyLock::new(|| MachinePrivate::from_bytes([7; 32]));
static PUBLIC_KEY: LazyLock<MachinePublic> = LazyLock::new(|| KEY.public());
/// The key of what one with [`KEY`] seals for itself. Made once, as that takes much longer than what it is used for.
static SHARED: LazyLock<SharedKey> = LazyLock::new(|| KEY.shared(&PUBLIC_KEY));

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

/// Reads what is sealed in the two handshakes of DERP, from another who has the right key.
pub fn derp_handshakes(bytes: &[u8]) {
    let sealed = SHARED.seal(&mut Counter::new(1), bytes);
    if let Ok(info) = crate::derp::open_client_info(&SHARED, &sealed) {
        let again = serde_json::to_vec(&info).unwrap_or_default();
        assert_eq!(serde_json::from_slice(&again).ok(), Some(info));
    }
    if let Ok(info) = crate::derp::open_server_info(&SHARED, &sealed) {
        let again = serde_json::to_vec(&info).unwrap_or_default();
        assert_eq!(serde_json::from_slice(&again).ok(), Some(info));
    }
}

/// A disco packet, and what is inside of one.
pub fn disco(bytes: &[u8]) {
    let envelope = crate::disco::Envelope::parse(bytes);
    assert_eq!(envelope.is_ok(), crate::disco::looks_like_disco(bytes));
    if let Ok(envelope) = envelope {
        let _ = envelope.open(&SHARED);
    }
    if let Ok(message) = crate::disco::Message::parse(bytes) {
        let sender = DiscoPublic::from_bytes(*PUBLIC_KEY.as_bytes());
        let packet = message.seal(&sender, &SHARED, &mut Counter::new(1));
        let opened = crate::disco::Envelope::parse(&packet).and_then(|envelope| envelope.open(&SHARED));
        assert_eq!(opened, Ok(message));
    }
}

/// A STUN request at a relay.
pub fn stun_request(bytes: &[u8]) {
    if let Ok(tx_id) = crate::stun::parse_request(bytes) {
        assert!(crate::stun::looks_like_stun(bytes));
        assert_eq!(crate::stun::parse_request(&crate::stun::request(&tx_id)), Ok(tx_id));
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

/// Reads the text of a key of each kind.
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

/// Reads a TSMP message, and writes it again.
pub fn tsmp(bytes: &[u8]) {
    if let Ok(message) = crate::tsmp::Message::parse(bytes) {
        let mut again = Vec::new();
        message.put(&mut again);
        assert_eq!(crate::tsmp::Message::parse(&again), Ok(message));
    }
}

/// The messages that come out of a map stream before it ends or fails.
fn map_messages<'a>(mut frames: MapFrames, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<MapResponse> {
    let mut messages = Vec::new();
    for piece in pieces {
        frames.push(piece);
        loop {
            match frames.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return messages,
            }
        }
    }
    messages
}

/// A map stream, in pieces: the same comes out as of the whole, compressed or not.
pub fn map_stream(bytes: &[u8]) {
    let read = |frames: fn() -> MapFrames| {
        let whole = map_messages(frames(), core::iter::once(bytes));
        assert_eq!(map_messages(frames(), bytes.chunks(7)), whole);
        whole
    };
    for message in read(MapFrames::new) {
        let mut again = Vec::new();
        assert!(crate::control::write_map_frame(&message, &mut again).is_ok());
    }
    #[cfg(feature = "zstd")]
    for message in read(MapFrames::zstd) {
        let mut again = Vec::new();
        assert!(crate::control::MapCompression::Zstd.write_frame(&message, &mut again).is_ok());
    }
}

/// Reads a node's requests as JSON, a registration and a map request, and writes them again.
pub fn control_requests(bytes: &[u8]) {
    if let Ok(request) = crate::control::from_json::<RegisterRequest>(bytes) {
        let again = serde_json::to_vec(&request).unwrap_or_default();
        assert_eq!(crate::control::from_json::<RegisterRequest>(&again).ok(), Some(request));
    }
    if let Ok(request) = crate::control::from_json::<MapRequest>(bytes) {
        let again = serde_json::to_vec(&request).unwrap_or_default();
        assert_eq!(crate::control::from_json::<MapRequest>(&again).ok(), Some(request));
    }
}

/// Answers of a control server, as JSON: a map, a registration, a key, an early payload.
pub fn control_answers(bytes: &[u8]) {
    if let Ok(message) = crate::control::from_json::<MapResponse>(bytes) {
        let again = serde_json::to_vec(&message).unwrap_or_default();
        assert_eq!(crate::control::from_json::<MapResponse>(&again).ok(), Some(message));
    }
    if let Ok(answer) = crate::control::from_json::<RegisterResponse>(bytes) {
        let again = serde_json::to_vec(&answer).unwrap_or_default();
        assert_eq!(crate::control::from_json::<RegisterResponse>(&again).ok(), Some(answer));
    }
    if let Ok(key) = crate::control::parse_control_key(bytes) {
        assert!(!key.is_zero());
    }
    let _ = crate::control::from_json::<EarlyPayload>(bytes);
}

/// Reads a message, writes it again, and returns the keys whose values were lost by that, as paths such as
/// `Hostinfo.OS`. Values that stand for nothing (`null`, `false`, zero, empty) may come and go.
///
/// # Errors
/// When the message cannot be read.
pub fn lost<T: DeserializeOwned + Serialize>(json: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    let written = serde_json::to_value(crate::control::from_json::<T>(json)?)?;
    let mut lost = Vec::new();
    compare("", &serde_json::from_slice(json)?, &written, &mut lost);
    Ok(lost)
}

fn compare(path: &str, original: &Value, written: &Value, lost: &mut Vec<String>) {
    match (original, written) {
        (Value::Object(original), Value::Object(written)) => {
            for (key, value) in original {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match written.get(key) {
                    Some(written) => compare(&path, value, written, lost),
                    None if stands_for_nothing(value) => {}
                    None => lost.push(path),
                }
            }
        }
        (Value::Array(original), Value::Array(written)) if original.len() == written.len() => {
            for (original, written) in original.iter().zip(written) {
                compare(path, original, written, lost);
            }
        }
        (Value::Number(original), Value::Number(written)) if original.as_f64() == written.as_f64() => {}
        (Value::String(original), Value::String(written)) if same_text(original, written) => {}
        (original, written) if original == written => {}
        (original, written) if stands_for_nothing(original) && stands_for_nothing(written) => {}
        _ => lost.push(path.to_owned()),
    }
}

/// Returns `true` for equal texts, and for two forms of one time.
fn same_text(a: &str, b: &str) -> bool {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    a == b || time(a).is_some_and(|a| time(b) == Some(a))
}

fn stands_for_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => {
            let digits = text.rsplit_once(':').map_or("", |(_, digits)| digits);
            let zero_key = digits.len() == 64 && digits.bytes().all(|digit| digit == b'0');
            text.is_empty() || zero_key || text.parse::<Timestamp>().is_ok_and(|time| time.is_zero())
        }
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.values().all(stands_for_nothing),
    }
}

/// Generator that repeats itself, so that a crash can be repeated.
#[derive(Debug)]
pub struct Counter(u64);

impl Counter {
    /// Makes a generator whose bytes depend on `seed` alone.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }
}

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
            super::derp_handshakes(&bytes);
            super::map_stream(&bytes);
            super::control_answers(&bytes);
            super::control_requests(&bytes);
        }

        #[test]
        fn any_request_is_read_without_harm(
            name in "Version|NodeKey|NLKey|Auth|Expiry|Followup|Hostinfo|Stream|Endpoints|EndpointTypes|DebugFlags",
            value in r#"null|true|-1|1e400|""|"x"|\[\]|\[null\]|\[1\]|\["x"\]|\{\}|\{"AuthKey":"x"\}|\{"TPM":\{"Model":1\},"Services":null\}"#,
        ) {
            super::control_requests(format!("{{\"{name}\":{value}}}").as_bytes());
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
        }
    }
}
