//! Input: what is typed into the terminal, and its size.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wasm_bindgen::prelude::*;
use xterm_js_rs::Disposable;

use super::bindings::{Size, TerminalPort};

/// The most that may be typed and not sent yet, in bytes: more than the page lets anybody paste.
const LIMIT: usize = 8 * 1024 * 1024;

/// What a terminal tells.
#[derive(Debug, PartialEq, Eq)]
pub enum TerminalEvent {
    /// Bytes for the shell's input.
    Data(Vec<u8>),
    /// It has another size now.
    Resize {
        /// Columns.
        cols: u32,
        /// Rows.
        rows: u32,
    },
}

/// What comes from a terminal, until this is dropped.
pub struct TerminalInput {
    queue: Rc<RefCell<Queue>>,
    listeners: Vec<Disposable>,
    _on_text: [Closure<dyn Fn(String)>; 2],
    _on_size: Closure<dyn Fn(Size)>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<TerminalEvent>,
    /// Bytes in `events`.
    length: usize,
    waker: Option<Waker>,
}

impl TerminalInput {
    /// Listen to this port.
    #[must_use]
    pub fn new(port: &TerminalPort) -> Self {
        let queue = Rc::new(RefCell::new(Queue::default()));
        let (typed, binary, sized) = (Rc::clone(&queue), Rc::clone(&queue), Rc::clone(&queue));
        let on_data = Closure::new(move |text: String| Queue::data(&typed, text.into_bytes()));
        // Mouse reports beyond column 95: each character is one byte, not UTF-8.
        let on_binary = Closure::new(move |latin1: String| Queue::data(&binary, bytes_of(&latin1)));
        let on_size = Closure::new(move |size: Size| {
            Queue::push(&sized, TerminalEvent::Resize { cols: size.cols(), rows: size.rows() });
        });
        let listeners = vec![
            port.on_data(on_data.as_ref().unchecked_ref()),
            port.on_binary(on_binary.as_ref().unchecked_ref()),
            port.on_resize(on_size.as_ref().unchecked_ref()),
        ];
        Self { queue, listeners, _on_text: [on_data, on_binary], _on_size: on_size }
    }

    /// Wait for what comes next. What was typed meanwhile comes in one piece. Can be dropped while it waits.
    pub async fn next(&self) -> TerminalEvent {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`Self::next`], for futures that wait for several things.
    pub fn poll_next(&self, context: &Context<'_>) -> Poll<TerminalEvent> {
        let mut queue = self.queue.borrow_mut();
        let Some(event) = queue.events.pop_front() else {
            queue.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        if let TerminalEvent::Data(bytes) = &event {
            queue.length -= bytes.len();
        }
        Poll::Ready(event)
    }
}

impl Drop for TerminalInput {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.dispose();
        }
    }
}

impl Queue {
    fn data(queue: &RefCell<Self>, bytes: Vec<u8>) {
        Self::push(queue, TerminalEvent::Data(bytes));
    }

    fn push(queue: &RefCell<Self>, event: TerminalEvent) {
        let waker = {
            let mut queue = queue.borrow_mut();
            if let TerminalEvent::Data(bytes) = &event {
                if queue.length + bytes.len() > LIMIT {
                    return;
                }
                queue.length += bytes.len();
            }
            match (queue.events.back_mut(), event) {
                (Some(TerminalEvent::Data(waiting)), TerminalEvent::Data(bytes)) => waiting.extend(bytes),
                // Only the newest size matters.
                (Some(last @ TerminalEvent::Resize { .. }), size @ TerminalEvent::Resize { .. }) => {
                    *last = size
                }
                (_, event) => queue.events.push_back(event),
            }
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A string whose characters stand for bytes; those that don't are left out.
fn bytes_of(latin1: &str) -> Vec<u8> {
    latin1.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(events: impl IntoIterator<Item = TerminalEvent>) -> Vec<TerminalEvent> {
        let queue = RefCell::new(Queue::default());
        for event in events {
            Queue::push(&queue, event);
        }
        queue.into_inner().events.into()
    }

    #[test]
    fn what_is_typed_in_a_row_is_one_piece() {
        let events = pushed([TerminalEvent::Data(b"ls".to_vec()), TerminalEvent::Data(b"\r".to_vec())]);
        assert_eq!(events, [TerminalEvent::Data(b"ls\r".to_vec())]);
    }

    #[test]
    fn only_the_newest_size_is_told() {
        let sizes = [80, 81, 100].map(|cols| TerminalEvent::Resize { cols, rows: 30 });
        assert_eq!(pushed(sizes), [TerminalEvent::Resize { cols: 100, rows: 30 }]);
    }

    #[test]
    fn sizes_and_data_keep_their_order() {
        let resize = || TerminalEvent::Resize { cols: 80, rows: 24 };
        let data = || TerminalEvent::Data(vec![1]);
        assert_eq!(pushed([data(), resize(), data()]), [data(), resize(), data()]);
    }

    #[test]
    fn more_than_the_limit_is_not_kept() {
        let events = pushed([TerminalEvent::Data(vec![0; LIMIT]), TerminalEvent::Data(vec![1])]);
        assert_eq!(events, [TerminalEvent::Data(vec![0; LIMIT])]);
    }

    #[test]
    fn binary_reports_are_bytes() {
        assert_eq!(bytes_of("\u{1b}[M \u{ff}!"), b"\x1b[M \xff!");
    }
}
