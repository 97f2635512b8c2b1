//! Reads bytes as the text of each kind of key.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wire::fuzzing::keys(bytes));
