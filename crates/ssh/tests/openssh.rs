//! Sessions with a real OpenSSH server: logging in, host keys, terminals, exits.

mod support;

use std::future::pending;
use std::sync::Arc;

use dayfly_platform::BoxFuture;
use dayfly_ssh::{
    ConnectError, Disconnect, HostKey, HostKeyAnswer, Interaction, KeyboardInteractive, Method, Offer,
    Options, PasswordRequest, Phase, PrivateKey, PrivateKeyRequest, Pty, Secret, Session, ShellEvent, Signal,
    Unattended, WriteError,
};
use support::{Person, Sshd, collect, read_until, user, within};
use tokio::sync::Notify;

async fn connect(sshd: &Sshd, options: Options, person: &mut Person) -> Result<Session, ConnectError> {
    let result = within(dayfly_ssh::connect(sshd.dial().await, options, person)).await;
    if let Err(error) = &result {
        println!("{error}\n{}", sshd.log());
    }
    result
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_tells_its_size_and_its_exit_status() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    assert!(session.server().software.starts_with("SSH-2.0-OpenSSH"), "{:?}", session.server());
    assert_eq!(session.server().cipher, "chacha20-poly1305@openssh.com");
    let mut shell = within(session.shell(Pty::new(100, 30))).await.unwrap();
    shell.writer.write(b"stty size; echo =$TERM=\n").await.unwrap();
    let output = read_until(&mut shell.reader, "=xterm-256color=").await;
    assert!(output.contains("30 100"), "{output}");
    shell.writer.resize(132, 50, 0, 0).await.unwrap();
    shell.writer.write(b"stty size; exit 3\n").await.unwrap();
    let (output, _, events) = collect(&mut shell.reader).await;
    assert!(String::from_utf8_lossy(&output).contains("50 132"));
    assert_eq!(events, [ShellEvent::ExitStatus(3), ShellEvent::Closed]);
    assert!(matches!(shell.writer.write(b"x").await, Err(WriteError::Closed)));
    within(session.close()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_tells_the_server_and_the_shell() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    let mut shell = within(session.shell(Pty::new(80, 24))).await.unwrap();
    within(session.close()).await;
    let (_, _, events) = collect(&mut shell.reader).await;
    assert_eq!(events, [ShellEvent::Disconnected(Disconnect::Local)]);
    assert!(matches!(shell.writer.write(b"x").await, Err(WriteError::Disconnected(Disconnect::Local))));
    support::until("the server has logged the disconnect", || sshd.log().contains("Received disconnect"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_vanishes_ends_the_session() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    let mut shell = within(session.exec("echo $PPID; exec cat", None)).await.unwrap();
    let pid = read_until(&mut shell.reader, "\n").await;
    assert!(std::process::Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
    let (_, _, events) = collect(&mut shell.reader).await;
    assert!(matches!(events[..], [ShellEvent::Disconnected(Disconnect::Stream(_))]), "{events:?}");
    assert!(session.is_ended());
    assert!(session.exec("true", None).await.is_err());
    assert!(session.ping().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn output_and_errors_are_kept_apart_without_a_terminal() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    let mut shell = within(session.exec("echo out; echo err >&2", None)).await.unwrap();
    let (output, errors, events) = collect(&mut shell.reader).await;
    assert_eq!((output.as_slice(), errors.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(events, [ShellEvent::ExitStatus(0), ShellEvent::Closed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_passes_both_ways_unchanged() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    let mut shell = within(session.exec("cat", None)).await.unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let (writer, input) = (shell.writer.clone(), bytes.clone());
    let writing = tokio::spawn(async move {
        writer.write(&input).await?;
        writer.eof().await
    });
    let (output, _, _) = collect(&mut shell.reader).await;
    writing.await.unwrap().unwrap();
    assert!(output == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_ends_the_program_is_told() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    let mut shell = within(session.exec("kill -TERM $$; sleep 1000", None)).await.unwrap();
    let (_, _, events) = collect(&mut shell.reader).await;
    let [ShellEvent::ExitSignal { name, core_dumped: false, .. }, ShellEvent::Closed] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(name, "TERM");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reaches_the_server() {
    let sshd = Sshd::with("LogLevel DEBUG1");
    let session = sshd.session().await;
    let mut shell = within(session.exec("echo ready; cat", None)).await.unwrap();
    read_until(&mut shell.reader, "ready").await;
    shell.writer.signal(Signal::Int).await.unwrap();
    // OpenSSH signals no program of root's: that programs get it is shown by a user of the tests' namespace, in
    // `tests/interop/native_reaches_a_plain_sshd.rs`.
    let asked = "session_input_channel_req: session 0 req signal";
    support::until("the request has arrived", || sshd.log().contains(asked)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_variables_are_asked_for() {
    let sshd = Sshd::with("AcceptEnv LC_*");
    let mut options = sshd.options();
    options.env = vec![("LC_DAYFLY".to_owned(), "here".to_owned())];
    let session = connect(&sshd, options, &mut sshd.person()).await.unwrap();
    let mut shell = within(session.exec("echo $LC_DAYFLY", None)).await.unwrap();
    assert_eq!(collect(&mut shell.reader).await.0, b"here\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_programs_share_a_session() {
    let sshd = Sshd::new();
    let session = sshd.session().await;
    let mut shells = Vec::new();
    for index in 0..5 {
        shells.push(within(session.exec(&format!("echo {index}"), None)).await.unwrap());
    }
    for (index, shell) in shells.iter_mut().enumerate() {
        assert_eq!(collect(&mut shell.reader).await.0, format!("{index}\n").into_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_terminal_is_told() {
    let sshd = Sshd::with("PermitTTY no");
    let session = sshd.session().await;
    assert!(matches!(within(session.shell(Pty::new(80, 24))).await, Err(dayfly_ssh::OpenError::PtyRefused)));
    assert!(within(session.exec("true", None)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_channel_is_told() {
    let sshd = Sshd::with("MaxSessions 0");
    let session = sshd.session().await;
    let refused = within(session.exec("true", None)).await;
    assert!(matches!(refused, Err(dayfly_ssh::OpenError::ChannelRefused(_))), "{refused:?}");
}

// ---- logging in ----

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_tried_until_one_is_accepted() {
    let sshd = Sshd::new();
    let mut person = Person {
        keys: vec![
            sshd.key("stranger", None),
            sshd.key("locked", None),
            sshd.key("locked", Some("open barley")),
            sshd.key("locked", Some("open sesame")),
        ],
        ..Person::default()
    };
    let session = connect(&sshd, sshd.options(), &mut person).await.unwrap();
    let asked = person.seen.lines();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(asked[0], "key? ");
    assert!(asked[1].starts_with("key? the server does not accept the key SHA256:"), "{asked:?}");
    assert_eq!(asked[2], "key? this key needs its passphrase");
    assert_eq!(asked[3], "key? this is not the key's passphrase");
    within(session.close()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_nothing_to_offer_is_told_what_would_be_accepted() {
    let sshd = Sshd::new();
    let refused = within(dayfly_ssh::connect(sshd.dial().await, sshd.options(), &mut Unattended)).await;
    let Err(ConnectError::AuthExhausted { methods, attempts: 0, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(methods, [Method::PublicKey]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_keys_are_tried_than_the_server_allows() {
    let sshd = Sshd::with("MaxAuthTries 2");
    let keys = (0..9).map(|_| sshd.key("stranger", None)).collect();
    let mut person = Person { keys, ..Person::default() };
    let refused = connect(&sshd, sshd.options(), &mut person).await;
    let Err(ConnectError::Disconnected { reason: 2, text, .. }) = refused else { panic!("{refused:?}") };
    assert!(text.contains("Too many authentication failures"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_banner_is_shown_and_kept_for_the_terminal() {
    let text = std::env::temp_dir().join(format!("dayfly-banner-{}", std::process::id()));
    std::fs::write(&text, "Authorised \x1b[31muse\x1b[0m only.\n").unwrap();
    let sshd = Sshd::with(&format!("Banner {}", text.display()));
    let mut person = sshd.person();
    let session = connect(&sshd, sshd.options(), &mut person).await.unwrap();
    std::fs::remove_file(text).unwrap();
    assert_eq!(person.seen.lines()[0].trim(), "banner Authorised [31muse[0m only.");
    assert_eq!(session.notices(), "Authorised [31muse[0m only.\n");
}

// ---- host keys ----

#[tokio::test(flavor = "multi_thread")]
async fn another_host_key_is_refused_before_anything_is_sent() {
    let sshd = Sshd::new();
    let other = Sshd::new();
    let mut options = sshd.options();
    options.known_host_keys = vec![other.host_key("ed25519")];
    let mut person = sshd.person();
    let refused = connect(&sshd, options, &mut person).await;
    let Err(ConnectError::HostKeyMismatch { expected, got }) = refused else { panic!("{refused:?}") };
    assert_eq!((expected.len(), got.algorithm.as_str()), (1, "ssh-ed25519"));
    assert!(sshd.host_key("ed25519").starts_with(&got.openssh));
    assert!(person.seen.lines().is_empty(), "nobody was asked");
    support::until("the server is rid of the connection", || sshd.log().contains("onnection closed")).await;
    assert!(!sshd.log().contains(&format!("user {}", user())), "nobody was named: {}", sshd.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kind_of_host_key_that_is_known_is_the_one_that_is_checked() {
    let sshd = Sshd::new();
    let mut options = sshd.options();
    options.known_host_keys = vec![sshd.host_key("ecdsa")];
    let session = connect(&sshd, options, &mut sshd.person()).await.unwrap();
    assert_eq!(session.server().host_key.as_ref().unwrap().algorithm, "ecdsa-sha2-nistp256");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_key_is_asked_about() {
    let sshd = Sshd::new();
    let mut options = sshd.options();
    options.known_host_keys.clear();
    let mut person = sshd.person();
    let refused = connect(&sshd, options.clone(), &mut person).await;
    let Err(ConnectError::HostKeyRefused { got }) = refused else { panic!("{refused:?}") };
    assert_eq!(person.seen.lines(), [format!("host key {}", got.fingerprint)]);
    person.accepts_host_key = true;
    let session = connect(&sshd, options, &mut person).await.unwrap();
    assert_eq!(session.server().host_key.as_ref(), Some(&got));
}

/// Somebody who is asked and never answers.
#[derive(Default)]
struct Undecided(Arc<Notify>);

impl Undecided {
    fn wait<T: Send + 'static>(&self) -> BoxFuture<T> {
        self.0.notify_one();
        Box::pin(pending())
    }
}

impl Interaction for Undecided {
    fn banner(&mut self, _: String) {}

    fn unknown_host_key(&mut self, _: HostKey) -> BoxFuture<HostKeyAnswer> {
        self.wait()
    }

    fn private_key(&mut self, _: PrivateKeyRequest) -> BoxFuture<Option<PrivateKey>> {
        self.wait()
    }

    fn keyboard_interactive(&mut self, _: KeyboardInteractive) -> BoxFuture<Option<Vec<Secret>>> {
        self.wait()
    }

    fn password(&mut self, _: PasswordRequest) -> BoxFuture<Option<Secret>> {
        self.wait()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_an_attempt_closes_its_connection() {
    for knows_host in [false, true] {
        let sshd = Sshd::new();
        let mut options = sshd.options();
        if !knows_host {
            options.known_host_keys.clear();
        }
        let mut undecided = Undecided::default();
        let asked = Arc::clone(&undecided.0);
        let stream = sshd.dial().await;
        within(async {
            tokio::select! {
                () = asked.notified() => {}
                result = dayfly_ssh::connect(stream, options, &mut undecided) => panic!("{result:?}"),
            }
        })
        .await;
        support::until("the server is rid of the connection", || sshd.log().contains("onnection closed"))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_ends_with_the_server_that_asks_it() {
    for (knows_host, phase) in [(false, Phase::KeyExchange), (true, Phase::Authentication)] {
        let sshd = Sshd::new();
        let mut options = sshd.options();
        if !knows_host {
            options.known_host_keys.clear();
        }
        let mut undecided = Undecided::default();
        let asked = Arc::clone(&undecided.0);
        let stream = sshd.dial().await;
        let killed = async {
            asked.notified().await;
            sshd.kill();
        };
        let attempt = dayfly_ssh::connect(stream, options, &mut undecided);
        let (ended, ()) = within(async { tokio::join!(attempt, killed) }).await;
        assert!(matches!(&ended, Err(ConnectError::Stream { phase: at, .. }) if *at == phase), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_algorithm_in_common_is_told_with_what_the_server_has() {
    let sshd = Sshd::with("Ciphers aes256-cbc");
    let refused = connect(&sshd, sshd.options(), &mut sshd.person()).await;
    let Err(ConnectError::NoCommonAlgorithm { kind, theirs, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((kind.as_str(), theirs), ("cipher", vec!["aes256-cbc".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cipher_and_key_exchange_that_is_offered_works() {
    for (config, offer) in [
        ("KexAlgorithms curve25519-sha256", Offer::Modern),
        ("KexAlgorithms ecdh-sha2-nistp256", Offer::Modern),
        ("KexAlgorithms ecdh-sha2-nistp384\nCiphers aes128-gcm@openssh.com", Offer::Modern),
        (
            "KexAlgorithms ecdh-sha2-nistp521\nCiphers aes256-ctr\nMACs hmac-sha2-256-etm@openssh.com",
            Offer::Modern,
        ),
        ("Ciphers aes128-ctr\nMACs hmac-sha2-512", Offer::Modern),
        ("", Offer::WithoutStrictKex),
    ] {
        let sshd = Sshd::with(config);
        let mut options = sshd.options();
        options.offer = offer;
        let session = connect(&sshd, options, &mut sshd.person()).await.unwrap();
        let mut shell = within(session.exec("echo $((6 * 7))", None)).await.unwrap();
        assert_eq!(collect(&mut shell.reader).await.0, b"42\n", "{config} {:?}", session.server());
    }
}
