//! What most tests of the page start from: a Headscale, one machine with a shell, a relay between, and the page.

use anyhow::Result;

use crate::derper::Derper;
use crate::headscale::{Headscale, HeadscaleOptions, KeyOptions, NodeInfo};
use crate::lab::Lab;
use crate::relay::{Relay, RelayOptions};
use crate::tailscaled::{Tailscaled, TailscaledOptions};
use crate::tools;
use crate::wait::READY;

/// Which relay carries the packets. The page comes from ours, with its gateway, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// `dayfly-relay`.
    OurRelay,
    /// Tailscale's `derper`, on plain HTTP.
    Derper,
    /// The relay inside Headscale, on plain HTTP.
    Embedded,
}

/// A running tailnet. Its parts are public, so that tests can take them away and bring them back.
#[derive(Debug)]
pub struct Tailnet {
    /// The relay that serves the page and the gateway.
    pub relay: Relay,
    /// Tailscale's relay, with [`Via::Derper`].
    pub derper: Option<Derper>,
    /// The coordination server.
    pub headscale: Headscale,
    /// The machine, called [`MACHINE`].
    pub machine: Tailscaled,
}

/// The name of the machine that offers a shell.
pub const MACHINE: &str = "box";

impl Tailnet {
    /// Start all of it; returns when the machine is online.
    pub fn start(lab: &Lab, via: Via) -> Result<Self> {
        Self::start_with(lab, via, HeadscaleOptions::default())
    }

    /// As [`Tailnet::start`], with other options for Headscale; its relays are set here.
    pub fn start_with(lab: &Lab, via: Via, mut options: HeadscaleOptions) -> Result<Self> {
        let derper = (via == Via::Derper).then(|| Derper::start(lab, 900, false)).transpose()?;
        let reserved = Relay::reserve(901)?;
        options.embedded_derp = via == Via::Embedded;
        options.regions = match (via, &derper) {
            (Via::OurRelay, _) => vec![reserved.clone()],
            (_, derper) => derper.iter().map(Derper::region).collect(),
        };
        let headscale = Headscale::start(lab, &options)?;
        let relay = Relay::start(
            lab,
            RelayOptions {
                region: Some(reserved),
                www: Some(tools::dist()),
                control: Some(headscale.url().to_owned()),
                ..RelayOptions::default()
            },
        )?;
        let key = headscale.preauth_key(&KeyOptions::default())?;
        let machine = Tailscaled::join(lab, headscale.url(), &key, TailscaledOptions::machine(MACHINE))?;
        headscale.until_online(MACHINE, READY)?;
        Ok(Self { relay, derper, headscale, machine })
    }

    /// The page's address, with the control server (through the gateway) and more parameters in its fragment, which
    /// are taken as they are.
    #[must_use]
    pub fn page(&self, parameters: &[(&str, &str)]) -> String {
        let origin = self.relay.url();
        let more: String = parameters.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        format!("{origin}/#control={origin}{more}")
    }

    /// The address of a page that joins with a fresh ephemeral key and opens a shell on the machine as `user`.
    pub fn shell_page(&self, user: &str) -> Result<String> {
        let key = self.headscale.ephemeral_key()?;
        Ok(self.page(&[("authkey", &key), ("host", MACHINE), ("user", user)]))
    }

    /// The nodes besides the machine: the browsers that have joined.
    pub fn browsers(&self) -> Result<Vec<NodeInfo>> {
        Ok(self.headscale.nodes()?.into_iter().filter(|node| node.name != MACHINE).collect())
    }
}
