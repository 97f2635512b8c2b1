//! Reads bytes as what is sealed in the two handshakes of a DERP client and a relay.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wire::fuzzing::derp_handshakes(bytes));
