//! What the page is made of, so that it is built again when that changes, and only then.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Component, Path};

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::paths::{self, cargo};
use crate::step::output;
use crate::toolchain::WASM;

/// Files and folders of the page's besides the crates that its module is compiled from.
const SOURCES: &[&str] = &[
    "Cargo.toml",
    "Trunkfile.toml",
    "rust-toolchain.toml",
    "src",
    "www",
    "xtask/npm",
    "xtask/src/dist",
    "xtask/src/toolchain.rs",
];

/// Folders and files that are compiled for tests and fuzzing alone; a house rule holds them to their `cfg`.
const FOR_TESTS: &[&str] = &["tests", "tests.rs", "test", "benches", "examples", "fuzzing.rs"];

/// Returns a number that changes with the contents of anything that the page is made of.
///
/// Of `Cargo.lock` only the packages that the page depends on count, by name, version and features.
pub(super) fn fingerprint() -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    let (crates, packages) = crates()?;
    packages.hash(&mut hasher);
    let mut list = Command::new("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]);
    list.args(SOURCES).args(&crates).current_dir(paths::root());
    let list = output(&mut list).context("the page's sources are listed by git")?;
    let names: BTreeSet<&str> = list.split('\0').filter(|name| is_source(name)).collect();
    for name in names {
        // One that was deleted and not committed yet is listed all the same.
        if let Ok(contents) = fs::read(paths::root().join(name)) {
            (name, contents).hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}

/// Tells whether a listed file can change the page.
fn is_source(name: &str) -> bool {
    let path = Path::new(name);
    let is_for_tests = |part: Component<'_>| FOR_TESTS.iter().any(|for_tests| part.as_os_str() == *for_tests);
    !name.is_empty() && path.extension().is_none_or(|e| e != "md") && !path.components().any(is_for_tests)
}

/// Returns the paths from the root of this workspace's crates that the page's module is compiled from, and a list of all its
/// packages with their versions and features.
fn crates() -> Result<(Vec<String>, String)> {
    let mut tree = cargo();
    tree.args(["tree", "--package", "dayfly-web", "--target", WASM, "--edges", "normal,build"]);
    tree.args(["--prefix", "none", "--format", "{p} {f}"]);
    let tree = output(&mut tree)?;
    let packages: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let root = format!("({}/", paths::root().display());
    let of_workspace = |line: &&str| Some(line.split_once(&root)?.1.split_once(')')?.0.to_owned());
    let crates = packages.iter().filter_map(of_workspace).collect();
    Ok((crates, packages.into_iter().collect::<Vec<_>>().join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_prose_are_no_sources_of_the_page() {
        for name in ["crates/node/src/lib.rs", "www/src/app.ts", "www/index.html", "src/api/shell.rs"] {
            assert!(is_source(name), "{name}");
        }
        for name in [
            "crates/node/README.md",
            "crates/node/src/node/tests.rs",
            "crates/node/src/tunnel/tests/world.rs",
            "crates/ssh/tests/flow.rs",
            "crates/wire/src/fuzzing.rs",
            "www/test/run.mjs",
            "",
        ] {
            assert!(!is_source(name), "{name}");
        }
    }

    #[test]
    fn the_page_is_made_of_the_crates_that_it_depends_on() {
        let (crates, packages) = crates().unwrap();
        assert!(crates.iter().any(|path| path == "crates/node"), "{crates:?}");
        for other in ["relay", "tests", "xtask"] {
            assert!(!crates.iter().any(|path| path == other), "{crates:?}");
        }
        assert!(packages.contains("wasm-bindgen v"));
    }
}
