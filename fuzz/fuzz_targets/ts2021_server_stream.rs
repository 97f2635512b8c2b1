//! Reads bytes as what a node sends to a control server.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_ts2021::fuzzing::ts2021_server_stream(bytes));
