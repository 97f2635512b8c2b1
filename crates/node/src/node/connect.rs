//! From a name to an open TCP connection.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dayfly_platform::time::sleep_until;
use dayfly_wire::control::Timestamp;
use dayfly_wire::key::NodePublic;

use super::shared::Shared;
use super::{ConnectStep, TcpError, TcpStream};
use crate::tunnel::{TcpFault, Tunnel};

/// Time for each step.
const STEP_LIMIT: Duration = Duration::from_secs(15);
/// Time for WireGuard's handshake with a machine that is said to be offline, which may be out of date.
const OFFLINE_LIMIT: Duration = Duration::from_secs(4);
/// After so many failures in a row a relay counts as unreachable.
const RELAY_FAILURES: u32 = 2;

/// A machine to connect to.
struct Target {
    host: String,
    address: IpAddr,
    key: NodePublic,
    offline: bool,
    last_seen: Option<Timestamp>,
}

/// How far an attempt is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Progress {
    step: ConnectStep,
    since: Duration,
}

fn look_up(shared: &Shared, host: &str) -> Result<Target, TcpError> {
    let control_time = shared.control_time();
    let map = shared.map();
    let found = map.resolve(host)?;
    let peer = map.peer(found.peer).ok_or(TcpError::Ended)?;
    let name = peer.short_name().to_owned();
    if peer.expired(control_time) {
        return Err(TcpError::Expired { host: name });
    }
    Ok(Target {
        host: name,
        address: found.address,
        key: peer.key(),
        offline: peer.online() == Some(false),
        last_seen: peer.last_seen(),
    })
}

pub(super) fn warm(shared: &Shared, host: &str) {
    if let Ok(target) = look_up(shared, host) {
        shared.with(|tunnel, now| tunnel.connect_peer(&target.key, now));
    }
}

pub(super) async fn connect(
    shared: &Arc<Shared>,
    host: &str,
    port: u16,
    mut tell: impl FnMut(ConnectStep),
) -> Result<TcpStream, TcpError> {
    if shared.is_ended() {
        return Err(TcpError::Ended);
    }
    let target = look_up(shared, host)?;
    let clock = shared.clock();
    let mut changes = shared.progress.subscribe();
    // All steps are begun at once: what TCP sends waits for WireGuard, and that for the relay.
    let handle = shared.with(|tunnel, now| {
        tunnel.connect_peer(&target.key, now);
        tunnel.connect_tcp(target.address, port, now)
    });
    let stream = TcpStream::new(Arc::clone(shared), handle.ok_or(TcpError::Ended)?);
    let start = clock.now();
    let mut progress = Progress { step: ConnectStep::Relay, since: start };
    tell(ConnectStep::Relay);
    loop {
        let step = shared.with(|tunnel, now| step(tunnel, &target, now));
        if step != progress.step {
            progress = Progress { step, since: clock.now() };
            tell(step);
        }
        if let Some(error) = hopeless(shared, &target, start) {
            return Err(error);
        }
        let limit = if target.offline && step == ConnectStep::WireGuard { OFFLINE_LIMIT } else { STEP_LIMIT };
        let connected =
            poll_fn(|context| shared.with(|tunnel, _| tunnel.poll_connected(stream.handle(), context)));
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
                return Err(late(shared, target, port, progress, clock.now()));
            }
        }
    }
}

/// What the attempt waits for now.
fn step(tunnel: &mut Tunnel, target: &Target, now: Duration) -> ConnectStep {
    if tunnel.has_session(&target.key, now) {
        return ConnectStep::Tcp;
    }
    let region = tunnel.peers().get(&target.key).and_then(|peer| peer.region()).or(tunnel.home());
    let ready = region.and_then(|region| tunnel.relays().get(region)).is_some_and(|link| link.is_ready());
    if ready { ConnectStep::WireGuard } else { ConnectStep::Relay }
}

/// Whether waiting longer would be in vain.
fn hopeless(shared: &Shared, target: &Target, start: Duration) -> Option<TcpError> {
    let host = || target.host.clone();
    let (region, failure, gone) = shared.with(|tunnel, now| {
        if tunnel.has_session(&target.key, now) {
            return (None, None, false);
        }
        let home = tunnel.home();
        let peer = tunnel.peers().get(&target.key);
        let gone = peer.is_some_and(|peer| peer.gone.is_some_and(|at| at >= start));
        let region = peer.and_then(|peer| peer.region()).or(home);
        let link = region.and_then(|region| tunnel.relays().get(region));
        let failure = link
            .filter(|link| !link.is_ready() && link.failures() >= RELAY_FAILURES)
            .and_then(|link| link.failure().map(str::to_owned));
        (region, failure, gone)
    });
    if let (Some(region), Some(error)) = (region, failure) {
        let code = shared.region(region).map_or_else(String::new, |region| region.region_code);
        return Some(TcpError::Relay { host: host(), region, code, error });
    }
    // The relay knows it as little as the coordination server does.
    (target.offline && gone).then(|| TcpError::Offline { host: host(), last_seen: target.last_seen })
}

fn failed(fault: TcpFault, host: String, port: u16) -> TcpError {
    match fault {
        TcpFault::Refused | TcpFault::Reset => TcpError::Refused { host, port },
        TcpFault::Rejected(reason) => TcpError::Rejected { host, port, reason },
        TcpFault::Aborted => TcpError::Ended,
    }
}

/// What an attempt failed at whose time is over.
fn late(shared: &Shared, target: Target, port: u16, progress: Progress, now: Duration) -> TcpError {
    let Target { host, key, offline, last_seen, .. } = target;
    let waited = now.saturating_sub(progress.since);
    match progress.step {
        ConnectStep::Tcp => TcpError::TimedOut { host, port, waited },
        ConnectStep::WireGuard if offline => TcpError::Offline { host, last_seen },
        ConnectStep::WireGuard => TcpError::NoHandshake { host, waited },
        ConnectStep::Relay => {
            let (region, failure) = shared.with(|tunnel, _| {
                let home = tunnel.home();
                let region = tunnel.peers().get(&key).and_then(|peer| peer.region()).or(home);
                let link = region.and_then(|region| tunnel.relays().get(region));
                (region, link.and_then(|link| link.failure().map(str::to_owned)))
            });
            let Some(region) = region else { return TcpError::NoRelay { host } };
            let code = shared.region(region).map_or_else(String::new, |region| region.region_code);
            let error = failure.unwrap_or_else(|| format!("no answer for {} seconds", waited.as_secs()));
            TcpError::Relay { host, region, code, error }
        }
    }
}
