//! Reads bytes as what a control server sends to a node.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_ts2021::fuzzing::ts2021_client_stream(bytes));
