//! A WebSocket's binary messages as a byte stream.
//!
//! Browsers give a WebSocket no back-pressure. Sending is bounded by `bufferedAmount`: while too much waits in the
//! browser, a write is pending, and since no event tells that it has drained, it is looked at again after a moment or
//! when anything happens on the socket. What is received waits as the browser's own buffers, is copied once, into the
//! reader's, and is bounded by ending a connection whose reader has fallen far behind; windows of TCP inside keep an
//! honest peer far below that.
//!
//! Relays cut what they send into messages of two packets. Waking the reader for each of them costs more than reading
//! it, so after some long messages in a row, which are parts of more, the reader sleeps until there is a good piece.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use dayfly_node::DialError;
use dayfly_platform::time::{Sleep, sleep};
use js_sys::{ArrayBuffer, Uint8Array};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

use crate::js;

/// Longest message that is sent, in bytes: Go's servers read none that is longer.
const MAX_MESSAGE: usize = 32 * 1024;
/// With this many bytes waiting in the browser, no more are handed to it: keystrokes stand behind them.
const MAX_BUFFERED: u32 = 128 * 1024;
/// How long until `bufferedAmount` is looked at again.
const RECHECK: Duration = Duration::from_millis(4);
/// Received bytes that may wait for their reader.
const MAX_UNREAD: usize = 32 * 1024 * 1024;
/// What a message is taken to cost besides its bytes, so that tiny ones are bounded as well.
const MESSAGE_COST: usize = 64;
/// Messages of so many bytes are parts of more; a shorter one may be an answer that somebody waits for.
const LONG: u32 = 1024;
/// So are up to so many longer ones: half of a handshake, a map.
const ALONE: u32 = 3;
/// So many bytes are not waited for any longer.
const PIECE: usize = 16 * 1024;
/// Nor is the rest of a piece for longer than this, in milliseconds.
const PIECE_LIMIT: i32 = 2;
/// The code that a WebSocket closes with when nothing is wrong (RFC 6455 section 7.4.1).
const NORMAL: u16 = 1000;
/// The same when the server or the page goes away.
const GOING_AWAY: u16 = 1001;

/// An open WebSocket. Dropping it closes it; what was written before is still sent.
pub(super) struct Socket {
    web: WebSocket,
    shared: Rc<RefCell<Shared>>,
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

#[derive(Default)]
struct Shared {
    received: VecDeque<Uint8Array>,
    /// Bytes of the first message that have been read.
    read: u32,
    /// What `received` costs.
    cost: usize,
    /// Long messages since the last short one.
    long: u32,
    open: bool,
    end: Option<End>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// How a connection ended.
#[derive(Clone)]
enum End {
    /// With a closing handshake that says that all is well.
    Closed,
    /// In another way.
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
            let mut shared = socket.shared.borrow_mut();
            match &shared.end {
                Some(End::Closed) => Poll::Ready(Err("the WebSocket was closed at once".to_owned())),
                Some(End::Failed(reason)) => Poll::Ready(Err(reason.clone())),
                None if shared.open => Poll::Ready(Ok(())),
                None => {
                    shared.reader = Some(context.waker().clone());
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
        let shared = Rc::new(RefCell::new(Shared::default()));
        let (received, opened, closed) = (Rc::clone(&shared), Rc::clone(&shared), Rc::clone(&shared));
        let on_limit = Rc::new(OnLimit::new(&shared));
        let limit = Rc::clone(&on_limit);
        let on_message = Closure::new(move |event: MessageEvent| {
            let more_follows = received.borrow_mut().receive(event.data());
            if !(more_follows && limit.start()) {
                Shared::wake(&received, |_| {});
            }
        });
        let on_open = Closure::new(move || Shared::wake(&opened, |shared| shared.open = true));
        let on_close = Closure::new(move |event: CloseEvent| {
            let end = match event.code() {
                NORMAL | GOING_AWAY => End::Closed,
                code => End::Failed(close_text(code, &event.reason())),
            };
            Shared::wake(&closed, |shared| {
                shared.end.get_or_insert(end);
            });
        });
        // An `error` event says nothing, and `close` follows it.
        web.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        web.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        web.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Self {
            web,
            shared,
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
            self.shared.borrow_mut().writer = Some(context.waker().clone());
            let recheck = self.recheck.get_or_insert_with(|| Box::pin(sleep(RECHECK)));
            ready!(recheck.as_mut().poll(context));
            self.recheck = None;
        }
        self.recheck = None;
        Poll::Ready(())
    }
}

impl OnLimit {
    fn new(shared: &Rc<RefCell<Shared>>) -> Self {
        let timer = Rc::new(Cell::new(None));
        let (shared, ended) = (Rc::clone(shared), Rc::clone(&timer));
        let callback = Closure::new(move || {
            ended.set(None);
            Shared::wake(&shared, |_| {});
        });
        Self { callback, timer }
    }

    /// Whether the timer runs now. One that runs already is left to: it wakes for what came since as well. None is
    /// started in a hidden page, where it would be late.
    fn start(&self) -> bool {
        if self.timer.get().is_none() {
            let window = web_sys::window().filter(|window| window.document().is_some_and(|it| !it.hidden()));
            let callback = self.callback.as_ref().unchecked_ref();
            self.timer.set(window.and_then(|window| {
                window.set_timeout_with_callback_and_timeout_and_arguments_0(callback, PIECE_LIMIT).ok()
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

impl Shared {
    /// Makes a change, and wakes who waits for one.
    fn wake(shared: &RefCell<Self>, change: impl FnOnce(&mut Self)) {
        let waiting = {
            let mut shared = shared.borrow_mut();
            change(&mut shared);
            [shared.reader.take(), shared.writer.take()]
        };
        for waker in waiting.into_iter().flatten() {
            waker.wake();
        }
    }

    /// Takes a message in. Whether more is likely to follow at once.
    fn receive(&mut self, data: JsValue) -> bool {
        let Ok(buffer) = data.dyn_into::<ArrayBuffer>() else {
            self.end = Some(End::Failed("a text message came where only binary ones may".to_owned()));
            return false;
        };
        let bytes = Uint8Array::new(&buffer);
        let length = bytes.length();
        if self.end.is_some() || length == 0 {
            return false;
        }
        self.cost += cost(&bytes);
        if self.cost > MAX_UNREAD {
            self.received.clear();
            self.end = Some(End::Failed("more came than could be worked off".to_owned()));
            return false;
        }
        self.received.push_back(bytes);
        self.long = if length >= LONG { self.long.saturating_add(1) } else { 0 };
        self.long > ALONE && self.cost < PIECE
    }

    /// Copies what waits into `buffer`, of as many messages as fit.
    fn read_into(&mut self, buffer: &mut ReadBuf<'_>) {
        while let Some(message) = self.received.front()
            && buffer.remaining() > 0
        {
            let left = message.length() - self.read;
            let count = left.min(u32::try_from(buffer.remaining()).unwrap_or(u32::MAX));
            let end = self.read + count;
            let target = buffer.initialize_unfilled_to(count as usize);
            if count == message.length() {
                message.copy_to(target);
            } else {
                message.subarray(self.read, end).copy_to(target);
            }
            buffer.advance(count as usize);
            self.read = end;
            if end == message.length() {
                self.cost -= cost(message);
                self.received.pop_front();
                self.read = 0;
            }
        }
    }
}

fn cost(message: &Uint8Array) -> usize {
    message.length() as usize + MESSAGE_COST
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
        let mut shared = self.shared.borrow_mut();
        if !shared.received.is_empty() {
            shared.read_into(buffer);
            return Poll::Ready(Ok(()));
        }
        match &shared.end {
            Some(End::Closed) => Poll::Ready(Ok(())),
            Some(End::Failed(reason)) => Poll::Ready(Err(broken(reason))),
            None => {
                shared.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        match &socket.shared.borrow().end {
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
