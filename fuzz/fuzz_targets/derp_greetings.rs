//! Reads bytes as what is sealed in a DERP client's and a relay's greeting.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wire::fuzzing::derp_greetings(bytes));
