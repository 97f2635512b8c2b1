use dayfly_platform::random::SystemRng;
use proptest::prelude::*;

use super::*;
use crate::key::{NodePrivate, NodePublic};
use crate::testing::hex;

fn pair() -> (SharedKey, SharedKey) {
    let [a, b] = [(); 2].map(|()| NodePrivate::generate(&mut SystemRng));
    (a.shared(&b.public()), b.shared(&a.public()))
}

/// Made with Go's `golang.org/x/crypto/nacl/box`, which Tailscale uses.
#[test]
fn box_is_byte_for_byte_gos() {
    let from = NodePrivate::from_bytes(core::array::from_fn(|i| i as u8));
    let to = NodePrivate::from_bytes(core::array::from_fn(|i| 0x80 + i as u8));
    let nonce = core::array::from_fn(|i| 0x40 + i as u8);
    let message: Vec<u8> = (0..70).collect();
    let expected = hex(
        "404142434445464748494a4b4c4d4e4f5051525354555657c58dead541779c648515668669c1921522dc4d515e44ae9975b97bc4
         87dc02725a494ba06ebe246bcdbec5d89eedf0b0e5f36a58d34ce468090deacf4b5e552e1a52d90aaba5d6b20566c445c9ef5b35
         7fdf116ddcdd",
    );
    let mut sealed = Vec::new();
    from.shared(&to.public()).seal_with_nonce(&nonce, &message, &mut sealed);
    assert_eq!(sealed, expected);
    assert_eq!(to.open_from(&from.public(), &expected).unwrap(), message);
    assert_eq!(
        from.shared(&to.public()).key.as_slice(),
        hex("13c10085906e756e55beeeff5e34686dd4f1c29c9008cd1b8a1bc53d5077f20e")
    );
}

#[test]
fn sealed_messages_open_at_the_other_end() {
    let (a, b) = pair();
    let sealed = a.seal(&mut SystemRng, b"hello");
    assert_eq!(sealed.len(), OVERHEAD + 5);
    assert_eq!(b.open(&sealed).unwrap(), b"hello");
    assert_ne!(a.seal(&mut SystemRng, b"hello"), sealed);
}

#[test]
fn another_peers_box_is_forged() {
    let (a, _) = pair();
    let (_, other) = pair();
    assert_eq!(other.open(&a.seal(&mut SystemRng, b"hello")), Err(OpenError::Forged));
}

#[test]
fn nothing_opens_from_a_key_of_low_order() {
    let key = NodePrivate::generate(&mut SystemRng);
    let nobody = key.shared(&NodePublic::default());
    assert_eq!(nobody.open(&nobody.seal(&mut SystemRng, b"hello")), Err(OpenError::Forged));
}

#[test]
fn short_messages_are_told_apart_from_forged_ones() {
    let (a, _) = pair();
    assert_eq!(a.open(&[0; 39]), Err(OpenError::TooShort { len: 39 }));
    assert_eq!(a.open(&[0; 40]), Err(OpenError::Forged));
}

proptest! {
    #[test]
    fn messages_of_any_length_round_trip(message: Vec<u8>) {
        let (a, b) = pair();
        prop_assert_eq!(b.open(&a.seal(&mut SystemRng, &message)).unwrap(), message);
    }

    #[test]
    fn any_changed_bit_is_noticed_and_leaves_the_buffer(message: Vec<u8>, at: prop::sample::Index, bit in 0..8u8) {
        let (a, b) = pair();
        let mut sealed = a.seal(&mut SystemRng, &message);
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        let before = sealed.clone();
        prop_assert_eq!(b.open_in_place(&mut sealed), Err(OpenError::Forged));
        prop_assert_eq!(sealed, before);
    }
}
