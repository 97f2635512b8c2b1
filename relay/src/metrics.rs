//! Counters, and their text form for Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, or goes up and down with [`Counter::sub`].
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(crate) fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// The labels' values, in the order of the variants.
            pub(crate) const LABELS: &[&str] = &[$($label,)*];
        }
    };
}

labels! {
    /// Why a packet was dropped.
    Drop {
        /// Its receiver is not connected.
        NotHere = "not_here",
        /// Its receiver did not read fast enough.
        QueueFull = "queue_full",
        /// The same, for disco packets.
        DiscoQueueFull = "disco_queue_full",
    }
}

labels! {
    /// Why a client was not let in.
    Reject {
        /// It did not greet in time.
        Timeout = "timeout",
        /// It left before it greeted.
        Closed = "closed",
        /// It did not speak DERP.
        Protocol = "protocol",
        /// It did not prove its key.
        Greeting = "greeting",
        /// The admission server does not allow it.
        NotAllowed = "not_allowed",
        /// The admission server could not be asked.
        VerifierFailed = "verifier_failed",
    }
}

labels! {
    /// Why a client's connection ended.
    End {
        /// The client left.
        Left = "left",
        /// The connection failed.
        Io = "io",
        /// The client broke the protocol.
        Protocol = "protocol",
        /// The client did not read.
        WriteTimeout = "write_timeout",
        /// The server goes down.
        Shutdown = "shutdown",
    }
}

/// What one read of one client led to, so that counters are touched once for many packets.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) packets_received: u64,
    pub(crate) packets_relayed: u64,
    pub(crate) drops: [u64; Drop::LABELS.len()],
}

/// All counters of a process.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Accepted TCP connections.
    pub(crate) accepted: Counter,
    /// TCP connections that are open now.
    pub(crate) open: Counter,
    /// Connections that were closed at once, for too many were open.
    pub(crate) refused_full: Counter,
    /// TLS handshakes that failed.
    pub(crate) tls_failed: Counter,
    /// HTTP requests.
    pub(crate) requests: Counter,
    clients: Counter,
    clients_total: Counter,
    duplicates_total: Counter,
    rejects: [Counter; Reject::LABELS.len()],
    ends: [Counter; End::LABELS.len()],
    /// DERP bytes read from clients, greetings left out.
    pub(crate) bytes_received: Counter,
    /// DERP bytes written to clients.
    pub(crate) bytes_sent: Counter,
    packets_received: Counter,
    packets_relayed: Counter,
    drops: [Counter; Drop::LABELS.len()],
    /// How often reading from a client paused, for it had sent more than it may.
    pub(crate) reads_delayed: Counter,
    /// How often another connection of a key became the active one by being heard.
    pub(crate) duplicate_switches: Counter,
    /// PeerGone frames for peers that left.
    pub(crate) peer_gone_disconnected: Counter,
    /// PeerGone frames for peers that are not here.
    pub(crate) peer_gone_not_here: Counter,
    /// STUN requests that were answered.
    pub(crate) stun_answered: Counter,
    /// UDP packets on the STUN port that were not.
    pub(crate) stun_ignored: Counter,
    /// Connections that the gateway carries now.
    pub(crate) gateway_open: Counter,
    /// Connections that the gateway has carried.
    pub(crate) gateway_total: Counter,
    /// Connections and requests that the gateway could not carry, for the upstream failed.
    pub(crate) gateway_failed: Counter,
    /// Requests that the gateway refused for their origin.
    pub(crate) gateway_forbidden: Counter,
}

impl Metrics {
    pub(crate) fn rejected(&self, reason: Reject) {
        self.rejects[reason as usize].add(1);
    }

    pub(crate) fn client_connected(&self, duplicate: bool) {
        self.clients.add(1);
        self.clients_total.add(1);
        self.duplicates_total.add(u64::from(duplicate));
    }

    pub(crate) fn client_disconnected(&self, reason: End) {
        self.clients.sub(1);
        self.ends[reason as usize].add(1);
    }

    pub(crate) fn add(&self, tally: &Tally) {
        self.packets_received.add(tally.packets_received);
        self.packets_relayed.add(tally.packets_relayed);
        for (counter, count) in self.drops.iter().zip(tally.drops) {
            counter.add(count);
        }
    }

    /// Prometheus' text format, version 0.0.4.
    pub(crate) fn render(&self) -> String {
        let mut out = String::with_capacity(4 << 10);
        let mut plain = |kind: &str, name: &str, help: &str, counter: &Counter| {
            head(&mut out, kind, name, help);
            let _: std::fmt::Result = writeln!(out, "dayfly_{name} {}", counter.get());
        };
        plain("gauge", "connections", "TCP connections that are open", &self.open);
        plain("counter", "connections_total", "TCP connections accepted", &self.accepted);
        plain("counter", "connections_refused_total", "TCP connections beyond the limit", &self.refused_full);
        plain("counter", "tls_failed_total", "TLS handshakes that failed", &self.tls_failed);
        plain("counter", "http_requests_total", "HTTP requests", &self.requests);
        plain("gauge", "derp_clients", "DERP clients", &self.clients);
        plain("counter", "derp_clients_total", "DERP clients let in", &self.clients_total);
        plain(
            "counter",
            "derp_duplicates_total",
            "DERP clients whose key was connected",
            &self.duplicates_total,
        );
        plain(
            "counter",
            "derp_duplicate_switches_total",
            "times that an older connection of a key became active",
            &self.duplicate_switches,
        );
        plain("counter", "derp_received_bytes_total", "bytes from DERP clients", &self.bytes_received);
        plain("counter", "derp_sent_bytes_total", "bytes to DERP clients", &self.bytes_sent);
        plain("counter", "derp_packets_received_total", "packets from clients", &self.packets_received);
        plain("counter", "derp_packets_relayed_total", "packets queued for clients", &self.packets_relayed);
        plain("counter", "derp_reads_delayed_total", "pauses of clients over the limit", &self.reads_delayed);
        plain("counter", "stun_answered_total", "STUN requests answered", &self.stun_answered);
        plain("counter", "stun_ignored_total", "other packets on the STUN port", &self.stun_ignored);
        plain("gauge", "gateway_connections", "connections that the gateway carries", &self.gateway_open);
        plain("counter", "gateway_connections_total", "connections carried", &self.gateway_total);
        plain("counter", "gateway_failed_total", "failures of upstreams", &self.gateway_failed);
        plain("counter", "gateway_forbidden_total", "requests of other origins", &self.gateway_forbidden);
        let mut labelled = |name: &str, help: &str, label: &str, values: &[&str], counters: &[&Counter]| {
            head(&mut out, "counter", name, help);
            for (value, counter) in values.iter().zip(counters) {
                let _: std::fmt::Result =
                    writeln!(out, "dayfly_{name}{{{label}=\"{value}\"}} {}", counter.get());
            }
        };
        labelled(
            "derp_reject_total",
            "DERP clients not let in",
            "reason",
            Reject::LABELS,
            &self.rejects.each_ref(),
        );
        labelled("derp_disconnect_total", "DERP clients gone", "reason", End::LABELS, &self.ends.each_ref());
        labelled("derp_drop_total", "packets dropped", "reason", Drop::LABELS, &self.drops.each_ref());
        labelled(
            "derp_peer_gone_total",
            "PeerGone frames sent",
            "reason",
            &["disconnected", "not_here"],
            &[&self.peer_gone_disconnected, &self.peer_gone_not_here],
        );
        out
    }
}

fn head(out: &mut String, kind: &str, name: &str, help: &str) {
    let _: std::fmt::Result = writeln!(out, "# HELP dayfly_{name} {help}\n# TYPE dayfly_{name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let metrics = Metrics::default();
        metrics.rejected(Reject::Greeting);
        metrics.add(&Tally { drops: [1, 2, 3], ..Tally::default() });
        let text = metrics.render();
        for line in text.lines() {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(
                line.starts_with('#') || (name.starts_with("dayfly_") && value.parse::<u64>().is_ok()),
                "{line}"
            );
        }
        assert!(text.contains("dayfly_derp_reject_total{reason=\"greeting\"} 1"));
        assert!(text.contains("dayfly_derp_drop_total{reason=\"disco_queue_full\"} 3"));
    }
}
