//! The surroundings of most tests: a Headscale, one machine with a shell, a relay between, and the page.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::derper::Derper;
use crate::headscale::{Headscale, HeadscaleOptions, KeyOptions};
use crate::lab::Lab;
use crate::native::{NativeNode, NativeOptions};
use crate::relay::{Relay, RelayOptions};
use crate::shared::Shared;
use crate::sshd;
use crate::tailscaled::{Tailscaled, TailscaledOptions};
use crate::tools;
use crate::wait::{READY, until};

/// The relay that carries the packets. The gateway to Headscale, and the page, are ours in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// `dayfly-relay`, on plain HTTP.
    OurRelay,
    /// Tailscale's `derper`, with TLS; so has the page.
    Derper,
    /// The relay inside Headscale, on plain HTTP.
    Embedded,
}

/// A running tailnet. Its parts are public, so that tests can take them away and bring them back.
#[derive(Debug)]
pub struct Tailnet {
    /// Our relay, which serves the page and the gateway, and with [`Via::OurRelay`] carries the packets.
    pub relay: Relay,
    /// Tailscale's relay, with [`Via::Derper`].
    pub derper: Option<Derper>,
    /// Headscale, the control server.
    pub headscale: Headscale,
    /// The machine, called [`MACHINE`].
    pub machine: Tailscaled,
    via: Via,
    nodes: NodeList,
    origin: String,
}

/// The name of the machine that offers a shell.
pub const MACHINE: &str = "box";

/// Returns the login name for shells on it: the tests' user where there is one, who has no dotfiles that take their time.
#[must_use]
pub fn user() -> &'static str {
    if sshd::has_user() { sshd::USER } else { "root" }
}

impl Tailnet {
    /// Starts all of it; returns when the machine is online.
    ///
    /// # Errors
    /// When a part does not start, or the machine does not join.
    pub fn start(lab: &Lab, via: Via) -> Result<Self> {
        Self::start_with(lab, via, &HeadscaleOptions::default())
    }

    /// Starts all of it with other options for Headscale, whose relays are set here.
    ///
    /// # Errors
    /// When a part does not start, or the machine does not join.
    pub fn start_with(lab: &Lab, via: Via, options: &HeadscaleOptions) -> Result<Self> {
        let derper = (via == Via::Derper).then(|| Derper::start(lab, 900, true)).transpose()?;
        let reserved = Relay::reserve(901)?;
        let options = HeadscaleOptions {
            embedded_derp: via == Via::Embedded,
            regions: match (via, &derper) {
                (Via::OurRelay, _) => vec![reserved.clone()],
                (_, derper) => derper.iter().map(Derper::region).collect(),
            },
            ..options.clone()
        };
        let headscale = Headscale::start(lab, &options)?;
        let relay = RelayOptions { region: Some(reserved), ..relay_options(lab, via, &headscale)? };
        let relay = Relay::start(lab, relay)?;
        let key = headscale.preauth_key(&KeyOptions::default())?;
        let machine =
            TailscaledOptions { plain_relay: via != Via::Derper, ..TailscaledOptions::machine(MACHINE) };
        let machine = Tailscaled::join(lab, headscale.url(), &key, machine)?;
        headscale.until_online(MACHINE, READY)?;
        let nodes = NodeList::new(&headscale)?;
        let scheme = if via == Via::Derper { "https" } else { "http" };
        let origin = relay.url().replacen("http", scheme, 1);
        Ok(Self { relay, derper, headscale, machine, via, nodes, origin })
    }

    /// Returns what a new node called `hostname` joins with: a fresh key for one ephemeral node.
    ///
    /// # Errors
    /// When Headscale makes no key.
    pub fn options(&self, hostname: &str) -> Result<NativeOptions> {
        let key = self.headscale.ephemeral_key()?;
        Ok(NativeOptions { plain_relay: self.via != Via::Derper, ..NativeOptions::new(hostname, &key) })
    }

    /// Joins a native node called `hostname`; returns when it sees the machine online.
    ///
    /// # Errors
    /// When the node does not join.
    pub fn join(&self, lab: &Lab, hostname: &str) -> Result<NativeNode> {
        let node = NativeNode::join(lab, self.headscale.url(), self.options(hostname)?)?;
        node.until_sees(MACHINE)?;
        Ok(node)
    }

    /// The origin of the page and of its gateway.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The page's address, with parameters in its fragment that are taken as they are. Its `config.json` names the
    /// gateway as the control server, asks for the test hooks, and lets links join without a click.
    #[must_use]
    pub fn page(&self, parameters: &[(&str, &str)]) -> String {
        let parameters: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}/#{}", self.origin, parameters.join("&"))
    }

    /// The address of a page that joins with a fresh ephemeral key and shows the machines.
    pub fn machines_page(&self) -> Result<String> {
        Ok(self.page(&[("authkey", &self.headscale.ephemeral_key()?), ("user", user())]))
    }

    /// The address of a page that joins with a fresh ephemeral key and opens a shell on `host` as [`user`].
    pub fn shell_page(&self, host: &str) -> Result<String> {
        let key = self.headscale.ephemeral_key()?;
        Ok(self.page(&[("authkey", &key), ("host", host), ("user", user())]))
    }

    /// Returns `true` if Headscale has a node of this name.
    pub fn has_node(&self, name: &str) -> Result<bool> {
        Ok(self.nodes.names()?.iter().any(|node| node == name))
    }

    /// Wait until Headscale has no node called `name` any more; how long that took.
    pub fn until_gone(&self, name: &str, limit: Duration) -> Result<Duration> {
        let start = Instant::now();
        until(&format!("node {name} gone from Headscale"), limit, || {
            self.has_node(name).is_ok_and(|there| !there).then_some(())
        })?;
        Ok(start.elapsed())
    }
}

/// Returns how our relay runs in a tailnet: as a gateway to Headscale, and with the page where one has been built.
fn relay_options(lab: &Lab, via: Via, headscale: &Headscale) -> Result<RelayOptions> {
    let config = lab.peer_dir("page")?.join("config.json");
    fs::write(&config, r#"{ "controlUrl": "/", "testHooks": true, "joinByLink": true }"#)?;
    let mut arguments = vec!["--page-config".to_owned(), config.display().to_string()];
    if via == Via::Derper {
        let (certificate, key) = lab.certificate()?;
        arguments.extend(["--tls-cert".to_owned(), certificate.display().to_string()]);
        arguments.extend(["--tls-key".to_owned(), key.display().to_string()]);
    }
    let www = Some(tools::dist()).filter(|dist| dist.join("index.html").is_file());
    Ok(RelayOptions { www, control: Some(headscale.url().to_owned()), arguments, ..RelayOptions::default() })
}

/// Headscale's nodes through its HTTP API, which answers within milliseconds where its command line takes a second.
#[derive(Debug)]
struct NodeList {
    agent: ureq::Agent,
    url: String,
    key: String,
}

impl NodeList {
    fn new(headscale: &Headscale) -> Result<Self> {
        let key = headscale.cli(&["apikeys", "create", "--expiration", "1h"])?;
        let key =
            key.as_str().or_else(|| key["key"].as_str()).with_context(|| format!("no API key in {key}"))?;
        let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).proxy(None);
        Ok(Self {
            agent: config.build().into(),
            url: format!("{}/api/v1/node", headscale.url()),
            key: format!("Bearer {key}"),
        })
    }

    fn names(&self) -> Result<Vec<String>> {
        let mut answer = self.agent.get(&self.url).header("Authorization", &self.key).call()?;
        let answer: Value = answer.body_mut().read_json()?;
        let nodes = answer["nodes"].as_array().with_context(|| format!("no nodes in {answer}"))?;
        Ok(nodes.iter().filter_map(|node| node["givenName"].as_str().map(str::to_owned)).collect())
    }
}

/// Runs one test in a lab of its own and a tailnet (through our relay) that it shares with others.
///
/// A test may add nodes to it under names of its own, and must leave everything else alone.
pub fn on_shared_tailnet(claim: impl FnOnce(&Lab, &Tailnet) -> Result<()>) -> Result<()> {
    static SHARED: Shared<Tailnet> = Shared::new();
    SHARED.test("shared-tailnet", |lab| Tailnet::start(lab, Via::OurRelay), claim)
}
