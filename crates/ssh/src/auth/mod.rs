//! Authentication: `none` first, then what the server says can continue.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use dayfly_platform::time::sleep;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::PrivateKeyWithHashAlg;
use russh::{MethodKind, MethodSet};

use crate::client::Client;
use crate::driver::Driver;
use crate::error::ConnectError;
use crate::host_key::fingerprint;
use crate::interaction::{
    KeyProblem, KeyboardInteractive, Method, PasswordRequest, PrivateKeyRequest, Prompt, Secret,
};
use crate::private_key;
use crate::text::{self, MAX_TEXT};

/// Times that each method is tried in a row.
const MAX_TRIES: u32 = 3;
/// Keys that are tried in a row, unreadable ones included.
const MAX_KEYS: u32 = 6;
/// Requests of one connection. OpenSSH's `MaxAuthTries` is 6.
const MAX_REQUESTS: u32 = 20;
/// Rounds of questions of one keyboard-interactive attempt.
const MAX_ROUNDS: u32 = 16;
/// Questions of one round that are shown to the person.
const MAX_PROMPTS: usize = 16;
/// Characters of a question: Duo's menus have a line for each device.
const MAX_PROMPT: usize = 2 * 1024;
/// Silence after a packet that neither accepts nor rejects a password, after which it is taken for a demand to change
/// the password.
const SILENT_ANSWER: Duration = Duration::from_secs(3);

/// Answer of the server to one authentication request.
enum Answer {
    Success,
    Failure {
        offered: MethodSet,
        partial: bool,
    },
    /// The person did not want to answer, so that nothing was proved.
    Declined {
        offered: MethodSet,
    },
}

impl From<AuthResult> for Answer {
    fn from(result: AuthResult) -> Self {
        match result {
            AuthResult::Success => Self::Success,
            AuthResult::Failure { remaining_methods, partial_success } => {
                Self::Failure { offered: remaining_methods, partial: partial_success }
            }
        }
    }
}

/// Counts of the attempts since the server last accepted something.
#[derive(Default)]
struct Tried {
    keys: u32,
    questions: u32,
    passwords: u32,
    key_problem: Option<KeyProblem>,
    /// Methods that the server has offered meanwhile.
    offered: Vec<Method>,
}

impl Tried {
    /// The method to try next: the one that asks least of the person first, as OpenSSH does.
    fn next(&self, offered: &[Method]) -> Option<Method> {
        offered.iter().copied().find(|method| match method {
            Method::PublicKey => self.keys < MAX_KEYS,
            Method::KeyboardInteractive => self.questions < MAX_TRIES,
            Method::Password => self.passwords < MAX_TRIES,
        })
    }

    fn offer(&mut self, methods: &[Method]) {
        for method in methods {
            if !self.offered.contains(method) {
                self.offered.push(*method);
            }
        }
    }

    fn give_up(&mut self, method: Method) {
        match method {
            Method::PublicKey => self.keys = MAX_KEYS,
            Method::KeyboardInteractive => self.questions = MAX_TRIES,
            Method::Password => self.passwords = MAX_TRIES,
        }
    }
}

/// Proves to the server who the person is.
pub(crate) async fn authenticate(
    handle: &mut Handle<Client>,
    driver: &mut Driver<'_>,
) -> Result<(), ConnectError> {
    let user = driver.options.user.clone();
    let mut answer: Answer = request(driver, handle.authenticate_none(user)).await?.into();
    let mut tried = Tried::default();
    let mut attempts = 0;
    loop {
        let offered = match answer {
            Answer::Success => return Ok(()),
            Answer::Failure { offered, partial } => {
                if partial {
                    tried = Tried::default();
                }
                offered
            }
            Answer::Declined { offered } => offered,
        };
        if offered.is_empty() {
            // Either the server said so, and the session ends with that, or it ended for another reason.
            let inbound = Arc::clone(&driver.inbound);
            let end = driver.decision(inbound.ended()).await?;
            return Err(driver.ended(end));
        }
        let methods = usable(&offered);
        if methods.is_empty() {
            let methods = offered.iter().map(<&'static str>::from).collect();
            return Err(ConnectError::Denied { banner: driver.notices.clone(), methods });
        }
        tried.offer(&methods);
        let next = tried.next(&methods).filter(|_| attempts < MAX_REQUESTS);
        let Some(method) = next else {
            let banner = mem::take(&mut driver.notices);
            return Err(ConnectError::AuthExhausted { banner, methods: tried.offered, attempts });
        };
        let declined = Answer::Declined { offered };
        let result = match method {
            Method::PublicKey => public_key(handle, driver, &mut tried, methods).await?,
            Method::KeyboardInteractive => questions(handle, driver, &mut tried).await?,
            Method::Password => password(handle, driver, &mut tried, methods).await?,
        };
        answer = match result {
            Some(answer) => {
                attempts += 1;
                answer
            }
            None => declined,
        };
        if matches!(answer, Answer::Declined { .. })
            && !(method == Method::PublicKey && tried.key_problem.is_some())
        {
            tried.give_up(method);
        }
    }
}

/// The methods that this side has among those that the server offers, in the order in which they are tried.
fn usable(offered: &MethodSet) -> Vec<Method> {
    [
        (MethodKind::PublicKey, Method::PublicKey),
        (MethodKind::KeyboardInteractive, Method::KeyboardInteractive),
        (MethodKind::Password, Method::Password),
    ]
    .into_iter()
    .filter(|(kind, _)| offered.contains(kind))
    .map(|(_, method)| method)
    .collect()
}

/// Waits for the server's answer to a request.
async fn request<T>(
    driver: &mut Driver<'_>,
    request: impl Future<Output = Result<T, russh::Error>>,
) -> Result<T, ConnectError> {
    driver.inbound.note_request();
    match driver.decision(request).await? {
        Ok(answer) => Ok(answer),
        // The loop of `russh` is gone, and says why as it goes.
        Err(_) => {
            let inbound = Arc::clone(&driver.inbound);
            let end = driver.decision(inbound.ended()).await?;
            Err(driver.ended(end))
        }
    }
}

async fn public_key(
    handle: &mut Handle<Client>,
    driver: &mut Driver<'_>,
    tried: &mut Tried,
    methods: Vec<Method>,
) -> Result<Option<Answer>, ConnectError> {
    tried.keys += 1;
    let question = driver.interaction.private_key(PrivateKeyRequest {
        user: driver.options.user.clone(),
        host: driver.options.host.clone(),
        methods,
        problem: tried.key_problem.take(),
    });
    let Some(given) = driver.ask(question).await? else { return Ok(None) };
    let read = private_key::read(&given);
    drop(given);
    let key = match read {
        Ok(key) => key,
        Err(problem) => {
            tried.key_problem = Some(problem);
            return Ok(None);
        }
    };
    let name = fingerprint(key.public_key());
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let user = driver.options.user.clone();
    let answer: Answer = request(driver, handle.authenticate_publickey(user, key)).await?.into();
    if let Answer::Failure { partial: false, .. } = answer {
        tried.key_problem = Some(KeyProblem::Rejected(name));
    }
    Ok(Some(answer))
}

async fn password(
    handle: &mut Handle<Client>,
    driver: &mut Driver<'_>,
    tried: &mut Tried,
    methods: Vec<Method>,
) -> Result<Option<Answer>, ConnectError> {
    let question = driver.interaction.password(PasswordRequest {
        user: driver.options.user.clone(),
        host: driver.options.host.clone(),
        methods,
        rejected: tried.passwords > 0,
    });
    tried.passwords += 1;
    let Some(password) = driver.ask(question).await? else { return Ok(None) };
    let user = driver.options.user.clone();
    let inbound = Arc::clone(&driver.inbound);
    let before = inbound.mark();
    // `russh` wipes what it is given, and passes over a demand for a new password (RFC 4252 section 8) in silence: the
    // one packet that neither lets in nor refuses.
    let answer = handle.authenticate_password(user, password.to_string());
    drop(password);
    let ignored = async {
        while inbound.is_silent_since(before) {
            sleep(SILENT_ANSWER / 10).await;
        }
        sleep(SILENT_ANSWER).await;
    };
    let answer = request(driver, async {
        tokio::select! {
            biased;
            answer = answer => answer.map(Some),
            () = ignored => Ok(None),
        }
    })
    .await?;
    match answer {
        Some(answer) => Ok(Some(answer.into())),
        None => Err(ConnectError::PasswordChangeRequired),
    }
}

async fn questions(
    handle: &mut Handle<Client>,
    driver: &mut Driver<'_>,
    tried: &mut Tried,
) -> Result<Option<Answer>, ConnectError> {
    tried.questions += 1;
    let user = driver.options.user.clone();
    let mut response = request(driver, handle.authenticate_keyboard_interactive_start(user, None)).await?;
    let mut declined = false;
    for _ in 0..MAX_ROUNDS {
        let (name, instructions, prompts) = match response {
            KeyboardInteractiveAuthResponse::Success => return Ok(Some(Answer::Success)),
            KeyboardInteractiveAuthResponse::Failure {
                remaining_methods: offered,
                partial_success: partial,
            } => {
                return Ok(Some(if declined && !partial {
                    Answer::Declined { offered }
                } else {
                    Answer::Failure { offered, partial }
                }));
            }
            KeyboardInteractiveAuthResponse::InfoRequest { name, instructions, prompts } => {
                (name, instructions, prompts)
            }
        };
        let count = prompts.len();
        let mut answers = Vec::new();
        if !declined && count > 0 && count <= MAX_PROMPTS {
            let question = driver.interaction.keyboard_interactive(KeyboardInteractive {
                user: driver.options.user.clone(),
                host: driver.options.host.clone(),
                name: text::line(&name, 256),
                instructions: text::printable(&instructions, MAX_TEXT),
                prompts: prompts
                    .iter()
                    .map(|prompt| Prompt {
                        text: text::paragraph(&prompt.prompt, MAX_PROMPT),
                        echo: prompt.echo,
                    })
                    .collect(),
            });
            match driver.ask_at_standstill(question).await? {
                Some(given) => answers = given,
                None => declined = true,
            }
        } else if count == 0 && !instructions.is_empty() {
            driver.notice(text::printable(&instructions, MAX_TEXT));
        } else if count > MAX_PROMPTS {
            declined = true;
        }
        // The server expects as many answers as it asked questions, and has to be answered before anything else.
        answers.resize_with(count, Secret::default);
        // Moved, not copied: `russh` does not wipe what it is given here.
        let answers = answers.iter_mut().map(|answer| mem::take(&mut **answer)).collect();
        response = request(driver, handle.authenticate_keyboard_interactive_respond(answers)).await?;
    }
    Err(ConnectError::AuthExhausted {
        banner: mem::take(&mut driver.notices),
        methods: vec![Method::KeyboardInteractive],
        attempts: MAX_ROUNDS,
    })
}

#[cfg(test)]
mod tests;
