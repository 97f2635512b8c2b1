//! Reads bytes as a node's requests to a control server.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wire::fuzzing::control_requests(bytes));
