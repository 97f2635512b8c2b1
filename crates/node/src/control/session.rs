//! The life of a session: connect, register, follow the map, and again after each failure.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use dayfly_platform::random::SystemRng;
use dayfly_platform::task::{AbortOnDropHandle, spawn};
use dayfly_platform::time::{sleep, timeout};
use dayfly_wire::control::{
    CAPABILITY_VERSION, Hostinfo, PingRequest, REGISTER_PATH, RegisterRequest, RegisterResponse,
    parse_control_key,
};
use dayfly_wire::key::{DiscoPublic, MachinePublic, NodePublic};
use tokio::sync::{Notify, mpsc, watch};

use super::backoff::Backoff;
use super::connection::{Connection, Probe, Requests};
use super::map_stream::{MapStream, update};
use super::register::{self, Outcome};
use super::{
    ControlConfig, ControlError, ControlEvent, KeyExpiry, Live, Logout, Registered, SharedSession, ping,
};
use crate::{DialError, Dialer};

/// Time to fetch the server's key.
const KEY_LIMIT: Duration = Duration::from_secs(20);
/// Time for the answer to a logout on the connection that there was. With [`LOGOUT_LIMIT`] it is less than the ten seconds
/// that a page waits for.
const LOGOUT_ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// Time for a logout on a new connection.
const LOGOUT_LIMIT: Duration = Duration::from_secs(5);
/// Time to store renewed keys.
const STORE_LIMIT: Duration = Duration::from_secs(10);
/// Wait before a change that the server did not take is sent again.
const UPDATE_RETRY: Duration = Duration::from_secs(10);

pub(super) struct Session {
    dialer: Arc<dyn Dialer>,
    config: ControlConfig,
    events: mpsc::Sender<ControlEvent>,
    shared: Arc<SharedSession>,
    /// The server's key, once it was fetched.
    control_key: Option<MachinePublic>,
    connection: Option<Connection>,
    backoff: Backoff,
    registered: bool,
    /// The node's key was renewed, and no map has described the node since.
    renewed: bool,
    /// Page on which a person has to log in.
    followup: Option<String>,
}

impl Session {
    pub(super) fn new(
        dialer: Arc<dyn Dialer>,
        config: ControlConfig,
        events: mpsc::Sender<ControlEvent>,
        shared: Arc<SharedSession>,
    ) -> Self {
        Self {
            dialer,
            control_key: config.control_key,
            config,
            events,
            shared,
            connection: None,
            backoff: Backoff::default(),
            registered: false,
            renewed: false,
            followup: None,
        }
    }

    /// Runs until the node is logged out, something fails for good, or nobody reads the events any more.
    pub(super) async fn run(mut self) {
        let mut logout = self.shared.logout.subscribe();
        let events = self.events.clone();
        let ended = tokio::select! {
            biased;
            _ = logout.wait_for(|logout| !matches!(logout, Logout::No)) => None,
            () = events.closed() => return,
            error = self.keep_following() => Some(error),
        };
        if let Some(error) = ended {
            self.disconnect();
            let done = Logout::Done(Err(error.clone()));
            self.shared.logout.send_replace(done);
            return self.emit(ControlEvent::Failed(error)).await;
        }
        let result = self.end_logout(&mut logout).await;
        self.shared.logout.send_replace(Logout::Done(result.clone()));
        self.disconnect();
        self.emit(match result {
            Ok(()) => ControlEvent::LoggedOut,
            Err(error) => ControlEvent::Failed(error),
        })
        .await;
    }

    /// Waits for the answer to a logout that was sent; without one, sends it on a new connection.
    async fn end_logout(&mut self, logout: &mut watch::Receiver<Logout>) -> Result<(), ControlError> {
        let sent = !matches!(*logout.borrow(), Logout::Wanted);
        if sent {
            let answer = logout.wait_for(|logout| !matches!(logout, Logout::Sent));
            if let Ok(Ok(answer)) = timeout(LOGOUT_ANSWER_LIMIT, answer).await
                && let Logout::Done(result) = &*answer
            {
                return match result {
                    // There was nothing to let go.
                    Err(ControlError::Logout(_)) if !self.registered => Ok(()),
                    result => result.clone(),
                };
            }
        } else if !self.registered {
            return Ok(());
        }
        // What becomes of the old connection is no answer any more.
        self.shared.logout.send_replace(Logout::Wanted);
        let late = |_| ControlError::TimedOut { step: "logging this node out", limit: LOGOUT_LIMIT };
        timeout(LOGOUT_LIMIT, self.log_out_anew()).await.map_err(late)?
    }

    async fn log_out_anew(&mut self) -> Result<(), ControlError> {
        let (mut requests, _) = self.connect().await?;
        let request = RegisterRequest::logout(CAPABILITY_VERSION, self.config.keys.node.public());
        let answer = requests.post(REGISTER_PATH, register::json(&request)).await?;
        register::logged_out(answer).await
    }

    /// Connects again and again until it is no use.
    async fn keep_following(&mut self) -> ControlError {
        loop {
            self.emit(ControlEvent::Connecting).await;
            let error = match self.follow().await {
                Ok(never) => match never {},
                Err(error) => error,
            };
            self.disconnect();
            if error.is_fatal() {
                return error;
            }
            if matches!(error, ControlError::Handshake(_)) {
                // The server may have been set up anew.
                self.control_key = self.config.control_key;
            }
            let retry_in = match error {
                ControlError::RateLimited { retry_after } => retry_after,
                _ => self.backoff.next(&mut SystemRng),
            };
            self.emit(ControlEvent::Disconnected { error, retry_in }).await;
            tokio::select! {
                biased;
                () = self.shared.retry_now.notified() => {}
                () = sleep(retry_in) => {}
            }
        }
    }

    /// Registers and follows the map, on one connection unless a person is waited for.
    async fn follow(&mut self) -> Result<Infallible, ControlError> {
        let shared = Arc::clone(&self.shared);
        let mut login = self.followup.clone();
        loop {
            let (requests, probe) = self.connect().await?;
            let live = Live { requests: requests.clone(), node_key: self.config.keys.node.public() };
            *self.shared.live() = Some(live);
            if let Some(url) = login.take() {
                self.emit(ControlEvent::AuthUrl(url)).await;
            }
            tokio::select! {
                biased;
                end = self.serve(requests) => end?,
                error = watch_over(probe, &shared.retry_now) => return Err(error),
            }
            self.disconnect();
        }
    }

    /// Ends without an error when a person was waited for so long that a new connection should go on with it.
    async fn serve(&mut self, mut requests: Requests) -> Result<(), ControlError> {
        loop {
            if !self.registered && !self.register(&mut requests).await? {
                return Ok(());
            }
            match self.follow_map(requests.clone()).await {
                Ok(never) => match never {},
                Err(ControlError::KeyExpired) if self.config.on_key_expiry == KeyExpiry::Renew => {
                    self.registered = false;
                    self.renew_key().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn connect(&mut self) -> Result<(Requests, Option<Probe>), ControlError> {
        let control_key = match self.control_key {
            Some(key) => key,
            None => self.fetch_key().await?,
        };
        let Self { dialer, config, .. } = self;
        let mut connection = Connection::open(&**dialer, &config.keys.machine, &control_key).await?;
        let (requests, probe) = (connection.requests(), connection.take_probe());
        self.connection = Some(connection);
        Ok((requests, probe))
    }

    async fn fetch_key(&mut self) -> Result<MachinePublic, ControlError> {
        let body = timeout(KEY_LIMIT, self.dialer.control_key(CAPABILITY_VERSION)).await;
        let late = || DialError::TimedOut { url: self.dialer.control_url().to_owned() };
        let body = body.unwrap_or_else(|_| Err(late()));
        let key = parse_control_key(&body.map_err(ControlError::KeyFetch)?)?;
        self.control_key = Some(key);
        Ok(key)
    }

    fn disconnect(&mut self) {
        *self.shared.live() = None;
        self.connection = None;
    }

    /// Registers the node. Returns `false` when a person has not logged in yet.
    async fn register(&mut self, requests: &mut Requests) -> Result<bool, ControlError> {
        loop {
            let hostinfo = self.shared.hostinfo.borrow().clone();
            let request = register::Request {
                node_key: self.config.keys.node.public(),
                old_node_key: self.config.keys.replaced,
                auth_key: self.config.auth_key.as_ref().map(|key| key.as_str()),
                followup: self.followup.as_deref(),
                hostinfo,
                ephemeral: self.config.ephemeral,
            };
            match register::register(requests, request).await? {
                Outcome::Registered(response) => {
                    self.registered = true;
                    self.followup = None;
                    self.config.auth_key = None;
                    self.config.keys.replaced = None;
                    self.emit(registered(*response)).await;
                    return Ok(true);
                }
                Outcome::Waiting => return Ok(false),
                Outcome::Login(url) if self.followup.as_ref() == Some(&url) => {
                    sleep(self.backoff.next(&mut SystemRng)).await;
                }
                Outcome::Login(url) => {
                    self.followup = Some(url.clone());
                    self.emit(ControlEvent::AuthUrl(url)).await;
                }
                Outcome::KeyExpired => self.renew_key().await?,
            }
        }
    }

    /// Renews the node's key, which is stored before the server sees it.
    async fn renew_key(&mut self) -> Result<(), ControlError> {
        if self.renewed {
            return Err(ControlError::KeyRefused);
        }
        let keys = self.config.keys.renewed();
        if let Some(store) = &self.config.key_store {
            let late = |_| ControlError::KeysNotStored(format!("it took {} s", STORE_LIMIT.as_secs()));
            let stored = timeout(STORE_LIMIT, store.save(&keys)).await.map_err(late)?;
            stored.map_err(|error| ControlError::KeysNotStored(error.to_string()))?;
        }
        let key = keys.node.clone();
        if let Some(live) = &mut *self.shared.live() {
            live.node_key = key.public();
        }
        self.config.keys = keys;
        self.renewed = true;
        self.emit(ControlEvent::NodeKey(Box::new(key))).await;
        Ok(())
    }

    async fn follow_map(&mut self, requests: Requests) -> Result<Infallible, ControlError> {
        let Self { config, events, shared, backoff, renewed, .. } = self;
        let (node, disco) = (config.keys.node.public(), config.keys.disco.public());
        let hostinfo = shared.hostinfo.subscribe();
        let map = {
            let (mut requests, hostinfo) = (requests.clone(), hostinfo.borrow().clone());
            async move {
                let mut stream = MapStream::open(&mut requests, &node, &disco, &hostinfo).await?;
                let (mut first, mut pings) = (true, Pings::default());
                loop {
                    let mut message = stream.next().await?;
                    if let Some(request) = message.ping_request.take() {
                        pings.answer(request, &requests);
                    }
                    if message.keep_alive {
                        continue;
                    }
                    if first && message.node.is_none() {
                        return Err(ControlError::MapWithoutNode);
                    }
                    let described = message.node.is_some();
                    let expired = message.node.as_ref().is_some_and(|node| node.expired);
                    backoff.reset();
                    // The reader is dropped only when the session is about to end.
                    let _ = events.send(ControlEvent::Map { message: Box::new(message), first }).await;
                    first = false;
                    if expired {
                        let fresh = *renewed;
                        return Err(if fresh { ControlError::KeyRefused } else { ControlError::KeyExpired });
                    }
                    *renewed &= !described;
                }
            }
        };
        // The stream's request goes out first: its answer is what a person waits for.
        tokio::select! {
            biased;
            end = map => end,
            error = keep_updating(requests, &node, &disco, hostinfo) => Err(error),
        }
    }

    async fn emit(&self, event: ControlEvent) {
        // The reader is dropped only when the session is about to end.
        let _ = self.events.send(event).await;
    }
}

/// Pings the server whenever somebody asks for it, until no answer comes.
async fn watch_over(probe: Option<Probe>, wanted: &Notify) -> ControlError {
    let Some(mut probe) = probe else { return std::future::pending().await };
    loop {
        wanted.notified().await;
        if let Err(error) = probe.ping().await {
            return error;
        }
    }
}

/// Sends the description of this node, now and after each change, until that is no use.
async fn keep_updating(
    mut requests: Requests,
    node: &NodePublic,
    disco: &DiscoPublic,
    mut hostinfo: watch::Receiver<Hostinfo>,
) -> ControlError {
    loop {
        let current = hostinfo.borrow_and_update().clone();
        match update(&mut requests, node, disco, &current).await {
            Ok(()) => {
                if hostinfo.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            // Headscale leaves the map stream of a node that it has removed open, so this is where it is noticed.
            Err(error @ ControlError::NodeRemoved(_)) => return error,
            // When the connection is lost the map stream ends, and this with it.
            Err(error) => {
                tracing::debug!(%error, "the control server did not take note of this node");
                sleep(UPDATE_RETRY).await;
            }
        }
    }
}

/// Answers the server's pings, one at a time: a new one takes the place of one that is not answered yet.
#[derive(Default)]
struct Pings {
    last_url: String,
    task: Option<AbortOnDropHandle<()>>,
}

impl Pings {
    fn answer(&mut self, request: PingRequest, requests: &Requests) {
        if request.url != self.last_url {
            self.last_url.clone_from(&request.url);
            let answer = ping::answer(request, requests.clone());
            self.task = Some(AbortOnDropHandle::new(spawn(answer)));
        }
    }
}

fn registered(response: RegisterResponse) -> ControlEvent {
    let RegisterResponse { user, login, machine_authorized: authorized, .. } = response;
    ControlEvent::Registered(Box::new(Registered { user, login, authorized }))
}
