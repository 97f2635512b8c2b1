//! The metrics of the relay.

use dayfly_http::label;
use dayfly_http::metrics::{Counter, Counters, Gauge, Label as _, Registry};

label! {
    /// Reasons why a packet was dropped.
    pub(crate) enum Drop as "reason" {
        /// Its receiver is not connected.
        NotHere = "not_here",
        /// Its receiver did not read fast enough.
        QueueFull = "queue_full",
        /// The same, for disco packets.
        DiscoQueueFull = "disco_queue_full",
    }
}

label! {
    /// Reasons why a client was rejected.
    pub(crate) enum Reject as "reason" {
        /// It did not complete the handshake in time.
        Timeout = "timeout",
        /// It left before the handshake was complete.
        Closed = "closed",
        /// It did not speak DERP.
        Protocol = "protocol",
        /// It did not prove its key.
        Handshake = "greeting",
        /// The admission server does not allow it.
        NotAllowed = "not_allowed",
        /// The admission server could not be asked.
        VerifierFailed = "verifier_failed",
    }
}

label! {
    /// Reasons why a client's connection ended.
    pub(crate) enum End as "reason" {
        /// The client left.
        Left = "left",
        /// The connection failed.
        Io = "io",
        /// The client broke the protocol.
        Protocol = "protocol",
        /// The client did not read.
        WriteTimeout = "write_timeout",
        /// Too many newer connections of its key came.
        Duplicate = "duplicate",
        /// The server goes down.
        Shutdown = "shutdown",
    }
}

label! {
    /// Reasons why a client was notified that a peer is gone.
    pub(crate) enum PeerGone as "reason" {
        /// The peer left.
        Disconnected = "disconnected",
        /// The peer is not connected here.
        NotHere = "not_here",
    }
}

/// Outcome of one read of one client, so that counters are touched once for many packets.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) packets_received: u64,
    pub(crate) packets_relayed: u64,
    pub(crate) drops: [u64; Drop::VALUES.len()],
}

/// The metrics of the relay.
#[derive(Debug)]
pub(crate) struct Metrics {
    clients: Gauge,
    clients_total: Counter,
    duplicates: Counter,
    rejects: Counters<Reject>,
    pub(crate) ends: Counters<End>,
    /// Bytes read from clients' sockets, framing of WebSockets included, handshakes left out.
    pub(crate) bytes_received: Counter,
    /// Bytes written to clients' sockets, framing of WebSockets included.
    pub(crate) bytes_sent: Counter,
    packets_received: Counter,
    packets_relayed: Counter,
    drops: Counters<Drop>,
    /// Pauses in reading from a client that had sent more than it may.
    pub(crate) reads_delayed: Counter,
    /// Times that another connection of a key became the active one by being heard.
    pub(crate) duplicate_switches: Counter,
    /// PeerGone frames.
    pub(crate) peer_gone: Counters<PeerGone>,
}

impl Metrics {
    /// Makes the relay's metrics in the process' registry.
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            clients: registry.gauge("derp_clients", "DERP clients"),
            clients_total: registry.counter("derp_clients", "DERP clients admitted"),
            duplicates: registry.counter("derp_duplicates", "DERP clients whose key was connected"),
            rejects: registry.counters("derp_reject", "DERP clients rejected"),
            ends: registry.counters("derp_disconnect", "DERP clients disconnected"),
            bytes_received: registry.counter("derp_received_bytes", "bytes from DERP clients"),
            bytes_sent: registry.counter("derp_sent_bytes", "bytes to DERP clients"),
            packets_received: registry.counter("derp_packets_received", "packets from clients"),
            packets_relayed: registry.counter("derp_packets_relayed", "packets queued for clients"),
            drops: registry.counters("derp_drop", "packets dropped"),
            reads_delayed: registry.counter("derp_reads_delayed", "pauses of clients over the limit"),
            duplicate_switches: registry
                .counter("derp_duplicate_switches", "times that an older connection of a key became active"),
            peer_gone: registry.counters("derp_peer_gone", "PeerGone frames sent"),
        }
    }

    /// Counts a client that was rejected.
    pub(crate) fn rejected(&self, reason: Reject) {
        self.rejects.of(reason).inc();
    }

    /// Counts a client that was admitted.
    pub(crate) fn client_connected(&self, duplicate: bool) {
        self.clients.inc();
        self.clients_total.inc();
        if duplicate {
            self.duplicates.inc();
        }
    }

    /// Counts the end of a client's connection.
    pub(crate) fn client_disconnected(&self, reason: End) {
        self.clients.dec();
        self.ends.of(reason).inc();
    }

    /// Counts the packets of one read.
    pub(crate) fn add(&self, tally: &Tally) {
        for (counter, count) in
            [(&self.packets_received, tally.packets_received), (&self.packets_relayed, tally.packets_relayed)]
        {
            if count > 0 {
                counter.inc_by(count);
            }
        }
        self.drops.add(&tally.drops);
    }
}
