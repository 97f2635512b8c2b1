//! Asking an admission server who may use the relay (Tailscale `tailcfg/derpmap.go`, `DERPAdmitClientRequest`
//! (tailscale v1.102.5)).

use std::net::IpAddr;
use std::time::Duration;

use dayfly_http::client::{Upstream, UpstreamError};
use dayfly_http::http::Request;
use dayfly_http::rate::LogLimit;
use dayfly_http::{Method, StatusCode, header};
use dayfly_wire::key::NodePublic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Time in which the admission server has to answer (Tailscale `derp/derpserver/derpserver.go`, `verifyClient`
/// (tailscale v1.102.5)).
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes (Tailscale `derp/derpserver/derpserver.go`, `verifyClient` (tailscale
/// v1.102.5)).
const MAX_ANSWER: usize = 4 << 10;

/// Reasons why a client is not admitted.
#[derive(Debug, Error)]
pub(crate) enum VerifyError {
    /// The admission server says no.
    #[error("the admission server does not allow it")]
    Refused,
    /// The admission server could not be asked.
    #[error("{0}")]
    Unreachable(#[from] UpstreamError),
    /// The admission server took too long.
    #[error("the admission server did not answer in {} s", TIMEOUT.as_secs())]
    TimedOut,
    /// The admission server answered with another status.
    #[error("the admission server answered with status {0}")]
    Status(StatusCode),
    /// The admission server answered something else.
    #[error("the admission server's answer is not valid: {0}")]
    Answer(serde_json::Error),
}

/// An admission server, which says who may use the relay.
#[derive(Debug)]
pub(crate) struct Verifier {
    upstream: Upstream,
    fail_open: bool,
    log_limit: LogLimit,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Question<'a> {
    node_public: &'a NodePublic,
    source: IpAddr,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Allow", default)]
    allow: bool,
}

impl Verifier {
    /// An admission server that is asked by POST to its URL. With `fail_open`, clients are admitted when it cannot be
    /// asked; an answer that is no plain yes refuses in either case.
    pub(crate) fn new(upstream: Upstream, fail_open: bool) -> Self {
        Self { upstream, fail_open, log_limit: LogLimit::default() }
    }

    /// Asks whether the client with `key`, which came from `source`, may be admitted.
    pub(crate) async fn verify(&self, key: &NodePublic, source: IpAddr) -> Result<(), VerifyError> {
        let answer = match tokio::time::timeout(TIMEOUT, self.ask(key, source)).await {
            Ok(answer) => answer,
            Err(_) => Err(VerifyError::TimedOut),
        };
        match answer {
            Err(error @ (VerifyError::Unreachable(_) | VerifyError::TimedOut)) if self.fail_open => {
                if let Some(unlogged) = self.log_limit.pass() {
                    tracing::warn!(client = %key.short(), %error, unlogged, "client admitted unverified");
                }
                Ok(())
            }
            answer => answer,
        }
    }

    async fn ask(&self, key: &NodePublic, source: IpAddr) -> Result<(), VerifyError> {
        let question = Question { node_public: key, source: source.to_canonical() };
        let body = serde_json::to_vec(&question).map_err(VerifyError::Answer)?;
        let request =
            Request::builder().method(Method::POST).header(header::CONTENT_TYPE, "application/json");
        let (status, body) = self.upstream.fetch(request, "", body.into(), MAX_ANSWER).await?;
        if status != StatusCode::OK {
            return Err(VerifyError::Status(status));
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(VerifyError::Answer)?;
        if answer.allow { Ok(()) } else { Err(VerifyError::Refused) }
    }
}
