//! The two MACs of handshake messages, and cookies (sections 5.3 and 5.4.4 to 5.4.7).

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut as _, KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use dayfly_moment::Moment;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::constants::{COOKIE_LATENCY, COOKIE_LIFETIME};
use crate::crypto::Key;
use crate::crypto::{Mac, cookie_key, mac, mac1_key, verify};
use crate::error::ReceiveError;
use crate::message::{COOKIE_REPLY_LEN, kind};

const NONCE: usize = 8;
const COOKIE: usize = 32;
const TAG: usize = 48;

/// A handshake message taken apart at its MACs.
struct Macs<'a> {
    /// Bytes that the first MAC is of.
    body: &'a [u8],
    mac1: Mac,
    /// Bytes that the second MAC is of: the body with its first MAC.
    with_mac1: &'a [u8],
    mac2: Mac,
}

impl<'a> Macs<'a> {
    fn of(message: &'a [u8]) -> Option<Self> {
        let (with_mac1, mac2) = message.split_last_chunk()?;
        let (body, mac1) = with_mac1.split_last_chunk()?;
        Some(Self { body, mac1: *mac1, with_mac1, mac2: *mac2 })
    }
}

/// Maker of a node's cookies, and checker of the MACs of messages to it (section 5.3).
pub(crate) struct Checker {
    mac1_key: Key,
    cookie_key: Key,
    /// The secret of the cookies, and when it was drawn.
    secret: Option<(Zeroizing<[u8; 32]>, Moment)>,
}

impl Checker {
    pub(crate) fn new(public: &Key) -> Self {
        Self { mac1_key: mac1_key(public), cookie_key: cookie_key(public), secret: None }
    }

    /// Returns `true` where the sender of a handshake message knows our public key (section 5.4.4).
    pub(crate) fn verify_mac1(&self, message: &[u8]) -> bool {
        Macs::of(message).is_some_and(|macs| verify(&self.mac1_key, macs.body, &macs.mac1))
    }

    /// Returns `true` where the sender of a handshake message has the cookie of `source` (section 5.4.7).
    pub(crate) fn verify_mac2(
        &mut self,
        message: &[u8],
        source: &Key,
        now: Moment,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> bool {
        let Some((cookie, macs)) = self.cookie(source, now, rng).zip(Macs::of(message)) else { return false };
        verify(cookie.as_slice(), macs.with_mac1, &macs.mac2)
    }

    /// The cookie reply to a handshake message of `source` whose first MAC is right.
    pub(crate) fn reply(
        &mut self,
        message: &[u8],
        source: &Key,
        now: Moment,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Option<[u8; COOKIE_REPLY_LEN]> {
        let (cookie, macs) = self.cookie(source, now, rng).zip(Macs::of(message))?;
        let mut reply = [0; COOKIE_REPLY_LEN];
        reply[..4].copy_from_slice(&kind::COOKIE_REPLY);
        reply[4..8].copy_from_slice(message.get(4..8)?);
        rng.fill_bytes(&mut reply[NONCE..COOKIE]);
        reply[COOKIE..TAG].copy_from_slice(cookie.as_slice());
        let nonce = XNonce::try_from(&reply[NONCE..COOKIE]).ok()?;
        let tag = XChaCha20Poly1305::new(&self.cookie_key.into())
            .encrypt_inout_detached(&nonce, &macs.mac1, InOutBuf::from(&mut reply[COOKIE..TAG]))
            .ok()?;
        reply[TAG..].copy_from_slice(&tag);
        Some(reply)
    }

    /// The cookie of `source`, made with a secret that is at most two minutes old.
    fn cookie(
        &mut self,
        source: &Key,
        now: Moment,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Option<Zeroizing<Mac>> {
        let fresh = |drawn: Moment| now < drawn + COOKIE_LIFETIME;
        let secret = match &mut self.secret {
            Some((secret, drawn)) if fresh(*drawn) => secret,
            stale => {
                let mut secret = Zeroizing::new([0; 32]);
                rng.fill_bytes(secret.as_mut_slice());
                &mut stale.insert((secret, now)).0
            }
        };
        mac(secret.as_slice(), source).map(Zeroizing::new)
    }
}

/// Writer of the MACs of handshake messages to one peer (section 5.4.4).
pub(crate) struct Writer {
    mac1_key: Key,
    cookie_key: Key,
    /// The first MAC of the last message, until a cookie came for it.
    last_mac1: Option<Mac>,
    /// The peer's cookie for us, and when it came.
    cookie: Option<(Zeroizing<Mac>, Moment)>,
}

impl Writer {
    pub(crate) fn new(peer: &Key) -> Self {
        Self { mac1_key: mac1_key(peer), cookie_key: cookie_key(peer), last_mac1: None, cookie: None }
    }

    /// Writes both MACs to the end of a message; the second is zero without a cookie.
    pub(crate) fn write(&mut self, message: &mut [u8], now: Moment) {
        let stale = |came: Moment| now >= came + (COOKIE_LIFETIME - COOKIE_LATENCY);
        if self.cookie.as_ref().is_some_and(|(_, came)| stale(*came)) {
            self.cookie = None;
        }
        let Some((with_mac1, mac2)) = message.split_last_chunk_mut::<16>() else { return };
        let Some((body, mac1)) = with_mac1.split_last_chunk_mut::<16>() else { return };
        *mac1 = mac(&self.mac1_key, body).unwrap_or_default();
        self.last_mac1 = Some(*mac1);
        *mac2 = match &self.cookie {
            Some((cookie, _)) => mac(cookie.as_slice(), with_mac1).unwrap_or_default(),
            None => Mac::default(),
        };
    }

    /// Takes the cookie out of a reply to our last message. It is used from the next message on.
    pub(crate) fn take(&mut self, reply: &[u8; COOKIE_REPLY_LEN], now: Moment) -> Result<(), ReceiveError> {
        let unauthenticated = ReceiveError::Unauthenticated;
        let mac1 = self.last_mac1.as_ref().ok_or(unauthenticated)?;
        let nonce = XNonce::try_from(&reply[NONCE..COOKIE]).map_err(|_| unauthenticated)?;
        let tag = Tag::try_from(&reply[TAG..]).map_err(|_| unauthenticated)?;
        let mut cookie = Zeroizing::new(Mac::default());
        cookie.copy_from_slice(&reply[COOKIE..TAG]);
        XChaCha20Poly1305::new(&self.cookie_key.into())
            .decrypt_inout_detached(&nonce, mac1, InOutBuf::from(cookie.as_mut_slice()), &tag)
            .map_err(|_| unauthenticated)?;
        self.cookie = Some((cookie, now));
        self.last_mac1 = None;
        Ok(())
    }
}
