//! Who may open an SSH session as whom: the policy that a Tailscale SSH server evaluates.

use dayfly_sorted::SortedMap;
use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::tolerant::is_default;

/// The rules, in the order in which they are tried (tailcfg `SSHPolicy`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SshPolicy {
    /// The first rule that matches decides; a rule of `None` matches nothing.
    pub rules: Vec<Option<SshRule>>,
}

/// One rule (tailcfg `SSHRule`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SshRule {
    /// From then on the rule matches nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_expires: Option<Timestamp>,
    /// Any of these has to match the source.
    pub principals: Vec<SshPrincipal>,
    /// Local user by requested user. `*` is every other one, `=` keeps the name (never root), empty denies.
    pub ssh_users: SortedMap<String, String>,
    /// What happens; without one the rule matches nothing.
    pub action: Option<SshAction>,
    /// Environment variables that a client may set, with `*` and `?`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accept_env: Vec<String>,
}

/// A source (tailcfg `SSHPrincipal`); any filled field that matches is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SshPrincipal {
    /// A node's stable ID.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// A node's address.
    #[serde(rename = "nodeIP", skip_serializing_if = "String::is_empty")]
    pub node_ip: String,
    /// Login name of the node's user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_login: String,
    /// Everybody.
    #[serde(skip_serializing_if = "is_default")]
    pub any: bool,
}

/// What happens when a rule matches (tailcfg `SSHAction`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SshAction {
    /// Text shown to the person.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The session is refused.
    #[serde(skip_serializing_if = "is_default")]
    pub reject: bool,
    /// The session is accepted.
    #[serde(skip_serializing_if = "is_default")]
    pub accept: bool,
    /// Longest duration in nanoseconds; 0 is unlimited.
    #[serde(skip_serializing_if = "is_default")]
    pub session_duration: i64,
    /// Agent forwarding is allowed.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_agent_forwarding: bool,
    /// URL, asked over ts2021, that answers with the action to take.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hold_and_delegate: String,
    /// Forwarding from the client is allowed.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_local_port_forwarding: bool,
    /// Forwarding to the client is allowed.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_remote_port_forwarding: bool,
    /// `address:port` of each recorder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recorders: Vec<String>,
    /// What to do when no recorder can be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_recording_failure: Option<OnRecordingFailure>,
}

/// What to do when a session can't be recorded (tailcfg `SSHRecorderFailureAction`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct OnRecordingFailure {
    /// Refuse the session with this text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reject_session_with_message: String,
    /// End a running session with this text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub terminate_session_with_message: String,
    /// URL, over ts2021, to tell.
    #[serde(rename = "NotifyURL", skip_serializing_if = "String::is_empty")]
    pub notify_url: String,
}
