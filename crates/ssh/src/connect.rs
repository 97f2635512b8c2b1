//! From a byte stream to a session.

use std::sync::Arc;

use russh::client;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use crate::auth;
use crate::client::{Client, ClientError};
use crate::config::{self, Options};
use crate::driver::Driver;
use crate::error::{ConnectError, Phase};
use crate::gate::{Flooded, Gate, Greeting, MAX_BEFORE_AUTH, Stream};
use crate::inbound::{End, Inbound};
use crate::interaction::Interaction;
use crate::known_hosts::KnownHostKeys;
use crate::session::{ServerInfo, Session};
use crate::text;

/// Questions that may wait to be looked at.
const QUESTIONS: usize = 4;

/// Makes a session over `stream`, which must be connected to an SSH server.
///
/// The server's host key is checked before anything about the person is sent. Then authentication goes from `none`, by
/// which Tailscale SSH lets in whom its policy permits, through the methods that the server names: public key,
/// keyboard-interactive, password, each a bounded number of times.
///
/// # Errors
/// See [`ConnectError`]. The stream is closed in any such case. Dropping the future closes it too.
pub async fn connect(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    options: Options,
    interaction: &mut dyn Interaction,
) -> Result<Session, ConnectError> {
    let known = KnownHostKeys::parse(&options.host, &options.known_host_keys)?;
    let config = config::client(options.offer, known.algorithms());
    connect_over(Box::new(stream), config, known, options, interaction).await
}

/// [`connect`] with nothing generic: see [`Stream`].
pub(crate) async fn connect_over(
    stream: Box<dyn Stream>,
    config: client::Config,
    known: KnownHostKeys,
    options: Options,
    interaction: &mut dyn Interaction,
) -> Result<Session, ConnectError> {
    let config = Arc::new(config);
    let inbound = Arc::new(Inbound::new());
    let greeting = Arc::new(Greeting::default());
    let (questions, asked) = mpsc::channel(QUESTIONS);
    let (agreed, agreement) = oneshot::channel();
    let client = Client {
        host: options.host.clone(),
        known,
        inbound: Arc::clone(&inbound),
        questions,
        agreed: Some(agreed),
        host_key: None,
    };
    let gate = Gate::new(stream, Arc::clone(&inbound), Arc::clone(&greeting));
    let cut = AbortOnDrop(Some(Arc::clone(&inbound)));
    let mut driver = Driver::new(options, interaction, Arc::clone(&inbound), asked);

    let connected = driver.drive(Phase::KeyExchange, client::connect_stream(config, gate, client)).await;
    let seen = || text::line(&greeting.seen(), 256);
    let handle = match connected {
        Ok(Ok(handle)) => handle,
        Ok(Err(error)) => return Err(handshake_error(error, inbound.end(), seen())),
        Err(ConnectError::Timeout { after, .. }) if !seen().starts_with("SSH-") => {
            return Err(ConnectError::Timeout { phase: Phase::VersionExchange, after });
        }
        Err(error) => return Err(error),
    };
    let agreed = agreement.await.unwrap_or_default();
    let mut handle = handle;
    auth::authenticate(&mut handle, &mut driver).await?;
    inbound.set_authenticated();
    cut.keep();
    let Driver { options, .. } = driver;
    let software = seen();
    let software = software.lines().rfind(|line| line.starts_with("SSH-")).unwrap_or_default().to_owned();
    let server = ServerInfo { software, host_key: agreed.host_key, kex: agreed.kex, cipher: agreed.cipher };
    Ok(Session::new(handle, inbound, server, options))
}

/// Closes the stream unless a session was made.
struct AbortOnDrop(Option<Arc<Inbound>>);

impl AbortOnDrop {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(inbound) = &self.0 {
            inbound.abort();
        }
    }
}

fn handshake_error(error: ClientError, end: Option<End>, seen: String) -> ConnectError {
    let error = match error {
        ClientError::Refused(error) => return *error,
        ClientError::Ssh(error) => error,
    };
    let greeted = seen.contains("SSH-2.0-") || seen.contains("SSH-1.99-");
    match error {
        russh::Error::IO(source) if source.get_ref().is_some_and(|inner| inner.is::<Flooded>()) => {
            ConnectError::Flooded { limit: MAX_BEFORE_AUTH }
        }
        russh::Error::IO(source) => {
            let phase = if greeted { Phase::KeyExchange } else { Phase::VersionExchange };
            ConnectError::Stream { phase, source }
        }
        russh::Error::NoCommonAlgo { kind, ours, theirs } => ConnectError::NoCommonAlgorithm {
            kind: format!("{kind:?}").to_lowercase(),
            ours,
            theirs: theirs.iter().take(64).map(|name| text::line(name, 64)).collect(),
        },
        _ if !greeted => ConnectError::VersionExchange { seen },
        russh::Error::Disconnect => match end {
            Some(end) => ConnectError::ended(Phase::KeyExchange, end.reason),
            None => ConnectError::Stream {
                phase: Phase::KeyExchange,
                source: std::io::ErrorKind::UnexpectedEof.into(),
            },
        },
        other => ConnectError::Kex(text::line(&other.to_string(), 256)),
    }
}
