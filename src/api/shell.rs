//! A running shell: `Shell` of `www/src/api.ts`.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use dayfly_platform::task::spawn;
use dayfly_platform::time::{Instant, sleep_until, timeout};
use dayfly_ssh::{Disconnect, ShellEvent, ShellReader, ShellWriter};
use js_sys::{Promise, Uint8Array};
use tokio::sync::{Notify, watch};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::objects;
use super::ssh::Started;
use crate::js;
use crate::problem::{of_disconnect, of_full_input};
use crate::term::{InputQueue, TerminalEvent, TerminalInput, TerminalPort, TerminalSink, terminal_lines};

/// Limit on the time that a server takes to answer the end of a shell.
const CLOSING: Duration = Duration::from_secs(1);
/// Limit on the time until the last output is shown. A terminal that was removed never shows it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Length in bytes from which on more output is likely to follow a piece, and is gathered: a large piece is far less
/// work for a terminal than many small ones.
const BULK: usize = 1024;
/// Time for which they are gathered: less than a frame, so that nobody sees it.
const GATHER: Duration = Duration::from_millis(10);
/// Limit on the bytes that are gathered.
const GATHERED: usize = 64 * 1024;

/// A running shell.
#[wasm_bindgen]
pub struct Shell {
    link: Rc<ShellLink>,
    exit: Promise,
}

/// State that a shell's task and its handles share.
pub(super) struct ShellLink {
    host: String,
    input: InputQueue,
    /// The terminal that output goes to, once there is one.
    output: RefCell<Option<TerminalSink>>,
    attached: Notify,
    terminal: RefCell<Option<TerminalInput>>,
    size: Cell<(u32, u32)>,
    closing: watch::Sender<bool>,
    over: watch::Sender<bool>,
}

impl ShellLink {
    /// Ends the shell, if it has not ended.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Returns `true` once the shell and its connection are over.
    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Waits until the shell and its connection are over.
    pub(super) async fn over(&self) {
        // The sender is in `self`, so this can't fail.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// The terminal to write to, as soon as there is one.
    async fn output(&self) -> TerminalSink {
        loop {
            if let Some(sink) = self.output.borrow().clone() {
                return sink;
            }
            self.attached.notified().await;
        }
    }
}

/// End of a shell, as far as it is known.
#[derive(Default)]
struct Ending {
    status: Option<u32>,
    signal: Option<String>,
    lost: Option<Disconnect>,
}

impl Shell {
    /// A handle to a shell, and what else can end it.
    pub(super) fn new(started: Started) -> (Self, Rc<ShellLink>) {
        let (host, on_event) = (started.host.clone(), started.on_event);
        let input = InputQueue::new(move || {
            // A listener that throws is the page's own matter.
            let _ = on_event.call1(&JsValue::UNDEFINED, &objects::problem_event(&of_full_input(&host)));
        });
        let link = Rc::new(ShellLink {
            host: started.host,
            input,
            output: RefCell::default(),
            attached: Notify::new(),
            terminal: RefCell::default(),
            size: Cell::new((started.columns, started.rows)),
            closing: watch::Sender::new(false),
            over: watch::Sender::new(false),
        });
        let (session, shell, shared) = (started.session, started.shell, Rc::clone(&link));
        let exit = future_to_promise(async move {
            let dayfly_ssh::Shell { writer, reader } = shell;
            let notices = terminal_lines(session.notices());
            let ending = run(&shared, &writer, reader, &notices).await;
            shared.terminal.take();
            let exit = ending.object(&shared);
            // Nobody has to wait for the disconnect to know how it ended.
            drop(spawn(async move {
                session.close().await;
                shared.over.send_replace(true);
            }));
            Ok(exit)
        });
        (Self { link: Rc::clone(&link), exit }, link)
    }
}

#[wasm_bindgen]
impl Shell {
    /// Send input. Text goes as UTF-8.
    pub fn write(&self, data: &JsValue) {
        if let Some(text) = data.as_string() {
            self.link.input.write(text.into_bytes().into());
        } else if let Some(bytes) = data.dyn_ref::<Uint8Array>() {
            self.link.input.write(bytes.to_vec().into());
        }
    }

    /// The terminal has another size.
    pub fn resize(&self, cols: u32, rows: u32) {
        self.link.input.resize(cols, rows);
    }

    /// Connect a terminal both ways. Output waits until this is called.
    pub fn attach(&self, terminal: TerminalPort) {
        let link = &self.link;
        if link.is_over() {
            return;
        }
        *link.terminal.borrow_mut() = Some(TerminalInput::new(&terminal, &link.input));
        let sink = TerminalSink::new(terminal);
        let size = sink.size();
        if link.size.get() != size {
            link.input.resize(size.0, size.1);
        }
        *link.output.borrow_mut() = Some(sink);
        link.attached.notify_one();
    }

    /// End the shell.
    pub fn close(&self) {
        self.link.close();
    }

    /// The end of the shell, as a promise that does not reject.
    #[wasm_bindgen(getter)]
    pub fn exit(&self) -> Promise {
        self.exit.clone()
    }
}

/// Carries bytes both ways until the shell ends or is to be ended.
async fn run(link: &ShellLink, writer: &ShellWriter, mut reader: ShellReader, notices: &[u8]) -> Ending {
    let mut ending = Ending::default();
    let mut closing = link.closing.subscribe();
    let ended = {
        let output = pin!(carry_output(link, &mut reader, notices, &mut ending));
        let input = pin!(carry_input(link, writer));
        tokio::select! {
            biased;
            () = output => true,
            _ = closing.wait_for(|closing| *closing) => false,
            () = input => true,
        }
    };
    if ended {
        let sink = link.output.borrow().clone();
        if let Some(sink) = sink {
            let _ = timeout(LAST_WORDS, sink.drained()).await;
        }
    } else {
        let closing = async {
            let _ = writer.close().await;
            while let Some(event) = reader.next().await {
                ending.take_in(event);
            }
        };
        let _ = timeout(CLOSING, closing).await;
        // It was this side that closed it.
        ending.lost = None;
    }
    ending
}

/// Carries output, no faster than the terminal takes it; returns when the shell has ended. What the server said before
/// stands above it, as with OpenSSH's client.
async fn carry_output(link: &ShellLink, reader: &mut ShellReader, notices: &[u8], ending: &mut Ending) {
    let _ = link.output().await.write(notices);
    let mut gather_until = None;
    loop {
        let sink = link.output().await;
        // First room, then output: so nothing is lost when this is dropped, and the server waits.
        sink.ready().await;
        if let Some(until) = gather_until.take().filter(|until| Instant::now() < *until) {
            tokio::select! {
                biased;
                () = reader.gathered(GATHERED) => {}
                () = sleep_until(until) => {}
            }
        }
        let Some(event) = reader.next().await else { return };
        if let Some(bytes) = ending.take_in(event) {
            // A terminal that refuses was removed from the page. The shell goes on until it is closed.
            let _ = sink.write(&bytes);
            gather_until = (bytes.len() >= BULK).then(|| Instant::now() + GATHER);
        }
    }
}

/// Input and sizes. Never returns: what ends the shell is told by its output.
async fn carry_input(link: &ShellLink, writer: &ShellWriter) {
    loop {
        let sent = match link.input.next().await {
            TerminalEvent::Data(bytes) => writer.write_owned(bytes).await,
            TerminalEvent::Resize { cols, rows } => {
                link.size.set((cols, rows));
                writer.resize(cols, rows, 0, 0).await
            }
        };
        if sent.is_err() {
            return pending().await;
        }
    }
}

impl Ending {
    /// Takes in what an event says of the end; output is handed back.
    fn take_in(&mut self, event: ShellEvent) -> Option<Bytes> {
        match event {
            ShellEvent::Data(bytes) | ShellEvent::ExtendedData(bytes) => return Some(bytes),
            ShellEvent::ExitStatus(status) => self.status = Some(status),
            ShellEvent::ExitSignal { name, .. } => self.signal = Some(name),
            ShellEvent::Disconnected(reason) => self.lost = Some(reason),
            _ => {}
        }
        None
    }

    /// An `Exit` of the page's API.
    fn object(self, link: &ShellLink) -> JsValue {
        let exit = js::object([]);
        if let Some(status) = self.status {
            js::set(&exit, "status", &status.into());
        }
        if let Some(signal) = &self.signal {
            js::set(&exit, "signal", &signal.as_str().into());
        }
        // A shell that has told its status has ended by itself, however the connection went then.
        if let (Some(reason), None, None) = (&self.lost, self.status, &self.signal) {
            js::set(&exit, "error", &objects::problem(&of_disconnect(reason, &link.host)));
        }
        exit
    }
}
