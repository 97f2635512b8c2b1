//! The relay connections of a node, one for each region that is in use.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use bytes::BytesMut;
use dayfly_platform::time::Moment;
use dayfly_sorted::SortedMap;
use dayfly_wire::key::{NodePrivate, NodePublic};
use dayfly_wireguard::is_initiation;

use crate::derp::{self, RelayError};

/// Time for which a connection that is not the home may be idle (`wgengine/magicsock/derp.go`, `derpInactiveCleanupTime`
/// (tailscale v1.102.5)).
const IDLE: Duration = Duration::from_secs(60);
/// Failures in a row after which a region counts as unreachable.
const PATIENCE: u32 = 2;
/// Packets that wait for a connection to be made.
const MAX_WAITING: usize = 64;
/// Bytes of the packets that wait for a connection to be made.
const MAX_WAITING_BYTES: usize = 64 << 10;
/// Bytes waiting to be written to a relay above which no more are made: they are ahead of a keystroke.
const BUSY: usize = 128 << 10;
/// Time after which a relay that takes nothing holds up nobody but those who use it. A page hands its browser 32 KiB at a
/// time.
const STALL: Duration = Duration::from_secs(2);
/// Silence of a relay after which a handshake without an answer casts doubt on it.
const QUIET: Duration = Duration::from_secs(3);

/// The regions that are in use.
#[derive(Debug, Default)]
pub(crate) struct Relays {
    links: SortedMap<u32, RelayLink>,
}

/// Link to one region: its connection, and what waits for it.
#[derive(Debug, Default)]
pub(crate) struct RelayLink {
    client: Option<derp::Client>,
    /// Packets that wait for the connection.
    waiting: VecDeque<(NodePublic, Vec<u8>)>,
    waiting_bytes: usize,
    last_used: Moment,
    /// Wakes whoever writes to the connection.
    writer: Option<Waker>,
    /// Reason why the last attempt to connect failed, until one succeeds.
    failure: Option<RelayError>,
    /// Number of attempts that have failed in a row.
    failures: u32,
    /// Reason why the connection is of no use any more, until it is reported to its writer.
    dead: Option<RelayError>,
    /// Bytes that were taken to be written, and are not reported as written yet.
    in_flight: usize,
    /// Moment from which on more than [`BUSY`] bytes wait and none of them is taken.
    stuck: Option<Moment>,
    /// The relay has announced that it restarts.
    restarting: bool,
}

impl RelayLink {
    /// Returns `true` while packets can be sent.
    pub(crate) fn is_ready(&self) -> bool {
        self.client.as_ref().is_some_and(derp::Client::is_ready)
    }

    /// Returns why the last attempt to connect failed, until one succeeds.
    pub(crate) fn failure(&self) -> Option<&RelayError> {
        self.failure.as_ref()
    }

    /// Returns `true` once several attempts to connect in a row have failed, until one succeeds.
    pub(crate) fn is_failing(&self) -> bool {
        !self.is_ready() && self.failures >= PATIENCE
    }

    /// Returns the connection's state machine, while there is a connection.
    pub(super) fn client(&mut self) -> Option<&mut derp::Client> {
        self.client.as_mut()
    }

    /// Hands over what waits to be written, in exchange for the empty buffer `out`, and keeps `waker` for when there is
    /// more. Does nothing else while `out` still holds what was taken before.
    ///
    /// The two buffers go back and forth, so that nothing is allocated for a packet. What was taken counts as waiting
    /// until [`note_written`](Self::note_written) reports it.
    ///
    /// # Errors
    /// When the connection is of no use any more; reported once.
    pub(super) fn take_transmit(&mut self, out: &mut BytesMut, waker: &Waker) -> Result<(), RelayError> {
        if let Some(error) = self.dead.take() {
            return Err(error);
        }
        match &mut self.writer {
            Some(writer) => writer.clone_from(waker),
            None => self.writer = Some(waker.clone()),
        }
        if out.is_empty()
            && let Some(client) = &mut self.client
        {
            std::mem::swap(client.transmit(), out);
            self.in_flight = out.len();
        }
        Ok(())
    }

    /// Takes note that so many bytes of what was taken have been written.
    pub(super) fn note_written(&mut self, written: usize, now: Moment) {
        if written > 0 {
            self.in_flight = self.in_flight.saturating_sub(written);
            self.stuck = self.is_full().then_some(now);
        }
    }

    /// Returns the number of bytes that wait to be written.
    fn waiting(&self) -> usize {
        self.client.as_ref().map_or(0, |client| client.waiting() + self.in_flight)
    }

    /// Returns `true` while much waits to be written.
    fn is_full(&self) -> bool {
        self.waiting() > BUSY
    }

    /// Returns the moment from which on the relay counts as stalled: it has taken nothing for [`STALL`], though much waits.
    fn stalls_at(&self) -> Option<Moment> {
        self.stuck.filter(|_| self.is_full()).map(|since| since + STALL)
    }

    /// Drops the connection's state.
    fn disconnect(&mut self) {
        self.client = None;
        self.in_flight = 0;
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
    /// Returns `true` where the region was not in use before: it is to be connected then.
    pub(crate) fn send(&mut self, region: u32, dst: &NodePublic, data: &[u8], now: Moment) -> bool {
        let new = self.open(region, now);
        let Some(link) = self.links.get_mut(&region) else { return new };
        if link.stalls_at().is_some_and(|at| at <= now) {
            tracing::trace!(region, "packet dropped: the relay takes nothing");
            return new;
        }
        if !link.is_full() {
            link.stuck = None;
        }
        match link.client.as_mut().filter(|client| client.is_ready()) {
            Some(client) => {
                if let Err(error) = client.send_packet(dst, data, now) {
                    tracing::trace!(region, %error, "packet dropped");
                }
                if link.is_full() {
                    link.stuck.get_or_insert(now);
                }
                link.wake();
            }
            None => link.wait(*dst, data),
        }
        new
    }

    /// Marks a region as in use. Returns `true` where it was not.
    pub(crate) fn open(&mut self, region: u32, now: Moment) -> bool {
        let mut new = false;
        let link = self.links.get_or_insert_with(region, || {
            new = true;
            RelayLink::default()
        });
        link.last_used = now;
        new
    }

    /// Begins DERP's handshake on a connection to the region that has just been opened.
    pub(crate) fn connected(&mut self, region: u32, key: NodePrivate, now: Moment) {
        if let Some(link) = self.links.get_mut(&region) {
            link.disconnect();
            link.client = Some(derp::Client::new(key, now));
            link.dead = None;
            link.restarting = false;
        }
    }

    /// Sends what has waited for a region, whose handshake is complete.
    pub(crate) fn ready(&mut self, region: u32, is_home: bool, now: Moment) {
        let Some(link) = self.links.get_mut(&region) else { return };
        link.failure = None;
        link.failures = 0;
        link.waiting_bytes = 0;
        if let Some(client) = &mut link.client {
            if is_home {
                client.note_preferred(true);
            }
            for (dst, data) in link.waiting.drain(..) {
                if let Err(error) = client.send_packet(&dst, &data, now) {
                    tracing::trace!(region, %error, "packet dropped");
                }
            }
        }
        link.wake();
    }

    /// Takes note that the connection to a region is lost, or could not be made.
    pub(crate) fn lost(&mut self, region: u32, failure: RelayError) {
        if let Some(link) = self.links.get_mut(&region) {
            link.disconnect();
            link.failures = link.failures.saturating_add(1);
            link.failure = Some(failure);
        }
    }

    /// Takes note that a relay is about to restart. Returns `true` for the first time in a connection.
    pub(crate) fn restarting(&mut self, region: u32) -> bool {
        self.links.get_mut(&region).is_some_and(|link| !std::mem::replace(&mut link.restarting, true))
    }

    /// Forgets a region that is no longer in use.
    pub(crate) fn close(&mut self, region: u32) {
        if let Some(mut link) = self.links.remove(&region) {
            link.wake();
        }
    }

    /// Returns the link to a region that is in use.
    pub(crate) fn get(&self, region: u32) -> Option<&RelayLink> {
        self.links.get(&region)
    }

    /// Returns the link to a region that is in use.
    pub(crate) fn get_mut(&mut self, region: u32) -> Option<&mut RelayLink> {
        self.links.get_mut(&region)
    }

    /// Returns the regions in use, with their links.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &RelayLink)> {
        self.links.iter().map(|(region, link)| (*region, link))
    }

    /// Ends each connection, to be made anew for a new key.
    pub(crate) fn reset(&mut self) {
        for link in self.links.values_mut() {
            link.disconnect();
            link.dead = Some(RelayError::KeyChanged);
            link.wake();
        }
    }

    /// Asks all relays for a keep-alive.
    pub(crate) fn probe(&mut self, payload: [u8; 8], now: Moment) {
        for link in self.links.values_mut() {
            if let Some(client) = &mut link.client {
                client.probe(payload, now);
                link.wake();
            }
        }
    }

    /// Asks the relay of a region for a keep-alive, unless something came from it a moment ago.
    pub(crate) fn probe_silent(&mut self, region: u32, payload: [u8; 8], now: Moment) {
        if let Some(link) = self.links.get_mut(&region)
            && let Some(client) = &mut link.client
            && client.heard() + QUIET <= now
        {
            client.probe(payload, now);
            link.wake();
        }
    }

    /// Reports to a region's relay whether it is this node's home.
    pub(crate) fn note_home(&mut self, region: u32, home: bool) {
        if let Some(link) = self.links.get_mut(&region)
            && let Some(client) = &mut link.client
        {
            client.note_preferred(home);
            link.wake();
        }
    }

    /// Returns `true` while so much waits to be written that no more should be made.
    pub(crate) fn is_busy(&self, now: Moment) -> bool {
        self.links.values().any(|link| link.stalls_at().is_some_and(|at| at > now))
    }

    /// Returns the moment at which [`Relays::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self, home: Option<u32>, now: Moment) -> Option<Moment> {
        let of_link = |(region, link): (&u32, &RelayLink)| {
            let idle = (Some(*region) != home).then_some(link.last_used + IDLE);
            let client = link.client.as_ref().and_then(derp::Client::poll_timeout);
            let stall = link.stalls_at().filter(|at| *at > now);
            idle.into_iter().chain(client).chain(stall).min()
        };
        self.links.iter().filter_map(of_link).min()
    }

    /// Finds connections that are dead, and returns the regions that were idle for long.
    pub(crate) fn handle_timeout(&mut self, home: Option<u32>, now: Moment) -> Vec<u32> {
        for link in self.links.values_mut() {
            if let Some(client) = &mut link.client
                && let Err(error) = client.handle_timeout(now)
            {
                link.disconnect();
                link.dead = Some(error);
                link.wake();
            }
        }
        let idle = |(region, link): (&u32, &RelayLink)| {
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
