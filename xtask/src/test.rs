//! `cargo xtask test`: from a fresh clone to one closing line, `N passed, N failed`.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::paths::{self, cargo};
use crate::setup::{self, Need, Ready};
use crate::step::{run, run_lines, seconds, step};
use crate::{dist, lint, namespace};

/// The longest that one run of tests may take before it counts as hung.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// What test programs reported, added up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: usize,
}

pub(crate) fn run_command(names: &[String]) -> Result<ExitCode> {
    let start = Instant::now();
    let ready = setup::run(Need::Tests)?;
    let mut tally = Tally::default();
    if names.is_empty() {
        tally.failed += lint::all(&ready.toolchain);
        let unit = ["test", "--quiet", "--no-fail-fast", "--workspace", "--exclude", "dayfly-tests"];
        tally.add("unit tests", || tests(cargo().args(unit)));
        tally.add("the page against a mock of its engine, in Chromium", page);
    }
    // Without a page or a relay there is still much to be told about the rest.
    for outcome in [
        dist::build(&ready.toolchain),
        step("the relay, for tests", || {
            run(cargo().args(["build", "--quiet", "-p", "dayfly-relay", "--bins"]))
        }),
        step("the tests against peers", || {
            run(cargo().args(["test", "--quiet", "-p", "dayfly-tests", "--no-run"]))
        }),
    ] {
        if let Err(error) = outcome {
            eprintln!("test: {error:#}");
            tally.failed += 1;
        }
    }
    tally.add("tests against real peers and browsers", || peers(&ready, names));

    for peer in &ready.missing {
        println!("not on this machine, and what needs it was left out: {peer}");
    }
    println!("all of it took {}", seconds(start.elapsed()));
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn peers(ready: &Ready, names: &[String]) -> Result<Tally> {
    let mut command = cargo();
    // Two at a time keep two cores busy: each test waits for its peers for most of its time.
    command
        .args(["test", "--offline", "--no-fail-fast", "-p", "dayfly-tests", "--", "--test-threads=2"])
        .args(names);
    command.env("DAYFLY_MISSING", ready.missing.join(",")).env("RUST_LIB_BACKTRACE", "0");
    command.env("PATH", paths::path_with_cache()?);
    match namespace::wrap(&command)? {
        Some(mut inside) => tests(&mut inside),
        None => {
            println!("    this machine allows no network namespace: the peers run in its own network");
            tests(&mut command)
        }
    }
}

/// The page's scripts: their types, and their tests.
fn page() -> Result<Tally> {
    let npm = |arguments: &[&str]| {
        let mut npm = Command::new("npm");
        npm.args(arguments).current_dir(paths::root().join("www"));
        npm
    };
    run(&mut npm(&["run", "--silent", "check"]))?;
    tests(&mut npm(&["test", "--silent"]))
}

/// Run a command that runs test programs, and add up what they report.
fn tests(command: &mut Command) -> Result<Tally> {
    let mut tally = Tally::default();
    let succeeded = run_lines(command, LIMIT, |line| {
        println!("{line}");
        if let Some(reported) = Tally::reported(line) {
            tally.passed += reported.passed;
            tally.failed += reported.failed;
        }
    })?;
    // A test program that dies reports nothing.
    if !succeeded && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

impl Tally {
    fn add(&mut self, what: &str, run: impl FnOnce() -> Result<Self>) {
        match step(what, run) {
            Ok(more) => {
                self.passed += more.passed;
                self.failed += more.failed;
            }
            Err(error) => {
                eprintln!("test: {error:#}");
                self.failed += 1;
            }
        }
    }

    /// What a line of a Rust test program, `test result: ok. 3 passed; 0 failed; ...`, or of Node's test runner,
    /// `ℹ pass 3` and `ℹ fail 0`, says.
    fn reported(line: &str) -> Option<Self> {
        if let Some(counts) = line.strip_prefix("test result: ") {
            let (_, counts) = counts.split_once(". ")?;
            let count = |what: &str| {
                let mut parts = counts.split("; ").filter_map(|part| part.trim().split_once(' '));
                parts.find(|(_, name)| *name == what)?.0.parse().ok()
            };
            return Some(Self { passed: count("passed")?, failed: count("failed")? });
        }
        let (what, count) = line.strip_prefix("ℹ ")?.split_once(' ')?;
        let count = count.parse().ok()?;
        match what {
            "pass" => Some(Self { passed: count, failed: 0 }),
            "fail" | "cancelled" => Some(Self { passed: 0, failed: count }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_of_a_test_program_is_understood() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.1s";
        assert_eq!(Tally::reported(line), Some(Tally { passed: 12, failed: 3 }));
        assert_eq!(Tally::reported("test a::b ... ok"), None);
    }

    #[test]
    fn the_closing_lines_of_nodes_tests_are_understood() {
        assert_eq!(Tally::reported("ℹ pass 55"), Some(Tally { passed: 55, failed: 0 }));
        assert_eq!(Tally::reported("ℹ fail 2"), Some(Tally { passed: 0, failed: 2 }));
        assert_eq!(Tally::reported("ℹ duration_ms 1000.7"), None);
    }

    #[test]
    fn what_a_dying_program_did_not_report_counts_as_one_failure() {
        let tally = super::tests(Command::new("sh").args(["-c", "exit 101"])).unwrap();
        assert_eq!(tally, Tally { passed: 0, failed: 1 });
    }
}
