//! `cargo xtask setup`: everything that the other commands need, built or installed only where it is missing.

pub(crate) mod apt;
mod go;
mod npm;
pub(crate) mod rust;

use std::thread;

use anyhow::{Result, anyhow};

use crate::step::step;
use crate::toolchain;

/// How much a command needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// What builds the page.
    Page,
    /// And what a demo runs: Headscale and tailscaled.
    Demo,
    /// And what the tests run: browsers with their drivers, derper.
    Tests,
}

/// What set-up found.
pub(crate) struct Ready {
    /// The Rust toolchain that builds wasm.
    pub(crate) toolchain: String,
    /// Peers that this machine can't have; what needs them is not run, and that is said.
    pub(crate) missing: Vec<String>,
}

/// Bring the machine to where `need` is met.
pub(crate) fn run(need: Need) -> Result<Ready> {
    step("programs of the system: compilers, browsers, network tools", || apt::ensure(need))?;
    // Compiling Go and compiling Rust each leave a core idle now and then; downloads wait for the network.
    let (rust, go, npm) = thread::scope(|scope| {
        let go = scope.spawn(move || {
            if need == Need::Page {
                Ok(Vec::new())
            } else {
                step("peers, built from their sources with Go", || go::ensure(need))
            }
        });
        let npm = scope.spawn(|| step("wasm-opt and the page's packages, by npm", npm::ensure));
        let rust = step("a Rust toolchain for wasm", toolchain::ensure).and_then(|toolchain| {
            step("wasm-bindgen, Trunk and drivers, built with Cargo", || rust::ensure(need))?;
            Ok(toolchain)
        });
        (rust, joined(go.join()), joined(npm.join()))
    });
    npm?;
    Ok(Ready { toolchain: rust?, missing: go? })
}

fn joined<T>(outcome: thread::Result<Result<T>>) -> Result<T> {
    outcome.unwrap_or_else(|_| Err(anyhow!("a set-up thread panicked")))
}
