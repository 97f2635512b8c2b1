//! The settings that a node is started with.

use std::fmt;
use std::sync::Arc;

use dayfly_wire::control::Hostinfo;
use dayfly_wire::key::MachinePublic;
use zeroize::Zeroizing;

use crate::{KeyExpiry, KeyStore, NodeKeys};

/// Settings that a node is started with.
pub struct NodeOptions {
    /// Keys of the node.
    pub keys: NodeKeys,
    /// Store for renewed keys; without one they are lost when the node ends.
    pub key_store: Option<Arc<dyn KeyStore>>,
    /// Key of the control server, where it is known beforehand. Otherwise it is fetched from the server.
    pub control_key: Option<MachinePublic>,
    /// Credential that registers the node without a person; wiped once it did. Without one a person has to log in.
    pub auth_key: Option<Zeroizing<String>>,
    /// Description of the node for others: its name above all.
    pub hostinfo: Hostinfo,
    /// Has the node removed from the tailnet when it logs out or stays away.
    pub ephemeral: bool,
    /// Conduct once the node's key has expired.
    pub on_key_expiry: KeyExpiry,
}

impl NodeOptions {
    /// Returns the options of an ephemeral node, in which a person has to log in and which ends when its key expires.
    #[must_use]
    pub fn new(keys: NodeKeys, hostinfo: Hostinfo) -> Self {
        Self {
            keys,
            key_store: None,
            control_key: None,
            auth_key: None,
            hostinfo,
            ephemeral: true,
            on_key_expiry: KeyExpiry::End,
        }
    }
}

impl fmt::Debug for NodeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeOptions")
            .field("node_key", &self.keys.node.public())
            .field("hostinfo", &self.hostinfo)
            .field("ephemeral", &self.ephemeral)
            .field("on_key_expiry", &self.on_key_expiry)
            .finish_non_exhaustive()
    }
}
