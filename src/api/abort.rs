//! An `AbortSignal` of the page, to wait for.

use std::future::pending;
use std::rc::Rc;

use js_sys::Function;
use tokio::sync::Notify;
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

/// Resolves when the signal is aborted, or was before; never without a signal.
pub(super) async fn aborted(signal: Option<AbortSignal>) {
    let Some(signal) = signal else { return pending().await };
    let told = Rc::new(Notify::new());
    let tell = Rc::clone(&told);
    let listener = Listener { signal, callback: Closure::new(move || tell.notify_one()) };
    let _ = listener.signal.add_event_listener_with_callback("abort", listener.function());
    if !listener.signal.aborted() {
        told.notified().await;
    }
}

/// Listens until it is dropped: a signal may live longer than what it was for.
struct Listener {
    signal: AbortSignal,
    callback: Closure<dyn Fn()>,
}

impl Listener {
    fn function(&self) -> &Function {
        self.callback.as_ref().unchecked_ref()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.signal.remove_event_listener_with_callback("abort", self.function());
    }
}
