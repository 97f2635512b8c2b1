//! Settings of the gateway, and what the page is told of it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use dayfly_http::client::ServerUrl;
use dayfly_http::origin::OriginRule;
use dayfly_wire::key::MachinePublic;
use serde::Serialize;

/// Regions whose connections a relay of the gateway gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RelayRegion {
    /// Every region that has no relay of its own.
    Any,
    /// One region of the DERP map.
    One(NonZeroU32),
}

/// Servers that the gateway leads to, and pages that may use it.
#[derive(Clone, Debug, Default)]
pub struct GatewayConfig {
    /// The control server.
    pub control: Option<ServerUrl>,
    /// The control server's key, which the page is told to take no other for.
    pub control_key: Option<MachinePublic>,
    /// Relays by region.
    pub relays: Vec<(RelayRegion, ServerUrl)>,
    /// Pages that may use it, besides those that come from this server.
    pub allow_origins: Vec<OriginRule>,
    /// Authorities of upstreams' certificates, besides those that the system trusts, or these certificates themselves
    /// (PEM).
    pub upstream_ca: Vec<PathBuf>,
}

impl GatewayConfig {
    /// The settings of a page that comes from this server and has none of its own: the ways through this gateway.
    /// `None` where it leads nowhere.
    pub(crate) fn page_settings(&self) -> Option<String> {
        if self.control.is_none() && self.relays.is_empty() {
            return None;
        }
        let relays = self.relays.iter().map(|(region, _)| match region {
            RelayRegion::Any => ("*".to_owned(), "/gateway/derp/".to_owned()),
            RelayRegion::One(region) => (region.to_string(), format!("/gateway/derp/{region}")),
        });
        let relays: BTreeMap<String, String> = relays.collect();
        let settings = PageSettings {
            control_url: self.control.as_ref().map(|_| "/"),
            control_key: self.control_key.as_ref().map(ToString::to_string),
            relays,
        };
        serde_json::to_string(&settings).ok()
    }
}

/// The settings that the page reads from `config.json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    control_url: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control_key: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    relays: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_of_the_ways_through_its_gateway() {
        let upstream: ServerUrl = "http://10.0.0.3:8444".parse().unwrap();
        let mut gateway = GatewayConfig::default();
        assert_eq!(gateway.page_settings(), None);
        let region = RelayRegion::One(NonZeroU32::new(900).unwrap());
        gateway.relays = vec![(RelayRegion::Any, upstream.clone()), (region, upstream.clone())];
        let relays = r#""relays":{"*":"/gateway/derp/","900":"/gateway/derp/900"}"#;
        assert_eq!(gateway.page_settings().as_deref(), Some(format!("{{{relays}}}").as_str()));
        gateway.control = Some(upstream);
        assert_eq!(gateway.page_settings(), Some(format!(r#"{{"controlUrl":"/",{relays}}}"#)));
        let key = format!("mkey:{}", "1a".repeat(32));
        gateway.control_key = Some(key.parse().unwrap());
        let pinned = format!(r#"{{"controlUrl":"/","controlKey":"{key}",{relays}}}"#);
        assert_eq!(gateway.page_settings(), Some(pinned));
    }
}
