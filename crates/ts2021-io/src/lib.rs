//! ts2021 on any byte stream of tokio's: what goes between a connection and HTTP/2, at both ends.
//!
//! The protocol is [`dayfly_ts2021`]'s; here are only the two handshakes' reads and writes, and [`NoiseStream`], a
//! [`Stream`](dayfly_ts2021::Stream) with tokio's traits.
//!
//! ```
//! # use dayfly_platform::random::SystemRng;
//! # use dayfly_ts2021::{Handshake, accept};
//! # use dayfly_wire::key::MachinePrivate;
//! use dayfly_ts2021_io::NoiseStream;
//! use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let [machine, control] = [(); 2].map(|()| MachinePrivate::generate(&mut SystemRng));
//! let (carrier, servers_carrier) = tokio::io::duplex(4096);
//! let (handshake, initiation) = Handshake::initiate(130, &machine, &control.public(), &mut SystemRng)?;
//! let accepted = accept(&initiation, &control, &mut SystemRng)?;
//!
//! let mut server = NoiseStream::accept(servers_carrier, accepted, None).await?;
//! let mut node = NoiseStream::connect(carrier, handshake).await?;
//! node.write_all(b"PRI * HTTP/2.0").await?;
//! node.flush().await?;
//! let mut preface = [0; 14];
//! server.read_exact(&mut preface).await?;
//! assert_eq!(&preface, b"PRI * HTTP/2.0");
//! # Ok(())
//! # }
//! ```

mod handshake;
mod stream;
#[cfg(test)]
mod testing;

pub use handshake::{ConnectError, reject};
pub use stream::NoiseStream;
