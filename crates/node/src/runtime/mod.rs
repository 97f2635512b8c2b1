//! The node as its users see it, and the driver that runs it.

mod connect;
mod driver;
mod error;
mod node_core;
mod pump;
mod status;
mod stream;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dayfly_platform::random::SystemRng;
use dayfly_platform::task::{AbortOnDropHandle, spawn};
use dayfly_wire::control::Hostinfo;
use dayfly_wire::key::{DiscoPrivate, MachinePrivate, MachinePublic, NodePrivate};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::Dialer;
use crate::control::{Control, ControlConfig, ControlError, Registered};
use crate::netmap::NetMap;
use driver::Driver;
use node_core::NodeCore;

pub use error::TcpError;
pub use status::{NodeStatus, PeerStatus, RelayStatus};
pub use stream::{Remote, TcpStream};

/// Events that wait for their reader; then the node takes in no more of the control server's messages.
const EVENT_QUEUE: usize = 64;

/// What a node is started with.
#[derive(Debug)]
pub struct NodeOptions {
    /// Address of the control server, as for `tailscale up --login-server`.
    pub control_url: String,
    /// The server's key, where it is known beforehand. Otherwise it is fetched from the server.
    pub control_key: Option<MachinePublic>,
    /// Lets the node in without a person; wiped once it did. Without one a person has to log in.
    pub auth_key: Option<Zeroizing<String>>,
    /// What the node tells of itself: its name above all.
    pub hostinfo: Hostinfo,
    /// The node is to be removed from the tailnet when it goes away.
    pub ephemeral: bool,
}

/// How a relay connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayState {
    /// It is being made.
    Connecting,
    /// It is ready for packets.
    Connected,
    /// It was lost, or could not be made; it is tried again by itself.
    Failed {
        /// What went wrong.
        error: String,
        /// Time to the next attempt.
        retry_in: Duration,
    },
    /// The relay has announced that it restarts.
    Restarting,
    /// It was closed, for it was not used.
    Closed,
}

/// What happens to a node.
#[derive(Debug)]
pub enum NodeEvent {
    /// The control server is being connected to.
    Connecting,
    /// A person has to log in on this page; the node goes on by itself then.
    AuthUrl(String),
    /// The control server has let the node in.
    Registered(Box<Registered>),
    /// What is known of the tailnet has changed: see [`Node::with_netmap`].
    MapChanged,
    /// An administrator of the tailnet has to approve this node; it goes on by itself then. Told before `MapChanged`, and
    /// again after the control server was lost.
    NeedsApproval,
    /// The node is in the tailnet: it knows its peers and can be reached. Told once, and again after each approval that
    /// it needed since.
    Running,
    /// A relay connection has changed.
    Relay {
        /// The relay's region.
        region: u32,
        /// Short name of the region.
        code: String,
        /// How it is now.
        state: RelayState,
    },
    /// The control server is not connected; connections to peers go on, and it is tried again by itself.
    Disconnected {
        /// What went wrong.
        error: ControlError,
        /// Time to the next attempt.
        retry_in: Duration,
    },
    /// The node has ended for good. The last event.
    Failed(ControlError),
    /// The node has logged out. The last event.
    LoggedOut,
}

/// What begins now on the way to an open TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectStep {
    /// The peer's relay is connected to.
    Relay,
    /// WireGuard's handshake with the peer.
    WireGuard,
    /// TCP's.
    Tcp,
}

/// A running node: a handle that can be cloned. When the last one is dropped everything stops, without a logout.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<NodeCore>,
    control: Arc<Control>,
    _driver: AbortOnDropHandle<()>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}

impl Node {
    /// Makes fresh keys in memory and starts to join. The events have to be read, or the node comes to a halt.
    #[must_use]
    pub fn start(dialer: Arc<dyn Dialer>, options: NodeOptions) -> (Self, mpsc::Receiver<NodeEvent>) {
        let node_key = NodePrivate::generate(&mut SystemRng);
        let disco = DiscoPrivate::generate(&mut SystemRng);
        let config = ControlConfig {
            url: options.control_url,
            control_key: options.control_key,
            machine_key: MachinePrivate::generate(&mut SystemRng),
            node_key: node_key.public(),
            disco_key: disco.public(),
            auth_key: options.auth_key,
            hostinfo: options.hostinfo,
            ephemeral: options.ephemeral,
        };
        let (control, control_events) = Control::start(Arc::clone(&dialer), config);
        let control = Arc::new(control);
        let core = Arc::new(NodeCore::new(node_key, disco));
        let (events, receiver) = mpsc::channel(EVENT_QUEUE);
        let driver = Driver::new(Arc::clone(&core), Arc::clone(&control), dialer, events);
        let driver = AbortOnDropHandle::new(spawn(driver.run(control_events)));
        (Self { inner: Arc::new(Inner { core, control, _driver: driver }) }, receiver)
    }

    /// Looks at what is known of the tailnet. Keep it short: the node waits meanwhile.
    pub fn with_netmap<T>(&self, look: impl FnOnce(&NetMap) -> T) -> T {
        look(&self.inner.core.map())
    }

    /// Opens a TCP connection to `port` of `host`: a MagicDNS name, a short name or an address. `progress` is told what
    /// begins. Dropping the future takes the attempt back.
    ///
    /// # Errors
    /// When there is no such machine, or it can't be reached: the error tells how far it went. No step takes longer than
    /// 15 seconds.
    pub async fn connect(
        &self,
        host: &str,
        port: u16,
        progress: impl FnMut(ConnectStep),
    ) -> Result<TcpStream, TcpError> {
        connect::connect(&self.inner.core, host, port, progress).await
    }

    /// Connects to the relay of `host` and begins WireGuard, so that [`Node::connect`] takes less time soon after. Does
    /// nothing where there is no such machine.
    pub fn warm(&self, host: &str) {
        connect::warm(&self.inner.core, host);
    }

    /// Tries at once what waits to be tried again: for when the network has come back, or the page can be seen again.
    pub fn retry_now(&self) {
        self.inner.control.retry_now();
        self.inner.core.retry_relays();
    }

    /// Logs the node out on the connection as it is, without waiting for anything: for pages that are about to go away.
    /// Whether there was a connection to do it on.
    pub fn logout_now(&self) -> bool {
        self.inner.control.logout_now()
    }

    /// Logs the node out. An ephemeral one is removed from the tailnet by that. All its connections end.
    ///
    /// # Errors
    /// When the control server did not confirm it within a few seconds.
    pub async fn logout(&self) -> Result<(), ControlError> {
        let result = self.inner.control.logout().await;
        self.inner.core.end();
        result
    }

    /// How the node's connections are, for diagnosis.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        status::status(&self.inner.core)
    }
}
