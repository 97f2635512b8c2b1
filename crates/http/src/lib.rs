//! HTTP/1.1 as Dayfly's servers and native clients need it: serving, upgrades, WebSockets, TLS.
//!
//! Nothing here knows what is served. A [`Server`] listens and passes requests to a [`Service`], usually a [`Router`] of
//! the [`Routes`] that each part brings; a request is answered ([`Answer`]) or takes its connection over ([`Takeover`]),
//! which is a byte stream from then on ([`Duplex`]). [`client::Upstream`] is the other end of all that.

pub mod answer;
mod body;
pub mod carry;
pub mod client;
mod closing;
mod duplex;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod listen;
pub mod metrics;
pub mod origin;
pub mod rate;
mod routes;
pub mod server;
mod service;
mod socket;
mod takeover;
pub mod tls;
pub mod websocket;

pub use http;
pub use http::{HeaderValue, Method, Response, StatusCode, header};

pub use self::answer::{Answer, text};
pub use self::body::Body;
pub use self::closing::Closing;
pub use self::duplex::{Duplex, Read};
pub use self::metrics::Registry;
pub use self::routes::{RouteConflict, Router, Routes};
pub use self::server::{Server, ServerConfig};
pub use self::service::{Connection, Reply, Request, Service};
pub use self::socket::Socket;
pub use self::takeover::{Takeover, Upgraded};
