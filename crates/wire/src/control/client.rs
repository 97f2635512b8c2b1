//! Parts of the map about the node's software and its way to the control server.

use serde::{Deserialize, Serialize};

use super::tolerant::is_default;

/// News about versions of the node's software (tailcfg `ClientVersion`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ClientVersion {
    /// The node runs the latest version.
    #[serde(skip_serializing_if = "is_default")]
    pub running_latest: bool,
    /// Latest version for the node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub latest_version: String,
    /// The latest version mends a security problem.
    #[serde(skip_serializing_if = "is_default")]
    pub urgent_security_update: bool,
    /// The person is to be notified, once for each version.
    #[serde(skip_serializing_if = "is_default")]
    pub notify: bool,
    /// Page that a notification opens.
    #[serde(rename = "NotifyURL", skip_serializing_if = "String::is_empty")]
    pub notify_url: String,
    /// Text of a notification.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notify_text: String,
}

/// Addresses at which the control server can be dialled, besides those that its name resolves to (tailcfg
/// `ControlDialPlan`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ControlDialPlan {
    /// Candidates, dialled side by side; none at all mean the name alone.
    pub candidates: Vec<ControlCandidate>,
}

/// One address of a [`ControlDialPlan`] (tailcfg `ControlIPCandidate`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ControlCandidate {
    /// Address of the server.
    #[serde(rename = "IP", skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// Host name of a proxy to the server.
    #[serde(rename = "ACEHost", skip_serializing_if = "String::is_empty")]
    pub ace_host: String,
    /// Seconds to wait before it is dialled.
    #[serde(skip_serializing_if = "is_default")]
    pub dial_start_delay_sec: f64,
    /// Seconds after which dialling it is given up.
    #[serde(skip_serializing_if = "is_default")]
    pub dial_timeout_sec: f64,
    /// Preference; of several that answer the highest wins.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: i32,
}

/// State of the tailnet's lock (tailcfg `TKAInfo`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TailnetLockInfo {
    /// Hash of the latest change of the lock.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub head: String,
    /// The lock was taken away: the node fetches the proof and removes it.
    #[serde(skip_serializing_if = "is_default")]
    pub disabled: bool,
}
