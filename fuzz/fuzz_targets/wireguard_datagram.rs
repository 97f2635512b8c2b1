//! Gives a WireGuard device a datagram of somebody who has none of the keys.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wireguard::fuzzing::datagram(bytes));
