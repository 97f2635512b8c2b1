//! Our own relay, `dayfly-relay`, as the process that people run.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::headscale::Region;
use crate::lab::Lab;
use crate::process::Process;
use crate::tools;
use crate::wait::{READY, free_port, until_listening};

/// Options that a relay is started with.
#[derive(Debug, Clone, Default)]
pub struct RelayOptions {
    /// Its region with its ports, where a DERP map was written before ([`Relay::reserve`]); 901 and free ports when
    /// `None`.
    pub region: Option<Region>,
    /// A directory to serve as the page, usually [`tools::dist`].
    pub www: Option<PathBuf>,
    /// A control server that its gateway leads to.
    pub control: Option<String>,
    /// More arguments for `dayfly-relay derp`.
    pub arguments: Vec<String>,
}

/// A running `dayfly-relay derp` on plain HTTP.
#[derive(Debug)]
pub struct Relay {
    process: Process,
    region: Region,
    options: RelayOptions,
}

impl Relay {
    /// A region with free ports, for a DERP map that has to be written before the relay starts.
    pub fn reserve(region_id: u16) -> Result<Region> {
        Ok(Region { id: region_id, derp_port: free_port()?, stun_port: Some(free_port()?) })
    }

    /// Start a relay and wait until it listens.
    pub fn start(lab: &Lab, options: RelayOptions) -> Result<Self> {
        let region = match &options.region {
            Some(region) => region.clone(),
            None => Self::reserve(901)?,
        };
        let process = spawn_relay(lab, &region, &options)?;
        Ok(Self { process, region, options })
    }

    /// The region to name in a DERP map.
    #[must_use]
    pub fn region(&self) -> Region {
        self.region.clone()
    }

    /// The origin of its page and of its gateway: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.region.derp_port)
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Kill it (SIGKILL), as a relay that crashes.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Start it again on the same ports, killing it first when it still runs.
    pub fn restart(&mut self, lab: &Lab) -> Result<()> {
        self.process.kill();
        self.process = spawn_relay(lab, &self.region, &self.options)?;
        Ok(())
    }
}

fn spawn_relay(lab: &Lab, region: &Region, options: &RelayOptions) -> Result<Process> {
    let mut command = Command::new(tools::own_program("dayfly-relay")?);
    command.args(["derp", "--listen", &format!("127.0.0.1:{}", region.derp_port)]);
    if let Some(stun) = region.stun_port {
        command.args(["--stun-listen", &format!("127.0.0.1:{stun}")]);
    }
    if let Some(www) = &options.www {
        command.arg("--www").arg(www);
    }
    if let Some(control) = &options.control {
        command.args(["--control", control]);
    }
    command.args(&options.arguments);
    start(lab, "dayfly-relay", command, region.derp_port)
}

fn start(lab: &Lab, name: &str, command: Command, port: u16) -> Result<Process> {
    let mut process = lab.spawn(name, command)?;
    until_listening(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), READY)
        .or_else(|late| process.still_running().and(Err(late)))?;
    Ok(process)
}

/// Options that a gateway is started with.
#[derive(Debug, Clone, Default)]
pub struct GatewayOptions {
    /// Its port, where its address has to be known before; a free one when `None`.
    pub port: Option<u16>,
    /// The control server that it leads to.
    pub control: String,
    /// The address of a relay that it leads to (`http://host:port`), if any.
    pub derp: Option<String>,
    /// A directory to serve as the page.
    pub www: Option<PathBuf>,
    /// More arguments for `dayfly-relay gateway`.
    pub arguments: Vec<String>,
}

/// A running `dayfly-relay gateway` on plain HTTP.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    port: u16,
}

impl Gateway {
    /// Start a gateway and wait until it listens.
    pub fn start(lab: &Lab, options: &GatewayOptions) -> Result<Self> {
        let port = options.port.map_or_else(free_port, Ok)?;
        let mut command = Command::new(tools::own_program("dayfly-relay")?);
        command.args(["gateway", "--listen", &format!("127.0.0.1:{port}"), "--control", &options.control]);
        if let Some(derp) = &options.derp {
            command.args(["--derp", derp]);
        }
        if let Some(www) = &options.www {
            command.arg("--www").arg(www);
        }
        command.args(&options.arguments);
        Ok(Self { process: start(lab, "gateway", command, port)?, port })
    }

    /// Its origin: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
