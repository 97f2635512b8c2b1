//! Devices against each other and against boringtun, on a clock that the tests move.

mod constants;
mod cookies;
mod first_handshake;
mod handshakes;
mod hours;
mod network;
mod oracle;
mod support;
mod timers;
