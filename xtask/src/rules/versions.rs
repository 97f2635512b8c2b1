//! Versions that stand in two places are the same in both.

use std::fs;

use anyhow::{Context as _, Result};

use crate::paths;

/// Checks that `rust-version` is the compiler that everything is tried with: nobody knows of an older one.
pub(super) fn check(found: &mut Vec<String>) -> Result<()> {
    let read =
        |name: &str| fs::read_to_string(paths::root().join(name)).with_context(|| format!("no {name}"));
    let promised = value(&read("Cargo.toml")?, "rust-version").context("Cargo.toml has no rust-version")?;
    let pinned =
        value(&read("rust-toolchain.toml")?, "channel").context("rust-toolchain.toml has no channel")?;
    if !is_of(&pinned, &promised) {
        found.push(format!("Cargo.toml: rust-version {promised} is not the compiler in use, {pinned}"));
    }
    Ok(())
}

fn value(toml: &str, key: &str) -> Option<String> {
    let line = toml.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_prefix('='))?;
    Some(line.trim().trim_matches('"').to_owned())
}

/// Tells whether `pinned`, `1.95.0`, is a release of `promised`, `1.95`.
fn is_of(pinned: &str, promised: &str) -> bool {
    pinned.strip_prefix(promised).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_of_its_version() {
        assert!(is_of("1.95.0", "1.95") && is_of("1.95.0", "1.95.0"));
        assert!(!is_of("1.95.0", "1.9") && !is_of("1.96.0", "1.95"));
        assert_eq!(value("[toolchain]\nchannel = \"1.95.0\"\n", "channel").as_deref(), Some("1.95.0"));
    }
}
