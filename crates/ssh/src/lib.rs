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

mod auth;
mod client;
mod config;
mod connect;
mod error;
mod flow;
mod gate;
mod host_key;
mod interaction;
mod private_key;
mod rehearsal;
mod session;
mod shell;
mod text;

pub use config::{Offer, Options};
pub use connect::connect;
pub use error::{ConnectError, Disconnect, OpenError, Step, WriteError};
pub use flow::{MAX_UNREAD, ShellEvent};
pub use host_key::HostKey;
pub use interaction::{
    HostKeyAnswer, Interaction, KeyProblem, KeyboardInteractive, Method, PasswordRequest, PrivateKey,
    PrivateKeyRequest, Prompt, Secret, Unattended,
};
pub use rehearsal::rehearse;
pub use session::{Peer, Session};
pub use shell::{Pty, Shell, ShellReader, ShellWriter, Signal};
