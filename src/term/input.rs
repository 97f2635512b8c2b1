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

/// What is typed into a shell, from a terminal and from programs, and its size. Clones share what waits.
#[derive(Clone, Debug, Default)]
pub struct InputQueue(Rc<RefCell<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<TerminalEvent>,
    /// Bytes in `events`.
    length: usize,
    waker: Option<Waker>,
}

impl InputQueue {
    /// Bytes for the shell. What is more than the limit allows is dropped.
    pub fn write(&self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.push(TerminalEvent::Data(bytes));
        }
    }

    /// The terminal has another size.
    pub fn resize(&self, cols: u32, rows: u32) {
        self.push(TerminalEvent::Resize { cols, rows });
    }

    /// Wait for what comes next. What was typed meanwhile comes in one piece. Can be dropped while it waits.
    pub async fn next(&self) -> TerminalEvent {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&self, context: &Context<'_>) -> Poll<TerminalEvent> {
        let mut queue = self.0.borrow_mut();
        let Some(event) = queue.events.pop_front() else {
            queue.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        if let TerminalEvent::Data(bytes) = &event {
            queue.length -= bytes.len();
        }
        Poll::Ready(event)
    }

    fn push(&self, event: TerminalEvent) {
        let waker = {
            let mut queue = self.0.borrow_mut();
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
                    *last = size;
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

/// Puts what comes from a terminal into a queue, until this is dropped.
pub struct TerminalInput {
    listeners: Vec<Disposable>,
    _on_text: [Closure<dyn Fn(String)>; 2],
    _on_size: Closure<dyn Fn(Size)>,
}

impl TerminalInput {
    /// Listen to this port.
    #[must_use]
    pub fn new(port: &TerminalPort, queue: &InputQueue) -> Self {
        let (typed, binary, sized) = (queue.clone(), queue.clone(), queue.clone());
        let on_data = Closure::new(move |text: String| typed.write(text.into_bytes()));
        // Mouse reports beyond column 95: each character is one byte, not UTF-8.
        let on_binary = Closure::new(move |latin1: String| binary.write(bytes_of(&latin1)));
        let on_size = Closure::new(move |size: Size| sized.resize(size.cols(), size.rows()));
        let listeners = vec![
            port.on_data(on_data.as_ref().unchecked_ref()),
            port.on_binary(on_binary.as_ref().unchecked_ref()),
            port.on_resize(on_size.as_ref().unchecked_ref()),
        ];
        Self { listeners, _on_text: [on_data, on_binary], _on_size: on_size }
    }
}

impl Drop for TerminalInput {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.dispose();
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
        let queue = InputQueue::default();
        for event in events {
            queue.push(event);
        }
        queue.0.take().events.into()
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
