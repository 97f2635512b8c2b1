//! The suites: what each needs of the machine, and how it is run.

use std::process::Command;

use anyhow::{Result, bail};

use super::tally::{Tally, tests};
use crate::dist::Build;
use crate::namespace;
use crate::paths::{self, cargo};
use crate::setup::{Missing, Part};

/// A suite of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suite {
    /// Each crate's own tests and the examples in its documentation: nothing but Rust.
    Unit,
    /// The page's scripts with a mock in the module's place, in Chromium.
    Page,
    /// Our parts against other people's programs.
    Interop,
    /// Tests of what happens when something breaks.
    Faults,
    /// Tests against those who mean harm.
    Abuse,
    /// The page in three browsers.
    Browser,
}

impl Suite {
    const ALL: [Self; 6] = [Self::Unit, Self::Page, Self::Interop, Self::Faults, Self::Abuse, Self::Browser];

    /// Those that `tests/` holds.
    pub(super) const WITH_PEERS: [Self; 4] = [Self::Interop, Self::Faults, Self::Abuse, Self::Browser];

    /// The suite called `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Page => "page",
            Self::Interop => "interop",
            Self::Faults => "faults",
            Self::Abuse => "abuse",
            Self::Browser => "browser",
        }
    }

    /// Its title, for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Unit => "unit: tests of the crates, and the examples in their documentation",
            Self::Page => "page: its scripts, and the page with a mock of its module, in Chromium",
            Self::Interop => "interop: tests against real peers",
            Self::Faults => "faults: tests of what breaks",
            Self::Abuse => "abuse: tests of what means harm",
            Self::Browser => "browser: tests of the page in real browsers",
        }
    }

    /// The parts of set-up that it needs.
    pub(super) fn parts(self) -> &'static [Part] {
        match self {
            Self::Unit => &[],
            Self::Page => &[Part::Scripts, Part::Chromium],
            Self::Interop | Self::Faults | Self::Abuse => &[Part::Peers, Part::Lab],
            Self::Browser => &[
                Part::Scripts,
                Part::Wasm,
                Part::Page,
                Part::Chromium,
                Part::Browsers,
                Part::Peers,
                Part::Lab,
            ],
        }
    }

    /// Tells whether it starts real peers.
    pub(super) fn has_peers(self) -> bool {
        Self::WITH_PEERS.contains(&self)
    }

    /// Runs a suite without peers.
    pub(super) fn run(self, missing: &Missing, names: &[String]) -> Result<Tally> {
        match self {
            Self::Unit => {
                let unit = ["test", "--quiet", "--no-fail-fast", "--workspace", "--exclude", "dayfly-tests"];
                tests(cargo().args(unit).arg("--").args(names))
            }
            Self::Page => {
                let mut npm = Command::new("npm");
                npm.current_dir(paths::root().join("www")).args(["test", "--silent"]);
                // Node's runner matches names by regular expressions.
                npm.arg("--").args(names.iter().map(|name| format!("--test-name-pattern={name}")));
                let tally = tests(&mut npm)?;
                // Node 20 reports as skipped whatever has another name.
                Ok(if names.is_empty() { tally } else { Tally { skipped: 0, ..tally } })
            }
            Self::Interop | Self::Faults | Self::Abuse | Self::Browser => {
                self.run_against_peers(missing, Build::Served, names)
            }
        }
    }

    /// Runs a suite with peers, in a network namespace where the machine allows one; `page` is what browsers get.
    pub(super) fn run_against_peers(self, missing: &Missing, page: Build, names: &[String]) -> Result<Tally> {
        if !self.has_peers() {
            bail!("{} starts no peers", self.name());
        }
        let mut command = cargo();
        // Two at a time keep two cores busy: each test waits for its peers for most of its time.
        command.args(["test", "--offline", "--no-fail-fast", "-p", "dayfly-tests", "--test", self.name()]);
        if self == Self::Interop {
            // The harness's own tests, which no other suite has.
            command.args(["--lib", "--bins"]);
        }
        command.args(["--", "--test-threads=2"]).args(names);
        command.env("DAYFLY_MISSING", missing.join(",")).env("RUST_LIB_BACKTRACE", "0");
        command.env("DAYFLY_DIST", page.dir()).env("PATH", paths::path_with_cache()?);
        match namespace::wrap(&command)? {
            Some(mut inside) => tests(&mut inside),
            None => {
                println!("    this machine allows no network namespace: the peers run in its own network");
                tests(&mut command)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn unit_tests_need_nothing_but_rust() {
        assert_eq!(Suite::Unit.parts(), []);
    }

    #[test]
    fn only_browsers_need_the_page() {
        let needs_page = |suite: &Suite| suite.parts().contains(&Part::Page);
        assert_eq!(Suite::ALL.into_iter().filter(needs_page).collect::<Vec<_>>(), [Suite::Browser]);
    }

    #[test]
    fn each_suite_with_peers_is_a_test_program_of_the_harness() {
        let manifest = fs::read_to_string(paths::root().join("tests/Cargo.toml")).unwrap();
        for suite in Suite::WITH_PEERS {
            let path = format!("path = \"{}/main.rs\"", suite.name());
            assert!(manifest.contains(&path), "{path}");
        }
        let tests = manifest.matches("[[test]]").count();
        assert_eq!(tests, Suite::WITH_PEERS.len(), "each test program of tests/Cargo.toml is a suite");
    }
}
