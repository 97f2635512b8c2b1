//! `cargo xtask lint`: formatting, clippy for both targets, the house's own rules, documentation, the
//! page's scripts, licences of what is depended on.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::paths::{self, cargo};
use crate::step::{run, step};
use crate::toolchain::{WASM, wasm_cargo};
use crate::{fuzz, rules, setup};

/// Runs everything, or only the house rules (`rules`), which need no set-up and take seconds.
pub(crate) fn run_command(arguments: &[String]) -> Result<ExitCode> {
    match arguments {
        [] => {}
        [word] if word == "rules" => return step("house rules", rules::check).map(|()| ExitCode::SUCCESS),
        [word, ..] => bail!("there is no check called {word:?}: all of them, or rules"),
    }
    setup::run(setup::LINT)?;
    let failed = all(&setup::wasm_toolchain()?);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs every check, also after one has failed; returns how many failed.
pub(crate) fn all(toolchain: &str) -> usize {
    let outcomes = [
        step("formatting", || {
            run(cargo().args(["fmt", "--all", "--check"]))?;
            run(cargo().args(["fmt", "--check", "--manifest-path", fuzz::MANIFEST]))
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
        step("documentation", || {
            let mut doc = cargo();
            doc.args(["doc", "--quiet", "--keep-going", "--workspace", "--no-deps"]);
            run(doc.env("RUSTDOCFLAGS", "-D warnings"))
        }),
        step("the page's scripts: types, lint and format", || {
            run(Command::new("npm").args(["run", "--silent", "lint"]).current_dir(paths::root().join("www")))
        }),
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
    clippy.args(["clippy", "--quiet", "--manifest-path", fuzz::MANIFEST]);
    clippy.env("CARGO_TARGET_DIR", paths::target().join("fuzz"));
    // Nothing is linked here, so libFuzzer need not be compiled: this tells its build script that it is elsewhere.
    clippy.env("CUSTOM_LIBFUZZER_PATH", paths::target().join("fuzz/libfuzzer.a"));
    clippy
}

const DENY: &[&str] = &["--", "-D", "warnings"];
