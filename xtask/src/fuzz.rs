//! `cargo xtask fuzz`: libFuzzer on the targets of `fuzz/`, on the pinned compiler.
//!
//! Nothing here is `unsafe`, so there is little for a sanitizer to find, and a sanitizer is all that cargo-fuzz wants nightly
//! for: what guides libFuzzer is LLVM's coverage, which the stable compiler switches on by the same flags. So no other tool
//! and no other toolchain is needed, and a short run of each target is one of the tests.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::paths::{self, cargo};
use crate::step::{output, run, step};

/// The manifest of the targets, a workspace of its own.
pub(crate) const MANIFEST: &str = "fuzz/Cargo.toml";

/// Seconds for each target, unless `--seconds` gives others.
const SECONDS: u64 = 60;

/// Seconds for each target as one of the tests.
const SMOKE_SECONDS: u64 = 2;

/// The longest that one input may take, in seconds.
const TIMEOUT: u64 = 10;

/// LLVM's coverage in the form that libFuzzer reads: counters, a table of the places, and what numbers are compared with.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// Runs the targets that `arguments` name, or all of them in turn, for `--seconds` each.
pub(crate) fn run_command(arguments: &[String]) -> Result<ExitCode> {
    let all = targets()?;
    let mut seconds = SECONDS;
    let mut wanted = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let number = words.next().context("--seconds needs a number")?;
            seconds = number.parse().with_context(|| format!("--seconds {number}: no number"))?;
        } else if let Some(target) = all.iter().find(|target| *target == word) {
            wanted.push(target.clone());
        } else {
            bail!("there is no fuzz target {word:?}: {}, --seconds N", all.join(", "));
        }
    }
    if wanted.is_empty() {
        wanted = all;
    }
    build()?;
    let mut failed = Vec::new();
    for target in wanted {
        let outcome = step(&format!("{target}, for {seconds} s"), || {
            // What it finds on the way is kept for the next time.
            let corpus = paths::root().join("fuzz/corpus").join(&target);
            run(libfuzzer(&target, corpus, seconds)?.arg("-print_final_stats=1"))
        });
        if let Err(error) = outcome {
            eprintln!("fuzz: {error:#}");
            failed.push(target);
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("a crash was found by {}; the inputs are in fuzz/artifacts", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Runs each target on its seeds and for [`SMOKE_SECONDS`] of mutations, two at a time; returns their outcomes.
///
/// It begins with the same random numbers each time: an old mistake should rather not come up with a change that has no
/// part in it.
///
/// # Errors
/// When the targets do not compile, or one of them has no seeds.
pub(crate) fn smoke() -> Result<Vec<Result<()>>> {
    let targets = targets()?;
    build()?;
    let one = |target: &String| -> Result<()> {
        let corpus = paths::target().join("fuzz/smoke").join(target);
        if corpus.exists() {
            fs::remove_dir_all(&corpus)?;
        }
        let outcome = output(libfuzzer(target, corpus, SMOKE_SECONDS)?.arg("-seed=1"));
        if let Err(error) = &outcome {
            eprintln!("fuzz target {target}: {error:#}");
        }
        outcome.map(drop)
    };
    let mut outcomes = Vec::new();
    for pair in targets.chunks(2) {
        outcomes.extend(thread::scope(|scope| {
            let running: Vec<_> = pair.iter().map(|target| scope.spawn(move || one(target))).collect();
            let ended = running.into_iter().map(|thread| thread.join());
            ended.map(|outcome| outcome.unwrap_or_else(|_| bail!("its thread panicked"))).collect::<Vec<_>>()
        }));
    }
    Ok(outcomes)
}

/// Returns the names of all targets.
///
/// # Errors
/// When one has no seeds: what a fuzzer does not come by itself to is then never tried.
fn targets() -> Result<Vec<String>> {
    let dir = paths::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    let mut names: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    for name in &names {
        if fs::read_dir(seeds(name)).is_ok_and(|mut entries| entries.next().is_some()) {
            continue;
        }
        bail!("fuzz target {name} has no seeds in {}", seeds(name).display());
    }
    Ok(names)
}

fn seeds(target: &str) -> PathBuf {
    paths::root().join("fuzz/seeds").join(target)
}

/// Compiles all targets, with coverage.
fn build() -> Result<()> {
    step("the fuzz targets", || {
        let mut build = cargo();
        build.args(["build", "--quiet", "--release", "--manifest-path", MANIFEST]);
        // With a target named, build scripts and macros are compiled without the flags.
        build.args(["--target", &host()?]).env("CARGO_TARGET_DIR", paths::target().join("fuzz"));
        run(build.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f")))
    })
}

/// The compiled target with its limits: what it finds goes to `corpus`, a crash's input to `fuzz/artifacts`.
fn libfuzzer(target: &str, corpus: PathBuf, seconds: u64) -> Result<Command> {
    let artifacts = paths::root().join("fuzz/artifacts").join(target);
    for dir in [&corpus, &artifacts] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let program = paths::target().join("fuzz").join(host()?).join("release").join(target);
    let mut command = Command::new(program);
    command.arg(corpus).arg(seeds(target)).current_dir(paths::root());
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={TIMEOUT}"));
    command.arg(format!("-artifact_prefix={}/", artifacts.display())).arg("-verbosity=1");
    command.stdin(Stdio::null());
    Ok(command)
}

/// The machine that the compiler compiles for.
fn host() -> Result<String> {
    let about = output(Command::new("rustc").arg("-vV").current_dir(paths::root()))?;
    let line = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc -vV names no host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_in_the_manifest_and_has_seeds() {
        let manifest = fs::read_to_string(paths::root().join(MANIFEST)).unwrap();
        let targets = targets().unwrap();
        for target in &targets {
            let path = format!("path = \"fuzz_targets/{target}.rs\"");
            assert!(manifest.contains(&path), "{path}");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
    }
}
