//! One scenario's surroundings: a directory that goes when it ends, and logs that stay.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context as _, Result};

use crate::process::{Process, run_to_end};
use crate::skip::skip;
use crate::tools::{self, Missing};

/// Lines at the end of each log that a failed scenario prints.
const TAIL: usize = 40;

/// The surroundings of one scenario's peers.
///
/// The directory has a short path, since unix sockets allow no long ones. Logs go elsewhere, to
/// `target/test-logs/<test>`, so that they outlive the lab.
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    logs: PathBuf,
    count: AtomicU32,
}

impl Lab {
    /// An empty lab whose logs are kept under `name`.
    pub fn new(name: &str) -> Result<Self> {
        let dir = own_dir()?;
        let logs = tools::root().join("target/test-logs").join(name.replace("::", "."));
        if logs.exists() {
            fs::remove_dir_all(&logs).with_context(|| format!("cannot empty {}", logs.display()))?;
        }
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        Ok(Self { dir, logs, count: AtomicU32::new(0) })
    }

    /// A new, empty directory for the peer called `name`.
    pub fn peer_dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(self.unique(name));
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }

    /// Returns the directory of this scenario's logs and pictures.
    #[must_use]
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Start `command` as a peer called `name`; its output goes to a log of that name.
    pub fn spawn(&self, name: &str, command: Command) -> Result<Process> {
        let log = self.logs.join(format!("{}.log", self.unique(name)));
        Process::spawn(name, command, &log)
    }

    /// Make a self-signed certificate for 127.0.0.1 and localhost; returns the paths of certificate and key (PEM).
    pub fn certificate(&self) -> Result<(PathBuf, PathBuf)> {
        let dir = self.peer_dir("tls")?;
        let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        let mut openssl = Command::new("openssl");
        openssl
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=dayfly test", "-addext"])
            .arg("subjectAltName=IP:127.0.0.1,DNS:localhost")
            .args(["-keyout".as_ref(), key.as_os_str(), "-out".as_ref(), certificate.as_os_str()]);
        run_to_end(openssl)?;
        Ok((certificate, key))
    }

    fn unique(&self, name: &str) -> String {
        match self.count.fetch_add(1, Ordering::Relaxed) {
            0 => name.to_owned(),
            n => format!("{name}-{n}"),
        }
    }

    /// Print the ends of all its peers' logs, as is done when a scenario fails.
    pub fn print_logs(&self) {
        let Ok(entries) = fs::read_dir(&self.logs) else { return };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "log")) {
            let text = fs::read(path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("--- {} ({} lines, the last {TAIL}):", path.display(), lines.len());
            for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
                eprintln!("    {line}");
            }
        }
    }
}

/// A new directory that nobody else has. Process ids don't tell labs apart: each process namespace counts anew.
fn own_dir() -> Result<PathBuf> {
    loop {
        let number = RandomState::new().hash_one(0) & 0xffff_ffff;
        let dir = std::env::temp_dir().join(format!("dayfly-{number:08x}"));
        match fs::create_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", dir.display())),
            Ok(()) => return Ok(dir),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Peers may still be writing here while they die; what is left is the system's temporary directory's.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Run one test in a lab that is named after it, and print its peers' logs when it fails.
///
/// A peer that could not be built on this machine is announced by `DAYFLY_MISSING` (a list of names, set by
/// `cargo xtask test`, which prints them); scenarios that need it count as skipped ([`skip`]).
pub fn scenario(claim: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    let current = thread::current();
    let lab = Lab::new(current.name().unwrap_or("main"))?;
    let outcome = catch_unwind(AssertUnwindSafe(|| claim(&lab)));
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            if let Some(missing) = error.downcast_ref::<Missing>()
                && announced_missing(&missing.program)
            {
                return skip(missing);
            }
            lab.print_logs();
            Err(error)
        }
        Err(panic) => {
            lab.print_logs();
            resume_unwind(panic)
        }
    }
}

fn announced_missing(program: &str) -> bool {
    std::env::var("DAYFLY_MISSING").is_ok_and(|list| list.split(',').any(|name| name == program))
}
