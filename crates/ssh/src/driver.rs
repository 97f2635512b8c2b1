//! Waits for the server and for the person, while a session is being made.

use std::pin::pin;
use std::sync::Arc;

use dayfly_platform::BoxFuture;
use dayfly_platform::time::{Instant, sleep_until};
use tokio::sync::mpsc;

use crate::client::Question;
use crate::config::Options;
use crate::error::{ConnectError, Disconnect, Phase};
use crate::gate::Lookout;
use crate::inbound::{End, Inbound};
use crate::interaction::{HostKeyAnswer, Interaction};

/// Characters of the server's notices that are kept and shown of one connection. A server may send any number of them.
const MAX_NOTICES: usize = 64 * 1024;

/// Runs the steps of connecting: passes questions to the person and watches the clock.
pub(crate) struct Driver<'a> {
    pub(crate) options: Options,
    pub(crate) interaction: &'a mut dyn Interaction,
    pub(crate) inbound: Arc<Inbound>,
    /// Text that the server has sent so far for the person to read: banners, and PAM's remarks.
    pub(crate) notices: String,
    lookout: Lookout,
    /// The server closed the connection while a person was being asked: it has not answered with that.
    closed: bool,
    asked: mpsc::Receiver<Question>,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(
        options: Options,
        interaction: &'a mut dyn Interaction,
        inbound: Arc<Inbound>,
        lookout: Lookout,
        asked: mpsc::Receiver<Question>,
    ) -> Self {
        Self { options, interaction, inbound, notices: String::new(), lookout, closed: false, asked }
    }

    /// Waits for the server's part of the handshake, as long as [`Options::handshake_timeout`] allows. The person's part
    /// of it takes as long as it takes.
    pub(crate) async fn shake_hands<T>(
        &mut self,
        future: impl Future<Output = T>,
    ) -> Result<T, ConnectError> {
        let mut future = pin!(future);
        let limit = self.options.handshake_timeout;
        let mut since = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some(question) = self.asked.recv() => {
                    self.answer(question).await?;
                    since = Instant::now();
                }
                result = &mut future => return Ok(result),
                () = sleep_until(since + limit) => {
                    let phase = Phase::KeyExchange;
                    return Err(ConnectError::Timeout { phase, after: limit });
                }
            }
        }
    }

    /// Waits for the server to decide, as long as it takes: a login may need a directory far away, a phone to be
    /// unlocked or an approval elsewhere, and the server has a limit for all of that.
    pub(crate) async fn decision<T>(&mut self, future: impl Future<Output = T>) -> Result<T, ConnectError> {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                // Banners come before the answer that they explain.
                biased;
                Some(question) = self.asked.recv() => self.answer(question).await?,
                result = &mut future => {
                    while let Ok(question) = self.asked.try_recv() {
                        self.answer(question).await?;
                    }
                    return Ok(result);
                }
            }
        }
    }

    /// Waits for the person's answer, but not beyond the end of the session.
    pub(crate) async fn ask<T>(&mut self, answer: BoxFuture<T>) -> Result<T, ConnectError> {
        let inbound = Arc::clone(&self.inbound);
        let mut answer = answer;
        loop {
            tokio::select! {
                biased;
                Some(question) = self.asked.recv() => self.answer(question).await?,
                answer = &mut answer => return Ok(answer),
                end = inbound.ended() => {
                    self.closed = true;
                    return Err(self.ended(end));
                }
            }
        }
    }

    /// Waits for the person's answer while `russh` stands still, but not beyond the end of the stream: then `None`, and
    /// whatever answer makes `russh` go on will have it find that end.
    pub(crate) async fn ask_at_standstill<T>(
        &mut self,
        answer: BoxFuture<Option<T>>,
    ) -> Result<Option<T>, ConnectError> {
        let lookout = self.lookout.clone();
        let asked = self.ask(answer);
        tokio::select! {
            biased;
            asked = asked => asked,
            () = lookout.closed() => {
                self.closed = true;
                Ok(None)
            }
        }
    }

    async fn answer(&mut self, question: Question) -> Result<(), ConnectError> {
        match question {
            Question::Banner(banner) => self.notice(banner),
            Question::HostKey(key, reply) => {
                let answer = self.interaction.unknown_host_key(key);
                let answer = tokio::select! {
                    biased;
                    answer = answer => answer,
                    () = self.lookout.closed() => {
                        let closed = Disconnect::Stream(Disconnect::CLOSED.to_owned());
                        return Err(ConnectError::ended(Phase::KeyExchange, closed));
                    }
                };
                let _ = reply.send(answer == HostKeyAnswer::Accept);
            }
        }
        Ok(())
    }

    /// Shows a text of the server, and keeps it.
    pub(crate) fn notice(&mut self, text: String) {
        if !text.is_empty() && self.notices.len() + text.len() <= MAX_NOTICES {
            self.notices.push_str(&text);
            if !text.ends_with('\n') {
                self.notices.push('\n');
            }
            self.interaction.banner(text);
        }
    }

    /// Makes the end of the session into the reason why there is none.
    pub(crate) fn ended(&self, end: End) -> ConnectError {
        if end.denied && !self.closed {
            return ConnectError::Denied { banner: self.notices.clone(), methods: Vec::new() };
        }
        ConnectError::ended(Phase::Authentication, end.reason)
    }
}
