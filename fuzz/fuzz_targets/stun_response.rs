//! Reads bytes as a node reads STUN responses.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wire::fuzzing::stun_response(bytes));
