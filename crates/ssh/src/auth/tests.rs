//! Logging in at a server that says what a test wants, without cryptography (RFC 4252, RFC 4256), on a clock that
//! stands still while anything can still happen.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::{pending, ready};
use std::sync::Mutex;

use dayfly_platform::BoxFuture;
use russh::{Preferred, cipher, client, kex, mac};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::*;
use crate::config::{self, Offer, Options};
use crate::connect::connect_over;
use crate::error::{Disconnect, Phase};
use crate::host_key::HostKey;
use crate::interaction::{HostKeyAnswer, Interaction, PrivateKey};
use crate::known_hosts::KnownHostKeys;
use crate::session::Session;

const DISCONNECT: u8 = 1;
const SERVICE_ACCEPT: u8 = 6;
const KEXINIT: u8 = 20;
const REQUEST: u8 = 50;
const FAILURE: u8 = 51;
const SUCCESS: u8 = 52;
const BANNER: u8 = 53;
/// SSH_MSG_USERAUTH_PASSWD_CHANGEREQ and SSH_MSG_USERAUTH_INFO_REQUEST: which one depends on the request.
const ASK: u8 = 60;
const INFO_RESPONSE: u8 = 61;

/// The server's end of a connection.
struct Server {
    stream: DuplexStream,
    unread: Vec<u8>,
}

impl Server {
    async fn say(&mut self, message: &[u8]) {
        let padding = 11 - message.len() % 8;
        let mut packet = ((1 + message.len() + padding) as u32).to_be_bytes().to_vec();
        packet.push(padding as u8);
        packet.extend(message);
        packet.resize(5 + message.len() + padding, 0);
        self.stream.write_all(&packet).await.unwrap();
    }

    /// The next message; `None` when the client has closed the connection.
    async fn hear(&mut self) -> Option<Vec<u8>> {
        let length = self.stream.read_u32().await.ok()? as usize;
        self.unread.resize(length, 0);
        self.stream.read_exact(&mut self.unread).await.ok()?;
        let padding = usize::from(self.unread[0]);
        Some(self.unread[1..length - padding].to_vec())
    }

    /// The next message, which must be of this kind; its fields.
    async fn hear_of(&mut self, kind: u8) -> Vec<Vec<u8>> {
        let message = self.hear().await.expect("a message");
        assert_eq!(message[0], kind, "{message:?}");
        let mut fields = &message[1..];
        if kind == INFO_RESPONSE {
            fields = &fields[4..];
        }
        let mut strings = Vec::new();
        while let Some((length, rest)) = fields.split_first_chunk() {
            let (string, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            strings.push(string.to_vec());
            // The one field of a request that is no string: that the password is not to be changed.
            fields = if string == b"password" { &rest[1..] } else { rest };
        }
        strings
    }

    /// Reads the next authentication request, which must be by this method; returns its own fields.
    async fn hear_request(&mut self, method: &str) -> Vec<String> {
        let fields = self.hear_of(REQUEST).await;
        let mut fields = fields.into_iter().map(|field| String::from_utf8(field).unwrap());
        let named: Vec<_> = fields.by_ref().take(3).collect();
        assert_eq!(named, ["ada", "ssh-connection", method]);
        fields.collect()
    }

    async fn hear_answers(&mut self) -> Vec<String> {
        let answers = self.hear_of(INFO_RESPONSE).await;
        answers.into_iter().map(|answer| String::from_utf8(answer).unwrap()).collect()
    }

    /// Up to the first answer, which names what can continue.
    async fn greet(&mut self, methods: &str) {
        self.shake_hands().await;
        self.refuse(methods).await;
    }

    /// Up to the first request.
    async fn shake_hands(&mut self) {
        self.stream.write_all(b"SSH-2.0-Script\r\n").await.unwrap();
        while self.stream.read_u8().await.unwrap() != b'\n' {}
        assert_eq!(self.hear().await.unwrap()[0], KEXINIT);
        let mut kexinit = vec![0; 17];
        kexinit[0] = KEXINIT;
        for names in ["none", "ssh-ed25519", "none", "none", "none", "none", "none", "none", "", ""] {
            kexinit.extend(string(names));
        }
        kexinit.extend([0; 5]);
        self.say(&kexinit).await;
        // New keys, and the service.
        for _ in 0..2 {
            self.hear().await.unwrap();
        }
        self.say(&message(SERVICE_ACCEPT, &["ssh-userauth"])).await;
        self.hear_request("none").await;
    }

    async fn refuse(&mut self, methods: &str) {
        let mut failure = message(FAILURE, &[methods]);
        failure.push(0);
        self.say(&failure).await;
    }

    async fn ask(&mut self, name: &str, instructions: &str, prompts: &[&str]) {
        let mut request = message(ASK, &[name, instructions, ""]);
        request.extend((prompts.len() as u32).to_be_bytes());
        for prompt in prompts {
            request.extend(string(prompt));
            request.push(0);
        }
        self.say(&request).await;
    }

    /// Waits until the client has closed the connection.
    async fn until_closed(&mut self) {
        while self.hear().await.is_some() {}
    }
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u32).to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn message(kind: u8, strings: &[&str]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(strings.iter().flat_map(|text| string(text)));
    message
}

/// Somebody with these answers, who remembers the questions. Without any left, no answer is ever given.
#[derive(Default)]
struct Person {
    passwords: VecDeque<&'static str>,
    answers: VecDeque<Option<Vec<&'static str>>>,
    /// A private key is looked for without end, instead of not being there.
    keeps_key: bool,
    heard: Arc<Mutex<Vec<String>>>,
    asked: Arc<Notify>,
}

impl Person {
    fn hear(&self, text: String) {
        self.heard.lock().unwrap().push(text);
        self.asked.notify_one();
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn answer<T: Send + 'static>(answer: Option<T>) -> BoxFuture<T> {
    match answer {
        Some(answer) => Box::pin(ready(answer)),
        None => Box::pin(pending()),
    }
}

impl Interaction for Person {
    fn banner(&mut self, text: String) {
        self.hear(format!("banner {text}"));
    }

    fn unknown_host_key(&mut self, key: HostKey) -> BoxFuture<HostKeyAnswer> {
        panic!("{key:?}");
    }

    fn private_key(&mut self, _: PrivateKeyRequest) -> BoxFuture<Option<PrivateKey>> {
        self.hear("key?".to_owned());
        answer((!self.keeps_key).then_some(None))
    }

    fn keyboard_interactive(&mut self, request: KeyboardInteractive) -> BoxFuture<Option<Vec<Secret>>> {
        let prompts: Vec<_> = request.prompts.iter().map(|prompt| prompt.text.as_str()).collect();
        self.hear(format!("{}|{}|{}", request.name, request.instructions, prompts.join("|")));
        let secrets = |answers: Vec<&str>| answers.into_iter().map(|a| a.to_owned().into()).collect();
        answer(self.answers.pop_front().map(|answers| answers.map(secrets)))
    }

    fn password(&mut self, request: PasswordRequest) -> BoxFuture<Option<Secret>> {
        self.hear(if request.rejected { "wrong, password?" } else { "password?" }.to_owned());
        answer(self.passwords.pop_front().map(|password| Some(password.to_owned().into())))
    }
}

/// The two ends of a connection; the client's logs in as soon as it is awaited.
fn dial(person: &mut Person) -> (Server, impl Future<Output = Result<Session, ConnectError>>) {
    let (near, stream) = tokio::io::duplex(1 << 16);
    let config = client::Config {
        preferred: Preferred {
            kex: Cow::Borrowed(&[kex::NONE]),
            cipher: Cow::Borrowed(&[cipher::NONE]),
            mac: Cow::Borrowed(&[mac::NONE]),
            ..Preferred::default()
        },
        ..config::client(Offer::Modern, Vec::new())
    };
    let known = KnownHostKeys::parse("host", &[]).unwrap();
    let options = Options::new("ada", "host");
    (Server { stream, unread: Vec::new() }, connect_over(Box::new(near), config, known, options, person))
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_asked_for_again() {
    let mut person = Person { passwords: ["byron", "lovelace"].into(), ..Person::default() };
    let (mut server, client) = dial(&mut person);
    let script = async {
        server.greet("password").await;
        assert_eq!(server.hear_request("password").await, ["byron"]);
        server.refuse("password").await;
        assert_eq!(server.hear_request("password").await, ["lovelace"]);
        server.say(&[SUCCESS]).await;
    };
    let (session, ()) = tokio::join!(client, script);
    session.unwrap();
    assert_eq!(person.heard(), ["password?", "wrong, password?"]);
}

#[tokio::test(start_paused = true)]
async fn no_more_passwords_are_asked_for_than_a_person_mistypes() {
    let mut person = Person { passwords: ["a", "b", "c", "d"].into(), ..Person::default() };
    let (mut server, client) = dial(&mut person);
    let script = async {
        server.greet("password").await;
        for wrong in ["a", "b", "c"] {
            assert_eq!(server.hear_request("password").await, [wrong]);
            server.refuse("password").await;
        }
        server.until_closed().await;
    };
    let (refused, ()) = tokio::join!(client, script);
    let Err(ConnectError::AuthExhausted { methods, attempts: 3, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(methods, [Method::Password]);
}

#[tokio::test(start_paused = true)]
async fn a_demand_for_a_new_password_is_told_soon() {
    let mut person = Person { passwords: ["old"].into(), ..Person::default() };
    let (mut server, client) = dial(&mut person);
    let began = Instant::now();
    let script = async {
        server.greet("password").await;
        server.hear_request("password").await;
        server.say(&message(ASK, &["Your password has expired.", ""])).await;
        server.until_closed().await;
    };
    let (refused, ()) = tokio::join!(client, script);
    assert!(matches!(refused, Err(ConnectError::PasswordChangeRequired)), "{refused:?}");
    assert!(began.elapsed() < 2 * SILENT_ANSWER, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_thinks_about_a_password_is_waited_for() {
    for banner in [false, true] {
        let mut person = Person { passwords: ["lovelace"].into(), ..Person::default() };
        let (mut server, client) = dial(&mut person);
        let script = async {
            server.greet("password").await;
            server.hear_request("password").await;
            if banner {
                server.say(&message(BANNER, &["One moment.", ""])).await;
            }
            sleep(3 * SILENT_ANSWER).await;
            server.say(&[SUCCESS]).await;
        };
        let (session, ()) = tokio::join!(client, script);
        session.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn each_round_of_questions_is_answered_in_its_order() {
    let answers = [Some(vec!["byron"]), Some(vec!["lovelace", "4711"]), Some(vec!["new", "new"])];
    let mut person = Person { answers: answers.into(), ..Person::default() };
    let (mut server, client) = dial(&mut person);
    let script = async {
        server.greet("keyboard-interactive,password").await;
        server.hear_request("keyboard-interactive").await;
        server.ask("", "", &["Password: "]).await;
        assert_eq!(server.hear_answers().await, ["byron"]);
        server.refuse("keyboard-interactive,password").await;

        server.hear_request("keyboard-interactive").await;
        server.ask("Login", "Both, please.", &["Password: ", "Code:\x1b[31m "]).await;
        assert_eq!(server.hear_answers().await, ["lovelace", "4711"]);
        // What PAM does with a password that is too old.
        server.ask("", "Your password has expired.", &[]).await;
        assert!(server.hear_answers().await.is_empty());
        server.ask("", "", &["New password: ", "Retype new password: "]).await;
        assert_eq!(server.hear_answers().await, ["new", "new"]);
        server.ask("", "", &[]).await;
        assert!(server.hear_answers().await.is_empty());
        server.say(&[SUCCESS]).await;
    };
    let (session, ()) = tokio::join!(client, script);
    session.unwrap();
    assert_eq!(
        person.heard(),
        [
            "||Password:",
            "Login|Both, please.|Password:|Code:[31m",
            "banner Your password has expired.",
            "||New password:|Retype new password:",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn questions_that_nobody_answers_are_answered_with_nothing_and_not_asked_again() {
    let mut person = Person { answers: [None].into(), passwords: ["lovelace"].into(), ..Person::default() };
    let (mut server, client) = dial(&mut person);
    let script = async {
        server.greet("keyboard-interactive,password").await;
        server.hear_request("keyboard-interactive").await;
        server.ask("", "", &["Password: ", "Code: "]).await;
        assert_eq!(server.hear_answers().await, ["", ""]);
        server.ask("", "", &["Password: "]).await;
        assert_eq!(server.hear_answers().await, [""]);
        server.refuse("keyboard-interactive,password").await;
        assert_eq!(server.hear_request("password").await, ["lovelace"]);
        server.say(&[SUCCESS]).await;
    };
    let (session, ()) = tokio::join!(client, script);
    session.unwrap();
    assert_eq!(person.heard(), ["||Password:|Code:", "password?"]);
}

#[tokio::test(start_paused = true)]
async fn as_many_questions_are_asked_as_a_page_shows_and_no_more() {
    for (count, asked) in [(16, true), (17, false)] {
        let mut person = Person { answers: [Some(vec!["x"; count])].into(), ..Person::default() };
        let (mut server, client) = dial(&mut person);
        let script = async {
            server.greet("keyboard-interactive").await;
            server.hear_request("keyboard-interactive").await;
            server.ask("", "", &vec!["?"; count]).await;
            assert_eq!(server.hear_answers().await, vec![if asked { "x" } else { "" }; count]);
            server.say(&[SUCCESS]).await;
        };
        let (session, ()) = tokio::join!(client, script);
        session.unwrap();
        assert_eq!(person.heard().len(), usize::from(asked));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_stops_asking_is_given_up() {
    let mut person = Person { answers: vec![Some(vec!["x"]); 99].into(), ..Person::default() };
    let (mut server, client) = dial(&mut person);
    let script = async {
        server.greet("keyboard-interactive").await;
        server.hear_request("keyboard-interactive").await;
        for _ in 0..MAX_ROUNDS {
            server.ask("", "", &["Again: "]).await;
            assert_eq!(server.hear_answers().await, ["x"]);
        }
        server.ask("", "", &["Again: "]).await;
        server.until_closed().await;
    };
    let (refused, ()) = tokio::join!(client, script);
    assert!(matches!(refused, Err(ConnectError::AuthExhausted { .. })), "{refused:?}");
    assert_eq!(person.heard().len(), MAX_ROUNDS as usize);
}

#[tokio::test(start_paused = true)]
async fn the_server_takes_as_long_as_it_wants_to_decide() {
    const LONG: Duration = Duration::from_secs(3600);
    for method in ["none", "password", "keyboard-interactive"] {
        let mut person = Person {
            passwords: ["lovelace"].into(),
            answers: [Some(vec!["lovelace"])].into(),
            ..Person::default()
        };
        let (mut server, client) = dial(&mut person);
        let script = async {
            match method {
                "none" => server.shake_hands().await,
                "password" => {
                    server.greet(method).await;
                    server.hear_request(method).await;
                }
                _ => {
                    server.greet(method).await;
                    server.hear_request(method).await;
                    sleep(LONG).await;
                    server.ask("", "", &["Password: "]).await;
                    server.hear_answers().await;
                }
            }
            sleep(LONG).await;
            server.say(&[SUCCESS]).await;
        };
        let (session, ()) = tokio::join!(client, script);
        session.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_while_the_server_decides_ends_the_wait() {
    let mut person = Person { passwords: ["lovelace"].into(), ..Person::default() };
    let (mut server, client) = dial(&mut person);
    let script = async move {
        server.greet("password").await;
        // What it said before the request is not why it hangs up now.
        server.say(&message(BANNER, &["Authorised use only.\n", ""])).await;
        server.refuse("password").await;
        server.hear_request("password").await;
        let began = Instant::now();
        drop(server);
        began
    };
    let (ended, began) = tokio::join!(client, script);
    assert!(matches!(ended, Err(ConnectError::Stream { phase: Phase::Authentication, .. })), "{ended:?}");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

/// By kind of question, `russh` reads on meanwhile or stands still.
#[tokio::test(start_paused = true)]
async fn a_question_ends_with_the_connection_and_with_its_reason() {
    for method in ["password", "keyboard-interactive", "publickey"] {
        for says_why in [false, true] {
            let mut person = Person { keeps_key: true, ..Person::default() };
            let asked = Arc::clone(&person.asked);
            let (mut server, client) = dial(&mut person);
            let script = async move {
                server.greet(method).await;
                if method == "keyboard-interactive" {
                    server.hear_request(method).await;
                    server.ask("", "", &["Code: "]).await;
                }
                asked.notified().await;
                if says_why {
                    let mut disconnect = vec![DISCONNECT, 0, 0, 0, 2];
                    disconnect.extend([string("Too slow."), string("")].concat());
                    server.say(&disconnect).await;
                }
                drop(server);
                Instant::now()
            };
            let (ended, dropped) = tokio::join!(client, script);
            match ended {
                Err(ConnectError::Disconnected { reason: 2, text, .. }) if says_why => {
                    assert_eq!(text, "Too slow.");
                }
                Err(ConnectError::Stream { phase: Phase::Authentication, source }) if !says_why => {
                    assert_eq!(source.to_string(), Disconnect::CLOSED);
                }
                other => panic!("{method}, {says_why}: {other:?}"),
            }
            assert_eq!(dropped.elapsed(), Duration::ZERO, "{method}");
            assert_eq!(person.heard().len(), 1, "nothing else is asked: {:?}", person.heard());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_question_keeps_its_lines() {
    let menu = "Duo two-factor login for ada\n\nEnter a passcode or select one of the following options:\n\n \
                1. Duo Push to +XX XX XXXX 1234\n 2. Phone call to +XX XX XXXX 1234\n 3. Phone call to +XX XX XXXX 5678\n \
                4. SMS passcodes to +XX XX XXXX 1234\n 5. https://duo.example/enroll\n\nPasscode or option (1-5):";
    for (asked, shown) in [
        (format!("{menu} "), menu.to_owned()),
        ("x".repeat(MAX_PROMPT + 1), format!("{}…", "x".repeat(MAX_PROMPT))),
    ] {
        let mut person = Person { answers: [Some(vec!["1"])].into(), ..Person::default() };
        let (mut server, client) = dial(&mut person);
        let script = async {
            server.greet("keyboard-interactive").await;
            server.hear_request("keyboard-interactive").await;
            server.ask("", "", &[&asked]).await;
            assert_eq!(server.hear_answers().await, ["1"]);
            server.say(&[SUCCESS]).await;
        };
        let (session, ()) = tokio::join!(client, script);
        session.unwrap();
        assert_eq!(person.heard(), [format!("||{shown}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_server_said_meanwhile_is_kept_in_its_order() {
    let mut person = Person { answers: [Some(vec!["lovelace"])].into(), ..Person::default() };
    let (mut server, client) = dial(&mut person);
    let script = async {
        server.greet("keyboard-interactive").await;
        server.hear_request("keyboard-interactive").await;
        server.say(&message(BANNER, &["Authorised use only.\r\n", ""])).await;
        server.ask("", "", &["Password: "]).await;
        server.hear_answers().await;
        server.ask("", "Your password will expire in 3 days.", &[]).await;
        server.hear_answers().await;
        server.say(&[SUCCESS]).await;
    };
    let (session, ()) = tokio::join!(client, script);
    assert_eq!(session.unwrap().notices(), "Authorised use only.\nYour password will expire in 3 days.\n");
}

/// PAM takes passwords back after three wrong ones.
#[tokio::test(start_paused = true)]
async fn methods_that_the_server_withdraws_are_reported_as_well() {
    let mut person = Person { passwords: ["a", "b", "c"].into(), ..Person::default() };
    let (mut server, client) = dial(&mut person);
    let script = async {
        server.greet("password").await;
        for last in [false, false, true] {
            server.hear_request("password").await;
            server.say(&message(BANNER, &["Welcome.\n", ""])).await;
            server.refuse(if last { "publickey" } else { "password" }).await;
        }
        server.until_closed().await;
    };
    let (refused, ()) = tokio::join!(client, script);
    let Err(ConnectError::AuthExhausted { methods, attempts: 3, banner }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(methods, [Method::Password, Method::PublicKey]);
    assert_eq!(banner, "Welcome.\n".repeat(3));
}

/// Drops an attempt at each point where it waits for a person.
#[tokio::test(start_paused = true)]
async fn dropping_an_attempt_closes_its_connection_whatever_it_waits_for() {
    for waits_for in ["password", "keyboard-interactive", "approval"] {
        let mut person = Person::default();
        let asked = Arc::clone(&person.asked);
        let (mut server, client) = dial(&mut person);
        let script = async {
            server.greet(if waits_for == "approval" { "keyboard-interactive" } else { waits_for }).await;
            match waits_for {
                "password" => {}
                "keyboard-interactive" => {
                    server.hear_request(waits_for).await;
                    server.ask("", "", &["Code: "]).await;
                }
                // Tailscale's check mode: a link to open, and no answer until it was.
                _ => server.say(&message(BANNER, &["https://login.test/a/1", ""])).await,
            }
            server
        };
        let attempt = async {
            tokio::select! {
                biased;
                () = asked.notified() => {}
                result = client => panic!("{result:?}"),
            }
        };
        let ((), mut server) = tokio::join!(attempt, script);
        let began = Instant::now();
        server.until_closed().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "{waits_for}");
    }
}
