//! The static page: files that are read once and served from memory.
//!
//! Requests are looked up in a table of what was found in the directory, so no request can name a file outside of
//! it. Compressed forms are made once, in the background, where the directory does not bring them.

mod compress;
mod headers;
mod load;
mod preload;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

pub(crate) use self::compress::compress_all;
pub use self::headers::PageHeaders;
pub(crate) use self::headers::is_source;
pub use self::load::LoadError;
pub(crate) use self::load::{load, single};
use crate::answer::{Answer, text};

/// One file.
#[derive(Debug)]
pub(crate) struct Asset {
    bytes: Bytes,
    kind: &'static str,
    /// A hash of the contents, in quotes.
    etag: HeaderValue,
    /// Its name holds a hash of its contents, so it never changes under that name.
    immutable: bool,
    /// Of a page: what it loads first.
    links: Option<HeaderValue>,
    compressed: RwLock<Compressed>,
}

/// Smaller forms of a file.
#[derive(Clone, Debug, Default)]
struct Compressed {
    brotli: Option<Bytes>,
    gzip: Option<Bytes>,
}

/// Everything that is served, by path with its slash.
pub(crate) type Assets = HashMap<String, Arc<Asset>>;

/// The page and the headers that go with it.
#[derive(Debug, Default)]
pub(crate) struct Site {
    pub(crate) assets: Assets,
    pub(crate) headers: HeaderMap,
}

impl Site {
    /// Whether there is a page.
    pub(crate) fn has_page(&self) -> bool {
        self.assets.contains_key("/index.html")
    }

    /// Answers a GET or a HEAD.
    pub(crate) fn respond<B>(&self, request: &Request<B>) -> Answer {
        let Some(asset) = self.find(request.uri().path()) else {
            let mut answer = if self.assets.is_empty() && request.uri().path() == "/" {
                text(StatusCode::OK, "This is a Dayfly relay. It serves no page.")
            } else {
                text(StatusCode::NOT_FOUND, "there is no such file here")
            };
            self.add_headers(&mut answer);
            return answer;
        };
        let mut answer = asset.respond(request.method(), request.headers());
        self.add_headers(&mut answer);
        answer
    }

    fn find(&self, path: &str) -> Option<&Arc<Asset>> {
        let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
        if path.ends_with('/') {
            self.assets.get(&format!("{path}index.html"))
        } else {
            self.assets.get(&*path)
        }
    }

    fn add_headers(&self, answer: &mut Answer) {
        for (name, value) in &self.headers {
            answer.headers_mut().insert(name, value.clone());
        }
    }
}

impl Asset {
    fn respond(&self, method: &Method, request: &HeaderMap) -> Answer {
        let (encoding, bytes) = self.encoded_for(request);
        let mut answer = Response::new(Full::default());
        let headers = answer.headers_mut();
        // The contents are one thing in each encoding, so each encoding has a tag of its own.
        let etag = match encoding {
            None => self.etag.clone(),
            Some(encoding) => suffixed(&self.etag, encoding),
        };
        let fresh = request
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|tags| tags.to_str().ok())
            .flat_map(|tags| tags.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes());
        headers.insert(ETAG, etag);
        let cache = if self.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Some(links) = &self.links {
            headers.insert(LINK, links.clone());
        }
        if fresh {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            return answer;
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        // hyper leaves out the body of an answer to HEAD and keeps its length.
        debug_assert!(matches!(*method, Method::GET | Method::HEAD));
        *answer.body_mut() = Full::new(bytes);
        answer
    }

    /// The smallest form that the client takes.
    fn encoded_for(&self, request: &HeaderMap) -> (Option<&'static str>, Bytes) {
        let compressed = self.compressed.read().map(|compressed| compressed.clone()).unwrap_or_default();
        if let Some(bytes) = compressed.brotli.filter(|_| takes(request, "br")) {
            return (Some("br"), bytes);
        }
        if let Some(bytes) = compressed.gzip.filter(|_| takes(request, "gzip")) {
            return (Some("gzip"), bytes);
        }
        (None, self.bytes.clone())
    }
}

/// Whether `Accept-Encoding` lists an encoding, and not with a quality of zero.
fn takes(headers: &HeaderMap, encoding: &str) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| {
            let mut parts = value.split(';').map(str::trim);
            let refused = |part: &str| {
                part.strip_prefix("q=").is_some_and(|quality| quality.parse().is_ok_and(|q: f32| q <= 0.0))
            };
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding)) && !parts.any(refused)
        })
}

/// `"hash"` becomes `"hash-br"`.
fn suffixed(etag: &HeaderValue, encoding: &str) -> HeaderValue {
    let tag = etag.to_str().unwrap_or_default().trim_matches('"');
    HeaderValue::try_from(format!("\"{tag}-{encoding}\"")).unwrap_or_else(|_| etag.clone())
}

#[cfg(test)]
mod tests;
