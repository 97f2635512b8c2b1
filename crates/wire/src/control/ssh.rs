//! The policy that a Tailscale SSH server evaluates: sources, users, and an action for each.

use core::net::IpAddr;

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
    /// Action of the rule; without one it matches nothing.
    pub action: Option<SshAction>,
    /// Environment variables that a client may set, with `*` and `?`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accept_env: Vec<String>,
}

/// A source (tailcfg `SSHPrincipal`); any filled field that matches is enough.
///
/// `pubKeys`, a feature that was removed, is not kept.
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

/// Action of a rule that matches, or of a server that was asked for one (tailcfg `SSHAction`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SshAction {
    /// Text shown to the person.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The session is rejected.
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
    /// URL, asked over ts2021, that answers with the action to take. It has placeholders, which
    /// [`SshDelegation::expand`] fills in.
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
    /// Reaction where no recorder can be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_recording_failure: Option<OnRecordingFailure>,
}

/// Reaction to a session that cannot be recorded (tailcfg `SSHRecorderFailureAction`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct OnRecordingFailure {
    /// Rejects the session with this text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reject_session_with_message: String,
    /// Ends a running session with this text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub terminate_session_with_message: String,
    /// URL, over ts2021, that is notified.
    #[serde(rename = "NotifyURL", skip_serializing_if = "String::is_empty")]
    pub notify_url: String,
}

/// Decision that an [`SshAction`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshVerdict<'a> {
    /// The session begins.
    Accept,
    /// The session is rejected.
    Reject,
    /// Whoever answers at this URL decides, once its placeholders are filled in.
    Delegate(&'a str),
    /// The action says none of these, which rejects the session too.
    Nothing,
}

impl SshAction {
    /// Returns the decision, tried in the order of Tailscale's server (ssh/tailssh/tailssh.go, tailscale v1.102.5).
    #[must_use]
    pub fn verdict(&self) -> SshVerdict<'_> {
        if self.accept {
            SshVerdict::Accept
        } else if self.reject {
            SshVerdict::Reject
        } else if self.hold_and_delegate.is_empty() {
            SshVerdict::Nothing
        } else {
            SshVerdict::Delegate(&self.hold_and_delegate)
        }
    }
}

/// Session whose decision is delegated: the values of a URL's placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshDelegation<'a> {
    /// Address of the source, for `$SRC_NODE_IP`.
    pub source_address: IpAddr,
    /// Number of the source, for `$SRC_NODE_ID`.
    pub source_id: i64,
    /// Address of this node, for `$DST_NODE_IP`.
    pub destination_address: IpAddr,
    /// Number of this node, for `$DST_NODE_ID`.
    pub destination_id: i64,
    /// User that was asked for, for `$SSH_USER`.
    pub ssh_user: &'a str,
    /// User of this machine, for `$LOCAL_USER`.
    pub local_user: &'a str,
}

impl SshDelegation<'_> {
    /// Fills the placeholders of a URL in (ssh/tailssh/tailssh.go `expandDelegateURLLocked`, tailscale v1.102.5).
    ///
    /// No value can change the URL's shape: each is escaped as in a query.
    #[must_use]
    pub fn expand(&self, url: &str) -> String {
        let values = [
            ("SRC_NODE_IP", self.source_address.to_string()),
            ("SRC_NODE_ID", self.source_id.to_string()),
            ("DST_NODE_IP", self.destination_address.to_string()),
            ("DST_NODE_ID", self.destination_id.to_string()),
            ("SSH_USER", self.ssh_user.to_owned()),
            ("LOCAL_USER", self.local_user.to_owned()),
        ];
        let mut expanded = String::with_capacity(url.len());
        let mut rest = url;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            rest = after;
            match values.iter().find_map(|(name, value)| Some((after.strip_prefix(name)?, value))) {
                Some((behind, value)) => {
                    escape_query(value, &mut expanded);
                    rest = behind;
                }
                None => expanded.push('$'),
            }
        }
        expanded.push_str(rest);
        expanded
    }
}

/// Escapes as Go's `url.QueryEscape` does.
fn escape_query(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::from_json;

    #[test]
    fn placeholders_are_filled_in_and_escaped() {
        let delegation = SshDelegation {
            source_address: "100.64.0.1".parse().unwrap(),
            source_id: 7,
            destination_address: "fd7a:115c:a1e0::2".parse().unwrap(),
            destination_id: 9_007_199_254_740_993,
            ssh_user: "$LOCAL_USER",
            local_user: "a b/&?é",
        };
        assert_eq!(
            delegation.expand("https://h/a/$SRC_NODE_ID/to/$DST_NODE_ID?u=$LOCAL_USER&s=$SSH_USER&$x=$"),
            "https://h/a/7/to/9007199254740993?u=a+b%2F%26%3F%C3%A9&s=%24LOCAL_USER&$x=$"
        );
        assert_eq!(delegation.expand("$SRC_NODE_IP,$DST_NODE_IP"), "100.64.0.1,fd7a%3A115c%3Aa1e0%3A%3A2");
    }

    #[test]
    fn accepting_comes_before_rejecting_before_delegating() {
        let mut action = SshAction::default();
        assert_eq!(action.verdict(), SshVerdict::Nothing);
        action.hold_and_delegate = "https://h/a".to_owned();
        assert_eq!(action.verdict(), SshVerdict::Delegate("https://h/a"));
        action.reject = true;
        assert_eq!(action.verdict(), SshVerdict::Reject);
        action.accept = true;
        assert_eq!(action.verdict(), SshVerdict::Accept);
    }

    #[test]
    fn a_policy_of_gos_is_read_and_written() {
        let json = r#"{"rules":[{"ruleExpires":"2026-01-01T00:00:00Z","principals":[{"nodeIP":"100.64.0.1"},
            {"userLogin":"ada@test"},{"node":"n1"},{"any":true}],"sshUsers":{"*":"=","root":""},
            "action":{"message":"hi","accept":true,"sessionDuration":1800000000000,"allowAgentForwarding":true,
            "holdAndDelegate":"https://h/$SRC_NODE_ID","allowLocalPortForwarding":true,
            "allowRemotePortForwarding":true,"recorders":["100.64.0.9:80"],
            "onRecordingFailure":{"RejectSessionWithMessage":"no","TerminateSessionWithMessage":"stop",
            "NotifyURL":"https://h/n"}},"acceptEnv":["GIT_*"]},null]}"#;
        let policy: SshPolicy = from_json(json.as_bytes()).unwrap();
        let written = serde_json::to_value(&policy).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(json).unwrap());
        for revoked in [r#"{"rules":null}"#, r#"{"rules":[]}"#] {
            assert_eq!(from_json::<SshPolicy>(revoked.as_bytes()).unwrap(), SshPolicy::default());
        }
    }
}
