//! Reads bytes as a relay reads STUN requests.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wire::fuzzing::stun_request(bytes));
