//! Being let in: `/machine/register`.

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
/// Most bytes that a registration takes, but for unusual ones.
const USUAL_REQUEST: usize = 4096;
/// Longest wait that a server can ask for.
const MAX_RETRY_AFTER: u64 = 3600;

/// What a registration came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The node is let in.
    Registered(Box<RegisterResponse>),
    /// A person has to log in there.
    Login(String),
    /// Another node key is to be made.
    KeyExpired,
}

/// What a registration says.
pub(super) struct Request<'a> {
    pub(super) node_key: NodePublic,
    pub(super) old_node_key: Option<NodePublic>,
    pub(super) auth_key: Option<&'a str>,
    /// A login page answered before: the server answers once a person has logged in there.
    pub(super) followup: Option<&'a str>,
    pub(super) hostinfo: Hostinfo,
    pub(super) ephemeral: bool,
}

/// Asks to be let in.
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
    let response = if followup {
        answer.await?
    } else {
        let late = |_| ControlError::TimedOut { step: "registering this node", limit: LIMIT };
        timeout(LIMIT, answer).await.map_err(late)??
    };
    outcome(response)
}

/// The body of a registration, in one piece of memory, since it holds the credential.
pub(super) fn json(request: &RegisterRequest) -> Vec<u8> {
    let mut body = Vec::with_capacity(USUAL_REQUEST);
    // Nothing of a request can fail to be written.
    let _ = serde_json::to_writer(&mut body, request);
    body
}

/// Checks the answer in the order of Go's client (control/controlclient/direct.go).
fn outcome(response: RegisterResponse) -> Result<Outcome, ControlError> {
    if !response.error.is_empty() {
        return Err(ControlError::Register(response.error));
    }
    Ok(if response.node_key_expired {
        Outcome::KeyExpired
    } else if !response.auth_url.is_empty() {
        Outcome::Login(response.auth_url)
    } else {
        Outcome::Registered(Box::new(response))
    })
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
