//! The relay connections of a node, one for each region that is in use.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use bytes::BytesMut;
use dayfly_platform::time::Moment;
use dayfly_sorted::SortedMap;
use dayfly_wire::key::{NodePrivate, NodePublic};
use dayfly_wireguard::is_initiation;

use crate::derp::{self, ClientError};

/// How long a connection that is not the home may be idle (as Go's `derpInactiveCleanupTime`).
const IDLE: Duration = Duration::from_secs(60);
/// After so many failures in a row a region counts as unreachable.
const PATIENCE: u32 = 2;
/// Packets and bytes that wait for a connection to be made.
const MAX_WAITING: usize = 64;
const MAX_WAITING_BYTES: usize = 64 << 10;
/// With this many bytes waiting to be written to a relay, no more are made: what is ahead of a keystroke.
const BUSY: usize = 128 << 10;
/// A relay that takes nothing for so long holds up nobody but those who use it. A page hands its browser 32 KiB at a time.
const STALL: Duration = Duration::from_secs(2);
/// How long a relay may have been silent before a handshake without an answer casts doubt on it.
const QUIET: Duration = Duration::from_secs(3);

/// All regions that are in use.
#[derive(Debug, Default)]
pub(crate) struct Relays {
    links: SortedMap<u32, Link>,
}

/// One region.
#[derive(Debug, Default)]
pub(crate) struct Link {
    client: Option<derp::Client>,
    /// Packets that wait for the connection.
    waiting: VecDeque<(NodePublic, Vec<u8>)>,
    waiting_bytes: usize,
    last_used: Moment,
    /// Wakes whoever writes to the connection.
    writer: Option<Waker>,
    /// Why the last attempt to connect failed, until one succeeds.
    failure: Option<String>,
    /// How many attempts have failed in a row.
    failures: u32,
    /// The connection was found to be dead.
    dead: Option<ClientError>,
    /// Since when more than [`BUSY`] bytes wait and none of them is taken.
    stuck: Option<Moment>,
    /// The relay has said that it restarts.
    restarting: bool,
}

impl Link {
    /// Whether packets can be sent now.
    pub(crate) fn is_ready(&self) -> bool {
        self.client.as_ref().is_some_and(derp::Client::is_ready)
    }

    /// Why it could not be connected the last time.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whether it can't be connected: several attempts in a row have failed.
    pub(crate) fn is_failing(&self) -> bool {
        !self.is_ready() && self.failures >= PATIENCE
    }

    /// What waits to be written.
    pub(crate) fn transmit(&mut self) -> Option<&mut BytesMut> {
        self.client.as_mut().map(derp::Client::transmit)
    }

    /// The connection's state machine, while there is one.
    pub(crate) fn client(&mut self) -> Option<&mut derp::Client> {
        self.client.as_mut()
    }

    /// Whom to wake when there is something to write, or the connection is dead.
    pub(crate) fn set_writer(&mut self, waker: &Waker) {
        match &mut self.writer {
            Some(writer) => writer.clone_from(waker),
            None => self.writer = Some(waker.clone()),
        }
    }

    /// Why the connection is of no use any more, told once.
    pub(crate) fn take_dead(&mut self) -> Option<ClientError> {
        self.dead.take()
    }

    /// Some of what waits has been written.
    pub(crate) fn note_written(&mut self, now: Moment) {
        self.stuck = self.is_full().then_some(now);
    }

    /// Whether much waits to be written.
    fn is_full(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.waiting() > BUSY)
    }

    /// When it does no longer count that much waits: the relay takes nothing.
    fn stalls_at(&self) -> Option<Moment> {
        self.stuck.filter(|_| self.is_full()).map(|since| since + STALL)
    }

    fn wake(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    fn wait(&mut self, dst: NodePublic, data: &[u8]) {
        // A peer answers the first of several initiations, of which only the last is still of use (and takes no other for
        // 20 ms: `HandshakeInitationRate` of wireguard-go).
        if is_initiation(data) {
            let Self { waiting, waiting_bytes, .. } = self;
            waiting.retain(|(to, older)| {
                let replaced = *to == dst && is_initiation(older);
                if replaced {
                    *waiting_bytes -= older.len();
                }
                !replaced
            });
        }
        self.waiting_bytes += data.len();
        self.waiting.push_back((dst, data.to_vec()));
        while (self.waiting.len() > MAX_WAITING || self.waiting_bytes > MAX_WAITING_BYTES)
            && let Some((_, oldest)) = self.waiting.pop_front()
        {
            self.waiting_bytes -= oldest.len();
        }
    }
}

impl Relays {
    /// Sends a packet to the peer with the key `dst` at a region. What can't be sent at once waits for the connection,
    /// or is dropped as on any network.
    ///
    /// Whether the region was not in use before: it is to be connected then.
    pub(crate) fn send(&mut self, region: u32, dst: &NodePublic, data: &[u8], now: Moment) -> bool {
        let new = self.open(region, now);
        let Some(link) = self.links.get_mut(&region) else { return new };
        if link.stalls_at().is_some_and(|at| at <= now) {
            tracing::trace!(region, "packet dropped: the relay takes nothing");
            return new;
        }
        match link.client.as_mut().filter(|client| client.is_ready()) {
            Some(client) => {
                if client.waiting() <= BUSY {
                    link.stuck = None;
                }
                if let Err(error) = client.send_packet(dst, data) {
                    tracing::trace!(region, %error, "packet dropped");
                }
                if client.waiting() > BUSY {
                    link.stuck.get_or_insert(now);
                }
                link.wake();
            }
            None => link.wait(*dst, data),
        }
        new
    }

    /// Marks a region as in use. Whether it was not.
    pub(crate) fn open(&mut self, region: u32, now: Moment) -> bool {
        let mut new = false;
        let link = self.links.get_or_insert_with(region, || {
            new = true;
            Link::default()
        });
        link.last_used = now;
        new
    }

    /// A connection to the region has been opened: begin to greet.
    pub(crate) fn connected(&mut self, region: u32, key: NodePrivate, now: Moment) {
        if let Some(link) = self.links.get_mut(&region) {
            link.client = Some(derp::Client::new(key, now));
            link.dead = None;
            link.restarting = false;
        }
    }

    /// The greetings of a region are complete: what has waited goes out.
    pub(crate) fn ready(&mut self, region: u32, is_home: bool) {
        let Some(link) = self.links.get_mut(&region) else { return };
        link.failure = None;
        link.failures = 0;
        link.waiting_bytes = 0;
        if let Some(client) = &mut link.client {
            if is_home {
                client.note_preferred(true);
            }
            for (dst, data) in link.waiting.drain(..) {
                if let Err(error) = client.send_packet(&dst, &data) {
                    tracing::trace!(region, %error, "packet dropped");
                }
            }
        }
        link.wake();
    }

    /// The connection is lost, or could not be made.
    pub(crate) fn lost(&mut self, region: u32, failure: Option<String>) {
        if let Some(link) = self.links.get_mut(&region) {
            link.client = None;
            if failure.is_some() {
                link.failures = link.failures.saturating_add(1);
                link.failure = failure;
            }
        }
    }

    /// The relay has announced that it restarts. Whether that is news.
    pub(crate) fn restarting(&mut self, region: u32) -> bool {
        self.links.get_mut(&region).is_some_and(|link| !std::mem::replace(&mut link.restarting, true))
    }

    /// A region is no longer in use.
    pub(crate) fn close(&mut self, region: u32) {
        if let Some(mut link) = self.links.remove(&region) {
            link.wake();
        }
    }

    pub(crate) fn get(&self, region: u32) -> Option<&Link> {
        self.links.get(&region)
    }

    pub(crate) fn get_mut(&mut self, region: u32) -> Option<&mut Link> {
        self.links.get_mut(&region)
    }

    /// The regions in use.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Link)> {
        self.links.iter().map(|(region, link)| (*region, link))
    }

    /// Tells each connection to begin anew, for a new key.
    pub(crate) fn reset(&mut self) {
        for link in self.links.values_mut() {
            link.client = None;
            link.dead = Some(ClientError::TimedOut);
            link.wake();
        }
    }

    /// Asks all relays for a sign of life.
    pub(crate) fn probe(&mut self, payload: [u8; 8], now: Moment) {
        for link in self.links.values_mut() {
            if let Some(client) = &mut link.client {
                client.probe(payload, now);
                link.wake();
            }
        }
    }

    /// Asks the relay of a region for a sign of life, unless there was one a moment ago.
    pub(crate) fn probe_silent(&mut self, region: u32, payload: [u8; 8], now: Moment) {
        if let Some(link) = self.links.get_mut(&region)
            && let Some(client) = &mut link.client
            && client.heard() + QUIET <= now
        {
            client.probe(payload, now);
            link.wake();
        }
    }

    /// Which region is this node's home: told to the relay that is, and to the one that was.
    pub(crate) fn note_home(&mut self, region: u32, home: bool) {
        if let Some(link) = self.links.get_mut(&region)
            && let Some(client) = &mut link.client
        {
            client.note_preferred(home);
            link.wake();
        }
    }

    /// Whether so much waits to be written that no more should be made.
    pub(crate) fn is_busy(&self, now: Moment) -> bool {
        self.links.values().any(|link| link.stalls_at().is_some_and(|at| at > now))
    }

    /// The next point in time at which something is due.
    pub(crate) fn poll_timeout(&self, home: Option<u32>, now: Moment) -> Option<Moment> {
        let of_link = |(region, link): (&u32, &Link)| {
            let idle = (Some(*region) != home).then_some(link.last_used + IDLE);
            let client = link.client.as_ref().and_then(derp::Client::poll_timeout);
            let stall = link.stalls_at().filter(|at| *at > now);
            idle.into_iter().chain(client).chain(stall).min()
        };
        self.links.iter().filter_map(of_link).min()
    }

    /// Does what is due: finds dead connections, and the regions that were idle for long, which it returns.
    pub(crate) fn handle_timeout(&mut self, home: Option<u32>, now: Moment) -> Vec<u32> {
        for link in self.links.values_mut() {
            if let Some(client) = &mut link.client
                && let Err(error) = client.handle_timeout(now)
            {
                link.client = None;
                link.dead = Some(error);
                link.wake();
            }
        }
        let idle = |(region, link): (&u32, &Link)| {
            (Some(*region) != home && link.last_used + IDLE <= now).then_some(*region)
        };
        self.links.iter().filter_map(idle).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_initiations_to_one_peer_only_the_last_waits_for_a_connection() {
        let peer = |byte| NodePublic::from_bytes([byte; 32]);
        let mut relays = Relays::default();
        let mut send = |to, data: &[u8]| relays.send(1, &peer(to), data, Moment::START);
        send(1, &[1, 0, 0, 0, 10]);
        send(1, &[2, 0, 0, 0, 11]);
        send(2, &[1, 0, 0, 0, 12]);
        send(1, &[1, 0, 0, 0, 13]);
        let link = relays.get(1).unwrap();
        let waiting: Vec<(NodePublic, u8)> = link.waiting.iter().map(|(to, data)| (*to, data[4])).collect();
        assert_eq!(waiting, [(peer(1), 11), (peer(2), 12), (peer(1), 13)]);
        assert_eq!(link.waiting_bytes, 15);
    }
}
