//! One tailnet node: control client, DERP client, WireGuard tunnel, TCP/IP in user space and names.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use dayfly_node::{Dialer, Node, NodeKeys, NodeOptions};
//! use dayfly_wire::control::Hostinfo;
//!
//! # async fn serve(dialer: Arc<dyn Dialer>, key: String) -> Result<(), Box<dyn std::error::Error>> {
//! let hostinfo = Hostinfo { hostname: "build-1".to_owned(), ..Hostinfo::default() };
//! let options = NodeOptions { auth_key: Some(key.into()), ..NodeOptions::new(NodeKeys::generate(), hostinfo) };
//! let (node, _events) = Node::start(dialer, options);
//! node.running().await?;
//!
//! // To another machine...
//! let stream = node.connect("web-1", 22, |step| println!("{step:?}")).await?;
//! // ... and from others.
//! let mut listener = node.listen(8080)?;
//! while let Some((stream, peer)) = listener.accept().await {
//!     println!("{} connects from {}", peer.name, stream.peer_addr());
//! }
//! # Ok(())
//! # }
//! ```
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
    ConnectStep, ControlState, Listener, Node, NodeError, NodeEvent, NodeEvents, NodeOptions, NodeState,
    NodeStatus, PeerStatus, RelayState, RelayStatus, Remote, TcpError, TcpStream,
};
pub use tunnel::netstack::ListenError;
