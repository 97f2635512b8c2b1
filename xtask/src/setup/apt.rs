//! Programs that come with the system. On Debian the missing ones are installed; elsewhere they are named.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::Part;
use crate::paths::find_program;
use crate::step::{output, run_logged};

/// The name of the job that installs.
pub(crate) const JOB: &str = "apt-install";

/// A program, which parts need it, and Debian's packages of it. Any one of the names will do.
struct Wanted {
    programs: &'static [&'static str],
    parts: &'static [Part],
    packages: &'static [&'static str],
}

const WANTED: &[Wanted] = &[
    Wanted { programs: &["clang-22", "clang"], parts: &[Part::Wasm], packages: &["clang"] },
    Wanted { programs: &["llvm-ar-22", "llvm-ar"], parts: &[Part::Wasm], packages: &["llvm"] },
    Wanted { programs: &["node", "nodejs"], parts: &[Part::Scripts, Part::Page], packages: &["nodejs"] },
    Wanted { programs: &["npm"], parts: &[Part::Scripts, Part::Page], packages: &["npm"] },
    Wanted { programs: &["go"], parts: &[Part::Peers, Part::Lab], packages: &["golang-go"] },
    Wanted { programs: &["ip"], parts: &[Part::Peers, Part::Lab], packages: &["iproute2"] },
    Wanted { programs: &["ssh"], parts: &[Part::Lab], packages: &["openssh-client"] },
    Wanted { programs: &["sshd"], parts: &[Part::Lab], packages: &["openssh-server"] },
    Wanted { programs: &["openssl"], parts: &[Part::Lab], packages: &["openssl"] },
    Wanted { programs: &["setpriv", "unshare"], parts: &[Part::Lab], packages: &["util-linux"] },
    Wanted {
        programs: &["chromium", "chromium-browser", "google-chrome"],
        parts: &[Part::Chromium],
        packages: &["chromium"],
    },
    Wanted { programs: &["chromedriver"], parts: &[Part::Chromium], packages: &["chromium-driver"] },
    // Without fonts of its own a headless browser shows boxes for emoji and CJK.
    Wanted {
        programs: &["fc-list"],
        parts: &[Part::Chromium],
        packages: &["fontconfig", "fonts-dejavu-core"],
    },
    Wanted { programs: &["firefox-esr", "firefox"], parts: &[Part::Browsers], packages: &["firefox-esr"] },
    Wanted { programs: &["WebKitWebDriver"], parts: &[Part::Browsers], packages: &["webkit2gtk-driver"] },
    Wanted { programs: &["Xvfb"], parts: &[Part::Browsers], packages: &["xvfb"] },
];

/// The packages of what `parts` ask for and the machine lacks.
pub(crate) fn lacking(parts: &[Part]) -> Vec<&'static str> {
    let is_lacking = |wanted: &&Wanted| {
        wanted.parts.iter().any(|part| parts.contains(part)) && find_program(wanted.programs).is_none()
    };
    WANTED.iter().filter(is_lacking).flat_map(|wanted| wanted.packages).copied().collect()
}

/// Installs `packages`, and fails where a program is still missing after that.
pub(crate) fn install_and_check(packages: &[&str]) -> Result<()> {
    install(packages)?;
    let of_these = |wanted: &&Wanted| wanted.packages.iter().any(|package| packages.contains(package));
    let is_left = |wanted: &&Wanted| find_program(wanted.programs).is_none();
    let left = WANTED.iter().filter(of_these).filter(is_left);
    let left: Vec<&str> = left.flat_map(|wanted| wanted.programs.first()).copied().collect();
    if left.is_empty() { Ok(()) } else { bail!("still missing: {}", left.join(", ")) }
}

/// Installs those of `packages` that Debian's package database does not know as installed.
pub(crate) fn ensure_packages(packages: &[&str]) -> Result<()> {
    let is_missing = |package: &&&str| {
        let state = output(Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]));
        !state.is_ok_and(|state| state.contains("ok installed"))
    };
    let missing: Vec<&str> = packages.iter().filter(is_missing).copied().collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let may_sudo = || Command::new("sudo").args(["-n", "true"]).output().is_ok_and(|o| o.status.success());
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("please install what Debian calls: {list}");
    }
    if !is_root && !may_sudo() {
        bail!("please run: sudo apt-get install --no-install-recommends {list}");
    }
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new(if is_root { "env" } else { "sudo" });
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]).args(arguments);
        command
    };
    run_logged("apt-update", &mut apt_get(&["update"]))?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    run_logged(JOB, &mut apt_get(&arguments))
}
