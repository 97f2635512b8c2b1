//! Answers to requests, and the few that every part gives.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::body::Body;

/// An answer to a request: status, headers and a [`Body`].
pub type Answer = Response<Body>;

/// Makes an answer of plain text, which ends with a line feed and is not cached.
pub fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut text = text.into();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let mut answer = Response::new(Body::from(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Returns the refusal (405) of a request whose method is neither GET nor HEAD, or `None` for these two.
pub fn only_reads<B>(request: &Request<B>) -> Option<Answer> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are for this path");
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    Some(answer)
}

/// Makes an answer (426) that names the protocol to which a request should have asked to upgrade.
pub fn upgrade_required(protocol: &'static str, why: &'static str) -> Answer {
    let mut answer = text(StatusCode::UPGRADE_REQUIRED, why);
    answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(protocol));
    answer
}

/// Returns `true` if one of the comma-separated tokens of a header is `token`, in any case.
pub fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}
