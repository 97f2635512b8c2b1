//! `cargo xtask demo`: the whole thing on loopback, for a person with a browser.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::jobs::Job;
use crate::paths::{self, cargo};
use crate::step::run_logged;
use crate::{dist, setup};

pub(crate) fn run_command(arguments: &[String]) -> Result<ExitCode> {
    let mut jobs = dist::jobs()?;
    let program = paths::target().join("debug/dayfly-demo");
    jobs.push(Job {
        name: "demo",
        title: "the relay and the demo's own program".to_owned(),
        after: &[],
        cost: if program.exists() { 20 } else { 150 },
        work: Box::new(|| {
            let packages = ["-p", "dayfly-relay", "-p", "dayfly-tests"];
            run_logged(
                "demo",
                cargo().arg("build").args(packages).args(["--bin", "dayfly-relay", "--bin", "dayfly-demo"]),
            )
        }),
    });
    let missing = setup::run_with(setup::DEMO, jobs)?;
    if !missing.is_empty() {
        bail!("the demo needs {}, which this machine can't have", missing.join(" and "));
    }
    // It takes this program's place, so that Ctrl-C reaches the one that has to clean up.
    let mut demo = Command::new(program);
    let error = demo.args(arguments).env("PATH", paths::path_with_cache()?).exec();
    Err(error).context("cannot run the demo")
}
