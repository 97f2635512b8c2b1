use dayfly_platform::random::SystemRng;
use proptest::prelude::*;

use super::*;

/// Made with Go's `curve25519`, which Tailscale uses.
#[test]
fn public_keys_are_those_that_go_makes() {
    let private: NodePrivate =
        "privkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f".parse().unwrap();
    assert_eq!(
        private.public().to_string(),
        "nodekey:8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f"
    );
    assert_eq!(private.public().short().to_string(), "[j0DFr]");
}

#[test]
fn generated_keys_are_clamped_and_differ() {
    let [a, b] = [(); 2].map(|()| NodePrivate::generate(&mut SystemRng));
    assert_ne!(a.as_bytes(), b.as_bytes());
    for key in [a, b] {
        assert_eq!(key.as_bytes()[0] & 7, 0);
        assert_eq!(key.as_bytes()[31] & 0xc0, 0x40);
    }
}

#[test]
fn text_has_the_kinds_prefix() {
    let digits = "00".repeat(31);
    let mut bytes = [0; 32];
    bytes[31] = 0xab;
    assert_eq!(MachinePublic::from_bytes(bytes).to_string(), format!("mkey:{digits}ab"));
    assert_eq!(NodePublic::from_bytes(bytes).to_string(), format!("nodekey:{digits}ab"));
    assert_eq!(DiscoPublic::from_bytes(bytes).to_string(), format!("discokey:{digits}ab"));
    assert_eq!(ChallengePublic::from_bytes(bytes).to_string(), format!("chalpub:{digits}ab"));
    assert_eq!(format!("nodekey:{digits}AB").parse(), Ok(NodePublic::from_bytes(bytes)));
    assert_eq!(NodePrivate::from_bytes(bytes).to_secret_text().as_str(), format!("privkey:{digits}ab"));
}

#[test]
fn short_forms_are_those_of_tailscales_logs() {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4]);
    assert_eq!(NodePublic::from_bytes(bytes).short().to_string(), "[3q2+7]");
    assert_eq!(DiscoPublic::from_bytes(bytes).short().to_string(), "d:deadbeef01020304");
}

#[test]
fn errors_name_what_was_wrong() {
    let error = |text: &str| text.parse::<NodePublic>().unwrap_err();
    let zeros = "0".repeat(64);
    assert_eq!(error(&format!("mkey:{zeros}")), ParseKeyError::WrongPrefix { expected: "nodekey:" });
    assert_eq!(error("nodekey:00"), ParseKeyError::WrongLength { prefix: "nodekey:", digits: 2 });
    assert_eq!(
        error(&format!("nodekey:{}g", &zeros[1..])),
        ParseKeyError::NotHex { prefix: "nodekey:", position: 63 }
    );
    assert_eq!(error(""), ParseKeyError::WrongPrefix { expected: "nodekey:" });
}

#[test]
fn private_keys_are_not_printed() {
    let key = NodePrivate::from_bytes([0x5a; 32]);
    assert_eq!(format!("{key:?}"), "NodePrivate(secret)");
    assert_eq!(key.to_secret_text().parse::<NodePrivate>().unwrap().as_bytes(), &[0x5a; 32]);
}

#[test]
fn json_is_the_text_and_works_as_a_map_key() {
    let key = NodePublic::from_bytes([7; 32]);
    let map = std::collections::BTreeMap::from([(key, key)]);
    let json = serde_json::to_string(&map).unwrap();
    assert_eq!(json, format!("{{\"{key}\":\"{key}\"}}"));
    assert_eq!(
        serde_json::from_str::<std::collections::BTreeMap<NodePublic, NodePublic>>(&json).unwrap(),
        map
    );
    assert!(serde_json::from_str::<NodePublic>("\"nodekey:1\"").is_err());
}

proptest! {
    #[test]
    fn text_round_trips(bytes: [u8; 32]) {
        let key = DiscoPublic::from_bytes(bytes);
        prop_assert_eq!(key.to_string().parse(), Ok(key));
        prop_assert_eq!(key.is_zero(), bytes == [0; 32]);
    }

    #[test]
    fn any_text_is_read_without_panic(bytes: Vec<u8>) {
        crate::fuzzing::keys(&bytes);
    }
}
