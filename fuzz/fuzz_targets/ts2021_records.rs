//! Reads bytes as records of a ts2021 connection, and seals them, damages the records and reads those.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_ts2021::fuzzing::ts2021_records(bytes));
