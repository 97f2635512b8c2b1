//! Registration: `/machine/register`.

use std::time::Duration;

use dayfly_platform::random::SystemRng;
use dayfly_platform::time::timeout;
use dayfly_wire::control::{
    CAPABILITY_VERSION, Hostinfo, MAX_REGISTER_RESPONSE, REGISTER_PATH, RegisterAuth, RegisterRequest,
    RegisterResponse, from_json,
};
use dayfly_wire::key::NodePublic;
use http::{HeaderMap, StatusCode, header};
use rand_core::Rng as _;

use super::ControlError;
use super::connection::{Answer, Requests};

/// Time for a registration that no person has to do anything for. Headscale needs a second.
const LIMIT: Duration = Duration::from_secs(60);
/// Time for which a person who logs in is waited for on one connection. Then another one asks the same, as this one may have died
/// meanwhile; servers answer either.
pub(super) const FOLLOWUP_LIMIT: Duration = Duration::from_secs(120);
/// Most bytes that a registration takes, but for unusual ones.
const USUAL_REQUEST: usize = 4096;
/// Most characters of a refusal that are shown.
const MAX_ERROR_TEXT: usize = 512;
/// Longest address of a login page.
const MAX_URL: usize = 2048;
/// Longest wait that a server can ask for.
const MAX_RETRY_AFTER: u64 = 3600;

/// Outcome of a registration.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The node is registered.
    Registered(Box<RegisterResponse>),
    /// A person has to log in there.
    Login(String),
    /// Nobody has logged in yet.
    Waiting,
    /// Another node key is to be made.
    KeyExpired,
}

/// Content of a registration.
pub(super) struct Request<'a> {
    pub(super) node_key: NodePublic,
    pub(super) old_node_key: Option<NodePublic>,
    pub(super) auth_key: Option<&'a str>,
    /// A login page answered before: the server answers once a person has logged in there.
    pub(super) followup: Option<&'a str>,
    pub(super) hostinfo: Hostinfo,
    pub(super) ephemeral: bool,
}

/// Registers the node, or asks again for a login under way.
pub(super) async fn register(requests: &mut Requests, request: Request<'_>) -> Result<Outcome, ControlError> {
    let Request { node_key, old_node_key, auth_key, followup, hostinfo, ephemeral } = request;
    // A login under way is not begun anew by sending the credential again.
    let auth = auth_key.filter(|_| followup.is_none());
    let request = RegisterRequest {
        version: CAPABILITY_VERSION,
        node_key,
        old_node_key: old_node_key.unwrap_or_default(),
        auth: auth.map(|key| RegisterAuth { auth_key: key.to_owned().into() }),
        followup: followup.unwrap_or_default().to_owned(),
        hostinfo: Some(hostinfo),
        ephemeral,
        ..RegisterRequest::default()
    };
    let followup = !request.followup.is_empty();
    let body = json(&request);
    let answer = async { read(requests.post(REGISTER_PATH, body).await?).await };
    let limit = if followup { FOLLOWUP_LIMIT } else { LIMIT };
    match timeout(limit, answer).await {
        Ok(response) => outcome(response?),
        Err(_) if followup => Ok(Outcome::Waiting),
        Err(_) => Err(ControlError::TimedOut { step: "registering this node", limit }),
    }
}

/// The body of a registration, in one piece of memory, since it holds the credential.
pub(super) fn json(request: &RegisterRequest) -> Vec<u8> {
    let mut body = Vec::with_capacity(USUAL_REQUEST);
    // Nothing of a request can fail to be written.
    let _ = serde_json::to_writer(&mut body, request);
    body
}

/// Reads the answer to a logout: an error where the server refused it.
pub(super) async fn logged_out(answer: Answer) -> Result<(), ControlError> {
    let response = read(answer).await?;
    // As for a registration, a refusal is an answer like others.
    if response.error.is_empty() { Ok(()) } else { Err(ControlError::Logout(shown(&response.error))) }
}

fn shown(error: &str) -> String {
    error.chars().take(MAX_ERROR_TEXT).collect()
}

/// Checks the answer in the order of Go's client (control/controlclient/direct.go).
fn outcome(response: RegisterResponse) -> Result<Outcome, ControlError> {
    if !response.error.is_empty() {
        return Err(ControlError::Register(shown(&response.error)));
    }
    Ok(if response.node_key_expired {
        Outcome::KeyExpired
    } else if response.auth_url.is_empty() {
        Outcome::Registered(Box::new(response))
    } else if is_web_page(&response.auth_url) {
        Outcome::Login(response.auth_url)
    } else {
        return Err(ControlError::RegisterAnswer("its login page is not at a web address".to_owned()));
    })
}

/// Returns `true` where a person can be sent there: no script, no file, nothing that breaks out of a line or an attribute.
fn is_web_page(url: &str) -> bool {
    let printable =
        url.len() <= MAX_URL && url.bytes().all(|c| c.is_ascii_graphic() && !b"\"'<>`".contains(&c));
    printable && (url.starts_with("https://") || url.starts_with("http://"))
}

async fn read(answer: Answer) -> Result<RegisterResponse, ControlError> {
    match answer.status {
        StatusCode::OK => {
            let body = answer.read(MAX_REGISTER_RESPONSE).await?;
            from_json(&body).map_err(|error| ControlError::RegisterAnswer(error.to_string()))
        }
        StatusCode::TOO_MANY_REQUESTS => {
            Err(ControlError::RateLimited { retry_after: retry_after(&answer.headers) })
        }
        status => {
            Err(ControlError::RegisterStatus { status: status.as_u16(), text: answer.error_text().await })
        }
    }
}

/// The wait that a server asks for in seconds; five to ten seconds where it says nothing usable.
pub(super) fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    match seconds.filter(|&seconds: &u64| seconds <= MAX_RETRY_AFTER) {
        Some(seconds) => Duration::from_secs(seconds),
        None => Duration::from_millis(5000 + u64::from(SystemRng.next_u32() % 5000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_sent_to_web_pages_only() {
        assert!(is_web_page("https://control.test/register/hskey-authreq-x_Y-1?a=b%20c#d"));
        assert!(is_web_page("http://127.0.0.1:8080/a"));
        for url in [
            "javascript:alert(1)",
            "data:text/html,x",
            "/register",
            "https://x/ y",
            "https://x/\n",
            "https://x/\"><a",
        ] {
            assert!(!is_web_page(url), "{url}");
        }
    }

    #[test]
    fn an_error_outweighs_all_else_and_is_cut() {
        let response = RegisterResponse {
            error: "x".repeat(10_000),
            auth_url: "https://x".to_owned(),
            node_key_expired: true,
            ..RegisterResponse::default()
        };
        let Err(ControlError::Register(text)) = outcome(response) else { panic!() };
        assert_eq!(text.len(), MAX_ERROR_TEXT);
    }

    #[test]
    fn an_unusable_retry_after_is_five_to_ten_seconds() {
        let waits = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers).as_secs()
        };
        assert_eq!(waits(" 17 "), 17);
        for value in ["", "-1", "x", "3601", "99999999999999999999", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert!((5..10).contains(&waits(value)), "{value}");
        }
    }
}
