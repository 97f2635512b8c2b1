//! The control client: joins a tailnet, follows its state, and leaves it.
//!
//! [`Control::start`] runs a session until it is logged out, fails for good, or is dropped. What happens comes out
//! as [`ControlEvent`]s; what the messages mean for a node is the business of [`NetMap`](crate::netmap::NetMap).
//! Connections are opened by a [`Dialer`](crate::Dialer), so the same code runs natively and in a browser.

mod backoff;
mod connection;
mod error;
mod map_stream;
mod ping;
mod register;
mod session;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dayfly_platform::task::{AbortOnDropHandle, spawn};
use dayfly_wire::control::CAPABILITY_VERSION;
use dayfly_wire::control::{Hostinfo, Login, MapResponse, REGISTER_PATH, RegisterRequest, User};
use dayfly_wire::key::{MachinePublic, NodePrivate, NodePublic};
use http::Method;
use tokio::sync::{Notify, mpsc, watch};
use zeroize::Zeroizing;

use crate::{Dialer, KeyStore, NodeKeys};
use connection::{Answer, Requests};
use session::Session;

pub(crate) use backoff::Backoff;
pub use error::ControlError;

/// Time for which the map stream may be silent. Servers send a keep-alive each minute.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(120);

/// Events that wait for their reader; then the map stream is read no further.
const EVENT_QUEUE: usize = 4;

/// Settings that a session is started with.
pub(crate) struct ControlConfig {
    /// Keys of this node.
    pub keys: NodeKeys,
    /// Store for renewed keys.
    pub key_store: Option<Arc<dyn KeyStore>>,
    /// The server's key, where it is known beforehand. Otherwise it is fetched from the server.
    pub control_key: Option<MachinePublic>,
    /// Credential that registers the node without a person; wiped once it did. Without one a person has to log in.
    pub auth_key: Option<Zeroizing<String>>,
    /// Description of the node for others.
    pub hostinfo: Hostinfo,
    /// The node is to be removed when it goes away.
    pub ephemeral: bool,
    /// Conduct once the node's key has expired.
    pub on_key_expiry: KeyExpiry,
}

/// Conduct of a node whose key has expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyExpiry {
    /// The node ends with [`ControlError::KeyExpired`].
    #[default]
    End,
    /// The node registers under a new node key, for which a person has to log in again.
    Renew,
}

/// Event of a session with the control server.
#[derive(Debug)]
pub(crate) enum ControlEvent {
    /// A connection is being opened.
    Connecting,
    /// A person has to log in on this page; the session goes on by itself then.
    AuthUrl(String),
    /// The server called the node's key expired: this one replaces it.
    NodeKey(Box<NodePrivate>),
    /// The node is registered.
    Registered(Box<Registered>),
    /// The map has changed.
    Map {
        /// The change.
        message: Box<MapResponse>,
        /// First message of its stream: what it does not name is removed.
        first: bool,
    },
    /// The connection is lost, or could not be opened; the next attempt follows.
    Disconnected {
        /// The failure.
        error: ControlError,
        /// Time to the next attempt.
        retry_in: Duration,
    },
    /// The server has logged the node out, as asked. The session has ended.
    LoggedOut,
    /// The session has ended for good.
    Failed(ControlError),
}

/// Owner of the node, as the server names it when it registers the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The owner.
    pub user: User,
    /// The owner's login.
    pub login: Login,
    /// An administrator has approved the node, or nobody has to; otherwise it sees no peers until then.
    pub authorized: bool,
}

/// A running session. Dropping it ends the session without a logout.
#[derive(Debug)]
pub(crate) struct Control {
    shared: Arc<SharedSession>,
    _task: AbortOnDropHandle<()>,
}

/// State that a session and its handle share.
#[derive(Debug)]
struct SharedSession {
    hostinfo: watch::Sender<Hostinfo>,
    /// The connection to log out on.
    live: Mutex<Option<Live>>,
    logout: watch::Sender<Logout>,
    retry_now: Notify,
}

/// An open connection, and the key of the node that is registered there or about to be.
struct Live {
    requests: Requests,
    node_key: NodePublic,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("node_key", &self.node_key).finish_non_exhaustive()
    }
}

/// Progress of a logout.
#[derive(Debug, Clone)]
enum Logout {
    /// Nobody asked.
    No,
    /// Asked, and not sent: there is no connection, or the one that there was brought no answer.
    Wanted,
    /// Sent.
    Sent,
    /// Answered, or failed; the session has ended.
    Done(Result<(), ControlError>),
}

impl Control {
    /// Starts a session. Its events must be read, or it comes to a halt.
    #[must_use]
    pub(crate) fn start(
        dialer: Arc<dyn Dialer>,
        config: ControlConfig,
    ) -> (Self, mpsc::Receiver<ControlEvent>) {
        let (events, receiver) = mpsc::channel(EVENT_QUEUE);
        let shared = Arc::new(SharedSession {
            hostinfo: watch::Sender::new(config.hostinfo.clone()),
            live: Mutex::new(None),
            logout: watch::Sender::new(Logout::No),
            retry_now: Notify::new(),
        });
        let session = Session::new(dialer, config, events, shared.clone());
        let task = AbortOnDropHandle::new(spawn(session.run()));
        (Self { shared, _task: task }, receiver)
    }

    /// Changes the node's description, its home region for instance. It is sent to the server at once, or when that is
    /// reached again.
    pub(crate) fn update_hostinfo(&self, change: impl FnOnce(&mut Hostinfo)) {
        self.shared.hostinfo.send_if_modified(|hostinfo| {
            let before = hostinfo.clone();
            change(hostinfo);
            *hostinfo != before
        });
    }

    /// Makes this relay region the node's home, through which its peers reach it.
    pub(crate) fn set_home_region(&self, region: u32) {
        self.update_hostinfo(|hostinfo| {
            hostinfo.net_info.get_or_insert_default().preferred_derp = region;
        });
    }

    /// Ends a wait for the next attempt to connect, and finds out whether the connection that there is still works: for
    /// when the network has come back.
    pub(crate) fn retry_now(&self) {
        self.shared.retry_now.notify_waiters();
    }

    /// Logs the node out on the connection as it is, without waiting for anything: the request is on its way to the
    /// socket once the caller and the tasks it woke have run. For pages that are about to go away.
    ///
    /// Returns `true` where there was a connection to do it on. The session ends in any case.
    pub(crate) fn logout_now(&self) -> bool {
        let live = self.shared.live().take();
        let Some(Live { mut requests, node_key }) = live else {
            self.shared.logout.send_if_modified(|logout| {
                let asked = matches!(logout, Logout::No);
                if asked {
                    *logout = Logout::Wanted;
                }
                asked
            });
            return false;
        };
        let request = RegisterRequest::logout(CAPABILITY_VERSION, node_key);
        let body = register::json(&request);
        match requests.send_now(Method::POST, REGISTER_PATH, body) {
            Ok(answer) => {
                let shared = self.shared.clone();
                shared.logout.send_replace(Logout::Sent);
                // Without someone who waits for the answer the request would be taken back.
                drop(spawn(async move {
                    let result = match Answer::of(answer).await {
                        Ok(answer) => register::logged_out(answer).await,
                        Err(error) => Err(error),
                    };
                    shared.logout.send_if_modified(|logout| {
                        let awaited = matches!(logout, Logout::Sent);
                        if awaited {
                            *logout = match result {
                                Err(ControlError::Lost(_)) => Logout::Wanted,
                                result => Logout::Done(result),
                            };
                        }
                        awaited
                    });
                }));
                true
            }
            Err(_) => {
                self.shared.logout.send_replace(Logout::Wanted);
                false
            }
        }
    }

    /// Logs the node out and ends the session. Where no connection brings an answer, one more is tried. It takes no more
    /// than eight seconds.
    pub(crate) async fn logout(&self) -> Result<(), ControlError> {
        let mut logout = self.shared.logout.subscribe();
        if matches!(*logout.borrow(), Logout::No) {
            self.logout_now();
        }
        let done = logout.wait_for(|logout| matches!(logout, Logout::Done(_))).await;
        match done.as_deref() {
            Ok(Logout::Done(result)) => result.clone(),
            _ => Err(ControlError::Ended),
        }
    }
}

impl SharedSession {
    fn live(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
