//! An SSH client session over any byte stream, natively and in a browser.
//!
//! [`connect`] takes a stream that reaches an SSH server, checks the server's host key, authenticates, and returns a
//! [`Session`]; [`Session::shell`] and [`Session::exec`] start a program there and return a [`Shell`]: a writer for
//! keystrokes and the terminal's size, and a reader for output and the exit status. Whatever needs a person's answer
//! (an unknown host key, a password) is asked through [`Interaction`].
//!
//! The protocol itself is `russh`'s. What is here is what a person's session needs around it: which host key is right,
//! which method comes next, limits on time and memory, output that waits without holding up keystrokes, and errors
//! that tell what failed. It opens no connection, keeps no file, and forwards nothing: channels that the server asks
//! for are refused.
//!
//! ```
//! use dayfly_ssh::{Options, Pty, ShellEvent, Unattended};
//! use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
//!
//! /// Types a line into a shell of root's, as Tailscale SSH admits who the policy permits, and prints what comes.
//! async fn uptime(
//!     stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
//!     host_keys: Vec<String>,
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let mut options = Options::new("root", "web-1");
//!     options.known_host_keys = host_keys;
//!     let session = dayfly_ssh::connect(stream, options, &mut Unattended).await?;
//!     let mut shell = session.shell(Pty::new(80, 24)).await?;
//!     shell.writer.write(b"uptime; exit\n").await?;
//!     while let Some(event) = shell.reader.next().await {
//!         if let ShellEvent::Data(bytes) = event {
//!             print!("{}", String::from_utf8_lossy(&bytes));
//!         }
//!     }
//!     session.close().await;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // What answers here is no SSH server, and the error says so.
//! let (near, mut far) = tokio::io::duplex(1024);
//! far.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
//! far.shutdown().await.unwrap();
//! let error = uptime(near, Vec::new()).await.unwrap_err();
//! assert!(error.to_string().contains("220 mail.example"), "{error}");
//! # }
//! ```

mod auth;
mod client;
mod config;
mod connect;
mod driver;
mod error;
mod gate;
mod host_key;
mod inbound;
mod interaction;
mod known_hosts;
mod preamble;
mod private_key;
mod rehearsal;
mod session;
mod shell;
mod text;

pub use config::{Offer, Options};
pub use connect::connect;
pub use error::{ConnectError, Disconnect, OpenError, Phase, WriteError};
pub use host_key::HostKey;
pub use inbound::{MAX_UNREAD, ShellEvent};
pub use interaction::{
    HostKeyAnswer, Interaction, KeyProblem, KeyboardInteractive, Method, PasswordRequest, PrivateKey,
    PrivateKeyRequest, Prompt, Secret, Unattended,
};
pub use rehearsal::rehearse;
pub use session::{ServerInfo, Session};
pub use shell::{Pty, Shell, ShellReader, ShellWriter, Signal};
