//! From this node to a port of a machine.

use dayfly_node::{ResolveError, TcpError};
use dayfly_platform::time::unix_now;
use dayfly_wire::tsmp::RejectReason;

use super::Problem;
use crate::names::{JoinStep, OtherStep, ShellStep};

/// Returns why no connection to a machine's SSH port came about.
#[must_use]
pub fn of_tcp(error: &TcpError) -> Problem {
    let seen = error.to_string();
    match error {
        TcpError::Resolve(cause) => of_resolve(cause),
        TcpError::Expired { host } => Problem::new(
            ShellStep::WireGuard,
            format!("The key of {host} has expired."),
            seen,
            "Somebody has to log the machine in again: tailscale up --force-reauth",
        ),
        TcpError::Removed { host } => Problem::new(
            JoinStep::Netmap,
            format!("{host} is no longer in the tailnet."),
            seen,
            "Check that it was not logged out, and that the policy still lets you see it.",
        ),
        TcpError::NoRelay { host } => Problem::new(
            ShellStep::Relay,
            format!("{host} has no relay, so a browser can't reach it."),
            seen,
            "Check that the machine is on and that its tailscaled reaches a relay: tailscale netcheck",
        ),
        TcpError::Relay { host, code, error, .. } => Problem::new(
            ShellStep::Relay,
            format!("The relay of {host} can't be reached."),
            format!("{code}: {error}"),
            "Check that the relay runs. A browser needs it over TLS with a certificate that it trusts.",
        ),
        TcpError::Offline { host, last_seen } => {
            let now = i64::try_from(unix_now().as_secs()).unwrap_or(i64::MAX);
            let since = last_seen.map(|time| now.saturating_sub(time.unix()));
            let seen = match since.and_then(|seconds| u64::try_from(seconds).ok()) {
                Some(seconds) => format!("last seen by the control server {} ago", ago(seconds)),
                None => "the control server says so, and nothing answered".to_owned(),
            };
            Problem::new(
                ShellStep::WireGuard,
                format!("{host} is offline."),
                seen,
                "Turn it on, and look at tailscale status there.",
            )
        }
        TcpError::NoHandshake { host, waited } => Problem::new(
            ShellStep::WireGuard,
            format!("{host} does not answer."),
            format!("no WireGuard handshake for {} seconds", waited.as_secs()),
            "Check that the machine is on, that its tailscaled runs, and that the policy lets you see each other.",
        ),
        TcpError::Refused { host, port } => Problem::new(
            ShellStep::Tcp,
            format!("{host} refuses connections to port {port}."),
            "the machine reset the connection",
            "Turn on Tailscale SSH there (tailscale set --ssh), or start its SSH server.",
        ),
        TcpError::Rejected { host, port, reason } => rejected(host, *port, *reason),
        TcpError::TimedOut { host, port, waited } => Problem::new(
            ShellStep::Tcp,
            format!("Port {port} of {host} does not answer."),
            format!("no answer for {} seconds, though the tunnel is up", waited.as_secs()),
            "The tailnet's policy or a firewall on the machine may drop it: check that port 22 is allowed for you.",
        ),
        TcpError::Ended => {
            Problem::new(OtherStep::Engine, "This page has left the tailnet.", seen, "Join again.")
        }
    }
}

fn of_resolve(cause: &ResolveError) -> Problem {
    let seen = cause.to_string();
    let (what, todo) = match cause {
        ResolveError::UnknownName { host, .. } => (
            format!("There is no machine called {host}."),
            "Check the name. Machines that the policy keeps from you are not shown either.",
        ),
        ResolveError::UnknownAddress(address) => (
            format!("No machine has the address {address}."),
            "Check the address, or use the machine's name.",
        ),
        ResolveError::Ambiguous { host, .. } => {
            (format!("Several machines are called {host}."), "Use the full name of the one you mean.")
        }
        ResolveError::ThisNode(host) => {
            (format!("{host} is this page's own node."), "Choose another machine.")
        }
        ResolveError::NoAddress(host) => (
            format!("{host} can't be reached from here."),
            "Give both machines addresses of the same family.",
        ),
    };
    Problem::new(JoinStep::Netmap, what, seen, todo)
}

fn rejected(host: &str, port: u16, reason: RejectReason) -> Problem {
    let (what, seen, todo) = match reason {
        RejectReason::ACL => (
            format!("The tailnet's policy does not let you reach port {port} of {host}."),
            "the machine says: blocked by the policy".to_owned(),
            "Ask the tailnet's administrator to allow it in the policy's access rules.",
        ),
        RejectReason::SHIELDS_UP => (
            format!("{host} takes no connections at all."),
            "the machine says: shields up".to_owned(),
            "Let them in there: tailscale set --shields-up=false",
        ),
        RejectReason::HOST_FIREWALL => (
            format!("A firewall on {host} blocks port {port}."),
            "the machine says: blocked by its own firewall".to_owned(),
            "Allow the port in the machine's firewall.",
        ),
        RejectReason::IP_FORWARDING => (
            format!("The subnet router does not forward packets to {host}."),
            "the router says: IP forwarding is off".to_owned(),
            "Turn on IP forwarding on the subnet router.",
        ),
        RejectReason(other) => (
            format!("{host} rejects connections to port {port}."),
            format!("the machine says: reason {:?}", char::from(other)),
            "Look into the log of tailscaled on the machine.",
        ),
    };
    Problem::new(OtherStep::Policy, what, seen, todo)
}

/// A duration in its largest unit.
fn ago(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7199 => (seconds / 60, "minute"),
        7200..=172_799 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dayfly_node::RelayError;

    use super::*;

    fn host() -> String {
        "web".to_owned()
    }

    #[test]
    fn each_reason_has_its_own_message() {
        let rejected = |reason| TcpError::Rejected { host: host(), port: 22, reason };
        let errors = [
            TcpError::Resolve(ResolveError::UnknownName { host: host(), near: Vec::new() }),
            TcpError::Expired { host: host() },
            TcpError::Removed { host: host() },
            TcpError::NoRelay { host: host() },
            TcpError::Relay { host: host(), region: 1, code: "fra".to_owned(), error: RelayError::Closed },
            TcpError::Offline { host: host(), last_seen: None },
            TcpError::NoHandshake { host: host(), waited: Duration::from_secs(9) },
            TcpError::Refused { host: host(), port: 22 },
            rejected(RejectReason::ACL),
            rejected(RejectReason::SHIELDS_UP),
            rejected(RejectReason::HOST_FIREWALL),
            rejected(RejectReason(b'?')),
            TcpError::TimedOut { host: host(), port: 22, waited: Duration::from_secs(9) },
        ];
        let mut messages: Vec<_> = errors.iter().map(|error| of_tcp(error).what).collect();
        assert!(messages.iter().all(|what| what.contains("web")), "{messages:?}");
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), errors.len());
    }

    #[test]
    fn times_are_told_in_their_largest_unit() {
        let told: Vec<_> = [1, 90, 120, 7200, 172_800].into_iter().map(ago).collect();
        assert_eq!(told, ["1 second", "90 seconds", "2 minutes", "2 hours", "2 days"]);
    }
}
