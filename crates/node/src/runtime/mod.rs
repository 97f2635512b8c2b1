//! The node as its users see it, and the driver that runs it.

mod connect;
mod driver;
mod error;
mod event;
mod listener;
mod node_core;
mod options;
mod pump;
mod state;
mod status;
mod stream;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use dayfly_platform::task::{AbortOnDropHandle, spawn};
use tokio::sync::watch;

use crate::Dialer;
use crate::control::{Control, ControlConfig, ControlError};
use crate::netmap::NetMap;
use crate::tunnel::netstack::ListenError;
use driver::Driver;
use node_core::NodeCore;

pub use error::TcpError;
pub use event::{NodeEvent, NodeEvents, RelayState};
pub use listener::Listener;
pub use options::NodeOptions;
pub use state::{ControlState, NodeError, NodeState};
pub use status::{NodeStatus, PeerStatus, RelayStatus};
pub use stream::{Remote, TcpStream};

/// Step on the way to an open TCP connection, reported when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectStep {
    /// Connecting to the peer's relay.
    Relay,
    /// WireGuard's handshake with the peer.
    WireGuard,
    /// TCP's handshake.
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
    /// Starts to join a tailnet. Events need not be read: [`Node::state`] says the same, and the node waits for nobody.
    #[must_use]
    pub fn start(dialer: Arc<dyn Dialer>, options: NodeOptions) -> (Self, NodeEvents) {
        let (node_key, disco) = (options.keys.node.clone(), options.keys.disco.clone());
        let config = ControlConfig {
            keys: options.keys,
            key_store: options.key_store,
            control_key: options.control_key,
            auth_key: options.auth_key,
            hostinfo: options.hostinfo,
            ephemeral: options.ephemeral,
            on_key_expiry: options.on_key_expiry,
        };
        let (control, control_events) = Control::start(Arc::clone(&dialer), config);
        let control = Arc::new(control);
        let core = Arc::new(NodeCore::new(node_key, disco));
        let events = NodeEvents::new(&core.events);
        let driver = Driver::new(Arc::clone(&core), Arc::clone(&control), dialer);
        let driver = AbortOnDropHandle::new(spawn(driver.run(control_events)));
        (Self { inner: Arc::new(Inner { core, control, _driver: driver }) }, events)
    }

    /// Returns the state of the node.
    #[must_use]
    pub fn state(&self) -> NodeState {
        self.inner.core.state.borrow().clone()
    }

    /// Watches the state of the node: the receiver sees the latest state, and not each one between.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<NodeState> {
        self.inner.core.state.subscribe()
    }

    /// Waits until the node is in the tailnet, however long a person takes to log in or to approve it.
    ///
    /// # Errors
    /// When the node has ended.
    pub async fn running(&self) -> Result<(), ControlError> {
        let mut states = self.watch();
        let state = states.wait_for(|state| state.running || state.has_ended()).await;
        match state.as_deref() {
            Ok(state) if state.running => Ok(()),
            Ok(NodeState {
                last_error: Some(NodeError::Control(error)),
                control: ControlState::Failed,
                ..
            }) => Err(error.clone()),
            _ => Err(ControlError::Ended),
        }
    }

    /// Looks at what is known of the tailnet. Keep it short: the node waits meanwhile.
    pub fn with_netmap<T>(&self, look: impl FnOnce(&NetMap) -> T) -> T {
        look(&self.inner.core.map())
    }

    /// Opens a TCP connection to `port` of `host`: a MagicDNS name, a short name or an address. `progress` is called
    /// with each step that begins. Dropping the future takes the attempt back.
    ///
    /// # Errors
    /// When there is no such machine, or it can't be reached: the error says how far it went. No step takes longer than
    /// 15 seconds.
    pub async fn connect(
        &self,
        host: &str,
        port: u16,
        progress: impl FnMut(ConnectStep),
    ) -> Result<TcpStream, TcpError> {
        connect::connect(&self.inner.core, host, port, progress).await
    }

    /// Listens on a TCP port, for as long as the listener is held: peers may connect to it, as far as the packet filter
    /// admits them. Other ports refuse them.
    ///
    /// # Errors
    /// When the port is 0 or has a listener already, or the node has ended.
    pub fn listen(&self, port: u16) -> Result<Listener, ListenError> {
        Listener::open(&self.inner.core, port)
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
    /// Returns `true` where there was a connection to do it on.
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

    /// Returns the state of the node's connections, for diagnosis.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        status::status(&self.inner.core)
    }
}
