//! Tools that Cargo builds, in the versions that the project was tried with.

use std::fs;
use std::process::Command;

use anyhow::Result;

use super::Need;
use crate::paths::{self, cargo};
use crate::step::{output, run_logged};

/// The newest Trunk that the pinned compiler builds.
const TRUNK: &str = "0.21.14";
const GECKODRIVER: &str = "0.37.1";
const CARGO_DENY: &str = "0.20.2";

/// Build what is missing or of another version, into the cache.
pub(crate) fn ensure(need: Need) -> Result<()> {
    install("wasm-bindgen-cli", "wasm-bindgen", &wasm_bindgen()?)?;
    install("trunk", "trunk", TRUNK)?;
    if need == Need::Tests {
        install("geckodriver", "geckodriver", GECKODRIVER)?;
        ensure_linters()?;
    }
    Ok(())
}

/// Build what `cargo xtask lint` runs besides what rustup brings.
pub(crate) fn ensure_linters() -> Result<()> {
    install("cargo-deny", "cargo-deny", CARGO_DENY)
}

/// The command line tool's version has to be the library's.
fn wasm_bindgen() -> Result<String> {
    let lock = fs::read_to_string(paths::root().join("Cargo.lock"))?;
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"wasm-bindgen\"").skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = "));
    Ok(version.map_or("0.2.130", |version| version.trim_matches('"')).to_owned())
}

fn install(package: &str, program: &str, version: &str) -> Result<()> {
    let cache = paths::cache()?;
    let installed =
        output(Command::new(cache.join("bin").join(program)).arg("--version")).unwrap_or_default();
    if installed.split_whitespace().nth(1) == Some(version) {
        return Ok(());
    }
    println!("    building {program} {version}");
    // Tools are run a few times each: an unoptimised build is quicker in sum.
    let build = |extra: &[&str]| {
        let mut command = cargo();
        command.args(["install", package, "--version", version, "--debug", "--force"]).args(extra);
        command.arg("--root").arg(&cache).env("CARGO_TARGET_DIR", cache.join("build/tools"));
        command.env("CARGO_PROFILE_DEV_DEBUG", "0");
        command
    };
    run_logged(program, &mut build(&["--locked"])).or_else(|error| {
        // A version that its lock file names may have been withdrawn from the registry since.
        println!(
            "    not with its own lock file ({}): resolving anew",
            error.to_string().lines().next().unwrap_or_default()
        );
        run_logged(program, &mut build(&[]))
    })
}
