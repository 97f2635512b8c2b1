//! The sealed part of the handshakes of client and server.

use core::fmt;

use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroize as _;

use super::{MAX_CLIENT_INFO_LEN, MAX_FRAME_LEN, PROTOCOL_VERSION};
use crate::key::{KEY_LEN, decode_hex, encode_hex};
use crate::nacl::{OVERHEAD, OpenError, SharedKey};

/// Reason why a handshake could not be read or made.
#[derive(Debug, Error)]
pub enum InfoError {
    /// It is longer than the other end takes.
    #[error("the DERP handshake has {len} bytes, more than {max}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The longest that is taken.
        max: usize,
    },
    /// The box was not made by the key that the other end claims, or not for ours.
    #[error("the DERP handshake was not sealed by the key it claims: {0}")]
    Open(#[source] OpenError),
    /// The content of the box is not the JSON that it should be.
    #[error("the DERP handshake is not valid: {0}")]
    Json(#[source] serde_json::Error),
}

/// A client's description of itself (`derp.ClientInfo`).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClientInfo {
    /// The secret that the relays of one mesh share.
    #[serde(
        rename = "meshKey",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "mesh_key"
    )]
    pub mesh_key: Option<MeshKey>,
    /// The protocol version, 2; 0 when absent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u32,
    /// The client answers the server's Pings.
    #[serde(rename = "CanAckPings", default)]
    pub can_ack_pings: bool,
    /// The client is a prober that watches the relay.
    #[serde(rename = "IsProber", default, skip_serializing_if = "core::ops::Not::not")]
    pub is_prober: bool,
    /// A name for the server's statistics.
    #[serde(rename = "AppName", default, skip_serializing_if = "String::is_empty")]
    pub app_name: String,
}

impl Default for ClientInfo {
    fn default() -> Self {
        Self {
            mesh_key: None,
            version: PROTOCOL_VERSION,
            can_ack_pings: true,
            is_prober: false,
            app_name: String::new(),
        }
    }
}

/// A server's limits for a client that it accepts (`derp.ServerInfo`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ServerInfo {
    /// The protocol version, 2; 0 when absent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u32,
    /// Bytes a second, frames included, that the server takes from this client; 0 is no limit.
    #[serde(rename = "TokenBucketBytesPerSecond", default, skip_serializing_if = "is_zero_u64")]
    pub bytes_per_second: u64,
    /// Bytes that the client may send at once after a pause.
    #[serde(rename = "TokenBucketBytesBurst", default, skip_serializing_if = "is_zero_u64")]
    pub bytes_burst: u64,
}

impl Default for ServerInfo {
    fn default() -> Self {
        Self { version: PROTOCOL_VERSION, bytes_per_second: 0, bytes_burst: 0 }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's signature; in a browser no smaller than a pointer"
)]
fn is_zero_u64(number: &u64) -> bool {
    *number == 0
}

/// The secret of a mesh of relays: 64 hexadecimal digits (Tailscale `types/key/derp.go`).
///
/// Compared in constant time, wiped when dropped, never printed.
#[derive(Clone)]
pub struct MeshKey([u8; KEY_LEN]);

impl MeshKey {
    /// Reads a mesh key as it stands in a file or an environment variable, white space around it allowed.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().as_bytes().try_into().ok()?;
        decode_hex(digits).ok().map(Self)
    }
}

impl PartialEq for MeshKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for MeshKey {}

impl Drop for MeshKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for MeshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MeshKey(secret)")
    }
}

impl Serialize for MeshKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(core::str::from_utf8(&encode_hex(&self.0)).unwrap_or_default())
    }
}

/// Older clients write an empty text where newer ones leave the field out; zeros mean no key as well.
fn mesh_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MeshKey>, D::Error> {
    let Some(mut text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let key = if text.is_empty() { None } else { Some(MeshKey::parse(&text)) };
    text.zeroize();
    match key {
        Some(None) => Err(de::Error::custom("a mesh key has 64 hexadecimal digits")),
        Some(Some(key)) => Ok(Some(key).filter(|key| key.0 != [0; KEY_LEN])),
        None => Ok(None),
    }
}

fn open<T: de::DeserializeOwned>(shared: &SharedKey, sealed: &[u8], max: usize) -> Result<T, InfoError> {
    if sealed.len() > max {
        return Err(InfoError::TooLong { len: sealed.len(), max });
    }
    let mut json = shared.open(sealed).map_err(InfoError::Open)?;
    let info = serde_json::from_slice(&json).map_err(InfoError::Json);
    json.zeroize();
    info
}

fn seal(
    shared: &SharedKey,
    info: &impl Serialize,
    rng: &mut (impl CryptoRng + ?Sized),
    max: usize,
) -> Result<Vec<u8>, InfoError> {
    let mut json = serde_json::to_vec(info).map_err(InfoError::Json)?;
    let len = OVERHEAD + json.len();
    let sealed = if len > max { Err(InfoError::TooLong { len, max }) } else { Ok(shared.seal(rng, &json)) };
    json.zeroize();
    sealed
}

/// Opens a ClientInfo. `shared` is the server's key with the key that the client claims, so that opening proves
/// that the client has the private half.
///
/// # Errors
/// When it is too long, was not sealed by that key, or is not valid JSON of a ClientInfo.
pub fn open_client_info(shared: &SharedKey, sealed: &[u8]) -> Result<ClientInfo, InfoError> {
    open(shared, sealed, MAX_CLIENT_INFO_LEN - KEY_LEN)
}

/// Opens a ServerInfo. `shared` is the client's key with the server's.
///
/// # Errors
/// When it is too long, was not sealed by the server, or is not valid JSON of a ServerInfo.
pub fn open_server_info(shared: &SharedKey, sealed: &[u8]) -> Result<ServerInfo, InfoError> {
    open(shared, sealed, MAX_FRAME_LEN)
}

pub(super) fn seal_client_info(
    shared: &SharedKey,
    info: &ClientInfo,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<u8>, InfoError> {
    seal(shared, info, rng, MAX_CLIENT_INFO_LEN - KEY_LEN)
}

pub(super) fn seal_server_info(
    shared: &SharedKey,
    info: &ServerInfo,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<u8>, InfoError> {
    seal(shared, info, rng, MAX_FRAME_LEN)
}
