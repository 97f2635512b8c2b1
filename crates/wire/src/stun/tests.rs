use proptest::prelude::*;

use super::*;
use crate::testing::hex;

const TX_ID: TxId = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

#[test]
fn request_is_byte_for_byte_tailscales() {
    let expected = hex("000100142112a4420102030405060708090a0b0c802200087461696c6e6f646580280004b32c370f");
    assert_eq!(request(&TX_ID), expected.as_slice());
    assert_eq!(parse_request(&expected), Ok(TX_ID));
}

#[test]
fn responses_are_byte_for_byte_tailscales() {
    for (address, bytes) in [
        ("192.0.2.1:32853", "0101000c2112a4420102030405060708090a0b0c002000080001a147e112a643"),
        (
            "[2001:db8::1234]:41641",
            "010100182112a4420102030405060708090a0b0c00200014000283bb0113a9fa0102030405060708090a1938",
        ),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(response(&TX_ID, address).as_ref(), hex(bytes));
        assert_eq!(parse_response(&hex(bytes)), Ok((TX_ID, address)));
    }
}

#[test]
fn mapped_addresses_are_told_as_ipv4() {
    let mapped = response(&TX_ID, "[::ffff:192.0.2.1]:80".parse().unwrap());
    assert_eq!(mapped, response(&TX_ID, "192.0.2.1:80".parse().unwrap()));
}

#[test]
fn only_tailscale_nodes_are_answered() {
    let good = request(&TX_ID);
    let with = |change: fn(&mut Vec<u8>)| {
        let mut packet = good.to_vec();
        change(&mut packet);
        parse_request(&packet).unwrap_err()
    };
    assert_eq!(with(|p| p.truncate(19)), StunError::NotStun);
    assert_eq!(with(|p| p[4] = 0), StunError::NotStun);
    assert_eq!(with(|p| p[0] = 0x40), StunError::NotStun);
    assert_eq!(with(|p| p[1] = 2), StunError::NotBindingRequest);
    assert_eq!(with(|p| p[24] = b'T'), StunError::OtherSoftware);
    assert_eq!(with(|p| p.truncate(20)), StunError::OtherSoftware);
    assert_eq!(with(|p| p.truncate(32)), StunError::NoFingerprint);
    assert_eq!(with(|p| p[39] ^= 1), StunError::WrongFingerprint);
    assert_eq!(with(|p| p[8] ^= 1), StunError::WrongFingerprint);
    assert_eq!(with(|p| p.truncate(39)), StunError::MalformedAttribute);
}

#[test]
fn plain_and_draft_addresses_are_understood() {
    let plain = hex("0101 000c 2112a442 0102030405060708090a0b0c 0001 0008 0001 1f90 c0000201");
    assert_eq!(parse_response(&plain), Ok((TX_ID, "192.0.2.1:8080".parse().unwrap())));
    let mut draft = response(&TX_ID, "192.0.2.1:8080".parse().unwrap()).as_ref().to_vec();
    draft[20] = 0x80;
    assert_eq!(parse_response(&draft), Ok((TX_ID, "192.0.2.1:8080".parse().unwrap())));
    let none = hex("0101 0000 2112a442 0102030405060708090a0b0c");
    assert_eq!(parse_response(&none), Err(StunError::NoAddress));
}

proptest! {
    #[test]
    fn addresses_round_trip(tx_id: TxId, ip: [u8; 16], v4: bool, port: u16) {
        let ip = if v4 { IpAddr::V4(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3])) } else { Ipv6Addr::from(ip).to_canonical() };
        let address = SocketAddr::new(ip, port);
        prop_assert_eq!(parse_response(response(&tx_id, address).as_ref()), Ok((tx_id, address)));
        prop_assert_eq!(parse_request(&request(&tx_id)), Ok(tx_id));
    }

    #[test]
    fn any_bytes_are_read_without_panic(mut bytes: Vec<u8>, stun: bool, kind in 0..2u8) {
        if stun && bytes.len() >= 8 {
            bytes[..2].copy_from_slice(&[kind, 1]);
            bytes[2] = 0;
            bytes[4..8].copy_from_slice(&COOKIE);
        }
        crate::fuzzing::stun_request(&bytes);
        crate::fuzzing::stun_response(&bytes);
    }
}
