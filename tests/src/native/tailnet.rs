//! What the tests of the native node start from: a Headscale, one machine with a shell, and a relay between.

use anyhow::Result;

use crate::derper::Derper;
use crate::headscale::{Headscale, HeadscaleOptions, KeyOptions};
use crate::lab::Lab;
use crate::native::{NativeNode, NativeOptions};
use crate::relay::{Relay, RelayOptions};
use crate::shared::Shared;
use crate::tailscaled::{Tailscaled, TailscaledOptions};
use crate::wait::READY;

/// The name of the machine that offers a shell.
pub const MACHINE: &str = "box";

/// Which relay carries the packets.
#[derive(Debug)]
pub enum Carrying {
    /// `dayfly-relay`, on plain HTTP.
    Ours(Relay),
    /// Tailscale's `derper`, with TLS.
    Derper(Derper),
    /// The relay inside Headscale, on plain HTTP.
    Embedded,
}

/// A running tailnet. Its parts are public, so that tests can take them away and bring them back.
#[derive(Debug)]
pub struct Tailnet {
    /// The relay.
    pub relay: Carrying,
    /// The coordination server.
    pub headscale: Headscale,
    /// The machine, called [`MACHINE`].
    pub machine: Tailscaled,
}

impl Tailnet {
    /// Starts a tailnet with our relay.
    pub fn start(lab: &Lab) -> Result<Self> {
        Self::start_with(
            lab,
            Carrying::Ours(Relay::start(lab, RelayOptions::default())?),
            &HeadscaleOptions::default(),
        )
    }

    /// Starts a tailnet with any relay, and other options for Headscale; its relays are set here. Returns when the
    /// machine is online.
    pub fn start_with(lab: &Lab, relay: Carrying, options: &HeadscaleOptions) -> Result<Self> {
        let regions = match &relay {
            Carrying::Ours(relay) => vec![relay.region()],
            Carrying::Derper(derper) => vec![derper.region()],
            Carrying::Embedded => Vec::new(),
        };
        let embedded_derp = matches!(relay, Carrying::Embedded);
        let headscale =
            Headscale::start(lab, &HeadscaleOptions { regions, embedded_derp, ..options.clone() })?;
        let key = headscale.preauth_key(&KeyOptions::default())?;
        let plain_relay = !matches!(relay, Carrying::Derper(_));
        let machine = TailscaledOptions { plain_relay, ..TailscaledOptions::machine(MACHINE) };
        let machine = Tailscaled::join(lab, headscale.url(), &key, machine)?;
        headscale.until_online(MACHINE, READY)?;
        Ok(Self { relay, headscale, machine })
    }

    /// What a new node called `hostname` joins with: a fresh key for one ephemeral node.
    pub fn options(&self, hostname: &str) -> Result<NativeOptions> {
        let plain_relay = !matches!(self.relay, Carrying::Derper(_));
        let key = self.headscale.ephemeral_key()?;
        Ok(NativeOptions { plain_relay, ..NativeOptions::new(hostname, &key) })
    }

    /// Joins a node called `hostname` to the tailnet; returns when it sees the machine online.
    pub fn join(&self, lab: &Lab, hostname: &str) -> Result<NativeNode> {
        let node = NativeNode::join(lab, self.headscale.url(), self.options(hostname)?)?;
        node.until_sees(MACHINE)?;
        Ok(node)
    }
}

/// Runs one test in a lab of its own and a tailnet, through our relay, that it shares with others.
///
/// A test may add nodes under names of its own, and must leave everything else alone.
pub fn on_shared_tailnet(claim: impl FnOnce(&Lab, &Tailnet) -> Result<()>) -> Result<()> {
    static SHARED: Shared<Tailnet> = Shared::new();
    SHARED.test("shared-native-tailnet", Tailnet::start, claim)
}
