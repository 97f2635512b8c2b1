//! Output: from a shell to the terminal, no faster than it parses.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

use super::bindings::TerminalPort;
use super::flow::Flow;

/// A terminal as something to write to. Cheap to clone; clones share what is on its way.
#[derive(Clone)]
pub struct TerminalSink {
    port: Rc<TerminalPort>,
    shared: Rc<RefCell<Shared>>,
    done: Rc<Closure<dyn Fn()>>,
}

#[derive(Debug, Default)]
struct Shared {
    flow: Flow,
    waiting: Vec<Waker>,
}

impl TerminalSink {
    /// Write to this port from now on.
    #[must_use]
    pub fn new(port: TerminalPort) -> Self {
        let shared = Rc::new(RefCell::new(Shared::default()));
        let parsed = Rc::clone(&shared);
        // The terminal calls back in the order of the writes, so one callback serves them all.
        let done = Closure::new(move || {
            let waiting = {
                let mut shared = parsed.borrow_mut();
                let go_on = shared.flow.parsed();
                if go_on { std::mem::take(&mut shared.waiting) } else { Vec::new() }
            };
            for waker in waiting {
                waker.wake();
            }
        });
        Self { port: Rc::new(port), shared, done: Rc::new(done) }
    }

    /// Columns and rows.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (self.port.get_cols(), self.port.get_rows())
    }

    /// Bytes that the terminal has been given and has not parsed yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.borrow().flow.pending()
    }

    /// Hand bytes over without waiting. They are copied once, out of wasm memory.
    ///
    /// # Errors
    /// Returns what the terminal threw: it was removed, or tens of megabytes are waiting because nobody called
    /// [`Self::ready`].
    pub fn write(&self, bytes: &[u8]) -> Result<(), JsValue> {
        if bytes.is_empty() {
            return Ok(());
        }
        // Counted first: the terminal may call back before `write` returns.
        self.shared.borrow_mut().flow.sent(bytes.len());
        let written =
            self.port.write_bytes(Uint8Array::from(bytes), self.done.as_ref().as_ref().unchecked_ref());
        if written.is_err() {
            self.shared.borrow_mut().flow.refused();
        }
        written
    }

    /// Wait until the terminal has kept pace, so that more may be read from the shell.
    pub async fn ready(&self) {
        self.wait(Flow::is_open).await;
    }

    /// Wait until everything written is parsed, so that a shell's last words are on screen before its end is told.
    pub async fn drained(&self) {
        self.wait(|flow| flow.pending() == 0).await;
    }

    /// [`Self::ready`], then [`Self::write`].
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn write_all(&self, bytes: &[u8]) -> Result<(), JsValue> {
        self.ready().await;
        self.write(bytes)
    }

    async fn wait(&self, until: impl Fn(&Flow) -> bool) {
        poll_fn(|context| {
            let mut shared = self.shared.borrow_mut();
            if until(&shared.flow) {
                return Poll::Ready(());
            }
            if !shared.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                shared.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}
