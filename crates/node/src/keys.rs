//! The keys that a node is known by, and what keeps them from one start to the next.

use std::io;

use dayfly_platform::random::SystemRng;
use dayfly_platform::{BoxFuture, MaybeSend, MaybeSync};
use dayfly_wire::key::{DiscoPrivate, MachinePrivate, NodePrivate, NodePublic};

/// The private keys of a node. They are wiped when dropped, and never printed.
///
/// A node that is to stay the same over its starts stores the machine key, the node key and `replaced`. The private keys
/// are written by `to_secret_text` and read by `parse`:
///
/// ```
/// use dayfly_node::NodeKeys;
///
/// let keys = NodeKeys::generate();
/// let (machine, node) = (keys.machine.to_secret_text(), keys.node.to_secret_text());
///
/// let restored = NodeKeys::restore(machine.parse()?, node.parse()?);
/// assert_eq!(restored.node.public(), keys.node.public());
/// # Ok::<(), dayfly_wire::key::ParseKeyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct NodeKeys {
    /// Key of this installation, which ts2021 authenticates.
    pub machine: MachinePrivate,
    /// Key of this node: WireGuard's, and its address at a relay.
    pub node: NodePrivate,
    /// Key of path discovery. It need not be stored: `tailscaled` makes a new one at each start, too.
    pub disco: DiscoPrivate,
    /// The node key that `node` is a renewal of, by which the control server recognises the node.
    pub replaced: Option<NodePublic>,
}

impl NodeKeys {
    /// Generates fresh keys.
    #[must_use]
    pub fn generate() -> Self {
        Self::restore(MachinePrivate::generate(&mut SystemRng), NodePrivate::generate(&mut SystemRng))
    }

    /// Restores a node from the keys that were stored of it, with a fresh key of path discovery.
    #[must_use]
    pub fn restore(machine: MachinePrivate, node: NodePrivate) -> Self {
        Self { machine, node, disco: DiscoPrivate::generate(&mut SystemRng), replaced: None }
    }

    /// Returns these keys with a fresh node key in place of the one that the control server knows.
    pub(crate) fn renewed(&self) -> Self {
        let mut renewed = self.clone();
        renewed.replaced.get_or_insert(self.node.public());
        renewed.node = NodePrivate::generate(&mut SystemRng);
        renewed
    }
}

/// Stores the keys of a node that outlives its process.
pub trait KeyStore: MaybeSend + MaybeSync + 'static {
    /// Stores keys whose node key has just been renewed. The control server sees none of them before this is done.
    ///
    /// # Errors
    /// When they could not be stored. The node goes on under its old key then, and renews it again later.
    fn save(&self, keys: &NodeKeys) -> BoxFuture<io::Result<()>>;
}
