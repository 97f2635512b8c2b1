//! Reads bytes as a TSMP message.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wire::fuzzing::tsmp(bytes));
