use proptest::prelude::*;

use super::*;
use crate::testing::hex;

fn bytes(message: Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.put(&mut out);
    out
}

#[test]
fn messages_have_their_known_bytes() {
    let reject = Message::Reject(Reject {
        protocol: 6,
        reason: RejectReason::ACL,
        src_port: 0x1234,
        dst_port: 22,
        maybe_broken: false,
    });
    let pong = Message::Pong { data: [1, 2, 3, 4, 5, 6, 7, 8], peer_api_port: 0x1234 };
    for (message, known) in [
        (reject, "21 06 41 1234 0016 00"),
        (Message::Ping([1, 2, 3, 4, 5, 6, 7, 8]), "70 0102030405060708"),
        (pong, "6f 0102030405060708 1234"),
    ] {
        assert_eq!(bytes(message), hex(known));
        assert_eq!(Message::parse(&hex(known)), Ok(message));
    }
    let key = DiscoPublic::from_bytes([5; 32]);
    assert_eq!(Message::parse(&bytes(Message::DiscoKey(key))), Ok(Message::DiscoKey(key)));
}

#[test]
fn a_reject_of_an_old_peer_has_no_flags() {
    let Ok(Message::Reject(reject)) = Message::parse(&hex("21 11 53 0001 0002")) else {
        panic!("not a reject");
    };
    assert_eq!((reject.protocol, reject.reason, reject.maybe_broken), (17, RejectReason::SHIELDS_UP, false));
}

#[test]
fn what_is_cut_short_is_named() {
    for kind in *b"!poa" {
        assert_eq!(Message::parse(&[kind, 0, 0]), Err(TsmpError::TooShort { kind }));
    }
    assert_eq!(Message::parse(b"x"), Err(TsmpError::UnknownType));
    assert_eq!(Message::parse(b""), Err(TsmpError::UnknownType));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic_and_round_trip(kind in prop::sample::select(b"!poax".to_vec()), mut body: Vec<u8>) {
        body.insert(0, kind);
        crate::fuzzing::tsmp(&body);
    }
}
