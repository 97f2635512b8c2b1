//! Peers that are built with Go, each from a pinned module under `tests/peers/`.

use std::env;
use std::process::Command;

use anyhow::Result;

use super::Need;
use crate::paths;
use crate::step::{output, run_logged};

struct Peer {
    program: &'static str,
    need: Need,
    /// The folder under `tests/peers/` whose go.mod and go.sum pin it.
    module: &'static str,
    package: &'static str,
    /// What `go version -m` tells of a build of the pinned version.
    version: &'static str,
}

const TAILSCALE: &str = "tailscale.com\tv1.102.5";

const PEERS: &[Peer] = &[
    Peer {
        program: "tailscaled",
        need: Need::Demo,
        module: "tailscale",
        package: "tailscale.com/cmd/tailscaled",
        version: TAILSCALE,
    },
    Peer {
        program: "tailscale",
        need: Need::Demo,
        module: "tailscale",
        package: "tailscale.com/cmd/tailscale",
        version: TAILSCALE,
    },
    Peer {
        program: "derper",
        need: Need::Tests,
        module: "tailscale",
        package: "tailscale.com/cmd/derper",
        version: TAILSCALE,
    },
    Peer {
        program: "headscale",
        need: Need::Demo,
        module: "headscale",
        package: "github.com/juanfont/headscale/cmd/headscale",
        version: "github.com/juanfont/headscale\tv0.29.3",
    },
];

/// Build what is missing or of another version; the names of what could not be built.
pub(crate) fn ensure(need: Need) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for peer in PEERS.iter().filter(|peer| peer.need <= need) {
        let program = paths::cache()?.join("bin").join(peer.program);
        let about = output(Command::new("go").args(["version", "-m"]).arg(&program)).unwrap_or_default();
        if about.contains(peer.version) {
            continue;
        }
        println!("    building {} ({})", peer.program, peer.version.replace('\t', " "));
        let mut build = Command::new("go");
        build.args(["build", "-buildvcs=false", "-mod=readonly", "-o"]).arg(&program).arg(peer.package);
        build.current_dir(paths::root().join("tests/peers").join(peer.module)).env("GOFLAGS", "");
        build.env("CGO_ENABLED", env::var_os("CGO_ENABLED").unwrap_or_else(|| "0".into()));
        if let Err(error) = run_logged(peer.program, &mut build) {
            println!(
                "    {} can't be had on this machine, and what needs it is left out: {error:#}",
                peer.program
            );
            missing.push(peer.program.to_owned());
        }
    }
    Ok(missing)
}
