use std::fs;

use dayfly_http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY};
use http_body_util::BodyExt as _;

use super::headers::is_source;
use super::load::has_hash;
use super::*;

const SCRIPT: &str = "main-0123456789abcdef.js";

fn site() -> Content {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, contents: &[u8]| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    };
    write(
        "index.html",
        format!("<!doctype html><script type=\"module\" src=\"./{SCRIPT}\"></script>").as_bytes(),
    );
    write(SCRIPT, "let a = 1;".repeat(200).as_bytes());
    write("app-0123456789abcdef_bg.wasm", b"\0asm");
    write("app-0123456789abcdef_bg.wasm.br", b"brotli");
    write("console/index.html", b"console");
    write("a b.txt", b"space");
    write(".secret", b"hidden");
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/passwd", directory.path().join("passwd")).unwrap();
    Content { assets: load(directory.path()).unwrap(), headers: PageHeaders::default().build().unwrap() }
}

fn get(site: &Content, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    site.respond(&request.body(()).unwrap())
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

fn body(answer: Answer) -> Vec<u8> {
    futures::executor::block_on(answer.into_body().collect()).unwrap().to_bytes().to_vec()
}

#[test]
fn hashed_names_are_immutable_and_pages_are_not() {
    let site = site();
    assert_eq!(header(&get(&site, "/", &[]), "cache-control"), "no-cache");
    let script = get(&site, &format!("/{SCRIPT}"), &[]);
    assert_eq!(header(&script, "cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header(&script, "content-type"), "text/javascript; charset=utf-8");
    let wasm = get(&site, "/app-0123456789abcdef_bg.wasm", &[]);
    assert_eq!(header(&wasm, "content-type"), "application/wasm");
}

#[test]
fn a_page_tells_what_it_loads_first() {
    let site = site();
    let page = get(&site, "/", &[]);
    assert_eq!(header(&page, "link"), format!("<./{SCRIPT}>; rel=modulepreload"));
    let etag = header(&page, "etag").to_owned();
    assert_eq!(header(&get(&site, "/", &[("if-none-match", &etag)]), "link"), header(&page, "link"));
    assert_eq!(header(&get(&site, &format!("/{SCRIPT}"), &[]), "link"), "");
    assert_eq!(header(&get(&site, "/console/", &[]), "link"), "");
}

#[test]
fn hashes_are_told_from_words() {
    for name in [
        "a-0123456789abcdef.js",
        "a-0123456789abcdef_bg.wasm",
        "a.0123456789abcdef.css",
        "/x/a-0123456789abcdef01.js",
    ] {
        assert!(has_hash(name), "{name}");
    }
    for name in
        ["index.html", "a-0123456789abcde.js", "0123456789abcdef.js", "a-0123456789abcdefg.js", "a-facade.js"]
    {
        assert!(!has_hash(name), "{name}");
    }
}

#[test]
fn directories_serve_their_index() {
    assert_eq!(body(get(&site(), "/console/", &[])), b"console");
}

#[test]
fn names_are_percent_decoded_once() {
    let site = site();
    assert_eq!(body(get(&site, "/a%20b.txt", &[])), b"space");
    assert_eq!(get(&site, "/a%2520b.txt", &[]).status(), StatusCode::NOT_FOUND);
}

#[test]
fn nothing_outside_is_served() {
    let site = site();
    for path in [
        "/../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..\\etc\\passwd",
        "/index.html%00.js",
        "//etc/passwd",
        "/passwd",
        "/.secret",
        "/%ff",
    ] {
        let request = Request::get("/").body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        let Ok(uri) = path.parse() else { continue };
        parts.uri = uri;
        assert_eq!(site.respond(&Request::from_parts(parts, ())).status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[test]
fn siblings_are_the_compressed_forms() {
    let site = site();
    let path = "/app-0123456789abcdef_bg.wasm";
    let brotli = get(&site, path, &[("accept-encoding", "gzip, br;q=0.9")]);
    assert_eq!((header(&brotli, "content-encoding"), header(&brotli, "vary")), ("br", "Accept-Encoding"));
    assert_eq!(body(brotli), b"brotli");
    let plain = get(&site, path, &[("accept-encoding", "br;q=0, identity")]);
    assert_eq!(header(&plain, "content-encoding"), "");
    assert_eq!(body(plain), b"\0asm");
    assert_eq!(get(&site, "/app-0123456789abcdef_bg.wasm.br", &[]).status(), StatusCode::NOT_FOUND);
}

#[test]
fn what_has_no_sibling_is_compressed_once() {
    let site = site();
    compress_all(&site.assets);
    let path = format!("/{SCRIPT}");
    let gzip = body(get(&site, &path, &[("accept-encoding", "gzip")]));
    let mut decoder = flate2::read::GzDecoder::new(gzip.as_slice());
    assert_eq!(std::io::read_to_string(&mut decoder).unwrap(), "let a = 1;".repeat(200));
    let brotli = body(get(&site, &path, &[("accept-encoding", "br")]));
    let mut plain = Vec::new();
    brotli::BrotliDecompress(&mut brotli.as_slice(), &mut plain).unwrap();
    assert_eq!(plain, "let a = 1;".repeat(200).as_bytes());
}

#[test]
fn a_known_tag_is_answered_without_a_body() {
    let site = site();
    let path = "/app-0123456789abcdef_bg.wasm";
    let plain = header(&get(&site, path, &[]), "etag").to_owned();
    let brotli = header(&get(&site, path, &[("accept-encoding", "br")]), "etag").to_owned();
    assert_ne!(plain, brotli);
    let again = get(&site, path, &[("if-none-match", &format!("\"other\", {plain}"))]);
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert!(again.headers().get(CONTENT_LENGTH).is_none() && body(again).is_empty());
    assert_eq!(get(&site, path, &[("if-none-match", &brotli)]).status(), StatusCode::OK);
}

#[test]
fn every_answer_carries_the_page_policy() {
    let site = site();
    let page = include_str!("../../../www/index.html");
    let (_, meta) = page.split_once("http-equiv=\"Content-Security-Policy\"").unwrap();
    let meta = meta.split('"').nth(1).unwrap();
    for path in ["/", "/missing", "/a%20b.txt"] {
        let answer = get(&site, path, &[]);
        let policy = header(&answer, CONTENT_SECURITY_POLICY.as_str());
        assert_eq!(policy, format!("{meta}; frame-ancestors 'none'"), "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(header(&answer, "referrer-policy"), "no-referrer");
        assert_eq!(header(&answer, "cross-origin-opener-policy"), "same-origin");
        assert_eq!(header(&answer, "cross-origin-resource-policy"), "same-origin");
        assert_eq!(header(&answer, "x-frame-options"), "DENY");
        assert!(header(&answer, "permissions-policy").contains("camera=()"));
    }
}

#[test]
fn a_site_may_be_narrower_and_may_be_framed() {
    let headers = PageHeaders {
        connect_src: vec!["wss://relay.example".to_owned()],
        frame_ancestors: vec!["https://wiki.example".to_owned()],
    };
    let headers = headers.build().unwrap();
    let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("; connect-src 'self' wss://relay.example; base-uri 'none';"));
    assert!(policy.ends_with("; frame-ancestors https://wiki.example"));
    assert!(headers.get("x-frame-options").is_none());
}

#[test]
fn a_source_cannot_end_its_directive() {
    assert!(is_source("wss://*.example:8443"));
    for text in ["", "a b", "x; script-src *", "a,b", "\n"] {
        assert!(!is_source(text), "{text}");
    }
}
