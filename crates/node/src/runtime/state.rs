//! The state of a node, for those who watch it.

use crate::control::{ControlError, Registered};
use crate::derp::RelayError;

/// State of a node: see [`Node::state`](crate::Node::state) and [`Node::watch`](crate::Node::watch).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct NodeState {
    /// State of the session with the control server.
    pub control: ControlState,
    /// Page on which a person has to log in, while one has to.
    pub auth_url: Option<String>,
    /// Owner of the node, once the control server has registered it under its present key.
    pub registered: Option<Box<Registered>>,
    /// An administrator of the tailnet has to approve the node.
    pub needs_approval: bool,
    /// The node is in the tailnet: it knows its peers and can be reached. It stays so while the control server is lost.
    pub running: bool,
    /// Region through which peers reach the node.
    pub home: Option<u32>,
    /// Number of changes of the map so far: when it grows, what was read of the map may be out of date.
    pub map_changes: u64,
    /// Number of changes of the map's SSH policy so far: see [`NetMap::ssh_policy`](crate::NetMap::ssh_policy).
    pub ssh_policy_changes: u64,
    /// Last failure, also when it has been overcome since.
    pub last_error: Option<NodeError>,
}

/// State of a node's session with the control server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ControlState {
    /// It is being connected to.
    #[default]
    Connecting,
    /// It answers.
    Connected,
    /// It is not connected, and is tried again by itself.
    Disconnected,
    /// The session has ended: the node was logged out.
    LoggedOut,
    /// The session has ended by the failure in [`NodeState::last_error`].
    Failed,
    /// The session has ended, since the last handle of the node was dropped.
    Dropped,
}

/// Failure of one of a node's connections.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NodeError {
    /// The session with the control server failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The connection to a relay failed.
    #[error("the relay {code} (region {region}) failed: {error}")]
    Relay {
        /// Number of the relay's region.
        region: u32,
        /// Short name of the region.
        code: String,
        /// The failure.
        error: RelayError,
    },
}

impl NodeState {
    /// Returns `true` once the node has ended, by a logout, by a failure, or because it was dropped.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.control, ControlState::LoggedOut | ControlState::Failed | ControlState::Dropped)
    }

    pub(super) fn end(&mut self, how: ControlState) {
        self.control = how;
        self.running = false;
        self.auth_url = None;
    }
}
