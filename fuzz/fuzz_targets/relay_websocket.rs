//! Reads bytes as a relay reads WebSocket frames, in pieces of whichever length.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_http::fuzzing::websocket_frames(bytes));
