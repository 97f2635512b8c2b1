//! Peers that are built with Go, each from a pinned module under `tests/peers/`.

use std::env;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

use super::{Missing, Part, apt};
use crate::jobs::Job;
use crate::paths;
use crate::step::run_logged;

struct Peer {
    program: &'static str,
    part: Part,
    /// The folder under `tests/peers/` whose go.mod and go.sum pin it.
    module: &'static str,
    package: &'static str,
    /// A part of what `go version -m` prints of a build of the pinned version.
    version: &'static str,
    /// Names under which it is another program.
    links: &'static [&'static str],
    /// Features that are left out or built in. They are listed and explained in `tests/peers/README.md`.
    tags: &'static [&'static str],
    /// Seconds of processor time of its build, after those before it.
    cost: u64,
}

const TAILSCALE: &str = "tailscale.com\tv1.102.5";

const PEERS: &[Peer] = &[
    Peer {
        program: "headscale",
        part: Part::Peers,
        module: "headscale",
        package: "github.com/juanfont/headscale/cmd/headscale",
        version: "github.com/juanfont/headscale\tv0.29.3",
        links: &[],
        tags: &[],
        cost: 400,
    },
    Peer {
        program: "tailscaled",
        part: Part::Peers,
        module: "tailscale",
        package: "tailscale.com/cmd/tailscaled",
        version: TAILSCALE,
        links: &["tailscale"],
        tags: TAILSCALED_TAGS,
        cost: 440,
    },
    Peer {
        program: "derper",
        part: Part::Lab,
        module: "tailscale",
        package: "tailscale.com/cmd/derper",
        version: TAILSCALE,
        links: &[],
        tags: TAILSCALED_TAGS,
        cost: 20,
    },
];

/// The command line within the daemon, and none of what no test uses.
const TAILSCALED_TAGS: &[&str] = &[
    "ts_include_cli",
    "ts_omit_ace",
    "ts_omit_acme",
    "ts_omit_appconnectors",
    "ts_omit_aws",
    "ts_omit_bird",
    "ts_omit_captiveportal",
    "ts_omit_capture",
    "ts_omit_clientupdate",
    "ts_omit_cloud",
    "ts_omit_completion",
    "ts_omit_completion_scripts",
    "ts_omit_conn25",
    "ts_omit_debugportmapper",
    "ts_omit_desktop_sessions",
    "ts_omit_doctor",
    "ts_omit_drive",
    "ts_omit_flashappliance",
    "ts_omit_hujsonconf",
    "ts_omit_identityfederation",
    "ts_omit_kube",
    "ts_omit_linuxdnsfight",
    "ts_omit_networkmanager",
    "ts_omit_oauthkey",
    "ts_omit_portmapper",
    "ts_omit_qrcodes",
    "ts_omit_relayserver",
    "ts_omit_resolved",
    "ts_omit_sdnotify",
    "ts_omit_serve",
    "ts_omit_synology",
    "ts_omit_syslog",
    "ts_omit_systray",
    "ts_omit_taildrop",
    "ts_omit_tap",
    "ts_omit_tpm",
    "ts_omit_wakeonlan",
    "ts_omit_webbrowser",
    "ts_omit_webclient",
];

/// The jobs that build what `parts` ask for and is missing or of another version.
///
/// One that fails adds its programs to `missing` instead: what needs no peer can be tested all the same.
pub(crate) fn jobs<'a>(parts: &[Part], missing: &'a Mutex<Missing>) -> Result<Vec<Job<'a>>> {
    let mut jobs = Vec::new();
    for peer in PEERS.iter().filter(|peer| parts.contains(&peer.part)) {
        if is_built(peer)? {
            continue;
        }
        let work = move || {
            if let Err(error) = build(peer) {
                println!(
                    "    {} can't be had on this machine, and what needs it is skipped: {error:#}",
                    peer.program
                );
                let mut missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
                missing.extend([peer.program].iter().chain(peer.links).map(|name| (*name).to_owned()));
            }
            Ok(())
        };
        jobs.push(Job {
            name: peer.program,
            title: format!("{} ({})", peer.program, peer.version.replace('\t', " ")),
            after: &[apt::JOB],
            cost: peer.cost,
            work: Box::new(work),
        });
    }
    Ok(jobs)
}

fn is_built(peer: &Peer) -> Result<bool> {
    let bin = paths::cache()?.join("bin");
    let about = Command::new("go").args(["version", "-m"]).arg(bin.join(peer.program)).output();
    let about = about.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let tags = about.lines().find_map(|line| line.trim().strip_prefix("build\t-tags=")).unwrap_or_default();
    let are_linked = peer
        .links
        .iter()
        .all(|link| bin.join(link).read_link().is_ok_and(|target| target == Path::new(peer.program)));
    Ok(about.contains(peer.version) && tags == peer.tags.join(",") && are_linked)
}

fn build(peer: &Peer) -> Result<()> {
    let bin = paths::cache()?.join("bin");
    let mut build = Command::new("go");
    // Without tables for a debugger, linking takes half as long.
    build.args(["build", "-buildvcs=false", "-mod=readonly", "-ldflags", "-s -w"]);
    build.args(["-tags", &peer.tags.join(","), "-o"]).arg(bin.join(peer.program)).arg(peer.package);
    build.current_dir(paths::root().join("tests/peers").join(peer.module)).env("GOFLAGS", "");
    build.env("CGO_ENABLED", env::var_os("CGO_ENABLED").unwrap_or_else(|| "0".into()));
    run_logged(peer.program, &mut build)?;
    for link in peer.links {
        let link = bin.join(link);
        if link.symlink_metadata().is_ok() {
            std::fs::remove_file(&link)?;
        }
        symlink(peer.program, &link).with_context(|| format!("cannot link {}", link.display()))?;
    }
    Ok(())
}
