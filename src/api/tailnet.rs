//! One node in a tailnet: `Tailnet` of `www/src/dayfly.ts`.

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
use super::shell::{Link, Shell};
use super::ssh::SshOptions;
use crate::js;
use crate::machine::{machines, this_machine};
use crate::net::{PageDialer, PageEvents};
use crate::problem::{Problem, of_tcp};
use crate::progress::{Progress, Told};

/// How long shells may take to end when the node leaves.
const SHELLS: Duration = Duration::from_secs(3);
/// How long the control server may take to confirm a logout. Headscale needs milliseconds.
const LOGOUT: Duration = Duration::from_secs(10);

/// One node in a tailnet.
#[wasm_bindgen]
pub struct Tailnet {
    inner: Rc<Inner>,
}

struct Inner {
    /// Gone once it was closed, and its keys with it.
    node: RefCell<Option<Node>>,
    page: RefCell<Option<PageEvents>>,
    listener: Rc<Listener>,
    shells: RefCell<Vec<Rc<Link>>>,
    /// The name that was asked for.
    hostname: String,
}

/// What is told to the page, and what was told before.
struct Listener {
    on_event: Function,
    progress: RefCell<Progress>,
    clock: Clock,
}

impl Listener {
    fn tell(&self, events: impl IntoIterator<Item = Told>) {
        for told in events {
            // A listener that throws is the page's own matter.
            let _ = self.on_event.call1(&JsValue::UNDEFINED, &objects::event(&told));
        }
    }

    /// Tells what a change of the progress has to tell; the listener may call back in.
    fn update(&self, change: impl FnOnce(&mut Progress) -> Vec<Told>) {
        let told = change(&mut self.progress.borrow_mut());
        self.tell(told);
    }
}

impl Tailnet {
    /// Starts a node.
    pub(super) fn start(options: Options, on_event: Function) -> Self {
        let clock = Clock::start();
        let progress = RefCell::new(Progress::new(clock.now()));
        let listener = Rc::new(Listener { on_event, progress, clock });
        let told = Rc::clone(&listener);
        let dialer = PageDialer::new(
            options.control,
            options.relays,
            Rc::new(move || {
                told.update(Progress::control_is_open);
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

/// Tells the page of a node's events until there are no more.
async fn follow(mut events: NodeEvents, listener: Rc<Listener>) {
    while let Some(event) = events.recv().await {
        let now = listener.clock.now();
        listener.update(|progress| progress.hear(event, now));
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

    /// As far as that goes without waiting.
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
        let gone = self.listener.progress.borrow().is_gone();
        let seen = match node {
            _ if gone => None,
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
