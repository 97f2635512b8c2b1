//! Keys and codecs of Tailscale's protocols, without I/O, clocks or a random source of their own.
//!
//! Each module parses and builds the bytes of one protocol. What the messages mean for a node or a relay is
//! decided by the crates above.
//!
//! ```
//! use dayfly_wire::control::{MapCompression, MapFrames, MapResponse};
//!
//! // A control server writes a message of a map stream, and a node reads it.
//! let message = MapResponse { keep_alive: true, ..MapResponse::default() };
//! let mut stream = Vec::new();
//! MapCompression::Plain.write_frame(&message, &mut stream)?;
//! let mut frames = MapFrames::new();
//! frames.push(&stream);
//! assert_eq!(frames.next_message()?, Some(message));
//! # Ok::<(), dayfly_wire::control::MapFrameError>(())
//! ```

pub mod control;
pub mod derp;
pub mod disco;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod key;
pub mod nacl;
pub mod stun;
pub mod ts2021;
pub mod tsmp;

#[cfg(test)]
mod testing;
