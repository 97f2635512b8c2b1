//! From a name to an open TCP connection.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dayfly_platform::time::{Moment, sleep_until};
use dayfly_wire::control::Timestamp;
use dayfly_wire::key::NodePublic;

use super::node_core::NodeCore;
use super::{ConnectStep, Remote, TcpError, TcpStream};
use crate::derp::RelayError;
use crate::tunnel::netstack::SILENCE;
use crate::tunnel::{TcpFault, Tunnel};

/// Time that each step may take.
const STEP_LIMIT: Duration = Duration::from_secs(15);
/// Time for the answer of a machine that is said to be offline, which may be out of date.
const OFFLINE_LIMIT: Duration = Duration::from_secs(4);

/// A machine to connect to.
struct Destination {
    host: String,
    address: IpAddr,
    key: NodePublic,
    offline: bool,
    last_seen: Option<Timestamp>,
}

impl Destination {
    /// Returns `true` where the machine is said to be offline, and nothing since `start` contradicts that.
    fn is_offline(&self, tunnel: &Tunnel, start: Moment, now: Moment) -> bool {
        let handshake = tunnel.wireguard_status(&self.key, now).and_then(|status| status.last_handshake);
        self.offline && handshake.is_none_or(|at| at < start)
    }
}

/// Step that an attempt is at.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Waiting {
    step: ConnectStep,
    since: Moment,
}

fn look_up(core: &NodeCore, host: &str) -> Result<Destination, TcpError> {
    let control_time = core.control_time();
    let map = core.map();
    let found = map.resolve(host)?;
    let peer = map.peer(found.peer).ok_or(TcpError::Ended)?;
    let name = peer.short_name().to_owned();
    if peer.expired(control_time) {
        return Err(TcpError::Expired { host: name });
    }
    Ok(Destination {
        host: name,
        address: found.address,
        key: peer.key(),
        offline: peer.online() == Some(false),
        last_seen: peer.last_seen(),
    })
}

pub(super) fn warm(core: &NodeCore, host: &str) {
    if let Ok(target) = look_up(core, host) {
        core.with(|tunnel, now| tunnel.connect_peer(&target.key, now));
    }
}

pub(super) async fn connect(
    core: &Arc<NodeCore>,
    host: &str,
    port: u16,
    mut report: impl FnMut(ConnectStep),
) -> Result<TcpStream, TcpError> {
    if core.is_ended() {
        return Err(TcpError::Ended);
    }
    let target = look_up(core, host)?;
    let clock = core.clock();
    let mut changes = core.progress.subscribe();
    // All steps are begun at once: what TCP sends waits for WireGuard, and that for the relay.
    let opened = core.with(|tunnel, now| {
        tunnel.connect_peer(&target.key, now);
        let handle = tunnel.connect_tcp(target.address, port, now)?;
        Some((handle, tunnel.local_addr(handle)?))
    });
    let (handle, local_addr) = opened.ok_or(TcpError::Ended)?;
    let ends = [local_addr, SocketAddr::new(target.address, port)];
    let remote = Remote { address: target.address, key: target.key };
    let stream = TcpStream::new(Arc::clone(core), handle, ends, remote);
    let start = clock.now();
    let mut progress = Waiting { step: ConnectStep::Relay, since: start };
    report(ConnectStep::Relay);
    loop {
        let (step, offline) =
            core.with(|tunnel, now| (step(tunnel, &target, now), target.is_offline(tunnel, start, now)));
        if step != progress.step {
            progress = Waiting { step, since: clock.now() };
            report(step);
        }
        if let Some(error) = in_vain(core, &target, start) {
            return Err(error);
        }
        let limit = if offline && step != ConnectStep::Relay { OFFLINE_LIMIT } else { STEP_LIMIT };
        let connected =
            poll_fn(|context| core.with(|tunnel, _| tunnel.poll_connected(stream.handle(), context)));
        tokio::select! {
            biased;
            result = connected => {
                return match result {
                    Ok(()) => Ok(stream),
                    Err(fault) => Err(failed(fault, target.host, port)),
                };
            }
            _ = changes.changed() => {}
            () = sleep_until(clock.instant(progress.since + limit)) => {
                return Err(late(core, target, port, progress, offline, clock.now()));
            }
        }
    }
}

/// Returns what the attempt waits for now. A session is of no use while the relay that carries it is away.
fn step(tunnel: &Tunnel, target: &Destination, now: Moment) -> ConnectStep {
    let region = tunnel.region_of(&target.key);
    let ready = region.and_then(|region| tunnel.relays().get(region)).is_some_and(|link| link.is_ready());
    match (ready, tunnel.has_session(&target.key, now)) {
        (false, _) => ConnectStep::Relay,
        (true, false) => ConnectStep::WireGuard,
        (true, true) => ConnectStep::Tcp,
    }
}

/// Returns the error of an attempt that it is in vain to wait for.
fn in_vain(core: &NodeCore, target: &Destination, start: Moment) -> Option<TcpError> {
    let host = || target.host.clone();
    let (region, failure, left) = core.with(|tunnel, _| {
        let peer = tunnel.peers().get(&target.key);
        let left = peer.is_some_and(|peer| peer.gone.is_some_and(|at| at >= start));
        let region = tunnel.region_of(&target.key);
        let link = region.and_then(|region| tunnel.relays().get(region)).filter(|link| link.is_failing());
        (region, link.and_then(|link| link.failure().cloned()), left)
    });
    if let (Some(region), Some(error)) = (region, failure) {
        return Some(relay_error(core, host(), region, error));
    }
    // The relay knows it as little as the control server does.
    (target.offline && left).then(|| TcpError::Offline { host: host(), last_seen: target.last_seen })
}

fn relay_error(core: &NodeCore, host: String, region: u32, error: RelayError) -> TcpError {
    let code = core.map().region_code(region);
    TcpError::Relay { host, region, code, error }
}

fn failed(fault: TcpFault, host: String, port: u16) -> TcpError {
    match fault {
        TcpFault::Refused | TcpFault::Reset => TcpError::Refused { host, port },
        TcpFault::Rejected(reason) => TcpError::Rejected { host, port, reason },
        TcpFault::NoRoute => TcpError::Removed { host },
        TcpFault::TimedOut => TcpError::TimedOut { host, port, waited: SILENCE },
        TcpFault::Aborted => TcpError::Ended,
    }
}

/// Returns the error of an attempt whose time is over.
fn late(
    core: &NodeCore,
    target: Destination,
    port: u16,
    progress: Waiting,
    offline: bool,
    now: Moment,
) -> TcpError {
    let Destination { host, key, last_seen, .. } = target;
    let waited = now - progress.since;
    match progress.step {
        ConnectStep::WireGuard | ConnectStep::Tcp if offline => TcpError::Offline { host, last_seen },
        ConnectStep::Tcp => TcpError::TimedOut { host, port, waited },
        ConnectStep::WireGuard => TcpError::NoHandshake { host, waited },
        ConnectStep::Relay => {
            let (region, failure) = core.with(|tunnel, _| {
                let region = tunnel.region_of(&key);
                let link = region.and_then(|region| tunnel.relays().get(region));
                (region, link.and_then(|link| link.failure().cloned()))
            });
            let Some(region) = region else { return TcpError::NoRelay { host } };
            let error = failure.unwrap_or(RelayError::NoAnswer { waited });
            relay_error(core, host, region, error)
        }
    }
}
