//! The native edge of a node: [`NativeDialer`] opens what a [`dayfly_node::Node`] needs of a network.
//!
//! The control server and relays are reached by TCP, with TLS where their addresses ask for it, and over that by an
//! HTTP/1.1 upgrade, as `tailscaled` does it, or by a WebSocket, as a browser does it ([`Carrier`]). A browser's edge is
//! another crate; a node does not know which one it stands on.
//!
//! ```
//! use std::path::Path;
//!
//! use dayfly_dial::{Carrier, NativeDialer, Trust};
//! use dayfly_node::Dialer as _;
//!
//! // Trusts the system's authorities, and prefers upgrades.
//! let dialer = NativeDialer::new("https://control.example")?;
//! assert_eq!(dialer.control_url(), "https://control.example");
//!
//! // Behind a proxy that knows WebSockets only, with nobody to be trusted but one's own authority.
//! # let authority: [&Path; 0] = [];
//! let dialer = NativeDialer::with_trust("https://control.example", Trust::only(&authority)?)?
//!     .carrier(Carrier::WebSocket);
//! # Ok::<(), dayfly_dial::DialerError>(())
//! ```
//!
//! `examples/` has whole programs: `listen` is reached by others, `connect` reaches them.

mod dialer;
mod error;

pub use dayfly_http::tls::Trust;

pub use dialer::{Carrier, NativeDialer};
pub use error::DialerError;
