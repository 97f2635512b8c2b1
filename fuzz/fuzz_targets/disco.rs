//! Reads bytes as a disco packet and as what is inside of one.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wire::fuzzing::disco(bytes));
