//! Options of a session, and the algorithms that are offered to the server.

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::Algorithm;
use russh::{Preferred, SshId, cipher, client, compression, kex, mac};

/// Bytes of output that a server may have on its way to one channel (RFC 4254 section 5.2), as OpenSSH grants. It is
/// renewed when half of it is used up, so that a round trip of 100 ms allows at least 10 MB/s.
pub(crate) const WINDOW: u32 = 2 * 1024 * 1024;

/// Largest piece of output in one message, in bytes: what OpenSSH uses too.
const MAX_PACKET: u32 = 32 * 1024;

/// Messages that `russh` may queue for a channel while it is being opened; afterwards nothing is queued there.
const OPENING_QUEUE: usize = 32;

/// Options of a session: who logs in, and which host keys are right.
#[derive(Clone, Debug)]
pub struct Options {
    /// Login name on the server.
    pub user: String,
    /// The host's name as the person knows it: for questions and errors only.
    pub host: String,
    /// The server's host keys, as lines of `authorized_keys`: in a tailnet, the peer's `Hostinfo.sshHostKeys`. With
    /// any, the server must prove one of them, and nobody is asked. With none, the person is asked.
    pub known_host_keys: Vec<String>,
    /// Environment variables to ask for with each program. Servers ignore most names; `LANG` and `LC_*` are usual.
    pub env: Vec<(String, String)>,
    /// Algorithms to offer to the server.
    pub offer: Offer,
    /// Longest silence of the server before authentication. From there on it has as long as it wants: whoever does not
    /// want to wait drops the future, and a connection that breaks ends it.
    pub handshake_timeout: Duration,
}

impl Options {
    /// Options for logging in as `user` on a host about which nothing is known.
    #[must_use]
    pub fn new(user: impl Into<String>, host: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            host: host.into(),
            known_host_keys: Vec::new(),
            env: Vec::new(),
            offer: Offer::Modern,
            handshake_timeout: Duration::from_secs(15),
        }
    }
}

/// A set of algorithms to offer to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offer {
    /// The fastest ones in a browser first. Servers without strict key exchange are refused where that matters.
    #[default]
    Modern,
    /// Only those that are safe without strict key exchange: for servers from before December 2023, once
    /// [`NoStrictKex`](crate::ConnectError::NoStrictKex) was reported.
    WithoutStrictKex,
}

/// Key exchange. ML-KEM withstands a quantum computer and costs well below a millisecond.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    // What the server's list is searched for, never sent: without it strict key exchange would not be seen.
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// Ciphers. Without AES instructions, as in a browser, ChaCha20-Poly1305 is the fastest by far.
const CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::AES_256_CTR,
    cipher::AES_128_CTR,
];

/// Ciphers that Terrapin does not touch: AES-GCM, and AES-CTR with a MAC of the plain text.
const CIPHERS_WITHOUT_STRICT_KEX: &[cipher::Name] =
    &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::AES_256_CTR, cipher::AES_128_CTR];

const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];

const MACS_WITHOUT_STRICT_KEX: &[mac::Name] = &[mac::HMAC_SHA256, mac::HMAC_SHA512];

/// Returns `true` if this cipher and MAC need strict key exchange, without which messages could be removed unseen
/// (CVE-2023-48795).
pub(crate) fn needs_strict_kex(cipher: cipher::Name, macs: [mac::Name; 2]) -> bool {
    cipher == cipher::CHACHA20_POLY1305
        || macs
            .iter()
            .any(|mac| [mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA1_ETM].contains(mac))
}

/// The configuration of `russh`. Its timers stay off: they panic in a browser, and keeping alive is the tunnel's job.
pub(crate) fn client(offer: Offer, host_keys: Vec<Algorithm>) -> client::Config {
    let (ciphers, macs) = match offer {
        Offer::Modern => (CIPHERS, MACS),
        Offer::WithoutStrictKex => (CIPHERS_WITHOUT_STRICT_KEX, MACS_WITHOUT_STRICT_KEX),
    };
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-Dayfly_", env!("CARGO_PKG_VERSION")))),
        window_size: WINDOW,
        maximum_packet_size: MAX_PACKET,
        channel_buffer_size: OPENING_QUEUE,
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            key: Cow::Owned(host_keys),
            host_key_certificates: Cow::Borrowed(&[]),
            cipher: Cow::Borrowed(ciphers),
            mac: Cow::Borrowed(macs),
            compression: Cow::Borrowed(&[compression::NONE]),
        },
        inactivity_timeout: None,
        keepalive_interval: None,
        ..client::Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_needs_strict_kex_is_offered_without_it() {
        for &cipher in CIPHERS_WITHOUT_STRICT_KEX {
            for &mac in MACS_WITHOUT_STRICT_KEX {
                assert!(!needs_strict_kex(cipher, [mac, mac]));
            }
        }
        assert!(needs_strict_kex(cipher::CHACHA20_POLY1305, [mac::NONE, mac::NONE]));
        assert!(needs_strict_kex(cipher::AES_256_CTR, [mac::HMAC_SHA256, mac::HMAC_SHA512_ETM]));
        assert!(!needs_strict_kex(cipher::AES_256_GCM, [mac::NONE, mac::NONE]));
    }

    #[test]
    fn timers_that_panic_in_a_browser_are_off() {
        let config = client(Offer::Modern, Vec::new());
        assert_eq!((config.keepalive_interval, config.inactivity_timeout), (None, None));
    }
}
