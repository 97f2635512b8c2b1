//! Exports of the module: `Engine` of `www/src/api.ts`.

mod abort;
mod objects;
mod options;
mod panic;
mod prompts;
mod rehearsal;
mod shell;
mod ssh;
mod tailnet;

use js_sys::Function;
use wasm_bindgen::prelude::*;

pub use shell::Shell;
pub use tailnet::Tailnet;

/// Make a node in memory and join a tailnet. Returns at once; what happens then is told to `on_event`.
///
/// # Errors
/// A `DayflyError` when the options can't be used.
#[wasm_bindgen]
pub fn connect(options: &JsValue, on_event: Function) -> Result<Tailnet, JsValue> {
    panic::report_to(&on_event);
    options::read(options)
        .map(|options| Tailnet::start(options, on_event))
        .map_err(|problem| objects::problem(&problem))
}
