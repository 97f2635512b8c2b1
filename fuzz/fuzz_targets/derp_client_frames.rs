//! Reads bytes as a DERP client reads what a relay sent.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wire::fuzzing::derp_client_frames(bytes));
