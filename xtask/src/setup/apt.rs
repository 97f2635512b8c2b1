//! Programs that come with the system. On Debian the missing ones are installed; elsewhere they are named.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::Need;
use crate::paths::find_program;
use crate::step::{output, run_logged};

/// A program, who needs it, and Debian's packages of it. Any one of the names will do.
struct Wanted {
    programs: &'static [&'static str],
    need: Need,
    packages: &'static [&'static str],
}

const WANTED: &[Wanted] = &[
    Wanted { programs: &["cc"], need: Need::Page, packages: &["build-essential"] },
    Wanted { programs: &["clang-22", "clang"], need: Need::Page, packages: &["clang"] },
    Wanted { programs: &["llvm-ar-22", "llvm-ar"], need: Need::Page, packages: &["llvm"] },
    Wanted { programs: &["node", "nodejs"], need: Need::Page, packages: &["nodejs"] },
    Wanted { programs: &["npm"], need: Need::Page, packages: &["npm"] },
    Wanted { programs: &["go"], need: Need::Demo, packages: &["golang-go"] },
    Wanted { programs: &["ip"], need: Need::Demo, packages: &["iproute2"] },
    Wanted { programs: &["ssh"], need: Need::Tests, packages: &["openssh-client"] },
    Wanted { programs: &["sshd"], need: Need::Tests, packages: &["openssh-server"] },
    Wanted { programs: &["openssl"], need: Need::Tests, packages: &["openssl"] },
    Wanted { programs: &["setpriv", "unshare"], need: Need::Tests, packages: &["util-linux"] },
    Wanted {
        programs: &["chromium", "chromium-browser", "google-chrome"],
        need: Need::Tests,
        packages: &["chromium"],
    },
    Wanted { programs: &["chromedriver"], need: Need::Tests, packages: &["chromium-driver"] },
    Wanted { programs: &["firefox-esr", "firefox"], need: Need::Tests, packages: &["firefox-esr"] },
    Wanted { programs: &["WebKitWebDriver"], need: Need::Tests, packages: &["webkit2gtk-driver"] },
    Wanted { programs: &["Xvfb"], need: Need::Tests, packages: &["xvfb"] },
    // Without fonts of its own a headless browser shows boxes for emoji and CJK.
    Wanted { programs: &["fc-list"], need: Need::Tests, packages: &["fontconfig", "fonts-dejavu-core"] },
];

/// Install what `need` asks for and the machine lacks.
pub(crate) fn ensure(need: Need) -> Result<()> {
    let lacking = |wanted: &&Wanted| wanted.need <= need && find_program(wanted.programs).is_none();
    let packages: Vec<&str> =
        WANTED.iter().filter(lacking).flat_map(|wanted| wanted.packages).copied().collect();
    if packages.is_empty() {
        return Ok(());
    }
    install(&packages)?;
    let left: Vec<&str> =
        WANTED.iter().filter(lacking).flat_map(|wanted| wanted.programs.first()).copied().collect();
    if left.is_empty() { Ok(()) } else { bail!("still missing: {}", left.join(", ")) }
}

/// Install those of `packages` that Debian's package database does not know as installed.
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
    println!("    installing {list}");
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new(if is_root { "env" } else { "sudo" });
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]).args(arguments);
        command
    };
    run_logged("apt-update", &mut apt_get(&["update"]))?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    run_logged("apt-install", &mut apt_get(&arguments))
}
