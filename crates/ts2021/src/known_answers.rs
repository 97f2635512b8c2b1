//! A connection recorded with Go's `control/controlbase` of tailscale.com v1.102.5 as the server, both sides' keys
//! and the node's randomness being fixed.

use core::convert::Infallible;

use dayfly_wire::key::MachinePrivate;
use rand_core::{TryCryptoRng, TryRng};

use crate::{Handshake, accept};

const VERSION: u16 = 130;
const MACHINE: [u8; 32] = [0x48; 32];
const CONTROL: [u8; 32] = [0x50; 32];
const EPHEMERAL: u8 = 0x58;

/// Initiation that Go's server was sent, and took for version 130 of the machine whose public key follows.
const INITIATION: &str = "00820100604c851fc5046a9493c0698d9ab7da0376bbb9deb6dbfcedc4dc887b5ffa279a6b59671c3844964260\
    c27056c3728de283b1f7146528f1ef03a213d48f7b445f635ed7a7075da01d95cae040fffbb43267a8f6526238254163df542007266ebeb6";
const MACHINE_PUBLIC: &str = "mkey:9177b23278cbf0f3d17c36f2acc9b55e9c85f87b220a5386ec370d663e20e337";
/// Response that it answered with.
const RESPONSE: &str = "02003058d2b99073f2ec9bb6dc2bb034752436d6603e65e61ced43c9908f2cdd026c1a5c3bbf836c05763fe7c09cb\
    35d541645";
/// Its records `first` and `second`.
const RECORDS: [&str; 2] = [
    "0400158dfe9f3d49d78ad663c1db9684610ff36dcd40fba3",
    "040016b2f1d4e8ba6fd188c7fd54cf45499d8e1f0a1a6d6fa1",
];
/// Records that it opened as `one` and `two`.
const SEALED: &str =
    "0400131e2903a0a01920f6a66045cd0266abfd3207190400134314a0683873ff8ba7a949f4c93788152fed20";

/// Randomness that is not.
struct Always(u8);

impl TryRng for Always {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        dest.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Always {}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn a_connection_with_gos_server_is_repeated_byte_for_byte() {
    let machine = MachinePrivate::from_bytes(MACHINE);
    let control = MachinePrivate::from_bytes(CONTROL).public();
    let (handshake, initiation) =
        Handshake::initiate(VERSION, &machine, &control, &mut Always(EPHEMERAL)).unwrap();
    assert_eq!(initiation[..], bytes(INITIATION));
    let mut stream = handshake.finish(&bytes(RESPONSE)).unwrap();
    stream.receive(&mut bytes(&RECORDS.concat())).unwrap();
    assert_eq!(stream.unread(), b"firstsecond");
    let mut sealed = Vec::new();
    for message in [b"one", b"two"] {
        stream.write(message);
        stream.seal().unwrap();
        sealed.extend_from_slice(stream.sealed());
        stream.sent(stream.sealed().len());
    }
    assert_eq!(sealed, bytes(SEALED));
}

#[test]
fn our_server_takes_what_gos_took() {
    let control = MachinePrivate::from_bytes(CONTROL);
    let accepted = accept(&bytes(INITIATION), &control, &mut Always(1)).unwrap();
    assert_eq!((accepted.version(), accepted.machine().to_string()), (VERSION, MACHINE_PUBLIC.to_owned()));
}
