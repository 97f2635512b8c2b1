//! The static page: files that are read once and served from memory.
//!
//! Requests are looked up in a table of what was found in the directory, so no request can name a file outside of
//! it. Compressed forms are made once, in the background, where the directory does not bring them.

mod compress;
mod headers;
mod load;
mod options;
mod preload;

use std::collections::HashMap;
use std::fs;
use std::future::ready;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use dayfly_http::answer::only_reads;
use dayfly_http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, VARY,
};
use dayfly_http::http::{HeaderMap, Request};
use dayfly_http::{Answer, Body, HeaderValue, Method, Response, Routes, StatusCode, text};

use self::compress::compress_all;
pub use self::headers::PageHeaders;
pub use self::load::LoadError;
use self::load::{load, single};
pub(crate) use self::options::PageArgs;
use crate::error::StartError;

/// The path where the page looks for its settings.
const CONFIG: &str = "/config.json";

/// Settings of the page.
#[derive(Clone, Debug, Default)]
pub struct PageConfig {
    /// The directory that is served.
    pub www: Option<PathBuf>,
    /// The file that is served as `/config.json`.
    pub config: Option<PathBuf>,
    /// Its headers.
    pub headers: PageHeaders,
}

/// The page, which can be read again while it is served.
#[derive(Debug)]
pub(crate) struct Site {
    config: PageConfig,
    /// Served as `/config.json` where the page brings none.
    settings: Option<String>,
    content: RwLock<Arc<Content>>,
}

impl Site {
    /// Reads the page. `settings` are those of a page that brings none.
    ///
    /// # Errors
    /// When a file can't be read, or the page's headers are not valid.
    pub(crate) fn load(config: PageConfig, settings: Option<String>) -> Result<Self, StartError> {
        let content = RwLock::new(Arc::new(Content::load(&config, settings.as_deref())?));
        Ok(Self { config, settings, content })
    }

    /// The page as it is now.
    fn content(&self) -> Arc<Content> {
        Arc::clone(&self.content.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The page's routes: all that is nobody else's.
    pub(crate) fn routes(self: &Arc<Self>) -> Routes {
        let site = Arc::clone(self);
        Routes::new("site").rest(move |request, _| {
            ready(only_reads(&request).unwrap_or_else(|| site.content().respond(&request)))
        })
    }

    /// Compresses the page in the background. In a Tokio runtime only.
    pub(crate) fn compress(&self) {
        let content = self.content();
        tokio::task::spawn_blocking(move || compress_all(&content.assets));
    }

    /// Reads the page again. What cannot be read stays as it was.
    pub(crate) fn reload(&self) {
        if self.config.www.is_none() && self.config.config.is_none() {
            return;
        }
        match Content::load(&self.config, self.settings.as_deref()) {
            Ok(content) => {
                tracing::info!(files = content.assets.len(), "page read again");
                *self.content.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(content);
                self.compress();
            }
            Err(error) => tracing::error!(%error, "page not read again"),
        }
    }
}

/// One file of the page.
#[derive(Debug)]
struct Asset {
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
type Assets = HashMap<String, Arc<Asset>>;

/// The files of the page and the headers that go with them.
#[derive(Debug, Default)]
struct Content {
    assets: Assets,
    headers: HeaderMap,
}

impl Content {
    fn load(config: &PageConfig, settings: Option<&str>) -> Result<Self, StartError> {
        let mut content = Self { headers: config.headers.build()?, ..Self::default() };
        if let Some(directory) = &config.www {
            content.assets = load(directory)?;
        }
        if content.assets.contains_key("/index.html")
            && let Some(json) = settings
        {
            let json = Bytes::copy_from_slice(json.as_bytes());
            content.assets.entry(CONFIG.to_owned()).or_insert_with(|| single(CONFIG, json));
        }
        if let Some(path) = &config.config {
            let bytes =
                fs::read(path).map_err(|source| StartError::PageConfig { path: path.clone(), source })?;
            content.assets.insert(CONFIG.to_owned(), single(CONFIG, bytes.into()));
        }
        Ok(content)
    }

    /// Answers a GET or a HEAD.
    fn respond<B>(&self, request: &Request<B>) -> Answer {
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
        let mut answer = Response::new(Body::default());
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
        *answer.body_mut() = Body::from(bytes);
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

/// Returns `true` if `Accept-Encoding` lists an encoding, and not with a quality of zero.
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
