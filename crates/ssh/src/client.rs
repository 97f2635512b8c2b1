//! Callbacks of `russh`: output goes into [`Inbound`], questions to whoever connects.
//!
//! Each callback is awaited by the loop that also sends, so none waits for a reader of output. Only the question for
//! the host key is waited for, before which there is nothing to send.

use std::sync::Arc;

use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelId, Names, Sig};
use tokio::sync::{mpsc, oneshot};

use crate::config;
use crate::error::{ConnectError, Disconnect};
use crate::host_key::HostKey;
use crate::inbound::{Inbound, ShellEvent};
use crate::known_hosts::KnownHostKeys;
use crate::text::{self, MAX_TEXT};

/// A banner to show, or a question to answer, for whoever connects.
#[derive(Debug)]
pub(crate) enum Question {
    Banner(String),
    HostKey(HostKey, oneshot::Sender<bool>),
}

/// Result of the key exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agreed {
    pub(crate) host_key: Option<HostKey>,
    pub(crate) kex: String,
    pub(crate) cipher: String,
}

/// Receives what `russh` reports.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) host: String,
    pub(crate) known: KnownHostKeys,
    pub(crate) inbound: Arc<Inbound>,
    pub(crate) questions: mpsc::Sender<Question>,
    pub(crate) agreed: Option<oneshot::Sender<Agreed>>,
    pub(crate) host_key: Option<HostKey>,
}

/// Error that ends the loop of `russh`.
#[derive(Debug)]
pub(crate) enum ClientError {
    Ssh(russh::Error),
    /// The session must not be made.
    Refused(Box<ConnectError>),
}

impl From<russh::Error> for ClientError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl Client {
    fn refuse<T>(error: ConnectError) -> Result<T, ClientError> {
        Err(ClientError::Refused(Box::new(error)))
    }
}

impl Handler for Client {
    type Error = ClientError;

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), ClientError> {
        self.inbound.count_banner();
        // If nobody connects any more, nobody wants to know.
        let _ = self.questions.send(Question::Banner(text::printable(banner, MAX_TEXT))).await;
        Ok(())
    }

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, ClientError> {
        // No certificate was offered to be accepted, so none may come.
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        let got = HostKey::new(&self.host, key);
        if self.known.is_empty() {
            let (answer, answered) = oneshot::channel();
            let asked = self.questions.send(Question::HostKey(got.clone(), answer)).await;
            if asked.is_err() || !answered.await.unwrap_or(false) {
                return Self::refuse(ConnectError::HostKeyRefused { got });
            }
        } else if !self.known.contains(key) {
            return Self::refuse(ConnectError::HostKeyMismatch { expected: self.known.fingerprints(), got });
        }
        self.host_key = Some(got);
        Ok(true)
    }

    async fn kex_done(
        &mut self,
        _: Option<&[u8]>,
        names: &Names,
        session: &mut Session,
    ) -> Result<(), ClientError> {
        self.inbound.keys_exchanged();
        let Some(agreed) = self.agreed.take() else { return Ok(()) };
        if !names.strict_kex() && config::needs_strict_kex(names.cipher, [names.client_mac, names.server_mac])
        {
            return Self::refuse(ConnectError::NoStrictKex {
                server: text::line(&String::from_utf8_lossy(session.remote_sshid()), 128),
                cipher: names.cipher.as_ref().to_owned(),
            });
        }
        let _ = agreed.send(Agreed {
            host_key: self.host_key.take(),
            kex: names.kex.as_ref().to_owned(),
            cipher: names.cipher.as_ref().to_owned(),
        });
        Ok(())
    }

    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _: u32,
        _: u32,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        self.inbound.open(id);
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut Session) -> Result<(), ClientError> {
        self.inbound.push_data(id, data, false);
        Ok(())
    }

    async fn extended_data(
        &mut self,
        id: ChannelId,
        _: u32,
        data: &[u8],
        _: &mut Session,
    ) -> Result<(), ClientError> {
        self.inbound.push_data(id, data, true);
        Ok(())
    }

    async fn exit_status(&mut self, id: ChannelId, status: u32, _: &mut Session) -> Result<(), ClientError> {
        self.inbound.push_event(id, ShellEvent::ExitStatus(status));
        Ok(())
    }

    async fn exit_signal(
        &mut self,
        id: ChannelId,
        signal: Sig,
        core_dumped: bool,
        message: &str,
        _: &str,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        let name = text::line(signal_name(&signal), 64);
        let message = text::printable(message, MAX_TEXT);
        self.inbound.push_event(id, ShellEvent::ExitSignal { name, core_dumped, message });
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), ClientError> {
        self.inbound.push_event(id, ShellEvent::Closed);
        Ok(())
    }

    async fn channel_success(&mut self, id: ChannelId, _: &mut Session) -> Result<(), ClientError> {
        self.inbound.push_reply(id, true);
        Ok(())
    }

    async fn channel_failure(&mut self, id: ChannelId, _: &mut Session) -> Result<(), ClientError> {
        self.inbound.push_reply(id, false);
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<ClientError>) -> Result<(), ClientError> {
        let (reason, denied) = match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                let text = text::printable(&info.message, MAX_TEXT);
                (Disconnect::Peer { reason: info.reason_code as u32, text }, false)
            }
            DisconnectReason::Error(_) if self.inbound.is_closing() => (Disconnect::Local, false),
            DisconnectReason::Error(ClientError::Ssh(error)) => {
                // Tailscale gives its reason as a banner and hangs up, without an answer to the request.
                let refused =
                    is_hang_up(&error) && self.inbound.has_had_banner() && !self.inbound.is_authenticated();
                let denied = refused || matches!(error, russh::Error::NoAuthMethod);
                (ended_by(error), denied)
            }
            DisconnectReason::Error(ClientError::Refused(error)) => {
                (Disconnect::Protocol(error.to_string()), false)
            }
        };
        self.inbound.finish(reason, denied);
        Ok(())
    }

    // A dropped handle refuses the channel ("administratively prohibited"). Nothing was asked for that a server could
    // answer with a channel: no forwards, no agent, no X11.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), ClientError> {
        Ok(())
    }
}

/// Returns `true` if the server closed the stream in good order.
fn is_hang_up(error: &russh::Error) -> bool {
    match error {
        russh::Error::IO(error) => error.kind() == std::io::ErrorKind::UnexpectedEof,
        russh::Error::HUP | russh::Error::Disconnect => true,
        _ => false,
    }
}

fn ended_by(error: russh::Error) -> Disconnect {
    match error {
        error if is_hang_up(&error) => Disconnect::Stream(Disconnect::CLOSED.to_owned()),
        russh::Error::IO(error) => Disconnect::Stream(error.to_string()),
        other => Disconnect::Protocol(text::line(&other.to_string(), MAX_TEXT)),
    }
}

fn signal_name(signal: &Sig) -> &str {
    match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    }
}
