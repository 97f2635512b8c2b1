//! Reads bytes as a control server's answers.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_wire::fuzzing::control_answers(bytes));
