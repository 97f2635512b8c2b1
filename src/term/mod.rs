//! The byte pump between a shell and a terminal in the page.
//!
//! The page makes the terminal (`www/src/term/view.ts`: xterm.js 6, its add-ons, and what is allowed through it) and
//! passes a *port* to it, an object with the few methods of xterm.js' `Terminal` that carry bytes. Here is the other
//! half: [`TerminalSink`] writes a shell's output to the port and waits where the terminal falls behind,
//! [`TerminalInput`] puts what is typed and the size into an [`InputQueue`]. Each way copies bytes between wasm and JavaScript once.
//!
//! # `xterm-js-rs`
//! The methods come from that crate (0.1.2) as far as it can drive today's terminal. What it could not do, and what
//! is done about it:
//!
//! - It binds xterm.js 4: output goes through `write(&str)` or `writeUtf8(&[u8])`. Rust's strings can't carry what a
//!   shell sends (UTF-8 split over packets, bytes that are no UTF-8 at all), and `writeUtf8` left xterm.js with version 5.
//!   `bindings.rs` binds `write(Uint8Array, callback)` instead.
//! - Its constructor, `Terminal::construct`, and `instanceof` import the JavaScript module `xterm`, a name that the
//!   package has given up for `@xterm/xterm`; a page would need an inline import map for it, which a strict policy
//!   forbids. Methods on an object that the page passes in import nothing, so those are what is used.
//! - `getOption` and `setOption` are gone (`options` is a property now), `registerLinkMatcher`, `bellSound`,
//!   `rendererType` and the add-ons' package names too. The page sets options, in TypeScript.
//! - Its types are neither `Clone` nor `Debug`, so a port is shared through `Rc` here.
//! - `onResize` hands over an event without a type; `bindings.rs` names its two fields.

mod bindings;
mod flow;
mod input;
mod notice;
mod sink;

pub use bindings::TerminalPort;
pub use flow::{HIGH_WATER, LOW_WATER};
pub use input::{InputQueue, TerminalEvent, TerminalInput};
pub use notice::terminal_lines;
pub use sink::TerminalSink;
