//! A network of the tests' own, with no way out of it.
//!
//! `tailscaled` calls a machine without a default route off-line, and one with a network looks around in it. So the
//! tests run in new network, process and mount namespaces: a pair of virtual links has an address and a default
//! route, and more specific routes make every address beyond fail at once. When the first process in there ends,
//! the kernel kills everything else in there, and the links go with the namespace.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};

use crate::paths::{self, find_program};
use crate::step::{output, run};

/// The command by which this program is called inside: for itself alone.
pub(crate) const INSIDE: &str = "inside-namespace";

/// A user who exists only in there, besides root: the tests' normal user.
const USER: &str = "ada";
/// Her password, for tests of `sshd`: no secret, since nothing outside can reach what takes it.
const PASSWORD: &str = "lovelace";

/// Returns `command` wrapped so that it runs inside; `None` where the machine does not allow it.
pub(crate) fn wrap(command: &Command) -> Result<Option<Command>> {
    let Some(options) = permitted() else { return Ok(None) };
    let mut wrapped = Command::new("unshare");
    wrapped
        .args(options)
        .arg("--")
        .arg(std::env::current_exe().context("this program has no path")?)
        .arg(INSIDE);
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            wrapped.env(name, value);
        }
    }
    if let Some(dir) = command.get_current_dir() {
        wrapped.current_dir(dir);
    }
    Ok(Some(wrapped))
}

/// The options of `unshare` that work here: as root, or as a user who may be root in a namespace.
fn permitted() -> Option<Vec<&'static str>> {
    find_program(&["ip"])?;
    let spaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let as_user = ["--user", "--map-root-user"];
    let candidates = [spaces.to_vec(), as_user.iter().chain(&spaces).copied().collect()];
    candidates.into_iter().find(|options| {
        let mut attempt = Command::new("unshare");
        attempt.args(options).args(["--", "true"]).stdin(Stdio::null()).stderr(Stdio::null());
        attempt.status().is_ok_and(|status| status.success())
    })
}

/// Inside: make the network, then become the program that `arguments` name.
pub(crate) fn inside(arguments: &[String]) -> Result<ExitCode> {
    let (program, arguments) = arguments.split_first().context("nothing to run")?;
    let ip = find_program(&["ip"]).context("no `ip` here")?;
    for line in [
        "link set lo up",
        "link add dayfly0 type veth peer name dayfly1",
        "address add 10.213.7.1/24 dev dayfly0",
        "link set dayfly0 up",
        "link set dayfly1 up",
        "route add default via 10.213.7.2 dev dayfly0",
        "route add unreachable 0.0.0.0/1",
        "route add unreachable 128.0.0.0/1",
    ] {
        run(Command::new(&ip).args(line.split(' ')))?;
    }
    if let Err(error) = add_user() {
        println!("    no normal user for the tests: {error:#}");
    }
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {program}"))
}

/// Lay a user database with one more user over the machine's, for this mount namespace alone.
fn add_user() -> Result<()> {
    let dir: PathBuf = paths::target().join("namespace");
    let home = dir.join("home");
    fs::create_dir_all(&home)?;
    let id = 54321;
    let password = output(Command::new("openssl").args(["passwd", "-6", PASSWORD]))?;
    let password = password.trim();
    for (file, line) in [
        ("passwd", format!("{USER}:{password}:{id}:{id}:Ada:{}:/bin/bash\n", home.display())),
        ("group", format!("{USER}:*:{id}:\n")),
    ] {
        let real = format!("/etc/{file}");
        let copy = dir.join(file);
        fs::write(&copy, fs::read_to_string(&real)? + &line)?;
        output(Command::new("mount").arg("--bind").arg(&copy).arg(&real))?;
    }
    output(Command::new("chown").arg(format!("{id}:{id}")).arg(&home)).map(drop)
}
