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
use crate::gate::{Flooded, Gate, MAX_BEFORE_AUTH, Stream};
use crate::inbound::{End, Inbound};
use crate::interaction::Interaction;
use crate::known_hosts::KnownHostKeys;
use crate::preamble::{NotSsh, Preamble};
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
    let gate = Gate::new(stream, Arc::clone(&inbound));
    let lookout = gate.lookout();
    let cut = AbortOnDrop(Some(Arc::clone(&inbound)));
    let mut driver = Driver::new(options, interaction, Arc::clone(&inbound), lookout.clone(), asked);

    let connected = driver.shake_hands(client::connect_stream(config, gate, client)).await;
    let mut handle = match connected {
        Ok(Ok(handle)) => handle,
        Ok(Err(error)) => {
            return Err(lookout.preamble(|preamble| handshake_error(error, inbound.end(), preamble)));
        }
        Err(ConnectError::Timeout { after, .. }) if lookout.preamble(Preamble::is_pending) => {
            return Err(ConnectError::Timeout { phase: Phase::VersionExchange, after });
        }
        Err(error) => return Err(error),
    };
    let agreed = agreement.await.unwrap_or_default();
    auth::authenticate(&mut handle, &mut driver).await?;
    inbound.set_authenticated();
    cut.keep();
    let Driver { options, notices, .. } = driver;
    let software = lookout.preamble(|preamble| preamble.identification().unwrap_or_default().to_owned());
    let server = ServerInfo { software, host_key: agreed.host_key, kex: agreed.kex, cipher: agreed.cipher };
    Ok(Session::new(handle, inbound, server, notices, options))
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

fn handshake_error(error: ClientError, end: Option<End>, preamble: &Preamble) -> ConnectError {
    let error = match error {
        ClientError::Refused(error) => return *error,
        ClientError::Ssh(error) => error,
    };
    match error {
        russh::Error::IO(source) if source.get_ref().is_some_and(|inner| inner.is::<Flooded>()) => {
            ConnectError::Flooded { limit: MAX_BEFORE_AUTH }
        }
        _ if preamble.is_pending() => no_identification(error, preamble),
        russh::Error::IO(source) => ConnectError::Stream { phase: Phase::KeyExchange, source },
        russh::Error::NoCommonAlgo { kind, ours, theirs } => ConnectError::NoCommonAlgorithm {
            kind: format!("{kind:?}").to_lowercase(),
            ours,
            theirs: theirs.iter().take(64).map(|name| text::line(name, 64)).collect(),
        },
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

/// Names the reason why no identification came.
fn no_identification(error: russh::Error, preamble: &Preamble) -> ConnectError {
    if let Some(said) = preamble.busy() {
        return ConnectError::Busy { said };
    }
    match error {
        russh::Error::IO(source) if !source.get_ref().is_some_and(|inner| inner.is::<NotSsh>()) => {
            ConnectError::Stream { phase: Phase::VersionExchange, source }
        }
        _ => match preamble.seen() {
            seen if seen.is_empty() => ConnectError::ClosedAtOnce,
            seen => ConnectError::VersionExchange { seen },
        },
    }
}
