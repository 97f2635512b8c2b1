//! Waits for the server and for the person, while a session is being made.

use std::pin::pin;
use std::sync::Arc;

use dayfly_platform::BoxFuture;
use dayfly_platform::time::{Instant, sleep_until};
use tokio::sync::mpsc;

use crate::client::Question;
use crate::config::Options;
use crate::error::{ConnectError, Phase};
use crate::inbound::{End, Inbound};
use crate::interaction::{HostKeyAnswer, Interaction};

/// Characters of banners that are shown of one connection. A server may send any number of them.
const MAX_BANNERS: usize = 64 * 1024;

/// Runs the steps of connecting: passes questions to the person and watches the clock.
pub(crate) struct Driver<'a> {
    pub(crate) options: Options,
    pub(crate) interaction: &'a mut dyn Interaction,
    pub(crate) inbound: Arc<Inbound>,
    /// Text of the banners that the server has sent so far.
    pub(crate) banner: String,
    asked: mpsc::Receiver<Question>,
}

impl<'a> Driver<'a> {
    pub(crate) fn new(
        options: Options,
        interaction: &'a mut dyn Interaction,
        inbound: Arc<Inbound>,
        asked: mpsc::Receiver<Question>,
    ) -> Self {
        Self { options, interaction, inbound, banner: String::new(), asked }
    }

    /// Waits for the server's part of `phase`.
    pub(crate) async fn drive<T>(
        &mut self,
        phase: Phase,
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
                    if matches!(question, Question::Banner(_)) && phase == Phase::Authentication {
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
                () = sleep_until(since + limit) => return Err(ConnectError::Timeout { phase, after: limit }),
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
                Some(question) = self.asked.recv() => self.answer(question).await,
                answer = &mut answer => return Ok(answer),
                end = inbound.ended() => return Err(self.ended(Phase::Authentication, end)),
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

    /// Makes the end of the session into the reason why there is none.
    pub(crate) fn ended(&self, phase: Phase, end: End) -> ConnectError {
        if end.denied {
            return ConnectError::Denied { banner: self.banner.clone(), methods: Vec::new() };
        }
        ConnectError::ended(phase, end.reason)
    }
}
