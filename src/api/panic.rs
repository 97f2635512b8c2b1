//! A bug that stops the module is told to the page instead of leaving it waiting.

use std::cell::RefCell;
use std::sync::Once;

use js_sys::Function;
use wasm_bindgen::JsValue;

use super::objects;
use crate::problem::Problem;
use crate::progress::{State, Told};

/// Listeners that are kept: those of the last nodes of this page.
const MAX_LISTENERS: usize = 4;

thread_local! {
    static LISTENERS: RefCell<Vec<Function>> = const { RefCell::new(Vec::new()) };
}

/// Tell this listener, too, when the module panics.
pub(super) fn report_to(on_event: &Function) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            // The message of a panic holds no secret: nothing here formats one.
            tell(&info.to_string());
        }));
    });
    LISTENERS.with_borrow_mut(|listeners| {
        if listeners.len() >= MAX_LISTENERS {
            listeners.remove(0);
        }
        listeners.push(on_event.clone());
    });
}

fn tell(seen: &str) {
    let problem = Problem::new(
        "engine",
        "Dayfly itself has failed.",
        seen,
        "Reload the page. If it happens again, report it with what was seen.",
    );
    let events = [Told::Problem(problem), Told::State(State::Failed, None)].map(|told| objects::event(&told));
    let listeners = LISTENERS.try_with(|listeners| listeners.try_borrow().map(|list| list.clone()));
    for listener in listeners.into_iter().flatten().flatten() {
        for event in &events {
            let _ = listener.call1(&JsValue::UNDEFINED, event);
        }
    }
}
