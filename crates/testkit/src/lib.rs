//! What the tests of several crates share, so that each of it exists once.
//!
//! - [`derp::DerpClient`]: a client of relays over any byte stream, ours and others'.
//! - [`derp::Relay`] and [`derp::Relays`]: a small relay, as a state machine and in memory on tokio.
//! - [`http1`]: requests and answers by hand.
//! - [`websocket`]: a WebSocket as a byte stream, by an implementation that is not ours.
//! - [`SeededRng`]: randomness that a seed repeats.
//!
//! A client of a relay in memory:
//!
//! ```
//! use bytes::BytesMut;
//! use dayfly_testkit::SeededRng;
//! use dayfly_testkit::derp::{DerpClient, Relays};
//! use dayfly_wire::key::NodePrivate;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let relays = Relays::default();
//! let key = NodePrivate::generate(&mut SeededRng::new(1));
//! let mut client = DerpClient::handshake(relays.connect(1)?, BytesMut::new(), key, None).await?;
//! let own = client.public();
//! client.send(&own, b"to myself").await?;
//! assert_eq!(client.packet().await?, (own, b"to myself".to_vec()));
//! # Ok(())
//! # }
//! ```

pub mod derp;
pub mod http1;
mod rng;
pub mod websocket;

pub use rng::SeededRng;
