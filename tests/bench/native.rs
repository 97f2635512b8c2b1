//! The same shell by `tailscale ssh`, without a browser: what the servers on the way leave of speed to any client.

use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dayfly_tests::{Headscale, Lab, Tailscaled, TailscaledOptions};

use crate::idle::until_idle;
use crate::table::median;
use crate::visit::{LETTERS, LETTERS_TO_WARM_UP, MACHINE, user};

/// The name of the node that it is opened from.
pub(crate) const NODE: &str = "native";

/// The line that the shell prints when the terminal echoes by itself.
const READY: u8 = 5;
/// The line that the shell prints behind its output.
const END: u8 = 1;
/// Bytes that the shell prints.
const OUTPUT: usize = 32 << 20;

/// One more `tailscaled`, from which shells are opened.
#[derive(Debug)]
pub(crate) struct Native(Tailscaled);

/// Measurements of one shell: its echo in milliseconds, and its output in bytes in a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) echo: f64,
    pub(crate) rate: f64,
}

impl Native {
    /// Join the tailnet.
    pub(crate) fn join(lab: &Lab, headscale: &Headscale, key: &str) -> Result<Self> {
        let options = TailscaledOptions { plain_relay: false, ..TailscaledOptions::machine(NODE) };
        let node = Tailscaled::join(lab, headscale.url(), key, options)?;
        node.until_sees(MACHINE)?;
        Ok(Self(node))
    }

    /// Open a shell over the relay, and work there as the pages do.
    pub(crate) fn measure(&self) -> Result<Seen> {
        let line = format!(
            "printf '\\005'; head -n 1 >/dev/null; yes \"$(printf %079d 0)\" | head -c {OUTPUT}; printf '\\001'"
        );
        let mut command = self.0.command()?;
        command.args(["ssh", &format!("{}@{MACHINE}", user()), "-tt", &line]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        until_idle();
        let mut child = command.spawn().context("starting tailscale ssh")?;
        let seen = work(&mut child);
        let _ = child.kill();
        child.wait()?;
        seen.context("working by tailscale ssh")
    }
}

fn work(child: &mut Child) -> Result<Seen> {
    let mut keys = child.stdin.take().context("it takes no input")?;
    let mut output = child.stdout.take().context("it gives no output")?;
    let mut buffer = vec![0; 64 << 10];
    let mut until = |wanted: u8| -> Result<usize> {
        let mut bytes = 0;
        loop {
            let count = output.read(&mut buffer)?;
            ensure!(count > 0, "it ended early");
            bytes += count;
            if buffer[..count].contains(&wanted) {
                return Ok(bytes);
            }
        }
    };
    until(READY)?;
    let mut times = Vec::new();
    for letter in (b'a'..=b'z').cycle().take(LETTERS) {
        let typed = Instant::now();
        keys.write_all(&[letter])?;
        until(letter)?;
        times.push(typed.elapsed().as_secs_f64() * 1000.0);
        // As a fast typist, not as a paste: each keystroke finds what is on its way idle.
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let echo = times.get(LETTERS_TO_WARM_UP..).and_then(median).context("no echo was measured")?;
    let began = Instant::now();
    keys.write_all(b"\r")?;
    let bytes = until(END)?;
    ensure!(bytes >= OUTPUT, "only {bytes} bytes came");
    Ok(Seen { echo, rate: OUTPUT as f64 / began.elapsed().as_secs_f64() })
}
