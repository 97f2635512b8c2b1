//! Tailscale's own relay, `derper`: the control of the tests of ours, and a relay that our client must work with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::headscale::Region;
use crate::lab::Lab;
use crate::process::Process;
use crate::tools;
use crate::wait::{READY, free_port, until_listening};

/// A running `derper` on 127.0.0.1.
#[derive(Debug)]
pub struct Derper {
    process: Process,
    region: Region,
    certificate: Option<PathBuf>,
}

impl Derper {
    /// Start one with a certificate that it signs itself (`tls`), or with plain HTTP, which native clients speak
    /// only when told to ([`crate::TailscaledOptions::plain_relay`]).
    pub fn start(lab: &Lab, region_id: u16, tls: bool) -> Result<Self> {
        let dir = lab.peer_dir("derper")?;
        let (port, stun) = (free_port()?, free_port()?);
        let mut command = Command::new(tools::program("derper")?);
        command.arg("-c").arg(dir.join("derper.json")).arg(format!("-a=127.0.0.1:{port}"));
        command.arg(format!("-stun-port={stun}")).args(["-http-port=-1", "-hostname=127.0.0.1"]);
        // Without a certificate mode of `manual`, and on another port than 443, it serves plain HTTP.
        command.arg(if tls { "-certmode=manual" } else { "-certmode=letsencrypt" });
        command.arg("-certdir").arg(&dir).current_dir(&dir).env("HOME", &dir);
        let mut process = lab.spawn("derper", command)?;
        until_listening(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), READY)
            .or_else(|late| process.still_running().and(Err(late)))?;
        let region = Region { id: region_id, derp_port: port, stun_port: Some(stun) };
        let certificate = tls.then(|| dir.join("127.0.0.1.crt"));
        Ok(Self { process, region, certificate })
    }

    /// The region to name in a DERP map.
    #[must_use]
    pub fn region(&self) -> Region {
        self.region.clone()
    }

    /// Its WebSocket address, as a browser opens it.
    #[must_use]
    pub fn websocket_url(&self) -> String {
        format!(
            "{}://127.0.0.1:{}/derp",
            if self.certificate.is_some() { "wss" } else { "ws" },
            self.region.derp_port
        )
    }

    /// The certificate that it made for itself (PEM), when it serves TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<&PathBuf> {
        self.certificate.as_ref()
    }

    /// Returns the id of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
