//! `cargo xtask lint`: formatting, clippy for both targets, the house's own rules, licences of what is depended on.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::paths::{self, cargo, find_program};
use crate::rules;
use crate::step::{run, step};
use crate::toolchain::{self, WASM, wasm_cargo};

pub(crate) fn run_command() -> Result<ExitCode> {
    let toolchain = toolchain::ensure()?;
    let failed = all(&toolchain);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Run every check, also after one has failed; how many failed.
pub(crate) fn all(toolchain: &str) -> usize {
    let outcomes = [
        step("formatting", || run(cargo().args(["fmt", "--all", "--check"]))),
        step("house rules", rules::check),
        step("clippy, native", || {
            run(cargo()
                .args(["clippy", "--quiet", "--workspace", "--exclude", "dayfly-web", "--all-targets"])
                .args(DENY))
        }),
        step("clippy, wasm", || {
            let mut clippy = wasm_cargo(toolchain)?;
            // A configuration of its own: in a page, some of std compiles and panics.
            clippy.env("CLIPPY_CONF_DIR", paths::root().join("xtask/clippy-wasm"));
            run(clippy.args(["clippy", "--quiet", "--target", WASM, "-p", "dayfly-web"]).args(DENY))
        }),
        step("licences, bans and sources of dependencies", || {
            if find_program(&["cargo-deny"]).is_none() {
                println!("    cargo-deny is not installed: left out");
                return Ok(());
            }
            run(cargo().args(["deny", "--offline", "check", "licenses", "bans", "sources"]))
        }),
    ];
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        eprintln!("lint: {error:#}");
    }
    outcomes.iter().filter(|outcome| outcome.is_err()).count()
}

const DENY: &[&str] = &["--", "-D", "warnings"];

/// Fail with `count` findings, if there are any.
pub(crate) fn findings(found: &[String]) -> Result<()> {
    for finding in found {
        println!("    {finding}");
    }
    match found.len() {
        0 => Ok(()),
        count => bail!("{count} findings"),
    }
}
