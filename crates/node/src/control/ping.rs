//! Answers to the server's pings, as far as a node without a local API can give them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_wire::control::PingRequest;
use http::Method;

use super::connection::Requests;

/// Longest request, decoded, that is answered.
const MAX_PAYLOAD: usize = 64 << 10;

/// Answers a ping that wants its answer on the connection that it came by. Others are for nodes that can reach the
/// server's public side.
pub(super) async fn answer(request: PingRequest, mut requests: Requests) {
    if !request.url_is_noise {
        return tracing::debug!(types = %request.types, "ping of the control server not answered");
    }
    let Some(path) = path(&request.url) else {
        return;
    };
    let (method, body) = match request.types.as_str() {
        "" => (Method::HEAD, Vec::new()),
        "c2n" => (Method::POST, answer_c2n(&request.payload)),
        _ => return,
    };
    if let Err(error) = requests.send(method, path, body).await {
        tracing::debug!(%error, "ping of the control server not answered");
    }
}

/// Path and query of an absolute URL, or of one that is just these.
fn path(url: &str) -> Option<&str> {
    match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)),
        None => url.starts_with('/').then_some(url),
    }
}

/// An HTTP/1.1 answer to an HTTP/1.1 request in base64. `/echo` gives the body back; nothing else is here.
fn answer_c2n(payload: &str) -> Vec<u8> {
    let request = if payload.len() <= MAX_PAYLOAD / 3 * 4 { STANDARD.decode(payload).ok() } else { None };
    let request = request.unwrap_or_default();
    let text = String::from_utf8_lossy(&request);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match target.split('?').next() {
        Some("/echo") => ("200 OK", body),
        _ => ("404 Not Found", "unknown c2n path\n"),
    };
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_of_a_url_is_used() {
        assert_eq!(path("https://unused/machine/c2n?id=1"), Some("/machine/c2n?id=1"));
        assert_eq!(path("/machine/c2n"), Some("/machine/c2n"));
        assert_eq!(path("https://unused"), None);
        assert_eq!(path("machine"), None);
    }

    #[test]
    fn echo_gives_the_body_back_and_all_else_is_unknown() {
        let ask = |request: &str| String::from_utf8(answer_c2n(&STANDARD.encode(request))).unwrap();
        assert_eq!(
            ask("POST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
        );
        assert!(ask("GET /debug/prefs HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
        assert!(String::from_utf8(answer_c2n("%%%")).unwrap().starts_with("HTTP/1.1 404 "));
    }
}
