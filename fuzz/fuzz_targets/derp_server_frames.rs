//! Reads bytes as a DERP relay reads what a client sent.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wire::fuzzing::derp_server_frames(bytes));
