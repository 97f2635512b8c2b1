use dayfly_platform::random::SystemRng;
use proptest::prelude::*;

use super::*;
use crate::key::DiscoPrivate;
use crate::testing::hex;

#[test]
fn messages_have_the_bytes_of_tailscales_disco() {
    let tx_id = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let ping = Message::Ping { tx_id, node: Some(NodePublic::from_bytes([0x11; 32])) };
    let mut expected = hex("0100 0102030405060708090a0b0c");
    expected.extend([0x11; 32]);
    assert_eq!(ping.plaintext(), expected);

    let pong = Message::Pong { tx_id, src: "2.3.4.5:1234".parse().unwrap() };
    let expected = hex("0200 0102030405060708090a0b0c 00000000000000000000ffff02030405 04d2");
    assert_eq!(pong.plaintext(), expected);
    assert_eq!(Message::parse(&expected), Ok(pong));

    let pong = Message::Pong { tx_id, src: "[fed0::12]:6666".parse().unwrap() };
    let expected = hex("0200 0102030405060708090a0b0c fed00000000000000000000000000012 1a0a");
    assert_eq!(pong.plaintext(), expected);

    let call = Message::CallMeMaybe {
        endpoints: vec!["1.2.3.4:567".parse().unwrap(), "[2001::3456]:789".parse().unwrap()],
    };
    let expected = hex("0300 00000000000000000000ffff01020304 0237 20010000000000000000000000003456 0315");
    assert_eq!(call.plaintext(), expected);
    assert_eq!(Message::parse(&expected), Ok(call));
}

#[test]
fn old_pings_carry_no_node_key_and_new_ones_padding() {
    let mut ping = vec![1, 0];
    ping.extend([9; 12]);
    assert_eq!(Message::parse(&ping), Ok(Message::Ping { tx_id: [9; 12], node: None }));
    ping.extend([8; 32]);
    ping.extend([0; 1000]);
    let node = Some(NodePublic::from_bytes([8; 32]));
    assert_eq!(Message::parse(&ping), Ok(Message::Ping { tx_id: [9; 12], node }));
}

#[test]
fn what_is_not_understood_is_named_or_ignored() {
    assert_eq!(Message::parse(&[1]), Err(DiscoError::TooShort { kind: 0, len: 1, min: 2 }));
    assert_eq!(Message::parse(&[1, 0, 5]), Err(DiscoError::TooShort { kind: 1, len: 1, min: 12 }));
    assert_eq!(Message::parse(&[2, 0]), Err(DiscoError::TooShort { kind: 2, len: 0, min: 30 }));
    assert_eq!(Message::parse(&[3, 0, 1]), Ok(Message::CallMeMaybe { endpoints: Vec::new() }));
    assert_eq!(Message::parse(&[7, 0, 1]), Ok(Message::Unknown { kind: 7 }));
}

#[test]
fn a_pong_reaches_the_one_it_is_sealed_for_and_no_other() {
    let [us, them, other] = [(); 3].map(|()| DiscoPrivate::generate(&mut SystemRng));
    let pong = Message::Pong { tx_id: [7; 12], src: derp_address(900) };
    let packet = pong.seal(&us.public(), &us.shared(&them.public()), &mut SystemRng);
    assert!(looks_like_disco(&packet));
    let envelope = Envelope::parse(&packet).unwrap();
    assert_eq!(envelope.sender, us.public());
    assert_eq!(envelope.open(&them.shared(&envelope.sender)), Ok(pong));
    assert_eq!(envelope.open(&other.shared(&envelope.sender)), Err(DiscoError::Open(OpenError::Forged)));
    assert_eq!(derp_address(900).to_string(), "127.3.3.40:900");
}

#[test]
fn wireguard_is_not_disco() {
    assert_eq!(Envelope::parse(&[4; 148]), Err(DiscoError::NotDisco));
    let mut packet = MAGIC.to_vec();
    packet.resize(HEADER_LEN - 1, 0);
    assert_eq!(Envelope::parse(&packet), Err(DiscoError::NotDisco));
    assert!(!looks_like_disco(&packet));
}

prop_compose! {
    /// Any address that keeps its family on the wire.
    fn address()(ip: [u8; 16], v4: bool, port: u16) -> SocketAddr {
        let ip = if v4 { IpAddr::V4(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3])) } else { Ipv6Addr::from(ip).to_canonical() };
        SocketAddr::new(ip, port)
    }
}

proptest! {
    #[test]
    fn messages_round_trip(tx_id: TxId, node: Option<[u8; 32]>, src in address(), endpoints in prop::collection::vec(address(), 0..9)) {
        for message in [
            Message::Ping { tx_id, node: node.map(NodePublic::from_bytes) },
            Message::Pong { tx_id, src },
            Message::CallMeMaybe { endpoints },
        ] {
            prop_assert_eq!(Message::parse(&message.plaintext()), Ok(message));
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(mut bytes: Vec<u8>, disco: bool) {
        if disco {
            bytes.splice(0..0, MAGIC);
        }
        crate::fuzzing::disco(&bytes);
    }
}
