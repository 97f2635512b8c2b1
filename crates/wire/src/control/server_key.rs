//! The server's key: the body of `GET /key?v=N`, and the early payload that may follow the handshake.

use serde::{Deserialize, Serialize};

use super::tolerant::from_json;

use crate::key::{ChallengePublic, MachinePublic};

/// Answer to `GET /key?v=N` (tailcfg `OverTLSPublicKeyResponse`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OverTlsPublicKeyResponse {
    /// Key of the protocol before ts2021; servers write zeros.
    pub legacy_public_key: MachinePublic,
    /// Static key of the server's side of the Noise handshake.
    pub public_key: MachinePublic,
}

/// Reason why the body of `/key` gives no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlKeyError {
    /// It is something else than the expected JSON: another kind of server, or a page of a proxy.
    #[error("the answer to /key is not a control server's: {0}")]
    NotAKey(String),
    /// The server speaks the protocol before ts2021 only.
    #[error("the control server is too old: it has no ts2021 key")]
    TooOld,
}

/// Reads the server's key from the body of `/key`.
///
/// # Errors
/// When `body` is no such answer, or has no key of ts2021.
pub fn parse_control_key(body: &[u8]) -> Result<MachinePublic, ControlKeyError> {
    let response: OverTlsPublicKeyResponse =
        from_json(body).map_err(|error| ControlKeyError::NotAKey(error.to_string()))?;
    if response.public_key.is_zero() { Err(ControlKeyError::TooOld) } else { Ok(response.public_key) }
}

/// Early payload: JSON that a server may send ahead of HTTP/2 (tailcfg `EarlyNoise`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EarlyPayload {
    /// Key of this connection, for proofs that no server asks for yet.
    pub node_key_challenge: ChallengePublic,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_read() {
        let zeros = "0".repeat(64);
        let key = "ab".repeat(32);
        let body = format!(r#"{{"legacyPublicKey":"mkey:{zeros}","publicKey":"mkey:{key}"}}"#);
        assert_eq!(parse_control_key(body.as_bytes()).unwrap().to_string(), format!("mkey:{key}"));
        let body = format!(r#"{{"legacyPublicKey":"mkey:{key}","publicKey":"mkey:{zeros}"}}"#);
        assert_eq!(parse_control_key(body.as_bytes()), Err(ControlKeyError::TooOld));
        assert_eq!(parse_control_key(b"{}"), Err(ControlKeyError::TooOld));
        assert!(matches!(parse_control_key(b"<html>"), Err(ControlKeyError::NotAKey(_))));
    }
}
