//! `cargo xtask lint`: formatting, clippy for both targets, the house's own rules, licences of what is depended on.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::paths::{self, cargo};
use crate::rules;
use crate::setup::rust::ensure_linters;
use crate::step::{run, step};
use crate::toolchain::{self, WASM, wasm_cargo};

pub(crate) fn run_command() -> Result<ExitCode> {
    let toolchain = toolchain::ensure()?;
    ensure_linters()?;
    let failed = all(&toolchain);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Run every check, also after one has failed; how many failed.
pub(crate) fn all(toolchain: &str) -> usize {
    let outcomes = [
        step("formatting", || {
            run(cargo().args(["fmt", "--all", "--check"]))?;
            run(cargo().args(["fmt", "--check", "--manifest-path", FUZZ]))
        }),
        step("house rules", rules::check),
        step("clippy, native", || {
            run(cargo()
                .args(["clippy", "--quiet", "--keep-going", "--workspace", "--all-targets"])
                .args(DENY))
        }),
        step("clippy, wasm", || {
            let mut clippy = wasm_cargo(toolchain)?;
            // A configuration of its own: in a page, some of std compiles and panics.
            clippy.env("CLIPPY_CONF_DIR", paths::root().join("xtask/clippy-wasm"));
            clippy.args(["clippy", "--quiet", "--keep-going", "--target", WASM, "-p", "dayfly-web"]);
            run(clippy.args(DENY))
        }),
        step("clippy, fuzz targets", || run(fuzz_clippy().args(DENY))),
        step("licences, bans and sources of dependencies", || {
            let mut deny = cargo();
            deny.args(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"]);
            run(deny.env("PATH", paths::path_with_cache()?))
        }),
    ];
    for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        eprintln!("lint: {error:#}");
    }
    outcomes.iter().filter(|outcome| outcome.is_err()).count()
}

/// Clippy on the fuzz targets, which are a workspace of their own, for nightly and sanitizers.
fn fuzz_clippy() -> Command {
    let mut clippy = cargo();
    clippy.args(["clippy", "--quiet", "--manifest-path", FUZZ]);
    clippy.env("CARGO_TARGET_DIR", paths::target().join("fuzz"));
    // Nothing is linked here, so libFuzzer need not be compiled: this tells its build script that it is elsewhere.
    clippy.env("CUSTOM_LIBFUZZER_PATH", paths::target().join("fuzz/libfuzzer.a"));
    clippy
}

const FUZZ: &str = "fuzz/Cargo.toml";

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
