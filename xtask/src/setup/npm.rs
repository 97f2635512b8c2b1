//! What comes by npm: `wasm-opt` into the cache, and the page's own packages into `www/node_modules`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::paths;
use crate::step::run_logged;

/// Install both, where their lock files have changed since the last time.
pub(crate) fn ensure() -> Result<()> {
    let tools = paths::cache()?.join("npm");
    fs::create_dir_all(&tools)?;
    for file in ["package.json", "package-lock.json"] {
        let text = fs::read(paths::root().join("xtask/npm").join(file))?;
        if fs::read(tools.join(file)).ok().as_ref() != Some(&text) {
            fs::write(tools.join(file), text)?;
        }
    }
    install("npm-tools", &tools)?;
    let www = paths::root().join("www");
    if www.join("package.json").exists() { install("npm-www", &www) } else { Ok(()) }
}

fn install(name: &str, dir: &Path) -> Result<()> {
    let lock = fs::read(dir.join("package-lock.json"))
        .with_context(|| format!("no lock file in {}", dir.display()))?;
    let stamp = dir.join("node_modules/.dayfly-stamp");
    if fs::read(&stamp).is_ok_and(|stamped| stamped == lock) {
        return Ok(());
    }
    run_logged(name, Command::new("npm").args(["ci", "--no-fund", "--no-audit"]).current_dir(dir))?;
    fs::create_dir_all(dir.join("node_modules"))?;
    fs::write(stamp, lock).context("cannot stamp node_modules")
}
