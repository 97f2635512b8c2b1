//! One node in a tailnet: `Tailnet` of `www/src/api.ts`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dayfly_node::{Node, NodeEvents};
use dayfly_platform::task::spawn;
use dayfly_platform::time::{Clock, timeout};
use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::objects;
use super::options::Options;
use super::rehearsal;
use super::shell::{Shell, ShellLink};
use super::ssh::SshOptions;
use crate::events::{EventMapper, TailnetEvent};
use crate::js;
use crate::machine::{machines, this_machine};
use crate::net::{PageDialer, PageEvents};
use crate::problem::{Problem, of_tcp};

/// Limit on the time that shells take to end when the node leaves.
const SHELLS: Duration = Duration::from_secs(3);
/// Limit on the time that the control server takes to confirm a logout. Headscale needs milliseconds.
const LOGOUT: Duration = Duration::from_secs(10);

/// One node in a tailnet.
#[wasm_bindgen]
pub struct Tailnet {
    inner: Rc<Inner>,
}

struct Inner {
    /// The node and its keys, until it is closed.
    node: RefCell<Option<Node>>,
    page: RefCell<Option<PageEvents>>,
    listener: Rc<Listener>,
    shells: RefCell<Vec<Rc<ShellLink>>>,
    /// The name that was asked for.
    hostname: String,
}

/// The page's listener, and what it has heard.
struct Listener {
    on_event: Function,
    mapper: RefCell<EventMapper>,
    clock: Clock,
}

impl Listener {
    fn call(&self, events: impl IntoIterator<Item = TailnetEvent>) {
        for event in events {
            // A listener that throws is the page's own matter.
            let _ = self.on_event.call1(&JsValue::UNDEFINED, &objects::event(&event));
        }
    }

    /// Calls the listener with what comes of a change; it may call back in.
    fn update(&self, change: impl FnOnce(&mut EventMapper) -> Vec<TailnetEvent>) {
        let events = change(&mut self.mapper.borrow_mut());
        self.call(events);
    }
}

impl Tailnet {
    /// Starts a node.
    pub(super) fn start(options: Options, on_event: Function) -> Self {
        let clock = Clock::start();
        let mapper = RefCell::new(EventMapper::new(clock.now()));
        let listener = Rc::new(Listener { on_event, mapper, clock });
        let opened = Rc::clone(&listener);
        let dialer = PageDialer::new(
            options.control,
            options.relays,
            Rc::new(move || {
                opened.update(EventMapper::control_is_open);
                rehearsal::begin();
            }),
        );
        let hostname = options.node.hostinfo.hostname.clone();
        #[expect(
            clippy::arc_with_non_send_sync,
            reason = "a page has one thread; natively dialers are shared"
        )]
        let dialer = Arc::new(dialer);
        let (node, events) = Node::start(dialer, options.node);
        let back = node.clone();
        let page = PageEvents::new(move || back.retry_now());
        let inner = Rc::new(Inner {
            node: RefCell::new(Some(node)),
            page: RefCell::new(Some(page)),
            listener: Rc::clone(&listener),
            shells: RefCell::default(),
            hostname,
        });
        drop(spawn(follow(events, listener)));
        Self { inner }
    }
}

/// Reports a node's events to the page until there are no more.
async fn follow(mut events: NodeEvents, listener: Rc<Listener>) {
    while let Some(event) = events.recv().await {
        let now = listener.clock.now();
        listener.update(|mapper| mapper.map(event, now));
    }
}

#[wasm_bindgen]
impl Tailnet {
    /// The machines that this node may see.
    pub fn machines(&self) -> Array {
        let list = self.inner.node().map(|node| node.with_netmap(machines));
        objects::machines(&list.unwrap_or_default())
    }

    /// This node, once the control server has described it.
    #[wasm_bindgen(js_name = "self")]
    pub fn this(&self) -> JsValue {
        let this = self.inner.node().and_then(|node| node.with_netmap(this_machine));
        this.map_or(JsValue::UNDEFINED, |machine| objects::machine(&machine))
    }

    /// Open a shell. Rejects with a `DayflyError`.
    pub fn ssh(&self, options: &JsValue) -> Promise {
        let (inner, options) = (Rc::clone(&self.inner), SshOptions::read(options));
        future_to_promise(async move {
            match inner.open(options).await {
                Ok(shell) => Ok(shell.into()),
                Err(problem) => Err(objects::problem(&problem)),
            }
        })
    }

    /// Start WireGuard and the relay towards a host ahead of `ssh`.
    pub fn warm(&self, host: &str) {
        if let Some(node) = self.inner.node() {
            node.warm(host);
        }
    }

    /// Close all shells, log the node out, wipe its keys. Resolves with a `CloseReport`.
    pub fn close(&self) -> Promise {
        let inner = Rc::clone(&self.inner);
        future_to_promise(async move { Ok(inner.leave().await) })
    }

    /// Logs the node out as far as that goes without waiting, for `pagehide`.
    #[wasm_bindgen(js_name = "closeNow")]
    pub fn close_now(&self) {
        if let Some(node) = self.inner.node() {
            node.logout_now();
        }
    }
}

impl Inner {
    fn node(&self) -> Option<Node> {
        self.node.borrow().clone()
    }

    async fn open(&self, options: Result<SshOptions, Problem>) -> Result<Shell, Problem> {
        let options = options?;
        let node = self.node().ok_or_else(|| of_tcp(&dayfly_node::TcpError::Ended))?;
        let started = options.open(&node).await?;
        let (shell, link) = Shell::new(started);
        if self.node.borrow().is_none() {
            link.close();
        }
        let mut shells = self.shells.borrow_mut();
        shells.retain(|link| !link.is_over());
        shells.push(link);
        Ok(shell)
    }

    async fn leave(&self) -> JsValue {
        let node = self.node.borrow_mut().take();
        self.page.take();
        let name = node.as_ref().and_then(|node| node.with_netmap(this_machine)).map(|this| this.short_name);
        let name = name.unwrap_or_else(|| self.hostname.clone());
        let shells = self.shells.take();
        for shell in &shells {
            shell.close();
        }
        // The streams are the node's: what a shell has to say at its end has to go before the node does.
        let _ = timeout(SHELLS, async {
            for shell in &shells {
                shell.over().await;
            }
        })
        .await;
        let removed = self.listener.mapper.borrow().is_removed();
        let seen = match node {
            _ if removed => None,
            None => Some("it was closed before".to_owned()),
            Some(node) => match timeout(LOGOUT, node.logout()).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer for {} seconds", LOGOUT.as_secs())),
            },
        };
        let report = js::object([("node", name.into()), ("removed", seen.is_none().into())]);
        if let Some(seen) = seen {
            js::set(&report, "seen", &seen.into());
        }
        report
    }
}
