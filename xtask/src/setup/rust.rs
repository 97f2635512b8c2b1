//! Tools that Cargo builds, in the versions that the project was tried with.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Part;
use crate::jobs::Job;
use crate::paths::{self, cargo};
use crate::step::{output, run_logged};

/// The name of the job that builds `wasm-bindgen`.
pub(crate) const WASM_BINDGEN: &str = "wasm-bindgen";
/// The name of the job that builds Trunk.
pub(crate) const TRUNK: &str = "trunk";

/// A tool, in the version that the project was tried with.
struct Tool {
    package: &'static str,
    /// Its program, and the name of its job.
    program: &'static str,
    version: String,
    part: Part,
    /// Options that choose what of it is built.
    options: &'static [&'static str],
    /// The tools before it: they share a target directory, which Cargo locks.
    after: &'static [&'static str],
    /// Seconds of processor time of its build, after those before it.
    cost: u64,
}

fn tools() -> Result<[Tool; 4]> {
    Ok([
        Tool {
            package: "wasm-bindgen-cli",
            program: WASM_BINDGEN,
            version: wasm_bindgen()?,
            part: Part::Page,
            options: &["--bin", "wasm-bindgen"],
            after: &[],
            cost: 180,
        },
        Tool {
            package: "trunk",
            program: TRUNK,
            // The newest that the pinned compiler builds.
            version: "0.21.14".to_owned(),
            part: Part::Page,
            // It is off-line here: it neither asks for newer versions of itself nor downloads tools by TLS.
            options: &["--no-default-features"],
            after: &[WASM_BINDGEN],
            cost: 500,
        },
        Tool {
            package: "geckodriver",
            program: "geckodriver",
            version: "0.37.1".to_owned(),
            part: Part::Browsers,
            options: &[],
            after: &[WASM_BINDGEN, TRUNK],
            cost: 130,
        },
        Tool {
            package: "cargo-deny",
            program: "cargo-deny",
            version: "0.20.2".to_owned(),
            part: Part::Linters,
            options: &[],
            after: &[WASM_BINDGEN, TRUNK, "geckodriver"],
            cost: 130,
        },
    ])
}

/// The jobs that build what `parts` ask for and is missing or of another version, into the cache.
pub(crate) fn jobs(parts: &[Part]) -> Result<Vec<Job<'static>>> {
    let mut jobs = Vec::new();
    for tool in tools()?.into_iter().filter(|tool| parts.contains(&tool.part)) {
        if !is_installed(&tool)? {
            jobs.push(Job {
                name: tool.program,
                title: format!("{} {}", tool.program, tool.version),
                after: tool.after,
                cost: tool.cost,
                work: Box::new(move || install(&tool)),
            });
        }
    }
    Ok(jobs)
}

/// The command line tool's version has to be the library's.
fn wasm_bindgen() -> Result<String> {
    let lock = fs::read_to_string(paths::root().join("Cargo.lock"))?;
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"wasm-bindgen\"").skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = "));
    Ok(version.context("Cargo.lock has no wasm-bindgen")?.trim_matches('"').to_owned())
}

fn is_installed(tool: &Tool) -> Result<bool> {
    let program = paths::cache()?.join("bin").join(tool.program);
    let about = output(Command::new(program).arg("--version")).unwrap_or_default();
    Ok(about.split_whitespace().nth(1) == Some(&tool.version))
}

fn install(tool: &Tool) -> Result<()> {
    let cache = paths::cache()?;
    // Tools are run a few times each: an unoptimised build is quicker in sum, with as little to compile as may be.
    let build = |extra: &[&str]| {
        let mut command = cargo();
        command.args(["install", tool.package, "--version", &tool.version, "--debug", "--force"]);
        command.args(tool.options).args(extra);
        command.arg("--root").arg(&cache).env("CARGO_TARGET_DIR", cache.join("build/tools"));
        command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
        command.env("CARGO_PROFILE_DEV_PANIC", "abort").env("CARGO_PROFILE_DEV_DEBUG_ASSERTIONS", "false");
        command.env("CARGO_PROFILE_DEV_OVERFLOW_CHECKS", "false");
        command
    };
    run_logged(tool.program, &mut build(&["--locked"])).or_else(|error| {
        // A version that its lock file names may have been withdrawn from the registry since.
        println!(
            "    {}: not with its own lock file ({}): resolving anew",
            tool.program,
            error.to_string().lines().next().unwrap_or_default()
        );
        run_logged(tool.program, &mut build(&[]))
    })
}
