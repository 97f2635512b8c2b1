//! A real `tailscaled` with its `tailscale` command: the machine that a browser reaches.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::lab::Lab;
use crate::process::{Process, output_of, run_to_end};
use crate::tools;
use crate::wait::{READY, until};

/// Options that a `tailscaled` is started with.
#[derive(Debug, Clone)]
pub struct TailscaledOptions {
    /// Its name in the tailnet.
    pub hostname: String,
    /// Offer Tailscale SSH.
    pub ssh: bool,
    /// Speak plain HTTP to relays instead of TLS.
    pub plain_relay: bool,
    /// Never send by UDP: everything goes over a relay.
    pub relay_only: bool,
    /// Make SSH host keys of its own, even where it runs as root and the machine has some.
    pub own_host_keys: bool,
    /// A certificate (PEM) to trust besides nothing else, for control servers with a certificate of the lab's.
    pub trust: Option<PathBuf>,
}

impl TailscaledOptions {
    /// A machine called `hostname` that offers SSH, and that plain relays alone lead to.
    #[must_use]
    pub fn machine(hostname: &str) -> Self {
        Self {
            hostname: hostname.to_owned(),
            ssh: true,
            plain_relay: true,
            relay_only: true,
            own_host_keys: false,
            trust: None,
        }
    }
}

/// A running `tailscaled`, in user space (no TUN device).
#[derive(Debug)]
pub struct Tailscaled {
    process: Process,
    dir: PathBuf,
    socket: PathBuf,
    options: TailscaledOptions,
}

impl Tailscaled {
    /// Start the daemon, not joined to anything yet.
    pub fn start(lab: &Lab, options: TailscaledOptions) -> Result<Self> {
        let dir = lab.peer_dir(&options.hostname)?;
        let socket = dir.join("sock");
        let process = lab.spawn(&options.hostname, daemon(&dir, &socket, &options)?)?;
        let mut started = Self { process, dir, socket, options };
        started.until_answering()?;
        Ok(started)
    }

    /// Start the daemon and join it; returns when it is running and connected to its relay.
    pub fn join(lab: &Lab, control: &str, key: &str, options: TailscaledOptions) -> Result<Self> {
        let mut joined = Self::start(lab, options)?;
        joined.up(control, key)?;
        Ok(joined)
    }

    /// Join the tailnet of `control` by an auth key, and wait until the node is running.
    pub fn up(&mut self, control: &str, key: &str) -> Result<()> {
        let mut command = self.command()?;
        command.args(["up", "--login-server", control, "--auth-key", key, "--timeout", "90s"]);
        command.args(["--hostname", &self.options.hostname, "--accept-dns=false"]);
        if self.options.ssh {
            command.arg("--ssh");
        }
        run_to_end(command)?;
        self.until_running()
    }

    /// Its name in the tailnet.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.options.hostname
    }

    /// Returns the running daemon.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// `tailscale status --json`.
    pub fn status(&self) -> Result<Value> {
        let mut command = self.command()?;
        command.args(["status", "--json"]);
        let output = run_to_end(command)?;
        serde_json::from_str(&output).with_context(|| format!("status is not JSON: {output}"))
    }

    /// Its IPv4 address in the tailnet.
    pub fn address(&self) -> Result<String> {
        let status = self.status()?;
        let addresses = status["Self"]["TailscaleIPs"].as_array().into_iter().flatten();
        let mut v4 = addresses.filter_map(Value::as_str).filter(|address| !address.contains(':'));
        v4.next().map(str::to_owned).context("it has no IPv4 address in the tailnet")
    }

    /// Wait until it is running: joined, and connected to a relay.
    pub fn until_running(&mut self) -> Result<()> {
        until(&format!("{} to be running", self.options.hostname), READY, || {
            let status = self.status().ok()?;
            (status["BackendState"] == "Running" && status["Self"]["Relay"] != "").then_some(())
        })
    }

    /// Wait until it sees a peer called `name`, whose entry of `status` is returned.
    pub fn until_sees(&self, name: &str) -> Result<Value> {
        until(&format!("{} to see {name}", self.options.hostname), READY, || {
            let status = self.status().ok()?;
            let peers = status["Peer"].as_object()?;
            peers
                .values()
                .find(|peer| peer["HostName"] == name && peer["Online"] == true && peer["Relay"] != "")
                .cloned()
        })
    }

    /// `tailscale ping` until a pong comes; its line says by which way it came.
    ///
    /// A ping between nodes that do not know each other's relay yet is lost, hence one after the other.
    pub fn ping(&self, target: &str) -> Result<String> {
        until(&format!("a pong from {target}"), READY, || {
            let mut command = self.command().ok()?;
            command.args(["ping", "--c", "1", "--timeout", "2s", "--until-direct=false", target]);
            let output = output_of(command, READY).ok()?;
            let text = String::from_utf8_lossy(&output.stdout);
            text.lines().find(|line| line.starts_with("pong")).map(str::to_owned)
        })
    }

    /// `tailscale ssh user@host command`: whatever its outcome.
    pub fn ssh(&self, user: &str, host: &str, remote: &str) -> Result<Output> {
        let mut command = self.command()?;
        command.args(["ssh", &format!("{user}@{host}"), remote]).env("HOME", &self.dir);
        output_of(command, READY)
    }

    /// `tailscale netcheck --format=json`.
    pub fn netcheck(&self) -> Result<Value> {
        let mut command = self.command()?;
        command.args(["netcheck", "--format=json"]);
        let output = output_of(command, READY)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let json = text.find('{').and_then(|start| text.get(start..)).unwrap_or_default();
        serde_json::from_str(json)
            .with_context(|| format!("netcheck answered {text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Throw away the SSH host keys that it made (with [`TailscaledOptions::own_host_keys`]).
    ///
    /// It makes new ones for its next connection, but does not publish them before it starts again: until then it
    /// looks like a machine that somebody else's SSH server answers for.
    pub fn forget_host_keys(&self) -> Result<()> {
        let dir = self.dir.join("ssh");
        std::fs::remove_dir_all(&dir).with_context(|| format!("no host keys in {}", dir.display()))
    }

    /// Log out and leave the tailnet.
    pub fn logout(&self) -> Result<()> {
        let mut command = self.command()?;
        command.arg("logout");
        run_to_end(command).map(drop)
    }

    /// Kill the daemon and start it again with what it kept.
    pub fn restart(&mut self, lab: &Lab) -> Result<()> {
        self.process.kill();
        self.process = lab.spawn(&self.options.hostname, daemon(&self.dir, &self.socket, &self.options)?)?;
        self.until_answering()
    }

    /// The `tailscale` command, pointed at this daemon.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(tools::program("tailscale")?);
        command.arg("--socket").arg(&self.socket).env("TS_NO_LOGS_NO_SUPPORT", "true");
        set_relay_knobs(&mut command, &self.options);
        Ok(command)
    }

    fn until_answering(&mut self) -> Result<()> {
        until(&format!("{} to answer", self.options.hostname), READY, || self.status().ok())
            .map(drop)
            .or_else(|late| self.process.still_running().and(Err(late)))
    }
}

fn daemon(dir: &Path, socket: &Path, options: &TailscaledOptions) -> Result<Command> {
    let program = tools::program("tailscaled")?;
    let mut command = if options.own_host_keys {
        // As root it takes the machine's host keys from /etc/ssh, unless there are none to be seen.
        let mut hidden = Command::new(tools::program("unshare")?);
        hidden.args(["--mount", "--"]).arg(tools::program("sh")?);
        hidden.args(["-c", "\"$0\" -t tmpfs none /etc/ssh && exec \"$@\""]);
        hidden.arg(tools::program("mount")?).arg(program);
        hidden
    } else {
        Command::new(program)
    };
    command.args(["--tun=userspace-networking", "--port=0", "--no-logs-no-support", "--statedir"]).arg(dir);
    command.arg("--socket").arg(socket).current_dir(dir);
    command.env("TS_NO_LOGS_NO_SUPPORT", "true").env("TS_DISABLE_PORTMAPPER", "true");
    command.env("TAILSCALE_SSH_DEFAULT_PATH", programs_for_sessions(dir)?);
    // A home of its own would do for the daemon, but its SSH sessions take theirs from the user database.
    set_relay_knobs(&mut command, options);
    if options.relay_only {
        command.env("TS_DEBUG_NEVER_DIRECT_UDP", "true");
    }
    if let Some(certificate) = &options.trust {
        if !certificate.is_file() {
            bail!("no certificate at {}", certificate.display());
        }
        command.env("SSL_CERT_FILE", certificate);
    }
    Ok(command)
}

/// A directory with what `tailscaled` may start sessions by: `su`, whose exit status is the shell's. By itself it would
/// take `login` for terminals, which ends with 0 whatever its shell's status is (util-linux).
fn programs_for_sessions(dir: &Path) -> Result<PathBuf> {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin)?;
    for name in ["su", "getent"] {
        let link = bin.join(name);
        if let Ok(program) = tools::program(name)
            && !link.is_symlink()
        {
            std::os::unix::fs::symlink(program, link)?;
        }
    }
    Ok(bin)
}

fn set_relay_knobs(command: &mut Command, options: &TailscaledOptions) {
    if options.plain_relay {
        command.env("TS_DEBUG_USE_DERP_HTTP", "true");
    }
}
