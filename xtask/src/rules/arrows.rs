//! Which part may use which: the arrows of `ARCHITECTURE.md`, held against what Cargo says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::File;
use crate::paths::cargo;
use crate::step::output;

/// A package of this workspace, and those of this workspace that it may depend on.
///
/// Dependencies of tests do not count: tests may use everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("dayfly-moment", &[]),
    ("dayfly-noise", &[]),
    ("dayfly-platform", &["dayfly-moment"]),
    ("dayfly-sorted", &[]),
    ("russh-util", &["dayfly-platform"]),
    ("dayfly-wire", &["dayfly-sorted"]),
    ("dayfly-ts2021", &["dayfly-noise", "dayfly-wire"]),
    ("dayfly-ts2021-io", &["dayfly-ts2021", "dayfly-wire"]),
    ("dayfly-wireguard", &["dayfly-moment", "dayfly-noise", "dayfly-sorted"]),
    ("dayfly-http", &[]),
    ("dayfly-cli", &[]),
    ("dayfly-ssh", &["dayfly-platform"]),
    (
        "dayfly-node",
        &[
            "dayfly-platform",
            "dayfly-sorted",
            "dayfly-ts2021",
            "dayfly-ts2021-io",
            "dayfly-wire",
            "dayfly-wireguard",
        ],
    ),
    ("dayfly-dial", &["dayfly-http", "dayfly-node", "dayfly-platform", "dayfly-wire"]),
    ("dayfly-testkit", &["dayfly-wire"]),
    ("dayfly-relay", &["dayfly-cli", "dayfly-http", "dayfly-platform", "dayfly-wire"]),
    ("dayfly-web", &["dayfly-node", "dayfly-platform", "dayfly-ssh", "dayfly-wire"]),
    (
        "dayfly-tests",
        &[
            "dayfly-dial",
            "dayfly-node",
            "dayfly-platform",
            "dayfly-ssh",
            "dayfly-testkit",
            "dayfly-ts2021",
            "dayfly-wire",
        ],
    ),
    ("xtask", &[]),
];

/// An arrow that must not exist, not even by way of others: from, to, and why not.
const NEVER: &[(&[&str], &[&str], &str)] = &[
    (
        &["dayfly-http"],
        &["dayfly-wire", "dayfly-ts2021", "dayfly-node", "dayfly-relay", "dayfly-coordinator"],
        "HTTP serves any part and knows none of them, nor their messages",
    ),
    (&["dayfly-node"], &["dayfly-http"], "a node is carried by whatever its edge dials, in a page too"),
    (
        &["dayfly-coordinator"],
        &["dayfly-relay"],
        "the relay's `serve` mounts the control server, not the other way",
    ),
    (
        &[
            "dayfly-wire",
            "dayfly-ts2021",
            "dayfly-policy",
            "dayfly-noise",
            "dayfly-moment",
            "dayfly-wireguard",
        ],
        &["tokio", "mio", "socket2", "hyper", "web-sys", "wasm-bindgen-futures", "async-io", "smol"],
        "codecs and state machines know no sockets, clocks, tasks or browsers",
    ),
    (
        &["dayfly-node"],
        &["web-sys", "mio", "socket2"],
        "only the edges, `src/` and `crates/dial`, know what a connection is made of",
    ),
    (
        &["dayfly-web", "dayfly-relay", "dayfly-node", "dayfly-dial", "dayfly-http"],
        &["dayfly-testkit"],
        "what is for tests is not shipped",
    ),
];

/// The file whose table says what each crate is.
const MAP: &str = "ARCHITECTURE.md";

/// The folder of what the page's parts share, which knows none of them.
const SHARED_UI: &str = "www/ui/";

/// Checks all of it.
pub(super) fn check(files: &[File], found: &mut Vec<String>) -> Result<()> {
    let edges = edges()?;
    for (from, to) in &edges {
        check_arrows(from, to, found);
    }
    check_unused(&edges, found);
    let map = files.iter().find(|file| file.name == MAP).map(|file| file.text.as_str()).unwrap_or_default();
    check_map(map, files, found);
    for (from, to, why) in NEVER {
        for package in from.iter().filter(|package| edges.contains_key(**package)) {
            let reached = reached(package)?;
            for never in to.iter().filter(|never| reached.contains(**never)) {
                found.push(format!("{package} must never depend on {never}, directly or not: {why}"));
            }
        }
    }
    for file in files.iter().filter(|file| file.name.starts_with(SHARED_UI)) {
        check_imports(file, found);
    }
    Ok(())
}

fn check_arrows(from: &str, to: &BTreeSet<String>, found: &mut Vec<String>) {
    let Some((_, allowed)) = ARROWS.iter().find(|(package, _)| *package == from) else {
        found.push(format!(
            "{from}: no arrow of it is known: name what it may use in xtask/src/rules/arrows.rs"
        ));
        return;
    };
    for package in to.iter().filter(|package| !allowed.contains(&package.as_str())) {
        let never = NEVER.iter().find(|(f, t, _)| f.contains(&from) && t.contains(&package.as_str()));
        let why = never.map_or("not one of the arrows in xtask/src/rules/arrows.rs", |(_, _, why)| *why);
        found.push(format!("{from} depends on {package}: {why}"));
    }
}

/// Checks that each arrow that is allowed exists, where both of its ends do.
fn check_unused(edges: &BTreeMap<String, BTreeSet<String>>, found: &mut Vec<String>) {
    for (from, allowed) in ARROWS {
        let Some(to) = edges.get(*from) else { continue };
        for package in allowed.iter().filter(|p| edges.contains_key(**p) && !to.contains(**p)) {
            found.push(format!("{from} may depend on {package}, and does not: xtask/src/rules/arrows.rs"));
        }
    }
}

/// Checks that `map`, the text of [`MAP`], has a row for each crate, and no row for a crate that does not exist.
fn check_map(map: &str, files: &[File], found: &mut Vec<String>) {
    let crates: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| file.name.strip_suffix("/Cargo.toml"))
        .filter(|dir| dir.starts_with("crates/"))
        .collect();
    let rows: BTreeSet<&str> = map
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(dir, _)| dir)
        .filter(|dir| dir.starts_with("crates/"))
        .collect();
    for dir in crates.difference(&rows) {
        found.push(format!("{MAP}: its table of crates has no row for {dir}"));
    }
    for dir in rows.difference(&crates) {
        found.push(format!("{MAP}: there is no {dir}"));
    }
}

/// The packages of the workspace, each with those of the workspace that it depends on.
///
/// Cargo names the dependencies of a package where it comes to it first, which may be below another, so it is asked for all of them.
fn edges() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let tree = tree(&["--workspace", "--depth", "1", "--no-dedupe", "--prefix", "depth"])?;
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut from = String::new();
    for line in tree.lines() {
        if let Some(package) = line.strip_prefix('0') {
            name(package).clone_into(&mut from);
            edges.entry(from.clone()).or_default();
        } else if let Some(package) = line.strip_prefix('1') {
            edges.entry(from.clone()).or_default().insert(name(package).to_owned());
        }
    }
    let own: BTreeSet<String> = edges.keys().cloned().collect();
    for to in edges.values_mut() {
        to.retain(|package| own.contains(package));
    }
    Ok(edges)
}

/// The packages that `package` depends on, directly or not.
fn reached(package: &str) -> Result<BTreeSet<String>> {
    let tree = tree(&["--package", package, "--prefix", "none"])?;
    Ok(tree.lines().skip(1).map(|line| name(line).to_owned()).collect())
}

/// Asks Cargo for dependencies, for all targets and with all features, those of tests aside.
fn tree(arguments: &[&str]) -> Result<String> {
    let mut tree: Command = cargo();
    tree.args(["tree", "--edges", "normal,build", "--target", "all", "--all-features"]);
    tree.args(["--format", "{p}"]).args(arguments);
    output(&mut tree).context("the arrows between packages are asked of Cargo")
}

/// The name of a package in a line `name v1.2.3 (path)`.
fn name(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

/// Checks that a script of [`SHARED_UI`] imports nothing from outside of it.
fn check_imports(file: &File, found: &mut Vec<String>) {
    let depth = file.name.matches('/').count() - SHARED_UI.matches('/').count();
    let outside = "../".repeat(depth + 1);
    for (number, line) in file.text.lines().enumerate() {
        let mut paths = line.split(['"', '\'']).skip(1).step_by(2);
        if line.contains("import") || line.contains("from ") {
            let is_outside = paths.any(|path| path.starts_with(&outside));
            if is_outside {
                found.push(file.finding(number, "what the parts of the page share knows none of them"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file;

    #[test]
    fn the_arrows_hold() {
        let mut found = Vec::new();
        check(&crate::rules::files().unwrap(), &mut found).unwrap();
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn an_arrow_that_is_not_listed_is_found() {
        let mut found = Vec::new();
        check_arrows("dayfly-node", &BTreeSet::from(["dayfly-wire".to_owned()]), &mut found);
        assert_eq!(found, Vec::<String>::new());
        check_arrows("dayfly-node", &BTreeSet::from(["dayfly-http".to_owned()]), &mut found);
        assert!(found[0].contains("whatever its edge dials"), "{found:?}");
        check_arrows("dayfly-new", &BTreeSet::new(), &mut found);
        assert!(found[1].contains("no arrow of it is known"), "{found:?}");
    }

    #[test]
    fn an_arrow_that_nobody_uses_is_found() {
        let packages =
            [("dayfly-relay", vec!["dayfly-http"]), ("dayfly-http", vec![]), ("dayfly-wire", vec![])];
        let set = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let edges = packages.into_iter().map(|(from, to)| (from.to_owned(), set(to))).collect();
        let mut found = Vec::new();
        check_unused(&edges, &mut found);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("dayfly-relay may depend on dayfly-wire, and does not"), "{found:?}");
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_found() {
        let files = [
            file("crates/wire/Cargo.toml", ""),
            file("crates/new/Cargo.toml", ""),
            file("fuzz/Cargo.toml", ""),
        ];
        let mut found = Vec::new();
        check_map(
            "| `crates/wire` | codecs | |\n| `crates/old` | was one | |\n| `relay/` | | |",
            &files,
            &mut found,
        );
        assert_eq!(
            found,
            [
                "ARCHITECTURE.md: its table of crates has no row for crates/new",
                "ARCHITECTURE.md: there is no crates/old"
            ]
        );
    }

    #[test]
    fn what_a_package_reaches_is_found_through_others() {
        let edges = edges().unwrap();
        assert!(edges["dayfly-web"].contains("dayfly-node"), "{edges:?}");
        assert!(edges["dayfly-node"].contains("dayfly-wire"), "also of what others depend on: {edges:?}");
        assert!(!edges["dayfly-web"].contains("dayfly-wireguard"), "{edges:?}");
        let reached = reached("dayfly-web").unwrap();
        assert!(reached.contains("dayfly-wireguard") && reached.contains("smoltcp"));
    }

    #[test]
    fn what_parts_of_the_page_share_imports_none_of_them() {
        let count = |name: &str, line: &str| {
            let mut found = Vec::new();
            check_imports(&file(name, line), &mut found);
            found.len()
        };
        assert_eq!(count("www/ui/dom.ts", "import { App } from \"../src/app.ts\";"), 1);
        assert_eq!(count("www/ui/icons/all.ts", "import { h } from \"../dom.ts\";"), 0);
        assert_eq!(count("www/ui/icons/all.ts", "import { App } from '../../console/app.ts';"), 1);
    }
}
