//! Reads bytes as the gateway reads a request's query.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_relay::fuzzing::query(bytes));
