//! Small answers that are for everybody: how near this server is, whether a network lets requests through unchanged,
//! and whether the process lives.

use std::future::ready;

use dayfly_http::answer::only_reads;
use dayfly_http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use dayfly_http::{Answer, Body, HeaderValue, Request, Response, Routes, StatusCode, text};

/// The longest challenge that is answered (Tailscale `cmd/derper/derper.go`, `serveNoContent` (tailscale v1.102.5)).
const MAX_CHALLENGE: usize = 64;

/// The routes of probes.
pub(crate) fn routes() -> Routes {
    let reads = |answer: fn(&Request) -> Answer| {
        move |request: Request, _| ready(only_reads(&request).unwrap_or_else(|| answer(&request)))
    };
    Routes::new("probes")
        .path("/derp/probe", reads(|_| probe()))
        .path("/derp/latency-check", reads(|_| probe()))
        .path("/generate_204", reads(generate_204))
        .path("/robots.txt", reads(|_| text(StatusCode::OK, "User-agent: *\nDisallow: /\n")))
        .path("/healthz", reads(|_| text(StatusCode::OK, "ok")))
}

/// Answers what clients measure their distance to a relay by.
fn probe() -> Answer {
    let mut answer = Response::new(Body::default());
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

/// Answers what clients look for captive portals with: the answer shows that it was made for this request.
fn generate_204<B>(request: &dayfly_http::http::Request<B>) -> Answer {
    let mut answer = Response::new(Body::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let no_cache = HeaderValue::from_static("no-cache, no-store, must-revalidate, no-transform, max-age=0");
    answer.headers_mut().insert(CACHE_CONTROL, no_cache);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if let Some(challenge) = request.headers().get("X-Tailscale-Challenge").map(HeaderValue::as_bytes)
        && !challenge.is_empty()
        && challenge.len() <= MAX_CHALLENGE
        && challenge.iter().copied().all(plain)
        && let Ok(response) = HeaderValue::from_bytes(&[b"response ", challenge].concat())
    {
        answer.headers_mut().insert("X-Tailscale-Response", response);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(challenge: &[u8]) -> Option<String> {
        let request = dayfly_http::http::Request::get("/generate_204")
            .header("X-Tailscale-Challenge", challenge)
            .body(())
            .unwrap();
        let answer = generate_204(&request);
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let response = answer.headers().get("X-Tailscale-Response")?;
        Some(response.to_str().unwrap().to_owned())
    }

    #[test]
    fn plain_challenges_are_answered_and_others_ignored() {
        assert_eq!(challenge(b"ts_derp.example:1-2").as_deref(), Some("response ts_derp.example:1-2"));
        assert_eq!(challenge(b"<script>"), None);
        assert_eq!(challenge(&[b'a'; 65]), None);
        assert_eq!(challenge(b""), None);
    }
}
