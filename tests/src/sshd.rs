//! A plain OpenSSH server, as it stands behind many a node: reached through a `tailscaled` on the same machine, which
//! hands what arrives for the port on to 127.0.0.1.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::lab::Lab;
use crate::process::{Process, run_to_end};
use crate::tools;
use crate::wait::{READY, free_port, until_listening};

/// The normal user that `cargo xtask test` adds to the tests' namespace.
pub const USER: &str = "ada";
/// That user's password.
pub const PASSWORD: &str = "lovelace";

/// Ways in which an `sshd` authenticates people.
#[derive(Debug, Clone, Default)]
pub struct SshdOptions {
    /// Public key (one line of `authorized_keys`) by which every user logs in.
    pub authorized_key: Option<String>,
    /// Ask for a password by the `password` method.
    pub password: bool,
    /// Ask for it by `keyboard-interactive`, through PAM.
    pub keyboard_interactive: bool,
}

/// A running `sshd` on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct Sshd {
    process: Process,
    dir: PathBuf,
    port: u16,
    options: SshdOptions,
}

impl Sshd {
    /// Start one with a new host key.
    pub fn start(lab: &Lab, options: SshdOptions) -> Result<Self> {
        let dir = lab.peer_dir("sshd")?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        let port = free_port()?;
        make_key(&dir.join("host_key"))?;
        let process = spawn(lab, &dir, port, &options)?;
        Ok(Self { process, dir, port, options })
    }

    /// Returns the port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its public host key: `ssh-ed25519 AAAA...`.
    pub fn host_key(&self) -> Result<String> {
        let line = fs::read_to_string(self.dir.join("host_key.pub"))?;
        Ok(line.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned())
    }

    /// Start it again with another host key, as a machine that was set up anew, or one that poses as it.
    pub fn change_host_key(&mut self, lab: &Lab) -> Result<()> {
        self.process.kill();
        for name in ["host_key", "host_key.pub"] {
            fs::remove_file(self.dir.join(name))?;
        }
        make_key(&self.dir.join("host_key"))?;
        self.process = spawn(lab, &self.dir, self.port, &self.options)?;
        Ok(())
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Returns `true` where [`USER`] exists: outside the tests' namespace, hardly.
#[must_use]
pub fn has_user() -> bool {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().any(|line| line.split(':').next() == Some(USER))
}

/// Make an Ed25519 key pair in OpenSSH's format at `path` and `path.pub`; the public line.
pub fn make_key(path: &Path) -> Result<String> {
    let mut keygen = Command::new(tools::program("ssh-keygen")?);
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"]).arg(path);
    run_to_end(keygen)?;
    fs::read_to_string(path.with_added_extension("pub")).context("ssh-keygen wrote no public key")
}

fn spawn(lab: &Lab, dir: &Path, port: u16, options: &SshdOptions) -> Result<Process> {
    let yes = |on: bool| if on { "yes" } else { "no" };
    let keys = dir.join("authorized_keys");
    fs::write(&keys, options.authorized_key.as_deref().unwrap_or_default())?;
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644))?;
    // StrictModes would look at the temporary directory, which everybody may write to.
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile none\nStrictModes no\n\
         AuthorizedKeysFile {keys}\nPermitRootLogin yes\nPubkeyAuthentication yes\n\
         PasswordAuthentication {password}\nKbdInteractiveAuthentication {interactive}\nUsePAM {interactive}\n\
         Subsystem sftp internal-sftp\nLogLevel VERBOSE\n",
        host_key = dir.join("host_key").display(),
        keys = keys.display(),
        password = yes(options.password),
        interactive = yes(options.keyboard_interactive),
    );
    let file = dir.join("sshd_config");
    fs::write(&file, config)?;
    // Where it drops its privileges to; packages make it at boot, which a container never has.
    let _ = fs::create_dir_all("/run/sshd");
    let mut command = Command::new(tools::program("sshd")?);
    command.args(["-D", "-e", "-f"]).arg(&file).current_dir(dir);
    let mut process = lab.spawn("sshd", command)?;
    until_listening(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), READY)
        .or_else(|late| process.still_running().and(Err(late)))?;
    Ok(process)
}
