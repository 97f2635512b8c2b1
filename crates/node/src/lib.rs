//! One tailnet node: control client, DERP client, WireGuard tunnel, TCP/IP in user space and names.
//!
//! The protocol cores are sans-IO; one small driver runs them over whatever a [`Dialer`] opens, natively and in a page.

mod control;
mod derp;
mod dial;
mod filter;
mod keys;
mod netmap;
mod packet;
mod runtime;
mod tunnel;

pub use control::{ControlError, KeyExpiry, Registered};
pub use derp::{DerpError, RelayError};
pub use dial::{DerpAddress, DialError, Dialer};
pub use keys::{KeyStore, NodeKeys};
pub use netmap::{NetMap, Peer, PeerIdentity, ResolveError, Target};
pub use runtime::{
    ConnectStep, ControlState, Node, NodeError, NodeEvent, NodeEvents, NodeOptions, NodeState, NodeStatus,
    PeerStatus, RelayState, RelayStatus, Remote, TcpError, TcpStream,
};
pub use tunnel::netstack::ListenError;
