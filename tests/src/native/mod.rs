//! Our own node as a native process: the node that a browser runs, without the browser.
//!
//! Its edge to the network is `dayfly-dial`, behind a [`Firewall`]. [`NativeNode`] runs it on a tokio runtime of its own,
//! keeps what it reports, and offers what tests do with it in blocking form, as the rest of the harness is.

mod events;
mod firewall;
mod shell;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use dayfly_node::{Node, NodeEvent, NodeKeys, NodeOptions, Registered, RelayState, TcpStream};
use dayfly_ssh::{Session, Unattended};
use dayfly_wire::control::Hostinfo;
use tokio::runtime::Runtime;
use tracing::Dispatch;
use tracing::dispatcher;
use tracing_subscriber::filter::LevelFilter;

pub use dayfly_dial::{Carrier, NativeDialer, Trust};
pub use firewall::Firewall;
pub use shell::{Ran, ask, run};

use crate::lab::Lab;
use crate::wait::READY;
use events::Events;

/// Port of SSH servers.
pub const SSH: u16 = 22;

/// Options that a native node is started with.
#[derive(Debug, Clone)]
pub struct NativeOptions {
    /// The name that it would like to have.
    pub hostname: String,
    /// Registers it without a person.
    pub auth_key: Option<String>,
    /// It is to be removed when it goes away.
    pub ephemeral: bool,
    /// The way in which it reaches its servers.
    pub carrier: Carrier,
    /// Speak plain HTTP to relays instead of TLS.
    pub plain_relay: bool,
    /// The one certificate (PEM) that it trusts.
    pub trust: Option<PathBuf>,
}

impl NativeOptions {
    /// An ephemeral node called `hostname` that joins by `auth_key`, speaks WebSocket, and plain HTTP to relays.
    #[must_use]
    pub fn new(hostname: &str, auth_key: &str) -> Self {
        Self {
            hostname: hostname.to_owned(),
            auth_key: Some(auth_key.to_owned()),
            ephemeral: true,
            carrier: Carrier::WebSocket,
            plain_relay: true,
            trust: None,
        }
    }
}

/// A running native node. Dropping it ends it without a logout.
#[derive(Debug)]
pub struct NativeNode {
    node: Node,
    firewall: Firewall,
    events: Arc<Events>,
    log: Dispatch,
    runtime: Runtime,
}

impl NativeNode {
    /// Starts a node at the control server `control`, and waits for nothing.
    pub fn start(lab: &Lab, control: &str, options: NativeOptions) -> Result<Self> {
        let trust = Trust::only(options.trust.as_slice())?;
        let dialer = NativeDialer::with_trust(control, trust)?.carrier(options.carrier);
        let firewall = Firewall::new(if options.plain_relay { dialer.plain_relays() } else { dialer });
        let path = lab.logs().join(format!("{}.log", options.hostname));
        let log = Dispatch::new(
            tracing_subscriber::fmt()
                .with_max_level(LevelFilter::DEBUG)
                .with_ansi(false)
                .with_writer(Mutex::new(File::create(&path).with_context(|| path.display().to_string())?))
                .finish(),
        );
        let of_thread = log.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            // Each thread logs for this node until its end.
            .on_thread_start(move || std::mem::forget(dispatcher::set_default(&of_thread)))
            .build()
            .context("no runtime")?;
        let hostinfo = Hostinfo {
            hostname: options.hostname,
            os: "linux".to_owned(),
            ipn_version: "dayfly-tests".to_owned(),
            userspace: Some(true),
            ..Hostinfo::default()
        };
        let options = NodeOptions {
            auth_key: options.auth_key.map(Into::into),
            ephemeral: options.ephemeral,
            ..NodeOptions::new(NodeKeys::generate(), hostinfo)
        };
        let events = Arc::new(Events::default());
        let inside = runtime.enter();
        let (node, receiver) = Node::start(Arc::new(firewall.clone()), options);
        runtime.spawn(Arc::clone(&events).keep(receiver));
        drop(inside);
        Ok(Self { node, firewall, events, log, runtime })
    }

    /// Starts a node and waits until it is in the tailnet and connected to its home relay.
    pub fn join(lab: &Lab, control: &str, options: NativeOptions) -> Result<Self> {
        let node = Self::start(lab, control, options)?;
        node.until_running()?;
        Ok(node)
    }

    /// Returns the node under test.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Makes the relays of a region unreachable from now on, or reachable again. Open connections stay.
    pub fn cut_off(&self, region: u16, cut_off: bool) {
        self.firewall.set_closed(u32::from(region), cut_off);
    }

    /// Runs a future on the node's runtime, for at most a minute.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        let _log = dispatcher::set_default(&self.log);
        self.runtime
            .block_on(async { tokio::time::timeout(READY, future).await })
            .map_err(|_| anyhow!("the node was not done within {READY:?}"))
    }

    /// A mark in the node's events: [`NativeNode::event_after`] looks only at what comes after it.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.events.mark()
    }

    /// Waits for the first event since the start that `find` finds something in.
    pub fn event<T>(&self, what: &str, find: impl FnMut(&NodeEvent) -> Option<T>) -> Result<T> {
        self.event_after(0, what, find)
    }

    /// Waits for the first event after `mark` that `find` finds something in.
    pub fn event_after<T>(
        &self,
        mark: usize,
        what: &str,
        find: impl FnMut(&NodeEvent) -> Option<T>,
    ) -> Result<T> {
        self.events.after(mark, what, READY, find)
    }

    /// Waits until it is in the tailnet and connected to its home relay.
    pub fn until_running(&self) -> Result<()> {
        self.event("Running", |event| matches!(event, NodeEvent::Running).then_some(()))
    }

    /// Waits until the control server has registered it; returns its owner.
    pub fn until_registered(&self) -> Result<Registered> {
        self.event("Registered", |event| match event {
            NodeEvent::Registered(registered) => Some((**registered).clone()),
            _ => None,
        })
    }

    /// Waits until the relay of `region` is in a state, after `mark`.
    pub fn until_relay(
        &self,
        mark: usize,
        region: u16,
        what: &str,
        is: impl Fn(&RelayState) -> bool,
    ) -> Result<()> {
        let what = format!("relay of region {region} {what}");
        self.event_after(mark, &what, |event| match event {
            NodeEvent::Relay { region: of, state, .. } if *of == u32::from(region) && is(state) => Some(()),
            _ => None,
        })
    }

    /// Waits until `look` finds what it wants in the map.
    pub fn until_map<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&dayfly_node::NetMap) -> Option<T>,
    ) -> Result<T> {
        crate::wait::until(&format!("{what} in the node's map"), READY, || self.node.with_netmap(&mut look))
    }

    /// Waits until it sees `name` online, with a relay to reach it by.
    pub fn until_sees(&self, name: &str) -> Result<()> {
        self.until_map(&format!("{name}, online"), |map| {
            let mut peers = map.peers();
            peers
                .any(|peer| {
                    peer.short_name() == name && peer.online() == Some(true) && peer.home_region().is_some()
                })
                .then_some(())
        })
    }

    /// Waits for the next failure to reach the control server, or the last, after `mark`.
    pub fn until_disconnected(&self, mark: usize) -> Result<dayfly_node::ControlError> {
        self.event_after(mark, "failure to reach the control server", |event| match event {
            NodeEvent::Disconnected { error, .. } | NodeEvent::Failed(error) => Some(error.clone()),
            _ => None,
        })
    }

    /// Opens a TCP connection; how that ended.
    pub fn connect(&self, host: &str, port: u16) -> Result<Result<TcpStream, dayfly_node::TcpError>> {
        self.block_on(self.node.connect(host, port, |_| {}))
    }

    /// Logs in by Tailscale SSH, as nobody in particular and without any credential. Its host keys are those that the
    /// machine publishes which was connected to.
    pub fn ssh(&self, host: &str, user: &str) -> Result<Session> {
        let stream = self.connect(host, SSH)?.with_context(|| format!("connecting to {host}"))?;
        let mut options = dayfly_ssh::Options::new(user, host);
        let remote = stream.remote();
        let keys = self.node.with_netmap(|map| remote.peer(map).map(|peer| peer.ssh_host_keys().to_vec()));
        options.known_host_keys = keys.with_context(|| format!("{host} is another machine now"))?;
        let session = self.block_on(dayfly_ssh::connect(stream, options, &mut Unattended))?;
        session.with_context(|| format!("logging in on {host}"))
    }

    /// Runs a command in an SSH session, with `input` as its whole standard input.
    pub fn run(&self, session: &Session, command: &str, input: &[u8]) -> Result<Ran> {
        self.block_on(run(session, command, input))?
    }

    /// Logs out, which removes the node when it is ephemeral.
    pub fn logout(&self) -> Result<()> {
        self.block_on(self.node.logout())?.context("logging out")
    }

    /// Logs out without waiting, as a page does that goes away; whether there was a connection to do it on.
    pub fn logout_now(&self) -> Result<bool> {
        self.block_on(async { self.node.logout_now() })
    }

    /// Waits for the node's end; what `Failed` said, or `None` when it was logged out.
    pub fn until_ended(&self) -> Result<Option<dayfly_node::ControlError>> {
        self.event("end", |event| match event {
            NodeEvent::Failed(error) => Some(Some(error.clone())),
            NodeEvent::LoggedOut => Some(None),
            _ => None,
        })
    }
}

/// The longest that an ephemeral node may be listed after its logout.
pub const GONE: Duration = Duration::from_secs(2);
