//! From a host's name to a running shell.

use dayfly_node::{ConnectStep, Node};
use dayfly_ssh::{ConnectError, Offer, Options, Pty, Session};
use js_sys::Function;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::AbortSignal;

use super::abort::aborted;
use super::objects;
use super::prompts::{PagePrompts, Prompts};
use crate::js;
use crate::machine::host_keys;
use crate::names::ShellStep;
use crate::problem::{Problem, of_cancel, of_connect, of_move, of_open, of_tcp};

/// Port that SSH servers listen on.
const PORT: u16 = 22;
/// Longest name of a host, a user or a terminal's kind that is taken.
const MAX_NAME: usize = 256;
/// Limit on the columns and on the rows of a terminal.
const MAX_SIZE: f64 = 10_000.0;

/// `SshOptions` of `www/src/api.ts`.
pub(super) struct SshOptions {
    pub(super) host: String,
    user: String,
    pty: Pty,
    prompts: Prompts,
    on_event: Function,
    /// Aborted when nobody wants the shell any more.
    signal: Option<AbortSignal>,
}

/// A session with its one shell.
pub(super) struct Started {
    pub(super) session: Session,
    pub(super) shell: dayfly_ssh::Shell,
    pub(super) host: String,
    pub(super) columns: u32,
    pub(super) rows: u32,
    pub(super) on_event: Function,
}

impl SshOptions {
    /// Reads the options.
    pub(super) fn read(given: &JsValue) -> Result<Self, Problem> {
        let bad =
            |what: &str, seen: &str| Problem::new(ShellStep::Ssh, what, seen, "Correct it, and try again.");
        let name = |field: &str| js::text(given, field).filter(|name| is_name(name));
        let host = name("host").ok_or_else(|| bad("The machine's name can't be used.", "host"))?;
        let user = name("user").ok_or_else(|| bad("The user's name can't be used.", "user"))?;
        let mut pty = Pty::new(size(given, "cols", 80), size(given, "rows", 24));
        if let Some(term) = name("term") {
            pty.term = term;
        }
        let on_event =
            js::get(given, "onEvent").dyn_into().map_err(|_| bad("onEvent is no function.", "onEvent"))?;
        let signal = match js::get(given, "signal") {
            none if none.is_undefined() => None,
            signal => Some(signal.dyn_into().map_err(|_| bad("signal is no AbortSignal.", "signal"))?),
        };
        let prompts = js::get(given, "prompts").unchecked_into();
        Ok(Self { host, user, pty, prompts, on_event, signal })
    }

    fn step(&self, step: ShellStep) {
        let _ = self.on_event.call1(&JsValue::UNDEFINED, &objects::step(step));
    }

    /// Connects, logs in and starts a shell. When the page's signal is aborted the attempt is dropped where it is, which
    /// closes its connection.
    pub(super) async fn open(mut self, node: &Node) -> Result<Started, Problem> {
        let cancel = of_cancel(&self.host);
        let cancelled = aborted(self.signal.take());
        tokio::select! {
            biased;
            () = cancelled => Err(cancel),
            started = self.start(node) => started,
        }
    }

    async fn start(self, node: &Node) -> Result<Started, Problem> {
        let session = match self.session(node, Offer::Modern).await {
            // Servers from before December 2023 get by with other ciphers.
            Err(ConnectProblem::Ssh(ConnectError::NoStrictKex { .. })) => {
                self.session(node, Offer::WithoutStrictKex).await
            }
            session => session,
        };
        let session = session.map_err(|error| match error {
            ConnectProblem::Known(problem) => problem,
            ConnectProblem::Ssh(error) => of_connect(&error, &self.host, &self.user),
        })?;
        self.step(ShellStep::Shell);
        let (columns, rows) = (self.pty.columns, self.pty.rows);
        match session.shell(self.pty).await {
            Ok(shell) => {
                let (host, on_event) = (self.host, self.on_event);
                Ok(Started { session, shell, host, columns, rows, on_event })
            }
            Err(error) => Err(of_open(&error, &self.host, &self.user)),
        }
    }

    async fn session(&self, node: &Node, offer: Offer) -> Result<Session, ConnectProblem> {
        let progress = |step| {
            self.step(match step {
                ConnectStep::Relay => ShellStep::Relay,
                ConnectStep::WireGuard => ShellStep::WireGuard,
                ConnectStep::Tcp => ShellStep::Tcp,
            });
        };
        let stream = node.connect(&self.host, PORT, progress).await;
        let stream = stream.map_err(|error| ConnectProblem::Known(of_tcp(&error)))?;
        self.step(ShellStep::Ssh);
        let mut options = Options::new(self.user.as_str(), self.host.as_str());
        // Of what was connected to, whatever the name means by now.
        let remote = stream.remote();
        let keys = node.with_netmap(|map| host_keys(map, &remote));
        options.known_host_keys = keys.ok_or_else(|| ConnectProblem::Known(of_move(&self.host)))?;
        options.offer = offer;
        let mut prompts = PagePrompts::new(self.prompts.clone(), self.on_event.clone());
        dayfly_ssh::connect(stream, options, &mut prompts).await.map_err(ConnectProblem::Ssh)
    }
}

enum ConnectProblem {
    Known(Problem),
    Ssh(ConnectError),
}

/// A name that fits into a protocol's message and into a line on screen.
fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME && !text.chars().any(char::is_control)
}

fn size(given: &JsValue, name: &str, usual: u32) -> u32 {
    let size = js::get(given, name).as_f64().filter(|size| (1.0..=MAX_SIZE).contains(size));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number from 1 to 10,000")]
    size.map_or(usual, |size| size as u32)
}
