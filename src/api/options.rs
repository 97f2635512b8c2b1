//! `ConnectOptions` of `www/src/api.ts`: what the page asks for, checked.

use dayfly_node::{NodeKeys, NodeOptions};
use dayfly_wire::control::Hostinfo;
use js_sys::Object;
use wasm_bindgen::JsValue;
use zeroize::Zeroizing;

use crate::address::{ControlUrl, RelayUrls};
use crate::names::JoinStep;
use crate::problem::Problem;
use crate::{js, net};

/// Longest host name (RFC 1035, a label).
const MAX_HOSTNAME: usize = 63;

/// Options that a node is started with, and its ways to the outside.
pub(super) struct Options {
    pub(super) node: NodeOptions,
    pub(super) control: ControlUrl,
    pub(super) relays: RelayUrls,
}

/// Reads the options.
pub(super) fn read(given: &JsValue) -> Result<Options, Problem> {
    let bad = |what: &str, seen: String| {
        Problem::new(
            JoinStep::Control,
            what,
            seen,
            "Correct the settings: the form, config.json, or the link's.",
        )
    };
    let url = js::text(given, "controlUrl").unwrap_or_default();
    let control = ControlUrl::parse(&url, net::is_secure())
        .map_err(|error| bad("This address can't be that of a control server.", error.to_string()))?;
    let control_key = js::text(given, "controlKey").map(|key| key.parse()).transpose();
    let control_key = control_key.map_err(|error| {
        bad("The control key is none: it is mkey: and 64 hexadecimal digits.", format!("{error}"))
    })?;
    let relays = relays(&js::get(given, "relays"));
    let relays =
        RelayUrls::parse(relays.iter().map(|(region, url)| (region.as_str(), url.as_str())), &control)
            .map_err(|error| bad("The way to a relay can't be used.", error.to_string()))?;
    let node = NodeOptions {
        control_key,
        auth_key: js::text(given, "authKey").map(Zeroizing::new),
        ..NodeOptions::new(NodeKeys::generate(), hostinfo(js::text(given, "hostname")))
    };
    Ok(Options { node, control, relays })
}

fn relays(given: &JsValue) -> Vec<(String, String)> {
    let Some(given) = js::as_object(given) else { return Vec::new() };
    let pair = |name: String| js::text(given, &name).map(|url| (name, url));
    Object::keys(given).iter().filter_map(|name| name.as_string().and_then(pair)).collect()
}

/// Description of a page's node by itself: that it is a page, and nothing of the person or the browser.
fn hostinfo(hostname: Option<String>) -> Hostinfo {
    let hostname = hostname.map(|name| name.chars().take(MAX_HOSTNAME).collect());
    Hostinfo {
        ipn_version: concat!(env!("CARGO_PKG_VERSION"), "-dayfly").to_owned(),
        // Servers may want one, but nothing here writes a log.
        backend_log_id: "0".repeat(64),
        os: "js".to_owned(),
        app: "dayfly".to_owned(),
        hostname: hostname.unwrap_or_else(random_name),
        go_arch: "wasm".to_owned(),
        shields_up: true,
        userspace: Some(true),
        userspace_router: Some(true),
        ..Hostinfo::default()
    }
}

/// Tells the nodes of several pages apart; no secret.
fn random_name() -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number below 65,536")]
    let number = (js_sys::Math::random() * 65_536.0) as u32;
    format!("dayfly-{number:04x}")
}
