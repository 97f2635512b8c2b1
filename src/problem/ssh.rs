//! Problems of SSH: from the server's version line to a shell, and how a shell is lost.

use dayfly_ssh::{ConnectError, Disconnect, Method, OpenError, Phase};

use super::{Problem, says};
use crate::names::ShellStep;

/// SSH_DISCONNECT_TOO_MANY_CONNECTIONS (RFC 4253 section 11.1).
const TOO_MANY_CONNECTIONS: u32 = 12;

/// Returns why there is no SSH session with `host` as `user`.
#[must_use]
pub fn of_connect(error: &ConnectError, host: &str, user: &str) -> Problem {
    let seen = error.to_string();
    let step = step_of(error);
    let (what, todo) = match error {
        ConnectError::VersionExchange { .. } => (
            format!("What answers on port 22 of {host} is not an SSH server."),
            "Check what listens there, or turn on Tailscale SSH: tailscale set --ssh",
        ),
        ConnectError::Busy { .. } | ConnectError::Disconnected { reason: TOO_MANY_CONNECTIONS, .. } => (
            format!("The SSH server of {host} refuses connections for now."),
            "It has too many at once, or too many that failed: try again in a minute.",
        ),
        ConnectError::ClosedAtOnce => (
            format!("{host} took the connection and closed it without a word."),
            "Try again in a minute: an SSH server that is busy, or that admits only some addresses, does this.",
        ),
        ConnectError::NoCommonAlgorithm { kind, .. } => (
            format!("{host} offers no {kind} algorithm that is safe to use."),
            "Update the SSH server there, or turn on Tailscale SSH.",
        ),
        ConnectError::NoStrictKex { .. } => {
            (format!("The SSH server of {host} is too old to be safe."), "Update it.")
        }
        ConnectError::Kex(_) => (format!("{host} and this page could not agree on keys."), "Try again."),
        ConnectError::HostKeysUnusable { .. } => (
            format!("The host keys that {host} publishes can't be checked here."),
            "Give the machine an Ed25519 or ECDSA host key, and restart its tailscaled.",
        ),
        ConnectError::HostKeyMismatch { expected, got } => {
            return Problem::new(
                step,
                format!("This is not the {host} that the tailnet knows."),
                format!("published {}; received {} {}", expected.join(", "), got.algorithm, got.fingerprint),
                "Do not log in. Somebody may be in its place, or it was set up anew and has not told the control \
                 server yet. Nothing was sent to it.",
            );
        }
        ConnectError::HostKeyRefused { .. } => (
            format!("You refused the host key of {host}."),
            "Compare it with the machine's own (ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub), and try again.",
        ),
        ConnectError::Denied { banner, methods } => return denied(banner, methods, host, user),
        ConnectError::AuthExhausted { banner, methods, attempts } => {
            return exhausted(banner, methods, *attempts, host, user);
        }
        ConnectError::PasswordChangeRequired => (
            format!("{host} wants {user} to change the password first."),
            "Change it on the machine itself, then connect again.",
        ),
        ConnectError::Disconnected { .. } => {
            (format!("{host} ended the connection."), "Look into the SSH server's log there.")
        }
        ConnectError::Flooded { .. } => {
            (format!("{host} sent far more than an SSH server does."), "Check what listens on its port 22.")
        }
        ConnectError::Timeout { .. } => (
            format!("The SSH server of {host} does not answer."),
            "Try again; look at the machine if that does not help.",
        ),
        ConnectError::Stream { .. } => {
            (format!("The connection to {host} broke while logging in."), "Try again.")
        }
        _ => (format!("No SSH session with {host} came about."), "Try again."),
    };
    Problem::new(step, what, seen, todo)
}

fn step_of(error: &ConnectError) -> ShellStep {
    let of = |phase: &Phase| match phase {
        Phase::Authentication => ShellStep::Auth,
        Phase::VersionExchange | Phase::KeyExchange => ShellStep::Ssh,
    };
    match error {
        ConnectError::HostKeysUnusable { .. }
        | ConnectError::HostKeyMismatch { .. }
        | ConnectError::HostKeyRefused { .. } => ShellStep::HostKey,
        ConnectError::Denied { .. }
        | ConnectError::AuthExhausted { .. }
        | ConnectError::PasswordChangeRequired => ShellStep::Auth,
        ConnectError::Disconnected { phase, .. }
        | ConnectError::Timeout { phase, .. }
        | ConnectError::Stream { phase, .. } => of(phase),
        _ => ShellStep::Ssh,
    }
}

/// The server named nothing to try. Tailscale SSH says why in a banner (Tailscale `ssh/tailssh/tailssh.go`).
fn denied(banner: &str, methods: &[&str], host: &str, user: &str) -> Problem {
    let reason = banner.trim();
    // What is said last is the reason; before it may stand a notice, or the link of a check.
    let (before, last) = reason.rsplit_once('\n').unwrap_or(("", reason));
    let was_checked = says(before, &["https://", "http://"]);
    let (what, todo) = if was_checked && says(last, &["access denied", "policy does not permit"]) {
        (
            format!("The check that {host} asked for was refused."),
            "Connect again and approve the check, or ask the tailnet's administrator.",
        )
    } else if says(reason, &["policy does not permit", "access denied"]) {
        (
            format!("The tailnet's policy does not let you into {host} as {user}."),
            "Ask the tailnet's administrator for an `ssh` rule of the policy, or try another user.",
        )
    } else if says(reason, &["look up local user", "unknown user", "user does not exist"]) {
        (format!("There is no user {user} on {host}."), "Try another user, for instance root.")
    } else if methods.is_empty() {
        (
            format!("{host} does not let {user} in."),
            "Check the user's name, and what the machine's administrator allows.",
        )
    } else {
        (
            format!("{host} wants a proof of who you are that this page can't give."),
            "Allow public keys, passwords or keyboard-interactive in its SSH server, or turn on Tailscale SSH.",
        )
    };
    let seen = match (reason.is_empty(), methods.is_empty()) {
        // The link of a check leads nowhere any more.
        (false, _) if was_checked => last.to_owned(),
        (false, _) => reason.to_owned(),
        (true, false) => format!("it accepts {}", methods.join(", ")),
        (true, true) => "it refused without a reason".to_owned(),
    };
    Problem::new(ShellStep::Auth, what, seen, todo)
}

fn exhausted(banner: &str, methods: &[Method], attempts: u32, host: &str, user: &str) -> Problem {
    let names: Vec<_> = methods
        .iter()
        .map(|method| match method {
            Method::PublicKey => "public key",
            Method::KeyboardInteractive => "keyboard-interactive",
            Method::Password => "password",
        })
        .collect();
    let mut seen = match attempts {
        0 => format!("it accepts {}, and none was given", names.join(", ")),
        1 => format!("one attempt was refused; it accepts {}", names.join(", ")),
        _ => format!("{attempts} attempts were refused; it accepts {}", names.join(", ")),
    };
    if !banner.trim().is_empty() {
        seen = format!("{seen}.\nIt said:\n{}", banner.trim());
    }
    Problem::new(
        ShellStep::Auth,
        format!("{host} did not accept who you are as {user}."),
        seen,
        "Try again with another key or password, or turn on Tailscale SSH there, which asks for neither.",
    )
}

/// The peer that was connected to is not the one any more that packets for `host` go to, so which host keys are right
/// for it is not known.
#[must_use]
pub fn of_move(host: &str) -> Problem {
    Problem::new(
        ShellStep::HostKey,
        format!("{host} is another machine than a moment ago, or none."),
        "the tailnet changed while it was being connected to",
        "Look at the list of machines, and connect again.",
    )
}

/// The page does not want the shell any more that it asked for.
#[must_use]
pub fn of_cancel(host: &str) -> Problem {
    Problem::new(
        ShellStep::Ssh,
        format!("Connecting to {host} was cancelled."),
        "the page gave it up",
        "Connect again if you want to.",
    )
}

/// More input waits for a shell than is kept.
#[must_use]
pub fn of_full_input(host: &str) -> Problem {
    Problem::new(
        ShellStep::Shell,
        format!("{host} is behind: what you typed or pasted last was not sent."),
        "earlier input still waits to be sent",
        "Wait until it has been, then type or paste it again.",
    )
}

/// Returns why no shell was started in a session.
#[must_use]
pub fn of_open(error: &OpenError, host: &str, user: &str) -> Problem {
    let (what, todo) = match error {
        OpenError::ChannelRefused(_) => (
            format!("{host} opens no further session."),
            "End another one, or raise MaxSessions of its SSH server.",
        ),
        OpenError::PtyRefused => {
            (format!("{host} gives {user} no terminal."), "Check PermitTTY of its SSH server.")
        }
        OpenError::StartRefused => {
            (format!("{host} does not start a shell for {user}."), "Check the user's login shell there.")
        }
        OpenError::Disconnected(reason) => return of_disconnect(reason, host),
        _ => (format!("No shell was started on {host}."), "Try again."),
    };
    Problem::new(ShellStep::Shell, what, error.to_string(), todo)
}

/// Returns how a session was lost.
#[must_use]
pub fn of_disconnect(reason: &Disconnect, host: &str) -> Problem {
    let (step, what, todo) = match reason {
        Disconnect::Local => {
            (ShellStep::Shell, format!("The session with {host} was closed."), "Connect again.")
        }
        Disconnect::Peer { .. } => (ShellStep::Shell, format!("{host} ended the session."), "Connect again."),
        Disconnect::Protocol(_) => (
            ShellStep::Ssh,
            format!("The session with {host} was given up."),
            "Something sent what an SSH server does not: connect again, and report it if it stays.",
        ),
        _ => (
            ShellStep::Tcp,
            format!("The connection to {host} was lost."),
            "Connect again. The machine, its relay or this network may have gone.",
        ),
    };
    Problem::new(step, what, reason.to_string(), todo)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dayfly_ssh::HostKey;

    use super::*;

    fn denied(banner: &str) -> Problem {
        of_connect(&ConnectError::Denied { banner: banner.to_owned(), methods: Vec::new() }, "web", "bob")
    }

    #[test]
    fn tailscale_ssh_says_why_it_denies() {
        let policy = denied("tailscale: tailnet policy does not permit you to SSH to this node\n");
        assert_eq!(policy.what, "The tailnet's policy does not let you into web as bob.");
        assert_eq!(policy.seen, "tailscale: tailnet policy does not permit you to SSH to this node");
        assert_eq!(policy.step, ShellStep::Auth.into());
        let nobody = denied("tailscale: failed to look up local user \"bob\"\n");
        assert_eq!(nobody.what, "There is no user bob on web.");
        assert_eq!(denied("").what, "web does not let bob in.");
    }

    #[test]
    fn a_false_host_key_is_told_with_both_keys() {
        let got = HostKey {
            host: "web".to_owned(),
            algorithm: "ssh-ed25519".to_owned(),
            fingerprint: "SHA256:b".to_owned(),
            openssh: String::new(),
        };
        let error = ConnectError::HostKeyMismatch { expected: vec!["SHA256:a".to_owned()], got };
        let problem = of_connect(&error, "web", "root");
        assert_eq!(problem.step, ShellStep::HostKey.into());
        assert_eq!(problem.seen, "published SHA256:a; received ssh-ed25519 SHA256:b");
    }

    #[test]
    fn a_silent_server_is_told_by_its_step() {
        let timeout = |phase| ConnectError::Timeout { phase, after: Duration::from_secs(15) };
        assert_eq!(of_connect(&timeout(Phase::VersionExchange), "web", "root").step, ShellStep::Ssh.into());
        assert_eq!(of_connect(&timeout(Phase::Authentication), "web", "root").step, ShellStep::Auth.into());
    }

    #[test]
    fn a_lost_connection_is_not_an_ended_one() {
        let lost = of_disconnect(&Disconnect::Stream("reset".to_owned()), "web");
        let ended = of_disconnect(&Disconnect::Peer { reason: 11, text: "bye".to_owned() }, "web");
        assert_ne!(lost.what, ended.what);
        assert!(ended.seen.contains("bye"));
        assert_eq!(
            of_open(&OpenError::Disconnected(Disconnect::Local), "web", "root").step,
            ShellStep::Shell.into()
        );
    }

    #[test]
    fn a_busy_server_is_not_a_broken_one() {
        let busy = ConnectError::Busy { said: "Exceeded MaxStartups".to_owned() };
        let full = ConnectError::Disconnected { phase: Phase::KeyExchange, reason: 12, text: String::new() };
        for error in [busy, full] {
            let problem = of_connect(&error, "web", "root");
            assert_eq!(problem.what, "The SSH server of web refuses connections for now.");
        }
        let silent = of_connect(&ConnectError::ClosedAtOnce, "web", "root");
        assert!(!silent.what.contains("not an SSH server"), "{}", silent.what);
    }

    #[test]
    fn a_check_that_was_refused_is_told_without_its_dead_link() {
        let link = "# To authenticate, visit:\n\n\thttps://login.example/a/1\n";
        let refused = denied(&format!("{link}tailscale: access denied\n"));
        assert_eq!(refused.what, "The check that web asked for was refused.");
        assert_eq!(refused.seen, "tailscale: access denied");
    }

    #[test]
    fn what_a_server_said_is_kept_apart_from_what_it_accepts() {
        let error = ConnectError::AuthExhausted {
            banner: "*** Welcome to the plain box\n".to_owned(),
            methods: vec![Method::Password],
            attempts: 3,
        };
        let problem = of_connect(&error, "web", "root");
        let seen = "3 attempts were refused; it accepts password.\nIt said:\n*** Welcome to the plain box";
        assert_eq!(problem.seen, seen);
    }

    #[test]
    fn credentials_that_ran_out_are_counted() {
        let error = ConnectError::AuthExhausted {
            banner: String::new(),
            methods: vec![Method::PublicKey, Method::Password],
            attempts: 3,
        };
        let problem = of_connect(&error, "web", "root");
        assert_eq!(problem.seen, "3 attempts were refused; it accepts public key, password");
    }
}
