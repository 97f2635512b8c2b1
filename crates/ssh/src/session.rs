//! An authenticated connection, on which programs are started.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dayfly_platform::time::{sleep, timeout};
use russh::client::Handle;
use russh::{ChannelOpenFailure, Pty as Mode};

use crate::client::Client;
use crate::config::Options;
use crate::error::{Disconnect, OpenError};
use crate::host_key::HostKey;
use crate::inbound::Inbound;
use crate::shell::{Pty, Shell};
use crate::text;

/// Time that closing may take before the stream is cut.
const CLOSE: Duration = Duration::from_secs(2);
/// Share of [`CLOSE`] that the server has for closing its side, once SSH_MSG_DISCONNECT is on its way.
const LINGER: Duration = Duration::from_millis(500);

/// Facts about the server of a session.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// Its identification, for instance `SSH-2.0-Tailscale`; safe to show.
    pub software: String,
    /// The host key that it proved to have.
    pub host_key: Option<HostKey>,
    /// Name of the agreed key exchange.
    pub kex: String,
    /// Name of the agreed cipher.
    pub cipher: String,
}

/// An authenticated connection to an SSH server.
///
/// Dropping it cuts the connection; [`Session::close`] disconnects in good order.
pub struct Session {
    handle: Handle<Client>,
    inbound: Arc<Inbound>,
    server: ServerInfo,
    notices: String,
    options: Options,
}

impl Session {
    pub(crate) fn new(
        handle: Handle<Client>,
        inbound: Arc<Inbound>,
        server: ServerInfo,
        notices: String,
        options: Options,
    ) -> Self {
        Self { handle, inbound, server, notices, options }
    }

    /// Returns what is known about the server.
    pub fn server(&self) -> &ServerInfo {
        &self.server
    }

    /// Returns what the server said while the person logged in, safe to show: its banner, PAM's remarks.
    ///
    /// OpenSSH's client prints that above the shell's first output.
    pub fn notices(&self) -> &str {
        &self.notices
    }

    /// Starts the person's shell on a terminal, for which the server may take as long as it wants.
    ///
    /// # Errors
    /// When the server refuses, or the session has ended.
    pub async fn shell(&self, pty: Pty) -> Result<Shell, OpenError> {
        self.start(Some(pty), None).await
    }

    /// Runs a command, which the server hands to the person's shell; with a terminal if `pty` is given.
    ///
    /// # Errors
    /// As for [`Session::shell`].
    pub async fn exec(&self, command: &str, pty: Option<Pty>) -> Result<Shell, OpenError> {
        self.start(pty, Some(command)).await
    }

    async fn start(&self, pty: Option<Pty>, command: Option<&str>) -> Result<Shell, OpenError> {
        let opened = self.handle.channel_open_session().await;
        let (reader, writer) = opened.map_err(|error| self.open_error(error))?.split();
        self.inbound.open(writer.id());
        // Output comes through `inbound`. With its receiver gone, `russh` queues nothing for this channel.
        drop(reader);
        let shell = Shell::new(Arc::clone(&self.inbound), writer);
        let channel = shell.writer.channel();
        let requested = async {
            // All requests go out at once, so that starting takes one round trip.
            for (name, value) in &self.options.env {
                channel.set_env(false, name.as_str(), value.as_str()).await?;
            }
            if let Some(pty) = &pty {
                let Pty { term, columns, rows, width, height } = pty;
                let modes = [(Mode::IUTF8, 1), (Mode::TTY_OP_ISPEED, 38_400), (Mode::TTY_OP_OSPEED, 38_400)];
                channel.request_pty(true, term, *columns, *rows, *width, *height, &modes).await?;
            }
            match command {
                None => channel.request_shell(true).await,
                Some(command) => channel.exec(true, command).await,
            }
        };
        requested.await.map_err(|error| self.open_error(error))?;
        let mut refused = None;
        if pty.is_some() && !self.reply(&shell).await? {
            refused = Some(OpenError::PtyRefused);
        }
        if !self.reply(&shell).await? {
            refused = refused.or(Some(OpenError::StartRefused));
        }
        match refused {
            None => Ok(shell),
            Some(error) => {
                // What was started without its terminal is closed again.
                let _ = channel.close().await;
                Err(error)
            }
        }
    }

    async fn reply(&self, shell: &Shell) -> Result<bool, OpenError> {
        let id = shell.writer.channel().id();
        match std::future::poll_fn(|context| self.inbound.poll_reply(id, context)).await {
            Some(success) => Ok(success),
            None => match self.inbound.end() {
                Some(end) => Err(end.reason.into()),
                // The server closed the channel instead of answering.
                None => Ok(false),
            },
        }
    }

    fn open_error(&self, error: russh::Error) -> OpenError {
        match error {
            russh::Error::ChannelOpenFailure(reason) => OpenError::ChannelRefused(match reason {
                ChannelOpenFailure::AdministrativelyProhibited => "it is prohibited".to_owned(),
                ChannelOpenFailure::ConnectFailed => "connecting failed".to_owned(),
                ChannelOpenFailure::UnknownChannelType => "it does not know of sessions".to_owned(),
                ChannelOpenFailure::ResourceShortage => "it has too little resources".to_owned(),
                ChannelOpenFailure::Other { reason, .. } => text::line(&reason, 256),
            }),
            _ => {
                let end = self.inbound.end().map(|end| end.reason);
                end.unwrap_or(Disconnect::Stream("it was closed".to_owned())).into()
            }
        }
    }

    /// Resolves with the reason when the session has ended.
    pub async fn ended(&self) -> Disconnect {
        self.inbound.ended().await.reason
    }

    /// Returns `true` once the session has ended.
    pub fn is_ended(&self) -> bool {
        self.inbound.end().is_some()
    }

    /// Returns the bytes of output that wait to be read, in all shells together.
    pub fn unread(&self) -> usize {
        self.inbound.unread()
    }

    /// Sends a keep-alive (`keepalive@openssh.com`) and waits for its answer without limit.
    ///
    /// # Errors
    /// When the session is over.
    pub async fn ping(&self) -> Result<(), Disconnect> {
        tokio::select! {
            biased;
            end = self.inbound.ended() => Err(end.reason),
            answer = self.handle.send_ping() => match answer {
                Ok(()) => Ok(()),
                Err(_) => Err(self.inbound.ended().await.reason),
            },
        }
    }

    /// Agrees on new keys soon. This happens by itself after each hour or gigabyte.
    pub async fn renew_keys(&self) {
        // A session that is over needs no keys.
        let _ = self.handle.rekey_soon().await;
    }

    /// Disconnects from the server (SSH_MSG_DISCONNECT, by application) and closes the stream, within two seconds.
    pub async fn close(mut self) {
        self.inbound.set_closing();
        let disconnect = async {
            let _ = self.handle.disconnect(russh::Disconnect::ByApplication, "", "en").await;
            tokio::select! {
                _ = &mut self.handle => {}
                () = async {
                    self.inbound.sent().await;
                    sleep(LINGER).await;
                } => {}
            }
        };
        // If the stream takes nothing any more, it is cut when `self` is dropped.
        let _ = timeout(CLOSE, disconnect).await;
        self.inbound.finish(Disconnect::Local, false);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.inbound.set_closing();
        self.inbound.abort();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("server", &self.server).finish_non_exhaustive()
    }
}
