//! Our SSH client logs in at an OpenSSH server by password, by the method `password` and by PAM's questions, and asks
//! again after a wrong one.

use std::collections::VecDeque;
use std::future::ready;

use anyhow::{Context as _, Result, ensure};
use dayfly_platform::BoxFuture;
use dayfly_ssh::{
    ConnectError, HostKey, HostKeyAnswer, Interaction, KeyboardInteractive, Method, Options, PasswordRequest,
    PrivateKey, PrivateKeyRequest, Secret, Session,
};
use dayfly_tests::native::run;
use dayfly_tests::sshd::{PASSWORD, USER};
use dayfly_tests::wait::READY;
use dayfly_tests::{Lab, Sshd, SshdOptions, scenario, with_user};
use tokio::net::TcpStream;

const METHODS: [Method; 2] = [Method::Password, Method::KeyboardInteractive];

#[test]
fn and_asks_again_after_a_wrong_one() -> Result<()> {
    with_user(|| {
        scenario(|lab| {
            for method in METHODS {
                let mut person = Person { passwords: ["byron", PASSWORD].into(), asked: Vec::new() };
                log_in(lab, method, &mut person, async |result| {
                    let session = result?;
                    let ran = run(&session, "id -un", b"").await?;
                    ensure!(ran.text() == USER, "{ran:?}");
                    session.close().await;
                    Ok(())
                })?;
                let question = match method {
                    Method::Password => ["password", "password, again"],
                    _ => ["Password:"; 2],
                };
                let asked =
                    person.asked.iter().zip(question).all(|(asked, question)| asked.ends_with(question));
                ensure!(asked && person.asked.len() == 2, "{:?}", person.asked);
            }
            Ok(())
        })
    })
}

#[test]
fn and_gives_up_when_every_one_is_wrong() -> Result<()> {
    with_user(|| {
        scenario(|lab| {
            for method in METHODS {
                let mut person = Person { passwords: ["a", "b", "c", "d"].into(), asked: Vec::new() };
                log_in(lab, method, &mut person, async |result| match result {
                    Err(ConnectError::AuthExhausted { methods, attempts: 3, .. })
                        if methods.contains(&method) =>
                    {
                        Ok(())
                    }
                    other => Err(anyhow::anyhow!("{other:?}")),
                })?;
                ensure!(person.asked.len() == 3, "{:?}", person.asked);
            }
            Ok(())
        })
    })
}

/// Logs in at a server that takes nothing but this method, and looks at what came of it.
fn log_in(
    lab: &Lab,
    method: Method,
    person: &mut Person,
    look: impl AsyncFnOnce(Result<Session, ConnectError>) -> Result<()>,
) -> Result<()> {
    let options = SshdOptions {
        password: method == Method::Password,
        keyboard_interactive: method == Method::KeyboardInteractive,
        ..SshdOptions::default()
    };
    let sshd = Sshd::start(lab, options)?;
    let mut options = Options::new(USER, "sshd");
    options.known_host_keys = vec![sshd.host_key()?];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let attempt = async {
        let stream = TcpStream::connect(("127.0.0.1", sshd.port())).await?;
        look(dayfly_ssh::connect(stream, options, person).await).await
    };
    let done = runtime.block_on(async { tokio::time::timeout(READY, attempt).await });
    done.with_context(|| format!("{method:?}: not done in time"))?.with_context(|| format!("{method:?}"))
}

/// Somebody with these passwords, who has no key.
struct Person {
    passwords: VecDeque<&'static str>,
    asked: Vec<String>,
}

impl Person {
    fn next(&mut self, question: String) -> Option<Secret> {
        self.asked.push(question);
        self.passwords.pop_front().map(|password| password.to_owned().into())
    }
}

impl Interaction for Person {
    fn banner(&mut self, _text: String) {}

    fn unknown_host_key(&mut self, _key: HostKey) -> BoxFuture<HostKeyAnswer> {
        Box::pin(ready(HostKeyAnswer::Refuse))
    }

    fn private_key(&mut self, _request: PrivateKeyRequest) -> BoxFuture<Option<PrivateKey>> {
        Box::pin(ready(None))
    }

    fn keyboard_interactive(&mut self, request: KeyboardInteractive) -> BoxFuture<Option<Vec<Secret>>> {
        let prompts: Vec<_> = request.prompts.iter().map(|prompt| prompt.text.as_str()).collect();
        let answer = self.next(prompts.join("|"));
        Box::pin(ready(answer.map(|answer| vec![answer])))
    }

    fn password(&mut self, request: PasswordRequest) -> BoxFuture<Option<Secret>> {
        let again = if request.rejected { ", again" } else { "" };
        let answer = self.next(format!("password{again}"));
        Box::pin(ready(answer))
    }
}
