//! From a byte stream to a session.

use std::pin::pin;
use std::sync::Arc;

use dayfly_platform::BoxFuture;
use dayfly_platform::time::{Instant, sleep_until};
use russh::client;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

use crate::auth;
use crate::client::{Client, ClientError, Question};
use crate::config::{self, Options};
use crate::error::{ConnectError, Disconnect, Step};
use crate::flow::{End, Flow};
use crate::gate::{Flooded, Gate, Greeting, MAX_BEFORE_AUTH, Stream};
use crate::host_key::KnownHostKeys;
use crate::interaction::{HostKeyAnswer, Interaction};
use crate::session::{Peer, Session};
use crate::text;

/// Questions that may wait to be looked at.
const QUESTIONS: usize = 4;

/// Characters of banners that are shown of one connection. A server may send any number of them.
const MAX_BANNERS: usize = 64 * 1024;

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
    let flow = Arc::new(Flow::new());
    let greeting = Arc::new(Greeting::default());
    let (questions, asked) = mpsc::channel(QUESTIONS);
    let (agreed, agreement) = oneshot::channel();
    let client = Client {
        host: options.host.clone(),
        known,
        flow: Arc::clone(&flow),
        questions,
        agreed: Some(agreed),
        host_key: None,
    };
    let gate = Gate::new(stream, Arc::clone(&flow), Arc::clone(&greeting));
    let cut = AbortOnDrop(Some(Arc::clone(&flow)));
    let mut driver = Driver { options, interaction, asked, flow: Arc::clone(&flow), banner: String::new() };

    let connected = driver.drive(Step::KeyExchange, client::connect_stream(config, gate, client)).await;
    let seen = || text::line(&greeting.seen(), 256);
    let handle = match connected {
        Ok(Ok(handle)) => handle,
        Ok(Err(error)) => return Err(handshake_error(error, flow.end(), seen())),
        Err(ConnectError::Timeout { after, .. }) if !seen().starts_with("SSH-") => {
            return Err(ConnectError::Timeout { step: Step::VersionExchange, after });
        }
        Err(error) => return Err(error),
    };
    let agreed = agreement.await.unwrap_or_default();
    let mut handle = handle;
    auth::authenticate(&mut handle, &mut driver).await?;
    flow.set_authenticated();
    cut.keep();
    let Driver { options, .. } = driver;
    let software = seen();
    let software = software.lines().rfind(|line| line.starts_with("SSH-")).unwrap_or_default().to_owned();
    let peer = Peer { software, host_key: agreed.host_key, kex: agreed.kex, cipher: agreed.cipher };
    Ok(Session::new(handle, flow, peer, options))
}

/// Closes the stream unless a session was made.
struct AbortOnDrop(Option<Arc<Flow>>);

impl AbortOnDrop {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(flow) = &self.0 {
            flow.abort();
        }
    }
}

/// Runs the steps of connecting: passes questions to the person and watches the clock.
pub(crate) struct Driver<'a> {
    pub(crate) options: Options,
    pub(crate) interaction: &'a mut dyn Interaction,
    pub(crate) flow: Arc<Flow>,
    /// What the server had to say so far.
    pub(crate) banner: String,
    asked: mpsc::Receiver<Question>,
}

impl Driver<'_> {
    /// Waits for the server's part of `step`.
    pub(crate) async fn drive<T>(
        &mut self,
        step: Step,
        future: impl Future<Output = T>,
    ) -> Result<T, ConnectError> {
        let mut future = pin!(future);
        let mut limit = self.options.timeout;
        let mut since = Instant::now();
        loop {
            tokio::select! {
                // Banners come before the answer that they explain.
                biased;
                Some(question) = self.asked.recv() => {
                    if matches!(question, Question::Banner(_)) && step == Step::Authentication {
                        limit = self.options.approval_timeout;
                    }
                    self.answer(question).await;
                    since = Instant::now();
                }
                result = &mut future => {
                    while let Ok(question) = self.asked.try_recv() {
                        self.answer(question).await;
                    }
                    return Ok(result);
                }
                () = sleep_until(since + limit) => return Err(ConnectError::Timeout { step, after: limit }),
            }
        }
    }

    /// Waits for the person's answer, but not beyond the end of the session.
    pub(crate) async fn ask<T>(&mut self, answer: BoxFuture<T>) -> Result<T, ConnectError> {
        let flow = Arc::clone(&self.flow);
        let mut answer = answer;
        loop {
            tokio::select! {
                biased;
                Some(question) = self.asked.recv() => self.answer(question).await,
                answer = &mut answer => return Ok(answer),
                end = flow.ended() => return Err(self.ended(Step::Authentication, end)),
            }
        }
    }

    async fn answer(&mut self, question: Question) {
        match question {
            Question::Banner(banner) => {
                if self.banner.len() + banner.len() <= MAX_BANNERS {
                    self.banner.push_str(&banner);
                    self.interaction.banner(banner);
                }
            }
            Question::HostKey(key, reply) => {
                let answer = self.interaction.unknown_host_key(key).await;
                let _ = reply.send(answer == HostKeyAnswer::Accept);
            }
        }
    }

    /// What the end of the session means while connecting.
    pub(crate) fn ended(&self, step: Step, end: End) -> ConnectError {
        if end.denied {
            return ConnectError::Denied { banner: self.banner.clone(), methods: Vec::new() };
        }
        ended(step, end.reason)
    }
}

fn ended(step: Step, reason: Disconnect) -> ConnectError {
    match reason {
        Disconnect::Peer { reason, text } => ConnectError::Disconnected { step, reason, text },
        Disconnect::Protocol(text) => ConnectError::Kex(text),
        Disconnect::Stream(text) => ConnectError::Stream { step, source: std::io::Error::other(text) },
        Disconnect::Local => {
            ConnectError::Stream { step, source: std::io::ErrorKind::ConnectionAborted.into() }
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
            let step = if greeted { Step::KeyExchange } else { Step::VersionExchange };
            ConnectError::Stream { step, source }
        }
        russh::Error::NoCommonAlgo { kind, ours, theirs } => ConnectError::NoCommonAlgorithm {
            kind: format!("{kind:?}").to_lowercase(),
            ours,
            theirs: theirs.iter().take(64).map(|name| text::line(name, 64)).collect(),
        },
        _ if !greeted => ConnectError::VersionExchange { seen },
        russh::Error::Disconnect => match end {
            Some(end) => ended(Step::KeyExchange, end.reason),
            None => ConnectError::Stream {
                step: Step::KeyExchange,
                source: std::io::ErrorKind::UnexpectedEof.into(),
            },
        },
        other => ConnectError::Kex(text::line(&other.to_string(), 256)),
    }
}
