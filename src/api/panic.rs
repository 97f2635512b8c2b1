//! Reports a bug that stops the module to the page, instead of leaving it waiting.

use std::cell::RefCell;
use std::sync::Once;

use js_sys::Function;
use wasm_bindgen::JsValue;

use super::objects;
use crate::events::TailnetEvent;
use crate::names::{OtherStep, TailnetState};
use crate::problem::Problem;

/// Limit on the listeners: those of the last nodes of this page.
const MAX_LISTENERS: usize = 4;

thread_local! {
    static LISTENERS: RefCell<Vec<Function>> = const { RefCell::new(Vec::new()) };
}

/// Calls this listener, too, when the module panics.
pub(super) fn report_to(on_event: &Function) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            // The message of a panic holds no secret: nothing here formats one.
            report(&info.to_string());
        }));
    });
    LISTENERS.with_borrow_mut(|listeners| {
        if listeners.len() >= MAX_LISTENERS {
            listeners.remove(0);
        }
        listeners.push(on_event.clone());
    });
}

fn report(seen: &str) {
    let problem = Problem::new(
        OtherStep::Engine,
        "Dayfly itself has failed.",
        seen,
        "Reload the page. If it happens again, report it with what was seen.",
    );
    let events = [TailnetEvent::Problem(problem), TailnetEvent::State(TailnetState::Failed, None)]
        .map(|event| objects::event(&event));
    let listeners = LISTENERS.try_with(|listeners| listeners.try_borrow().map(|list| list.clone()));
    for listener in listeners.into_iter().flatten().flatten() {
        for event in &events {
            let _ = listener.call1(&JsValue::UNDEFINED, event);
        }
    }
}
