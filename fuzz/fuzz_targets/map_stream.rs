//! Reads bytes as a map stream.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wire::fuzzing::map_stream(bytes));
