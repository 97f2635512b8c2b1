//! The settings of the gateway on the command line.

use std::path::PathBuf;

use clap::Args;
use dayfly_cli::{Needs, needs};
use dayfly_http::client::{ServerUrl, ServerUrlError};
use dayfly_http::origin::OriginRule;
use dayfly_wire::key::MachinePublic;

use super::{GatewayConfig, RelayRegion};

/// Settings of the gateway.
#[derive(Args, Debug)]
#[command(next_help_heading = "Gateway")]
pub(crate) struct GatewayArgs {
    /// Control server that the gateway leads to
    #[arg(long, value_name = "URL")]
    control: Option<ServerUrl>,
    /// The control server's key, mkey:..., which the page is told to take no other for. It is in the control server's
    /// answer to /key?v=130
    #[arg(long, value_name = "KEY")]
    control_key: Option<MachinePublic>,
    /// Relay that the gateway leads to, under /gateway/derp/REGION; without a region, for all that have none of
    /// their own. May be given several times
    #[arg(
        long, value_name = "[REGION=]URL", alias = "derp", value_delimiter = ',', value_parser = region_url
    )]
    derp_upstream: Vec<(RelayRegion, ServerUrl)>,
    /// Origin whose pages may use the gateway, besides this server's own; * for all. May be given several times
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    allow_origin: Vec<OriginRule>,
    /// Authorities to trust for upstreams' certificates, besides the system's, or upstreams' certificates themselves
    /// (PEM). May be given several times
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    upstream_ca: Vec<PathBuf>,
}

impl GatewayArgs {
    /// Refuses settings without those that they need.
    pub(crate) const fn check(&self) -> Result<(), Needs> {
        needs("control-key", self.control_key.is_some(), "control", self.control.is_some())
    }

    /// Returns `true` if the gateway leads somewhere.
    pub(crate) const fn leads_somewhere(&self) -> bool {
        self.control.is_some() || !self.derp_upstream.is_empty()
    }

    /// Returns the settings that they make.
    pub(crate) fn config(self) -> GatewayConfig {
        GatewayConfig {
            control: self.control,
            control_key: self.control_key,
            relays: self.derp_upstream,
            allow_origins: self.allow_origin,
            upstream_ca: self.upstream_ca,
        }
    }
}

fn region_url(text: &str) -> Result<(RelayRegion, ServerUrl), String> {
    let (region, url) = match text.split_once('=') {
        Some((region, url)) => {
            let number = region.parse().map(RelayRegion::One);
            (number.map_err(|_| format!("{region:?} is not the number of a region"))?, url)
        }
        None => (RelayRegion::Any, text),
    };
    url.parse().map(|url| (region, url)).map_err(|error: ServerUrlError| error.to_string())
}
