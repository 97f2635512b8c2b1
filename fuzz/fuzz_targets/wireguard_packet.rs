//! Gives a WireGuard device bytes as the content of a datagram of a peer, whole and damaged.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wireguard::fuzzing::packet(bytes));
