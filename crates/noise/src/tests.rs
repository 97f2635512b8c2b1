//! Known answers, and what the resolver refuses.

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver as _;
use snow::types::{Cipher as _, Dh as _, Hash as _};
use snow::{Builder, Error, HandshakeState};

use crate::Resolver;
use crate::cipher::ChaChaPoly;
use crate::dh::X25519;
use crate::hash::Blake2s;

/// A generator that gives the same 32 bytes at each draw.
struct Fixed([u8; 32]);

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        dest.copy_from_slice(&self.0);
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn key(hex: &str) -> [u8; 32] {
    bytes(hex).try_into().unwrap()
}

/// The public cacophony vector of WireGuard's protocol.
mod cacophony {
    pub(super) const PROTOCOL: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
    pub(super) const PROLOGUE: &str = "4a6f686e2047616c74";
    pub(super) const PSK: &str = "54686973206973206d7920417573747269616e20706572737065637469766521";
    pub(super) const INITIATOR: &str = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1";
    pub(super) const INITIATOR_EPHEMERAL: &str =
        "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
    pub(super) const RESPONDER: &str = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893";
    pub(super) const RESPONDER_PUBLIC: &str =
        "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62";
    pub(super) const RESPONDER_EPHEMERAL: &str =
        "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
    pub(super) const HASH: &str = "f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5";
    /// Payloads and messages; the initiator's first, then by turns.
    pub(super) const MESSAGES: [(&str, &str); 6] = [
        (
            "4c756477696720766f6e204d69736573",
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de9f98ddd8e2ad57527207feb5\
             6253c9c94a9e496782ecfcb2a75fbcaf1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985\
             464cf17e51ee93109008399a21f7e13f",
        ),
        (
            "4d757272617920526f746862617264",
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2caef0751b8f007572dab03222\
             17755c0632f365717edbf34d33e87a",
        ),
        ("462e20412e20486179656b", "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7"),
        ("4361726c204d656e676572", "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef"),
        (
            "4a65616e2d426170746973746520536179",
            "6ab1467c0448cc78394494abaaf23afce0e234315d6e2624dcbfa8a21c1c4d073d",
        ),
        (
            "457567656e2042f6686d20766f6e2042617765726b",
            "dfc346c0d2296ae6cf1acf6f12b8456a1dba228cf8d8b774aacf1c47fc53aa80ebc7a4c292",
        ),
    ];
}

/// Both sides of the vector's handshake, with the randomness that it has.
fn sides() -> (HandshakeState, HandshakeState) {
    use cacophony::{INITIATOR, INITIATOR_EPHEMERAL, PROLOGUE, PROTOCOL, PSK, RESPONDER};
    let (prologue, psk) = (bytes(PROLOGUE), key(PSK));
    let (local, remote) = (key(INITIATOR), key(cacophony::RESPONDER_PUBLIC));
    let side = |ephemeral: &str| {
        let resolver = Resolver::new(&mut Fixed(key(ephemeral)));
        Builder::with_resolver(PROTOCOL.parse().unwrap(), Box::new(resolver))
            .prologue(&prologue)
            .and_then(|builder| builder.psk(2, &psk))
            .unwrap()
    };
    let initiator = side(INITIATOR_EPHEMERAL)
        .local_private_key(&local)
        .and_then(|builder| builder.remote_public_key(&remote))
        .and_then(Builder::build_initiator)
        .unwrap();
    let local = key(RESPONDER);
    let responder = side(cacophony::RESPONDER_EPHEMERAL)
        .local_private_key(&local)
        .and_then(Builder::build_responder)
        .unwrap();
    (initiator, responder)
}

#[test]
fn wireguards_handshake_repeats_the_public_vector() {
    let (mut initiator, mut responder) = sides();
    let (mut message, mut text) = ([0; 200], [0; 200]);
    for (index, (payload, expected)) in cacophony::MESSAGES[..2].iter().enumerate() {
        let (from, to) =
            if index == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
        let len = from.write_message(&bytes(payload), &mut message).unwrap();
        assert_eq!(message[..len], bytes(expected), "message {index}");
        let len = to.read_message(&message[..len], &mut text).unwrap();
        assert_eq!(text[..len], bytes(payload), "message {index}");
    }
    assert_eq!(initiator.get_handshake_hash(), key(cacophony::HASH));
    let mut initiator = initiator.into_transport_mode().unwrap();
    let mut responder = responder.into_transport_mode().unwrap();
    for (index, (payload, expected)) in cacophony::MESSAGES.iter().enumerate().skip(2) {
        let (from, to) =
            if index % 2 == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
        let len = from.write_message(&bytes(payload), &mut message).unwrap();
        assert_eq!(message[..len], bytes(expected), "message {index}");
        let len = to.read_message(&message[..len], &mut text).unwrap();
        assert_eq!(text[..len], bytes(payload), "message {index}");
    }
}

#[test]
fn a_failed_write_never_sends_the_same_ephemeral_key_again() {
    let (mut initiator, _) = sides();
    // Room for the ephemeral key, none for the rest: the key is drawn, the message fails.
    assert_eq!(initiator.write_message(&[], &mut [0; 32]), Err(Error::Input));
    assert_eq!(initiator.write_message(&[], &mut [0; 200]), Err(Error::Rng));
}

#[test]
fn randomness_is_given_once() {
    let resolver = Resolver::new(&mut Fixed([7; 32]));
    let mut random = resolver.resolve_rng().unwrap();
    assert!(resolver.resolve_rng().is_none());
    let mut first = [0; 32];
    assert_eq!(random.try_fill_bytes(&mut first), Ok(()));
    assert_eq!(first, [7; 32]);
    let mut second = [1; 32];
    assert_eq!(random.try_fill_bytes(&mut second), Err(Error::Rng));
    assert_eq!(second, [0; 32]);
}

#[test]
fn randomness_for_another_key_length_is_refused() {
    let mut random = Resolver::new(&mut Fixed([7; 32])).resolve_rng().unwrap();
    for len in [0, 31, 33, 56] {
        assert_eq!(random.try_fill_bytes(&mut vec![1; len]), Err(Error::Rng), "{len} bytes");
    }
}

#[test]
fn other_primitives_are_refused() {
    let resolver = Resolver::new(&mut Fixed([7; 32]));
    assert!(resolver.resolve_dh(&DHChoice::Curve448).is_none());
    assert!(resolver.resolve_cipher(&CipherChoice::AESGCM).is_none());
    for hash in [HashChoice::SHA256, HashChoice::SHA512, HashChoice::Blake2b] {
        assert!(resolver.resolve_hash(&hash).is_none());
    }
    assert!(!format!("{resolver:?}").contains('7'));
}

/// RFC 7748 section 5.2, the iterated test: once, and a thousand times.
#[test]
fn x25519_agrees_with_its_standard() {
    let nine: [u8; 32] = core::array::from_fn(|i| if i == 0 { 9 } else { 0 });
    let (mut scalar, mut point) = (nine, nine);
    for round in 1..=1000 {
        let mut pair = X25519::default();
        pair.set(&scalar);
        let mut shared = [0; 32];
        pair.dh(&point, &mut shared).unwrap();
        (scalar, point) = (shared, scalar);
        if round == 1 {
            assert_eq!(scalar, key("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
        }
    }
    assert_eq!(scalar, key("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

#[test]
fn points_of_small_order_are_refused() {
    let mut pair = X25519::default();
    pair.set(&[0x42; 32]);
    let one: [u8; 32] = core::array::from_fn(|i| u8::from(i == 0));
    for point in [[0; 32], one] {
        assert_eq!(pair.dh(&point, &mut [0; 32]), Err(Error::Dh));
    }
    assert_eq!(pair.dh(&[9; 31], &mut [0; 32]), Err(Error::Dh));
    assert_eq!(pair.dh(&[9; 32], &mut [0; 31]), Err(Error::Dh));
}

/// RFC 7693 appendix B.
#[test]
fn blake2s_agrees_with_its_standard() {
    let mut hash = Blake2s::default();
    let mut out = [0; 32];
    for _ in 0..2 {
        hash.input(b"left over");
        hash.reset();
        hash.input(b"a");
        hash.input(b"bc");
        hash.result(&mut out);
        assert_eq!(out, key("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"));
    }
}

#[test]
fn changed_ciphertext_is_refused_and_lengths_are_checked() {
    let mut cipher = ChaChaPoly::default();
    assert_eq!(cipher.encrypt(0, &[], b"text", &mut [0; 20]), 0);
    assert_eq!(cipher.decrypt(0, &[], &[0; 20], &mut [0; 4]), Err(Error::Decrypt));
    cipher.set(&[5; 32]);
    let mut sealed = [0; 20];
    assert_eq!(cipher.encrypt(1, b"ad", b"text", &mut [0; 19]), 0);
    assert_eq!(cipher.encrypt(1, b"ad", b"text", &mut sealed), 20);
    let mut text = [0; 4];
    assert_eq!(cipher.decrypt(1, b"ad", &sealed, &mut text), Ok(4));
    assert_eq!(&text, b"text");
    assert_eq!(cipher.decrypt(2, b"ad", &sealed, &mut text), Err(Error::Decrypt));
    assert_eq!(cipher.decrypt(1, b"da", &sealed, &mut text), Err(Error::Decrypt));
    assert_eq!(cipher.decrypt(1, b"ad", &sealed, &mut [0; 3]), Err(Error::Decrypt));
    assert_eq!(cipher.decrypt(1, b"ad", &sealed[..15], &mut text), Err(Error::Decrypt));
    for at in 0..sealed.len() {
        let mut changed = sealed;
        changed[at] ^= 1;
        assert_eq!(cipher.decrypt(1, b"ad", &changed, &mut text), Err(Error::Decrypt), "byte {at}");
    }
}
