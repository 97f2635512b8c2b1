//! Bindings of those parts of xterm.js 6 that `xterm-js-rs` has not.

use js_sys::{Function, Uint8Array};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// An xterm.js terminal, or an object around one with its methods `write`, `onData`, `onBinary`, `onResize` and
    /// its properties `cols` and `rows`.
    #[wasm_bindgen(extends = xterm_js_rs::Terminal, typescript_type = "TerminalPort")]
    pub type TerminalPort;

    /// `Terminal.write(data: Uint8Array, callback)`: keeps the array, and calls back once its bytes are parsed, or
    /// before it returns. Throws where far too much is waiting already.
    #[wasm_bindgen(method, catch, js_name = "write")]
    pub(super) fn write_bytes(this: &TerminalPort, data: Uint8Array, done: &Function) -> Result<(), JsValue>;

    /// The argument that `onResize` passes to its listeners.
    pub(super) type Size;

    #[wasm_bindgen(method, getter)]
    pub(super) fn cols(this: &Size) -> u32;

    #[wasm_bindgen(method, getter)]
    pub(super) fn rows(this: &Size) -> u32;
}
