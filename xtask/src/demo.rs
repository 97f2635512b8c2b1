//! `cargo xtask demo`: the whole thing on loopback, for a person with a browser.

use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::dist;
use crate::paths::{self, cargo};
use crate::setup::{self, Need};
use crate::step::{run, step};

pub(crate) fn run_command(arguments: &[String]) -> Result<ExitCode> {
    let ready = setup::run(Need::Demo)?;
    dist::build(&ready.toolchain)?;
    step("the relay and the demo's own program", || {
        run(cargo().args(["build", "--quiet", "-p", "dayfly-relay", "-p", "dayfly-tests", "--bins"]))
    })?;
    // It takes this program's place, so that Ctrl-C reaches the one that has to clean up.
    let mut demo = std::process::Command::new(paths::target().join("debug/dayfly-demo"));
    let error = demo.args(arguments).env("PATH", paths::path_with_cache()?).exec();
    Err(error).context("cannot run the demo")
}
