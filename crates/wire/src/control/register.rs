//! Registration: `POST /machine/register`.

use core::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::tolerant::is_default;
use super::{Hostinfo, Timestamp};
use crate::key::{NodePublic, TailnetLockPublic};

/// A node's request to be admitted, to stay, or to log out (tailcfg `RegisterRequest`).
///
/// Signatures of devices (`SignatureType`, `Timestamp`, `DeviceCert`, `Signature`) and the token of old Android clients
/// (`Auth.Oauth2Token`) are not kept: no server outside Tailscale's own can check them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RegisterRequest {
    /// Capability version of the node.
    pub version: u16,
    /// Key that is registered.
    pub node_key: NodePublic,
    /// Key that it replaces; zero where there was none.
    pub old_node_key: NodePublic,
    /// Key of the tailnet's lock; zero where the node has none.
    #[serde(rename = "NLKey")]
    pub nl_key: TailnetLockPublic,
    /// Moment at which the key is to expire. Zero leaves that to the server; a time in the past is a logout.
    pub expiry: Timestamp,
    /// A login URL answered before: the server answers once it was visited.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub followup: String,
    /// Description that the node gives of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostinfo: Option<Hostinfo>,
    /// The node is to be removed when it disconnects.
    #[serde(skip_serializing_if = "is_default")]
    pub ephemeral: bool,
    /// Signature of `node_key` by the tailnet's lock, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_key_signature: Option<String>,
    /// Tailnet that is wanted; behind `required:` no other will do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tailnet: String,
    /// Credential. Written last, for HTTP/2 may keep a copy of a body's first bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<RegisterAuth>,
}

impl RegisterRequest {
    /// `Expiry` that Go's client logs out with.
    pub const LOGOUT_EXPIRY: Timestamp = Timestamp::from_unix(123);

    /// Makes a request to forget a node's key, and the node where it is ephemeral.
    #[must_use]
    pub fn logout(version: u16, node_key: NodePublic) -> Self {
        Self { version, node_key, expiry: Self::LOGOUT_EXPIRY, ..Self::default() }
    }
}

/// Credential of a registration. Wiped when dropped, never printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RegisterAuth {
    /// Auth key.
    pub auth_key: Zeroizing<String>,
}

impl fmt::Debug for RegisterAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegisterAuth(..)")
    }
}

/// The server's answer (tailcfg `RegisterResponse`). Go writes every key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RegisterResponse {
    /// The node's owner.
    pub user: User,
    /// Account that the owner logged in with.
    pub login: Login,
    /// The key has expired: another one has to be made.
    pub node_key_expired: bool,
    /// The tailnet's owner has admitted the node. The map's own field decides.
    pub machine_authorized: bool,
    /// Address at which a person has to log in; then the request is to be repeated as a `Followup`.
    #[serde(rename = "AuthURL")]
    pub auth_url: String,
    /// Signature that a new node key is to be signed by, in base64.
    pub node_key_signature: Option<String>,
    /// Text for people; not empty means that nothing else counts.
    pub error: String,
}

/// The owner of a registered node (tailcfg `User`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct User {
    /// Number, unique forever.
    #[serde(rename = "ID")]
    pub id: i64,
    /// Name for people.
    pub display_name: String,
    /// Address of a picture.
    #[serde(rename = "ProfilePicURL", skip_serializing_if = "String::is_empty")]
    pub profile_pic_url: String,
    /// Moment at which the user was added.
    #[serde(skip_serializing_if = "is_default")]
    pub created: Timestamp,
}

/// Account that the owner of a registered node logged in with (tailcfg `Login`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Login {
    /// Number, unique forever.
    #[serde(rename = "ID")]
    pub id: i64,
    /// Identity provider.
    pub provider: String,
    /// Name at the provider, usually an e-mail address.
    pub login_name: String,
    /// Name for people.
    pub display_name: String,
    /// Address of a picture.
    #[serde(rename = "ProfilePicURL")]
    pub profile_pic_url: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::from_json;

    #[test]
    fn zero_expiry_and_old_key_are_written() {
        let json =
            serde_json::to_value(RegisterRequest { version: 130, ..RegisterRequest::default() }).unwrap();
        assert_eq!(json["Expiry"], "0001-01-01T00:00:00Z");
        assert_eq!(json["OldNodeKey"], format!("nodekey:{}", "0".repeat(64)));
        assert!(
            json.get("Auth").is_none() && json.get("Followup").is_none() && json.get("Ephemeral").is_none()
        );
    }

    #[test]
    fn logout_carries_the_expiry_of_go() {
        let json = serde_json::to_value(RegisterRequest::logout(130, NodePublic::default())).unwrap();
        assert_eq!(json["Expiry"], "1970-01-01T00:02:03Z");
    }

    #[test]
    fn the_credential_is_never_printed() {
        let auth = RegisterAuth { auth_key: "hskey-auth-secret".to_owned().into() };
        let request = RegisterRequest { auth: Some(auth), ..RegisterRequest::default() };
        assert!(!format!("{request:?}").contains("secret"));
    }

    #[test]
    fn an_answer_of_go_is_read() {
        let response: RegisterResponse = from_json(r#"{"User":{"ID":1,"DisplayName":"ada","ProfilePicURL":"","Created":"0001-01-01T00:00:00Z"},
                "Login":{"ID":1,"Provider":"","LoginName":"ada","DisplayName":"ada","ProfilePicURL":""},
                "NodeKeyExpired":false,"MachineAuthorized":true,"AuthURL":"","NodeKeySignature":null,"Error":""}"#.as_bytes())
        .unwrap();
        assert_eq!(response.user.id, 1);
        assert_eq!(response.login.login_name, "ada");
        assert!(response.machine_authorized);
    }
}
