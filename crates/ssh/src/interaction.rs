//! Questions and notices for a person while a session is being made.

use std::fmt;

use dayfly_platform::{BoxFuture, MaybeSend};
use zeroize::Zeroizing;

use crate::host_key::HostKey;

/// Text that is wiped from memory when dropped: a password, a passphrase, a private key's file.
pub type Secret = Zeroizing<String>;

/// A person, or what acts for one. Answers may take as long as they need: time limits stand still meanwhile.
///
/// The returned futures hold nothing borrowed, so that an answer can come from another task. They are dropped when the
/// session ends before the answer. All texts are safe to show as text (not as HTML) and bounded.
pub trait Interaction: MaybeSend {
    /// Shows a text of the server at once: a notice, or a link by which to approve this session
    /// (SSH_MSG_USERAUTH_BANNER, RFC 4252 section 5.4).
    fn banner(&mut self, text: String);

    /// Asks about a host key of which nothing is known. Called only if [`Options::known_host_keys`] is empty.
    ///
    /// [`Options::known_host_keys`]: crate::Options::known_host_keys
    fn unknown_host_key(&mut self, key: HostKey) -> BoxFuture<HostKeyAnswer>;

    /// Asks for a private key, since the server accepts public keys. `None` goes on to the next method.
    fn private_key(&mut self, request: PrivateKeyRequest) -> BoxFuture<Option<PrivateKey>>;

    /// Asks the server's questions. One answer per prompt, in their order; `None` goes on to the next method.
    fn keyboard_interactive(&mut self, request: KeyboardInteractive) -> BoxFuture<Option<Vec<Secret>>>;

    /// Asks for a password, since the server accepts one. `None` goes on to the next method.
    fn password(&mut self, request: PasswordRequest) -> BoxFuture<Option<Secret>>;
}

/// The answer to an unknown host key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKeyAnswer {
    /// Accept the key for this session.
    Accept,
    /// Disconnect from the server.
    Refuse,
}

/// A way to authenticate that this side has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A signature by a private key (RFC 4252 section 7).
    PublicKey,
    /// Questions and answers (RFC 4256).
    KeyboardInteractive,
    /// A password (RFC 4252 section 8).
    Password,
}

/// A request for a private key: the server accepts signatures by keys that it knows.
#[derive(Clone, Debug)]
pub struct PrivateKeyRequest {
    /// Login name on the server.
    pub user: String,
    /// Host, as the caller named it.
    pub host: String,
    /// Methods that the server offers at this point, so that a person can be given the choice.
    pub methods: Vec<Method>,
    /// Problem with the key given before.
    pub problem: Option<KeyProblem>,
}

/// Reason for which a private key did not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// Not a private key in OpenSSH's format (`-----BEGIN OPENSSH PRIVATE KEY-----`).
    #[error("this is not a private key in OpenSSH's format (ssh-keygen -p -f KEYFILE converts one)")]
    Unreadable,
    /// The key is encrypted and no passphrase was given.
    #[error("this key needs its passphrase")]
    NeedsPassphrase,
    /// The key is encrypted by another passphrase.
    #[error("this is not the key's passphrase")]
    WrongPassphrase,
    /// The key's algorithm is not available here.
    #[error("keys of the kind {0} cannot be used here; Ed25519 and ECDSA keys can")]
    Unsupported(String),
    /// The server does not accept the key, named by its fingerprint.
    #[error("the server does not accept the key {0}")]
    Rejected(String),
}

/// A private key, held in memory until the server has answered.
pub struct PrivateKey {
    /// The key's file, in OpenSSH's format.
    pub pem: Secret,
    /// Its passphrase, if it has one.
    pub passphrase: Option<Secret>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

/// Questions of the server (SSH_MSG_USERAUTH_INFO_REQUEST, RFC 4256 section 3.2).
#[derive(Clone, Debug)]
pub struct KeyboardInteractive {
    /// Login name on the server.
    pub user: String,
    /// Host, as the caller named it.
    pub host: String,
    /// Title of the questions; may be empty.
    pub name: String,
    /// An explanation; may be empty, may have several lines.
    pub instructions: String,
    /// The questions; at least one.
    pub prompts: Vec<Prompt>,
}

/// A question of the server.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Text of the question, for instance `Password:`; may have several lines.
    pub text: String,
    /// The answer may be seen while it is typed.
    pub echo: bool,
}

/// A request for a password.
#[derive(Clone, Debug)]
pub struct PasswordRequest {
    /// Login name on the server.
    pub user: String,
    /// Host, as the caller named it.
    pub host: String,
    /// Methods that the server offers at this point.
    pub methods: Vec<Method>,
    /// A password given before was wrong.
    pub rejected: bool,
}

/// An [`Interaction`] without a person.
///
/// It accepts no unknown host key and has no credential, so only `none` can succeed (as with Tailscale SSH).
#[derive(Clone, Copy, Debug, Default)]
pub struct Unattended;

impl Interaction for Unattended {
    fn banner(&mut self, _text: String) {}

    fn unknown_host_key(&mut self, _key: HostKey) -> BoxFuture<HostKeyAnswer> {
        Box::pin(std::future::ready(HostKeyAnswer::Refuse))
    }

    fn private_key(&mut self, _request: PrivateKeyRequest) -> BoxFuture<Option<PrivateKey>> {
        Box::pin(std::future::ready(None))
    }

    fn keyboard_interactive(&mut self, _request: KeyboardInteractive) -> BoxFuture<Option<Vec<Secret>>> {
        Box::pin(std::future::ready(None))
    }

    fn password(&mut self, _request: PasswordRequest) -> BoxFuture<Option<Secret>> {
        Box::pin(std::future::ready(None))
    }
}
