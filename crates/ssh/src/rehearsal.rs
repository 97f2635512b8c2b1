//! The start of a session for practice, before one is needed.
//!
//! A browser compiles a function of WebAssembly when it is first called, on the thread that waits for it, and most of
//! what a session calls first is cryptography. What is rehearsed here is compiled by the time a person opens a shell.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use std::vec;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dayfly_platform::time::{Sleep, sleep};
use russh::cipher;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::{self, Options};
use crate::connect::connect_over;
use crate::error::ConnectError;
use crate::inbound::ShellEvent;
use crate::interaction::{Interaction, Unattended};
use crate::known_hosts::KnownHostKeys;
use crate::session::Session;
use crate::shell::{Pty, Shell};

/// Runs the code that a session starts with, in memory and to no other effect.
///
/// It is [`connect`](crate::connect) to a few fixed messages, such as Tailscale SSH sends, twice. First with a real cipher:
/// keys are exchanged, the host key is checked, authentication is asked for, and there the messages end. Then without
/// one, since what is fixed can't be encrypted: on to a shell and the first of its output. Nothing is sent or kept, and
/// nobody is asked. The surrounding runtime has its turn between the messages; dropping the future ends it.
///
/// It reports no error, since nothing depends on how far it came.
pub async fn rehearse() {
    let _ = run(CIPHER, &mut Unattended).await;
    if let Ok(session) = run(cipher::NONE, &mut Unattended).await {
        let _ = first_output(&session).await;
    }
}

async fn run(cipher: cipher::Name, interaction: &mut dyn Interaction) -> Result<Session, ConnectError> {
    let options = Options::new("", "");
    let host_keys = [format!("{HOST_KEY} {}", BASE64_STANDARD.encode(host_key()))];
    let known = KnownHostKeys::parse("", &host_keys)?;
    let mut config = config::client(options.offer, known.algorithms());
    config.preferred.cipher = Cow::Owned(vec![cipher]);
    connect_over(Box::new(Server::new(cipher)), config, known, options, interaction).await
}

/// Starts a shell and waits for what it says first.
async fn first_output(session: &Session) -> Option<ShellEvent> {
    let mut shell: Shell = session.shell(Pty::new(80, 24)).await.ok()?;
    shell.reader.next().await
}

/// The server's identification (RFC 4253 section 4.2).
const IDENTIFICATION: &[u8] = b"SSH-2.0-Tailscale\r\n";

/// SSH_MSG_SERVICE_ACCEPT (RFC 4253 section 10).
const SERVICE_ACCEPT: u8 = 6;

/// SSH_MSG_EXT_INFO (RFC 8308 section 2.3).
const EXT_INFO: u8 = 7;

/// SSH_MSG_KEXINIT (RFC 4253 section 7.1).
const KEXINIT: u8 = 20;

/// SSH_MSG_NEWKEYS (RFC 4253 section 7.3).
const NEWKEYS: u8 = 21;

/// SSH_MSG_KEX_HYBRID_REPLY (draft-ietf-sshm-mlkem-hybrid-kex section 2.1).
const REPLY: u8 = 31;

/// SSH_MSG_USERAUTH_SUCCESS (RFC 4252 section 6).
const USERAUTH_SUCCESS: u8 = 52;

/// SSH_MSG_CHANNEL_OPEN_CONFIRMATION (RFC 4254 section 5.1).
const CHANNEL_OPEN_CONFIRMATION: u8 = 91;

/// SSH_MSG_CHANNEL_DATA (RFC 4254 section 5.2).
const CHANNEL_DATA: u8 = 94;

/// SSH_MSG_CHANNEL_SUCCESS (RFC 4254 section 5.4).
const CHANNEL_SUCCESS: u8 = 99;

const KEX: &str = "mlkem768x25519-sha256";
const HOST_KEY: &str = "ssh-ed25519";
const CIPHER: cipher::Name = cipher::CHACHA20_POLY1305;

/// Bytes of an ML-KEM-768 ciphertext (FIPS 203 section 8). Any such bytes make a shared secret.
const CIPHERTEXT: usize = 1088;

/// The host key: the neutral point of Edwards25519 (RFC 8032 section 5.1.4), for which there is no secret.
const NEUTRAL: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 1;
    point
};

/// The signature: the curve's base point, and one. The two fit together whatever is signed, since with this host key
/// what is signed counts nothing (RFC 8032 section 5.1.7).
const SIGNATURE: [u8; 64] = {
    let mut signature = [0x66; 64];
    signature[0] = 0x58;
    signature[32] = 1;
    let mut index = 33;
    while index < 64 {
        signature[index] = 0;
        index += 1;
    }
    signature
};

/// Appends an SSH `string` (RFC 4251 section 5).
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    #[expect(clippy::cast_possible_truncation, reason = "two kilobytes at most")]
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}

/// The host key's blob (RFC 8709 section 4).
fn host_key() -> Vec<u8> {
    let mut blob = Vec::new();
    put(&mut blob, HOST_KEY.as_bytes());
    put(&mut blob, &NEUTRAL);
    blob
}

/// The server's half of the negotiation: what Tailscale SSH agrees on with this client, in KEXINIT's order. That is the key
/// exchange with the mark of its strict form, host key, then cipher, MAC (which the cipher has in it), compression
/// and language, each for both directions.
fn kexinit(cipher: &str) -> Vec<u8> {
    // A cookie of zeros.
    let mut message = vec![0; 17];
    message[0] = KEXINIT;
    let kex = format!("{KEX},kex-strict-s-v00@openssh.com");
    for names in [&kex, HOST_KEY, cipher, cipher, "", "", "none", "none", "", ""] {
        put(&mut message, names.as_bytes());
    }
    // No guess follows, and four bytes are reserved.
    message.extend([0; 5]);
    message
}

/// The server's half of the exchange.
fn reply() -> Vec<u8> {
    let mut public = vec![0; CIPHERTEXT];
    // Curve25519's base point (RFC 7748 section 4.1).
    public.push(9);
    public.resize(CIPHERTEXT + 32, 0);
    let mut signature = Vec::new();
    put(&mut signature, HOST_KEY.as_bytes());
    put(&mut signature, &SIGNATURE);
    let mut message = vec![REPLY];
    put(&mut message, &host_key());
    put(&mut message, &public);
    put(&mut message, &signature);
    message
}

/// A packet before there are keys (RFC 4253 section 6).
fn packet(message: &[u8]) -> Vec<u8> {
    // Four bytes of padding or more, up to a multiple of eight.
    let padding = 11 - message.len() % 8;
    let mut body = vec![padding as u8];
    body.extend(message);
    body.resize(1 + message.len() + padding, 0);
    let mut packet = Vec::new();
    put(&mut packet, &body);
    packet
}

/// The start of a message to the client's first channel, which `russh` calls 2.
fn to_channel(message: u8) -> Vec<u8> {
    vec![message, 0, 0, 0, 2]
}

/// Messages of the server once there are keys, up to the first output of a shell.
fn answers() -> [Vec<u8>; 5] {
    // One extension: how signatures may be made.
    let mut accepted = vec![EXT_INFO, 0, 0, 0, 1];
    put(&mut accepted, b"server-sig-algs");
    put(&mut accepted, HOST_KEY.as_bytes());
    let mut accepted = packet(&accepted);
    let mut service = vec![SERVICE_ACCEPT];
    put(&mut service, b"ssh-userauth");
    accepted.extend(packet(&service));

    // The server calls the channel 0, and takes packets of 32 KiB.
    let mut open = to_channel(CHANNEL_OPEN_CONFIRMATION);
    open.extend([0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0x80, 0]);

    let success = packet(&to_channel(CHANNEL_SUCCESS));
    let mut output = to_channel(CHANNEL_DATA);
    put(&mut output, b"$ ");
    [accepted, packet(&[USERAUTH_SUCCESS]), packet(&open), [&success[..], &success].concat(), packet(&output)]
}

/// The other end: sends the same messages whatever it receives.
struct Server {
    /// Messages still to be sent, in pieces that each give the client something to do.
    script: vec::IntoIter<Vec<u8>>,
    /// The piece that is being sent.
    saying: io::Cursor<Vec<u8>>,
    /// Goes before the next piece.
    pause: Option<Pin<Box<Sleep>>>,
    /// The client has said something since the last piece, or has nothing to say to it.
    answered: bool,
    /// Task that waits for the client to answer.
    reader: Option<Waker>,
}

impl Server {
    fn new(cipher: cipher::Name) -> Self {
        let exchanged = [packet(&reply()), packet(&[NEWKEYS])].concat();
        let mut script = vec![IDENTIFICATION.to_vec(), packet(&kexinit(cipher.as_ref())), exchanged];
        if cipher == cipher::NONE {
            script.extend(answers());
        }
        Self {
            script: script.into_iter(),
            saying: io::Cursor::default(),
            pause: None,
            answered: false,
            reader: None,
        }
    }
}

impl AsyncRead for Server {
    /// Says a piece once the last one was answered, and pauses before it for no length of time: in a browser, all else
    /// that waits has its turn.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let said = this.saying.position() as usize;
        if said >= this.saying.get_ref().len() {
            if !this.answered {
                this.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
            let pause = this.pause.get_or_insert_with(|| Box::pin(sleep(Duration::ZERO)));
            ready!(pause.as_mut().poll(context));
            this.pause = None;
            // After the last piece nothing is read, which is the end of the stream.
            this.saying = io::Cursor::new(this.script.next().unwrap_or_default());
            // Output follows by itself.
            this.answered = this.script.len() <= 1;
        }
        Pin::new(&mut this.saying).poll_read(context, out)
    }
}

impl AsyncWrite for Server {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.answered = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use dayfly_platform::BoxFuture;

    use super::*;
    use crate::config;
    use crate::error::{Disconnect, Phase};
    use crate::host_key::HostKey;
    use crate::interaction::{
        HostKeyAnswer, KeyboardInteractive, PasswordRequest, PrivateKey, PrivateKeyRequest, Secret,
    };

    /// Fails the test when shown or asked anything.
    struct Nobody;

    impl Interaction for Nobody {
        fn banner(&mut self, text: String) {
            panic!("{text}");
        }

        fn unknown_host_key(&mut self, key: HostKey) -> BoxFuture<HostKeyAnswer> {
            panic!("{key:?}");
        }

        fn private_key(&mut self, request: PrivateKeyRequest) -> BoxFuture<Option<PrivateKey>> {
            panic!("{request:?}");
        }

        fn keyboard_interactive(&mut self, request: KeyboardInteractive) -> BoxFuture<Option<Vec<Secret>>> {
            panic!("{request:?}");
        }

        fn password(&mut self, request: PasswordRequest) -> BoxFuture<Option<Secret>> {
            panic!("{request:?}");
        }
    }

    /// Returns `true` if keys were exchanged and the host key was proved: authentication begins only after that.
    fn is_rehearsed(result: &Result<Session, ConnectError>) -> bool {
        let Err(ConnectError::Stream { phase: Phase::Authentication, source }) = result else { return false };
        source.to_string() == Disconnect::CLOSED
    }

    #[tokio::test(start_paused = true)]
    async fn all_of_the_key_exchange_runs_and_nobody_is_asked() {
        let result = run(CIPHER, &mut Nobody).await;
        assert!(is_rehearsed(&result), "{result:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_cipher_it_goes_on_to_the_first_output_of_a_shell() {
        let session = run(cipher::NONE, &mut Nobody).await.expect("a session");
        let output = first_output(&session).await;
        assert!(matches!(&output, Some(ShellEvent::Data(text)) if text.as_ref() == b"$ "), "{output:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_however_late_it_goes_on() {
        let mut nobody = Nobody;
        let mut rehearsal = pin!(run(CIPHER, &mut nobody));
        // As a page does that is in the background for an hour.
        let polled = poll_fn(|context| Poll::Ready(rehearsal.as_mut().poll(context))).await;
        assert!(polled.is_pending());
        tokio::time::advance(Duration::from_secs(3600)).await;
        let result = rehearsal.await;
        assert!(matches!(result, Err(ConnectError::Timeout { .. })), "{result:?}");
    }

    #[test]
    fn what_the_server_names_is_what_is_offered_to_it_first() {
        let offered = config::client(crate::Offer::Modern, Vec::new()).preferred;
        let first = [offered.kex[0].as_ref(), offered.cipher[0].as_ref(), offered.compression[0].as_ref()];
        assert_eq!([KEX, CIPHER.as_ref(), "none"], first);
    }

    #[test]
    fn a_session_is_never_offered_without_a_cipher() {
        for offer in [crate::Offer::Modern, crate::Offer::WithoutStrictKex] {
            let offered = config::client(offer, Vec::new()).preferred.cipher;
            assert!(!offered.iter().any(|&name| name == cipher::NONE || name == cipher::CLEAR));
        }
    }
}
