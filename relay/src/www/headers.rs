//! The headers that protect the page.

use http::header::{
    CONTENT_SECURITY_POLICY, InvalidHeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What the page may load. No inline script, no inline style, no other origin; the page arranges that xterm.js needs
/// neither. Together with the rest it is what the page says of itself (`www/index.html`), and who may frame it, which
/// only a header can say.
const LOADS: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    img-src 'self'; manifest-src 'self'";
/// What the page may never do. It assigns no markup, so it needs no trusted types.
const NEVER: &str = "base-uri 'none'; form-action 'none'; object-src 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Where the page may connect to besides this server: a static page can be pointed to any control server.
const CONNECT_ANYWHERE: &str =
    "https: wss: http://localhost:* ws://localhost:* http://127.0.0.1:* ws://127.0.0.1:*";

/// Which of the browser's powers the page gives up: all but the clipboard and the whole screen, as far as browsers know
/// their names; of others they complain.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), \
    camera=(), display-capture=(), encrypted-media=(), fullscreen=(self), gamepad=(), geolocation=(), gyroscope=(), \
    hid=(), idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), midi=(), payment=(), \
    picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), \
    xr-spatial-tracking=(), clipboard-read=(self), clipboard-write=(self)";

/// What can be configured about the page's headers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PageHeaders {
    /// Where the page may connect to besides this server, as sources of a content security policy; anywhere by TLS,
    /// when empty.
    pub connect_src: Vec<String>,
    /// Which origins may show the page in a frame; none, when empty.
    pub frame_ancestors: Vec<String>,
}

impl PageHeaders {
    /// The headers.
    ///
    /// # Errors
    /// When a source has characters that no header may have.
    pub(crate) fn build(&self) -> Result<HeaderMap, InvalidHeaderValue> {
        let connect = or(&self.connect_src, CONNECT_ANYWHERE);
        let ancestors = or(&self.frame_ancestors, "'none'");
        let policy = format!("{LOADS}; connect-src 'self' {connect}; {NEVER}; frame-ancestors {ancestors}");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::try_from(policy)?);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        for (name, value) in [
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("permissions-policy", PERMISSIONS),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if self.frame_ancestors.is_empty() {
            headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
        Ok(headers)
    }
}

fn or(sources: &[String], default: &str) -> String {
    if sources.is_empty() { default.to_owned() } else { sources.join(" ") }
}

/// Whether a text can stand among a policy's sources without ending its directive.
pub(crate) fn is_source(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b','))
}
