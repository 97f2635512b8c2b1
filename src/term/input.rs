//! Input: what is typed into the terminal, and its size.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wasm_bindgen::prelude::*;
use xterm_js_rs::Disposable;
use zeroize::Zeroizing;

use super::bindings::{Size, TerminalPort};

/// The most that may be typed and not sent yet, in bytes: more than the page lets anybody paste.
const LIMIT: usize = 8 * 1024 * 1024;

/// Keystrokes that wait share pieces of so many bytes.
const PIECE: usize = 4096;

/// An event of a terminal.
#[derive(PartialEq, Eq)]
pub enum TerminalEvent {
    /// Bytes for the shell's input, which a password may be among.
    Data(Zeroizing<Vec<u8>>),
    /// The terminal has another size.
    Resize {
        /// Columns.
        cols: u32,
        /// Rows.
        rows: u32,
    },
}

impl fmt::Debug for TerminalEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(bytes) => write!(f, "Data({} bytes)", bytes.len()),
            Self::Resize { cols, rows } => write!(f, "Resize({cols}x{rows})"),
        }
    }
}

/// Input that is typed into a shell, from a terminal and from programs, and its size. Clones share what waits.
#[derive(Clone)]
pub struct InputQueue {
    queue: Rc<RefCell<Queue>>,
    on_refusal: Rc<dyn Fn()>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<TerminalEvent>,
    /// Bytes in `events`.
    length: usize,
    waker: Option<Waker>,
}

impl Queue {
    /// Puts bytes behind what waits, where there is room for them in one piece of memory. None is ever made larger: what
    /// is in it would be left behind, unwiped, where it was.
    fn append(&mut self, bytes: Zeroizing<Vec<u8>>) {
        self.length += bytes.len();
        let mut bytes = bytes;
        if let Some(TerminalEvent::Data(waiting)) = self.events.back_mut() {
            if waiting.capacity() - waiting.len() >= bytes.len() {
                waiting.extend_from_slice(&bytes);
                return;
            }
            if bytes.len() < PIECE {
                let mut piece = Zeroizing::new(Vec::with_capacity(PIECE));
                piece.extend_from_slice(&bytes);
                bytes = piece;
            }
        }
        self.events.push_back(TerminalEvent::Data(bytes));
    }
}

impl InputQueue {
    /// An empty queue. `on_refusal` is called whenever bytes are dropped, since more than the limit would wait.
    pub fn new(on_refusal: impl Fn() + 'static) -> Self {
        Self { queue: Rc::default(), on_refusal: Rc::new(on_refusal) }
    }

    /// Bytes for the shell: all of them, or none where that is more than the limit allows.
    pub fn write(&self, bytes: Zeroizing<Vec<u8>>) {
        if bytes.is_empty() {
            return;
        }
        if self.queue.borrow().length + bytes.len() > LIMIT {
            return (self.on_refusal)();
        }
        self.push(|queue| queue.append(bytes));
    }

    /// The terminal has another size.
    pub fn resize(&self, cols: u32, rows: u32) {
        let size = TerminalEvent::Resize { cols, rows };
        self.push(|queue| match queue.events.back_mut() {
            // Only the newest size matters.
            Some(last @ TerminalEvent::Resize { .. }) => *last = size,
            _ => queue.events.push_back(size),
        });
    }

    /// Wait for what comes next. Keystrokes that waited come in a few pieces. Can be dropped while it waits.
    pub async fn next(&self) -> TerminalEvent {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&self, context: &Context<'_>) -> Poll<TerminalEvent> {
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

    fn push(&self, change: impl FnOnce(&mut Queue)) {
        let waker = {
            let mut queue = self.queue.borrow_mut();
            change(&mut queue);
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
        let on_data = Closure::new(move |text: String| typed.write(text.into_bytes().into()));
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
fn bytes_of(latin1: &str) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(latin1.len()));
    bytes.extend(latin1.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()));
    bytes
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn data(bytes: &[u8]) -> TerminalEvent {
        TerminalEvent::Data(bytes.to_vec().into())
    }

    /// A queue, and how often it refused something.
    fn queue() -> (InputQueue, Rc<Cell<u32>>) {
        let refused = Rc::new(Cell::new(0));
        let count = Rc::clone(&refused);
        (InputQueue::new(move || count.set(count.get() + 1)), refused)
    }

    fn type_in(queue: &InputQueue, bytes: &[u8]) {
        queue.write(bytes.to_vec().into());
    }

    fn taken(queue: &InputQueue) -> Vec<TerminalEvent> {
        let context = Context::from_waker(Waker::noop());
        let next = || match queue.poll_next(&context) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn what_is_typed_in_a_row_waits_together_and_in_its_order() {
        let (queue, _) = queue();
        type_in(&queue, b"ls");
        for key in [b" ", b"-", b"l", b"\r"] {
            type_in(&queue, key);
        }
        assert_eq!(taken(&queue), [data(b"ls"), data(b" -l\r")]);
    }

    #[test]
    fn no_piece_that_waits_is_ever_moved_to_larger_memory() {
        let (queue, _) = queue();
        let mut typed = Vec::new();
        let mut places = Vec::new();
        for length in [1, 1, PIECE - 1, 1, 3 * PIECE, 7, PIECE - 7, 1].into_iter().cycle().take(200) {
            let bytes: Vec<u8> = (0..length).map(|at| (typed.len() + at) as u8).collect();
            type_in(&queue, &bytes);
            typed.extend(bytes);
            let waiting = queue.queue.borrow();
            let now = waiting.events.iter().map(|event| match event {
                TerminalEvent::Data(piece) => piece.as_ptr(),
                TerminalEvent::Resize { .. } => panic!("nobody resized"),
            });
            let now: Vec<_> = now.collect();
            assert!(now.starts_with(&places), "a piece was moved");
            places = now;
        }
        let pieces = taken(&queue);
        let bytes = pieces.iter().flat_map(|event| match event {
            TerminalEvent::Data(piece) => piece.to_vec(),
            TerminalEvent::Resize { .. } => Vec::new(),
        });
        assert!(bytes.eq(typed));
    }

    #[test]
    fn single_keystrokes_share_pieces() {
        let (queue, _) = queue();
        for _ in 0..10 * PIECE {
            type_in(&queue, b"x");
        }
        assert!(taken(&queue).len() <= 12);
    }

    #[test]
    fn only_the_newest_size_is_told() {
        let (queue, _) = queue();
        for cols in [80, 81, 100] {
            queue.resize(cols, 30);
        }
        assert_eq!(taken(&queue), [TerminalEvent::Resize { cols: 100, rows: 30 }]);
    }

    #[test]
    fn sizes_and_data_keep_their_order() {
        let (queue, _) = queue();
        type_in(&queue, &[1]);
        queue.resize(80, 24);
        type_in(&queue, &[2]);
        assert_eq!(taken(&queue), [data(&[1]), TerminalEvent::Resize { cols: 80, rows: 24 }, data(&[2])]);
    }

    #[test]
    fn more_than_the_limit_is_refused_as_a_whole_and_told() {
        let (queue, refused) = queue();
        type_in(&queue, &vec![0; LIMIT - 1]);
        type_in(&queue, &[1, 1]);
        assert_eq!(refused.get(), 1);
        type_in(&queue, &[2]);
        assert_eq!(refused.get(), 1);
        assert_eq!(taken(&queue), [data(&vec![0; LIMIT - 1]), data(&[2])]);
        // There is room again.
        type_in(&queue, &[3, 3]);
        assert_eq!((taken(&queue), refused.get()), (vec![data(&[3, 3])], 1));
    }

    #[test]
    fn what_is_typed_shows_in_no_debug_output() {
        assert_eq!(format!("{:?}", data(b"secret")), "Data(6 bytes)");
    }

    #[test]
    fn binary_reports_are_bytes() {
        assert_eq!(bytes_of("\u{1b}[M \u{ff}!").as_slice(), b"\x1b[M \xff!");
    }
}
