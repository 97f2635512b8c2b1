//! `cargo xtask bench`: the page and the relay measured against their peers.

use std::process::ExitCode;

use anyhow::{Result, bail};

pub(crate) fn run(wanted: &[String]) -> Result<ExitCode> {
    bail!("there is no benchmark of {wanted:?}")
}
