//! A WebSocket's binary messages as a byte stream.
//!
//! Browsers give a WebSocket no back-pressure. Sending is bounded by `bufferedAmount`: while too much waits in the
//! browser, a write is pending, and since no event tells that it has drained, it is looked at again after a moment or
//! when anything happens on the socket. What is received waits as the browser's own buffers in an [`Inbox`], which says
//! when its reader is to be woken, and is copied once, into the reader's. A connection whose reader has fallen far
//! behind is ended.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use dayfly_node::DialError;
use dayfly_platform::time::{Clock, Sleep, sleep};
use js_sys::{ArrayBuffer, Uint8Array};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

use super::inbox::{Delivery, Inbox, Message, PIECE_LIMIT};
use crate::js;

/// Longest message that is sent, in bytes: Go's servers read none that is longer (`websocket.Conn.SetReadLimit` of
/// github.com/coder/websocket, whose default it is).
const MAX_MESSAGE: usize = 32 * 1024;
/// Bytes that may wait in the browser before no more are handed to it: keystrokes stand behind them.
const MAX_BUFFERED: u32 = 128 * 1024;
/// Time until `bufferedAmount` is looked at again.
const RECHECK: Duration = Duration::from_millis(4);
/// The code that a WebSocket closes with when nothing is wrong (RFC 6455 section 7.4.1).
const NORMAL: u16 = 1000;
/// The same when the server or the page goes away.
const GOING_AWAY: u16 = 1001;

/// An open WebSocket. Dropping it closes it; what was written before is still sent.
pub(super) struct Socket {
    web: WebSocket,
    state: Rc<RefCell<State>>,
    recheck: Option<Pin<Box<Sleep>>>,
    _on_message: Closure<dyn Fn(MessageEvent)>,
    _on_open: Closure<dyn Fn()>,
    _on_close: Closure<dyn Fn(CloseEvent)>,
    on_limit: Rc<OnLimit>,
}

/// Wakes the reader for what has waited for the rest of a piece.
struct OnLimit {
    callback: Closure<dyn Fn()>,
    /// The timer that runs, if one does.
    timer: Rc<Cell<Option<i32>>>,
}

/// State that the socket and its callbacks share.
#[derive(Default)]
struct State {
    inbox: Inbox<Uint8Array>,
    open: bool,
    end: Option<End>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// End of a connection.
#[derive(Clone)]
enum End {
    /// With a closing handshake that says that all is well.
    Closed,
    /// In another way, with the reason.
    Failed(String),
}

impl Socket {
    /// Opens a WebSocket with one subprotocol. `shown` is the URL as errors name it. Dropping the future gives up.
    pub(super) async fn open(url: &str, shown: &str, protocol: &str) -> Result<Self, DialError> {
        let web = WebSocket::new_with_str(url, protocol)
            .map_err(|error| DialError::BadAddress { url: shown.to_owned(), reason: js::thrown(&error) })?;
        web.set_binary_type(BinaryType::Arraybuffer);
        let socket = Self::listen(web);
        let opened = poll_fn(|context| {
            let mut state = socket.state.borrow_mut();
            match &state.end {
                Some(End::Closed) => Poll::Ready(Err("the WebSocket was closed at once".to_owned())),
                Some(End::Failed(reason)) => Poll::Ready(Err(reason.clone())),
                None if state.open => Poll::Ready(Ok(())),
                None => {
                    state.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        });
        let unreachable = |reason| DialError::Unreachable { url: shown.to_owned(), reason };
        opened.await.map_err(unreachable)?;
        if socket.web.protocol() != protocol {
            return Err(unreachable(format!("the WebSocket is not for the subprotocol {protocol}")));
        }
        Ok(socket)
    }

    fn listen(web: WebSocket) -> Self {
        let state = Rc::new(RefCell::new(State::default()));
        let (received, opened, closed) = (Rc::clone(&state), Rc::clone(&state), Rc::clone(&state));
        let clock = Clock::start();
        let on_limit = Rc::new(OnLimit::new(&state));
        let limit = Rc::clone(&on_limit);
        let on_message = Closure::new(move |event: MessageEvent| {
            let delivery = received.borrow_mut().receive(event.data(), &clock);
            if !(matches!(delivery, Delivery::By(_)) && limit.start()) {
                State::wake(&received, |_| {});
            }
        });
        let on_open = Closure::new(move || State::wake(&opened, |state| state.open = true));
        let on_close = Closure::new(move |event: CloseEvent| {
            let end = match event.code() {
                NORMAL | GOING_AWAY => End::Closed,
                code => End::Failed(close_text(code, &event.reason())),
            };
            State::wake(&closed, |state| {
                state.end.get_or_insert(end);
            });
        });
        // An `error` event says nothing, and `close` follows it.
        web.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        web.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        web.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Self {
            web,
            state,
            recheck: None,
            _on_message: on_message,
            _on_open: on_open,
            _on_close: on_close,
            on_limit,
        }
    }

    /// Pending while the browser holds too much, and while it is to be waited for.
    fn poll_drained(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.web.buffered_amount() >= MAX_BUFFERED {
            self.state.borrow_mut().writer = Some(context.waker().clone());
            let recheck = self.recheck.get_or_insert_with(|| Box::pin(sleep(RECHECK)));
            ready!(recheck.as_mut().poll(context));
            self.recheck = None;
        }
        self.recheck = None;
        Poll::Ready(())
    }
}

impl OnLimit {
    fn new(state: &Rc<RefCell<State>>) -> Self {
        let timer = Rc::new(Cell::new(None));
        let (state, ended) = (Rc::clone(state), Rc::clone(&timer));
        let callback = Closure::new(move || {
            ended.set(None);
            State::wake(&state, |state| state.inbox.limit_passed());
        });
        Self { callback, timer }
    }

    /// Starts the timer, and returns `true` if it runs then. One that runs already is left to: it wakes for what came
    /// since as well. None is started in a hidden page, where it would be late.
    fn start(&self) -> bool {
        if self.timer.get().is_none() {
            let window = web_sys::window().filter(|window| window.document().is_some_and(|it| !it.hidden()));
            let callback = self.callback.as_ref().unchecked_ref();
            let limit = i32::try_from(PIECE_LIMIT.as_millis()).unwrap_or(i32::MAX);
            self.timer.set(window.and_then(|window| {
                window.set_timeout_with_callback_and_timeout_and_arguments_0(callback, limit).ok()
            }));
        }
        self.timer.get().is_some()
    }

    fn stop(&self) {
        if let (Some(timer), Some(window)) = (self.timer.take(), web_sys::window()) {
            window.clear_timeout_with_handle(timer);
        }
    }
}

impl State {
    /// Makes a change, and wakes who waits for one.
    fn wake(state: &RefCell<Self>, change: impl FnOnce(&mut Self)) {
        let waiting = {
            let mut state = state.borrow_mut();
            change(&mut state);
            [state.reader.take(), state.writer.take()]
        };
        for waker in waiting.into_iter().flatten() {
            waker.wake();
        }
    }

    /// Takes in what a message event carries. Returns when the reader is to be woken for it.
    fn receive(&mut self, data: JsValue, clock: &Clock) -> Delivery {
        let Ok(buffer) = data.dyn_into::<ArrayBuffer>() else {
            self.end = Some(End::Failed("a text message came where only binary ones may".to_owned()));
            return Delivery::Now;
        };
        if self.end.is_some() {
            return Delivery::Now;
        }
        self.inbox.receive(Uint8Array::new(&buffer), clock.now()).unwrap_or_else(|_| {
            self.end = Some(End::Failed("more came than could be worked off".to_owned()));
            Delivery::Now
        })
    }
}

impl Message for Uint8Array {
    fn length(&self) -> usize {
        Self::length(self) as usize
    }

    fn copy_into(&self, start: usize, target: &mut [u8]) {
        if target.len() == Message::length(self) {
            return self.copy_to(target);
        }
        #[expect(clippy::cast_possible_truncation, reason = "within the message, whose length is a u32")]
        self.subarray(start as u32, (start + target.len()) as u32).copy_to(target);
    }
}

fn close_text(code: u16, reason: &str) -> String {
    let reason: String = reason.chars().filter(|c| !c.is_control()).take(120).collect();
    if reason.is_empty() {
        format!("the WebSocket closed with code {code}")
    } else {
        format!("the WebSocket closed with code {code}: {reason}")
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        let unread = state.inbox.unread().min(buffer.remaining());
        if unread > 0 {
            let read = state.inbox.read(buffer.initialize_unfilled_to(unread));
            buffer.advance(read);
            return Poll::Ready(Ok(()));
        }
        match &state.end {
            Some(End::Closed) => Poll::Ready(Ok(())),
            Some(End::Failed(reason)) => Poll::Ready(Err(broken(reason))),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        match &socket.state.borrow().end {
            Some(End::Failed(reason)) => return Poll::Ready(Err(broken(reason))),
            Some(End::Closed) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            None => {}
        }
        ready!(socket.poll_drained(context));
        let message = &bytes[..bytes.len().min(MAX_MESSAGE)];
        match socket.web.send_with_u8_array(message) {
            Ok(()) => Poll::Ready(Ok(message.len())),
            Err(error) => Poll::Ready(Err(broken(&js::thrown(&error)))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The browser sends by itself.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.web.close_with_code(NORMAL);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.web.set_onmessage(None);
        self.web.set_onopen(None);
        self.web.set_onclose(None);
        self.on_limit.stop();
        let _ = self.web.close_with_code(NORMAL);
    }
}

fn broken(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, reason.to_owned())
}
