//! The page itself: its window, and its events that say that a connection may work again.

use js_sys::Function;
use wasm_bindgen::prelude::*;
use web_sys::{Document, VisibilityState, Window};

/// The page's window. There is none in a worker, where this module is not run.
pub(crate) fn window() -> Option<Window> {
    web_sys::window()
}

/// Returns `true` if the page came over TLS, and may therefore use nothing without it.
pub(crate) fn is_secure() -> bool {
    window().and_then(|window| window.location().protocol().ok()).is_some_and(|protocol| protocol == "https:")
}

/// Calls back when the network has come back and when the page is looked at again, until this is dropped.
pub(crate) struct PageEvents {
    window: Option<Window>,
    document: Option<Document>,
    on_online: Closure<dyn Fn()>,
    on_visible: Closure<dyn Fn()>,
}

impl PageEvents {
    /// Starts to listen.
    pub(crate) fn new(back: impl Fn() + Clone + 'static) -> Self {
        let window = window();
        let document = window.as_ref().and_then(Window::document);
        let page = document.clone();
        let on_online = Closure::new(back.clone());
        let on_visible = Closure::new(move || {
            if page.as_ref().is_some_and(|page| page.visibility_state() == VisibilityState::Visible) {
                back();
            }
        });
        let events = Self { window, document, on_online, on_visible };
        if let Some(window) = &events.window {
            let _ = window.add_event_listener_with_callback("online", events.online());
        }
        if let Some(document) = &events.document {
            let _ = document.add_event_listener_with_callback("visibilitychange", events.visible());
        }
        events
    }

    fn online(&self) -> &Function {
        self.on_online.as_ref().unchecked_ref()
    }

    fn visible(&self) -> &Function {
        self.on_visible.as_ref().unchecked_ref()
    }
}

impl Drop for PageEvents {
    fn drop(&mut self) {
        if let Some(window) = &self.window {
            let _ = window.remove_event_listener_with_callback("online", self.online());
        }
        if let Some(document) = &self.document {
            let _ = document.remove_event_listener_with_callback("visibilitychange", self.visible());
        }
    }
}
