//! What test programs report, added up.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{self, Command};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::paths;
use crate::step::{run_lines, step};

/// The longest that one run of tests may take before it counts as hung.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// The variable that names the file to which a skipped test adds a line, `NAME: REASON`.
///
/// Rust's test programs know no way to skip at run time, so such a test returns as if it had passed, and is counted here.
const SKIPPED: &str = "DAYFLY_SKIPPED";

/// Counts of tests.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Tally {
    /// A single outcome.
    pub(super) fn one(outcome: &Result<()>) -> Self {
        match outcome {
            Ok(()) => Self { passed: 1, ..Self::default() },
            Err(_) => Self { failed: 1, ..Self::default() },
        }
    }

    /// Runs `suite` as a step, and adds what it reports; an error is one failure.
    pub(super) fn add(&mut self, what: &str, suite: impl FnOnce() -> Result<Self>) {
        match step(what, suite) {
            Ok(more) => self.plus(more),
            Err(error) => {
                eprintln!("test: {error:#}");
                self.failed += 1;
            }
        }
    }

    /// Adds the counts of another.
    pub(super) fn plus(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.skipped += more.skipped;
    }

    /// Returns `true` if nothing failed, and, on a CI machine (`CI=true`), nothing was skipped either.
    pub(super) fn is_good(self) -> bool {
        let is_ci = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        self.failed == 0 && !(is_ci && self.skipped > 0)
    }

    /// The counts in a line of a Rust test program, `test result: ok. 3 passed; 0 failed; 1 ignored; ...`, or of Node's
    /// test runner, `ℹ pass 3`, `ℹ fail 0` and `ℹ skipped 0`.
    fn reported(line: &str) -> Option<Self> {
        if let Some(counts) = line.strip_prefix("test result: ") {
            let (_, counts) = counts.split_once(". ")?;
            let count = |what: &str| {
                let mut parts = counts.split("; ").filter_map(|part| part.trim().split_once(' '));
                parts.find(|(_, name)| *name == what)?.0.parse().ok()
            };
            return Some(Self {
                passed: count("passed")?,
                failed: count("failed")?,
                skipped: count("ignored")?,
            });
        }
        let (what, count) = line.strip_prefix("ℹ ")?.split_once(' ')?;
        let count = count.parse().ok()?;
        match what {
            "pass" => Some(Self { passed: count, ..Self::default() }),
            "fail" | "cancelled" => Some(Self { failed: count, ..Self::default() }),
            "skipped" | "todo" => Some(Self { skipped: count, ..Self::default() }),
            _ => None,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Runs a command that runs test programs, and adds up what they report.
pub(super) fn tests(command: &mut Command) -> Result<Tally> {
    let notes = SkipNotes::new()?;
    command.env(SKIPPED, &notes.path);
    let mut tally = Tally::default();
    let succeeded = run_lines(command, LIMIT, |line| {
        println!("{line}");
        tally.plus(Tally::reported(line).unwrap_or_default());
    })?;
    for note in notes.read() {
        println!("skipped: {note}");
        // Its program reported it as passed.
        tally.passed = tally.passed.saturating_sub(1);
        tally.skipped += 1;
    }
    // A test program that dies reports nothing.
    if !succeeded && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

/// The file that skipped tests write into; it goes with this.
struct SkipNotes {
    path: PathBuf,
}

impl SkipNotes {
    fn new() -> Result<Self> {
        fs::create_dir_all(paths::target())?;
        let path = paths::target().join(format!("skipped-{}", process::id()));
        File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path })
    }

    fn read(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
    }
}

impl Drop for SkipNotes {
    fn drop(&mut self) {
        // What cannot be removed lies in the target directory.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(script: &str) -> Tally {
        super::tests(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn the_closing_line_of_a_test_program_is_understood() {
        let line = "test result: FAILED. 12 passed; 3 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.1s";
        assert_eq!(Tally::reported(line), Some(Tally { passed: 12, failed: 3, skipped: 2 }));
        assert_eq!(Tally::reported("test a::b ... ok"), None);
    }

    #[test]
    fn the_closing_lines_of_nodes_tests_are_understood() {
        let one = |line: &str| Tally::reported(line).map(|tally| (tally.passed, tally.failed, tally.skipped));
        assert_eq!(one("ℹ pass 55"), Some((55, 0, 0)));
        assert_eq!(one("ℹ fail 2"), Some((0, 2, 0)));
        assert_eq!(one("ℹ skipped 1"), Some((0, 0, 1)));
        assert_eq!(one("ℹ duration_ms 1000.7"), None);
    }

    #[test]
    fn what_a_dying_program_did_not_report_counts_as_one_failure() {
        assert_eq!(of("exit 101"), Tally { failed: 1, ..Tally::default() });
    }

    #[test]
    fn a_test_that_skips_is_not_counted_as_passed() {
        let script = "echo 'a::b: no sshd here' >> \"$DAYFLY_SKIPPED\"
            echo 'test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out'";
        assert_eq!(of(script).to_string(), "2 passed, 0 failed, 1 skipped");
    }
}
