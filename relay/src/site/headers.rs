//! The headers that protect the page.

use dayfly_http::header::{
    CONTENT_SECURITY_POLICY, InvalidHeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use dayfly_http::http::{HeaderMap, HeaderName, HeaderValue};

/// Directives for what the page may load. No inline script, no inline style, no other origin; the page arranges that xterm.js needs
/// neither. Together with the rest it is what the page says of itself (`www/index.html`), and who may frame it, which
/// only a header can say.
const LOADS: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    img-src 'self'; manifest-src 'self'";
/// Directives for what the page may never do. It assigns no markup, so it needs no trusted types.
const NEVER: &str = "base-uri 'none'; form-action 'none'; object-src 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Sources that the page may connect to besides this server: a static page can be pointed to any control server.
const CONNECT_ANYWHERE: &str =
    "https: wss: http://localhost:* ws://localhost:* http://127.0.0.1:* ws://127.0.0.1:*";

/// Powers of the browser that the page gives up: all but the clipboard and the whole screen, as far as browsers know
/// their names; of others they complain.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), \
    camera=(), display-capture=(), encrypted-media=(), fullscreen=(self), gamepad=(), geolocation=(), gyroscope=(), \
    hid=(), idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), midi=(), payment=(), \
    picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), \
    xr-spatial-tracking=(), clipboard-read=(self), clipboard-write=(self)";

/// Settings of the page's headers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PageHeaders {
    /// Servers that the page may connect to besides this one, as sources of a content security policy; anywhere by TLS,
    /// when empty.
    pub connect_src: Vec<String>,
    /// Origins that may show the page in a frame; none, when empty.
    pub frame_ancestors: Vec<String>,
}

impl PageHeaders {
    /// Makes the headers of all that the page consists of.
    ///
    /// # Errors
    /// When a source has characters that no header may have.
    pub(super) fn build(&self) -> Result<HeaderMap, InvalidHeaderValue> {
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

/// Returns `true` if a text can stand among a policy's sources without ending its directive.
pub(super) fn is_source(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b','))
}
