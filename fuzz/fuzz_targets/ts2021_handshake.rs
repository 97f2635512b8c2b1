//! Reads bytes as the first message of a ts2021 connection, on both sides.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_ts2021::fuzzing::ts2021_handshake(bytes));
