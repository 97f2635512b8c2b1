//! Joining: the control server and the way to a relay.

use dayfly_node::{ControlError, DialError, RelayError};

use super::{Problem, says};
use crate::names::JoinStep;

/// Words of the page's dialer for a control server that answers, but whose answer the browser withholds from the page.
pub const NO_CORS: &str =
    "it answers, but lets no page of another site read the answer (no Access-Control-Allow-Origin)";

/// Advice on what lets a page reach a control server that it can't reach by itself.
const GATEWAY: &str =
    "Let a gateway carry it (dayfly-relay gateway --control ADDRESS) and use the gateway's address here.";

/// Returns why the node is not, or not any more, in the tailnet.
#[must_use]
pub fn of_control(error: &ControlError) -> Problem {
    let seen = error.to_string();
    match error {
        ControlError::KeyFetch(cause) => of_key_fetch(cause),
        ControlError::BadKey(_) => Problem::new(
            JoinStep::Control,
            "This is not a control server.",
            seen,
            "Check the address: it is the one that `tailscale up --login-server` takes.",
        ),
        ControlError::Dial(DialError::BadAddress { .. }) => bad_address(seen),
        ControlError::Dial(_) => Problem::new(
            JoinStep::Control,
            "The control server takes no connection from this page.",
            seen,
            format!("Check that it runs. If it does, it may not speak ts2021 over WebSocket. {GATEWAY}"),
        ),
        ControlError::Handshake(_) => Problem::new(
            JoinStep::Control,
            "The control server could not prove who it is.",
            seen,
            "Check the address, and the control key if one is set. Something between may answer in its place.",
        ),
        ControlError::TimedOut { .. }
        | ControlError::Lost(_)
        | ControlError::Ended
        | ControlError::Watchdog => Problem::new(
            JoinStep::Control,
            "The control server does not answer.",
            seen,
            "Check that it runs and that this network reaches it.",
        ),
        ControlError::Register(text) => of_refusal(text, seen),
        ControlError::RegisterStatus { text, .. } => of_refusal(text, seen),
        ControlError::Logout(_) => Problem::new(
            JoinStep::Control,
            "The control server did not let this node go.",
            seen,
            "Remove the node there.",
        ),
        ControlError::RegisterAnswer(_) => {
            Problem::new(JoinStep::Login, "The control server's answer can't be understood.", seen, REPORT)
        }
        ControlError::KeyRefused | ControlError::KeysNotStored(_) => Problem::new(
            JoinStep::Login,
            "The control server refuses this node's key.",
            seen,
            "Check the clock of the control server.",
        ),
        ControlError::RateLimited { retry_after } => Problem::new(
            JoinStep::Login,
            "The control server is busy.",
            format!("it wants to be asked again in {} seconds", retry_after.as_secs()),
            "Wait, then try again.",
        ),
        ControlError::NodeRemoved(_) => Problem::new(
            JoinStep::Login,
            "The control server has removed this node.",
            seen,
            "Join again. Somebody may have removed it, or the page was away for too long.",
        ),
        ControlError::KeyExpired => Problem::new(
            JoinStep::Login,
            "This node's key has expired.",
            seen,
            "Join again: the page makes a new one.",
        ),
        ControlError::MapRefused { .. } => Problem::new(
            JoinStep::Netmap,
            "The control server does not describe the network.",
            seen,
            "Look into the control server's log.",
        ),
        ControlError::MapMessage(_) | ControlError::MapWithoutNode | ControlError::MapEnded => Problem::new(
            JoinStep::Netmap,
            "The control server's description of the network is broken.",
            seen,
            REPORT,
        ),
    }
}

const REPORT: &str = "Try again. If it stays, report it with the control server's version.";

fn bad_address(seen: String) -> Problem {
    Problem::new(
        JoinStep::Control,
        "This address can't be used from here.",
        seen,
        "Correct the control server's address.",
    )
}

fn of_key_fetch(cause: &DialError) -> Problem {
    let seen = cause.to_string();
    match cause {
        DialError::BadAddress { .. } => bad_address(seen),
        DialError::Unreachable { reason, .. } if reason == NO_CORS => {
            Problem::new(JoinStep::Control, "The control server does not let this page in.", seen, GATEWAY)
        }
        // What a gateway or a proxy says of a server behind it that is down (RFC 9110, 15.6.3 to 15.6.5).
        DialError::Status { status: 502..=504, .. } => Problem::new(
            JoinStep::Control,
            "The control server does not answer.",
            seen,
            "What is before it answers in its place: check that the control server itself runs.",
        ),
        DialError::Status { .. } => Problem::new(
            JoinStep::Control,
            "This is not a control server.",
            seen,
            "Check the address: it is the one that `tailscale up --login-server` takes.",
        ),
        DialError::Unreachable { .. } | DialError::TimedOut { .. } => Problem::new(
            JoinStep::Control,
            "The control server does not answer.",
            seen,
            "Check the address, that the server runs, and that this network reaches it.",
        ),
    }
}

/// The server's words about a registration that it refused. Headscale and Tailscale's server word them differently.
fn of_refusal(text: &str, seen: String) -> Problem {
    let (what, todo) = if says(text, &["already used", "been used"]) {
        ("The auth key is used up.", "Make a new one: a one-off key lets in one node.")
    } else if says(text, &["expired"]) {
        ("The auth key has expired.", "Make a new one.")
    } else if says(text, &["revoked"]) {
        ("The auth key was revoked.", "Make a new one.")
    } else if says(text, &["key"])
        && says(text, &["invalid", "not found", "unknown", "not valid", "failed to validate"])
    {
        (
            "The control server does not know this auth key.",
            "Check that all of it was copied, and that it belongs to this control server.",
        )
    } else {
        (
            "The control server refused this node.",
            "Its administrator decides who may join: ask there, or use another auth key.",
        )
    };
    Problem::new(JoinStep::Login, what, seen, todo)
}

/// No relay can be reached, so no machine could be either.
#[must_use]
pub fn of_relay(code: &str, error: &RelayError) -> Problem {
    Problem::new(
        JoinStep::Relay,
        format!("The relay {code} can't be reached."),
        error.to_string(),
        "Check that it runs. A browser needs it over TLS with a certificate that it trusts; if it has none, let a \
         gateway carry it (`relays` in config.json).",
    )
}

#[cfg(test)]
mod tests {
    use dayfly_wire::control::ControlKeyError;

    use super::*;

    fn refused(text: &str) -> Problem {
        of_control(&ControlError::Register(text.to_owned()))
    }

    #[test]
    fn each_fault_of_an_auth_key_has_its_own_message() {
        let texts =
            ["authkey already used", "authkey expired", "authkey revoked", "invalid pre auth key", "no"];
        let messages: Vec<_> = texts.iter().map(|text| refused(text).what).collect();
        assert_eq!(
            messages,
            [
                "The auth key is used up.",
                "The auth key has expired.",
                "The auth key was revoked.",
                "The control server does not know this auth key.",
                "The control server refused this node."
            ]
        );
        assert_eq!(refused("AuthKey not found").what, messages[3]);
        assert!(texts.iter().all(|text| refused(text).seen.contains(text)));
        assert!(texts.iter().all(|text| refused(text).step == JoinStep::Login.into()));
    }

    #[test]
    fn a_server_that_is_down_differs_from_one_that_keeps_pages_out() {
        let fetch = |reason: &str| {
            let url = "https://control.test/key?v=130".to_owned();
            of_control(&ControlError::KeyFetch(DialError::Unreachable { url, reason: reason.to_owned() }))
        };
        assert_eq!(fetch("Failed to fetch").what, "The control server does not answer.");
        assert_eq!(fetch(NO_CORS).what, "The control server does not let this page in.");
        assert!(fetch(NO_CORS).todo.contains("gateway"));
        assert!(fetch(NO_CORS).seen.contains("https://control.test"));
    }

    #[test]
    fn a_gateway_before_a_server_that_is_down_is_not_taken_for_another_kind() {
        let url = "https://gateway.test/key?v=130".to_owned();
        let cause = DialError::Status { url, status: 502, text: "refused".to_owned() };
        let problem = of_control(&ControlError::KeyFetch(cause));
        assert_eq!(problem.what, "The control server does not answer.");
        assert!(problem.seen.contains("502") && problem.seen.contains("refused"));
    }

    #[test]
    fn another_kind_of_server_is_named_as_such() {
        let html = ControlError::BadKey(ControlKeyError::NotAKey("<".to_owned()));
        let missing = ControlError::KeyFetch(DialError::Status {
            url: "https://x/key".to_owned(),
            status: 404,
            text: String::new(),
        });
        for error in [html, missing] {
            assert_eq!(of_control(&error).what, "This is not a control server.");
        }
    }
}
