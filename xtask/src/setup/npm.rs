//! What comes by npm: `wasm-opt` into the cache, and the page's own packages into `www/node_modules`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{Part, apt};
use crate::jobs::Job;
use crate::paths;
use crate::step::run_logged;

/// The name of the job that installs `wasm-opt`.
pub(crate) const TOOLS: &str = "npm-tools";
/// The name of the job that installs the page's packages.
pub(crate) const PAGE: &str = "npm-www";

/// The jobs of both that `parts` ask for, where their lock files have changed since the last time.
pub(crate) fn jobs(parts: &[Part]) -> Result<Vec<Job<'static>>> {
    let mut jobs = Vec::new();
    if parts.contains(&Part::Page) {
        let dir = paths::cache()?.join("npm");
        fs::create_dir_all(&dir)?;
        for file in ["package.json", "package-lock.json"] {
            let text = fs::read(paths::root().join("xtask/npm").join(file))?;
            if fs::read(dir.join(file)).ok().as_ref() != Some(&text) {
                fs::write(dir.join(file), text)?;
            }
        }
        jobs.extend(job(TOOLS, "wasm-opt, by npm", dir)?);
    }
    if parts.contains(&Part::Scripts) {
        jobs.extend(job(PAGE, "the page's packages, by npm", paths::root().join("www"))?);
    }
    Ok(jobs)
}

/// The job that installs what the lock file of `dir` names, unless that is what was installed last.
fn job(name: &'static str, title: &str, dir: PathBuf) -> Result<Option<Job<'static>>> {
    let lock = fs::read(dir.join("package-lock.json"))
        .with_context(|| format!("no lock file in {}", dir.display()))?;
    if fs::read(stamp(&dir)).is_ok_and(|stamped| stamped == lock) {
        return Ok(None);
    }
    let work = move || {
        run_logged(name, Command::new("npm").args(["ci", "--no-fund", "--no-audit"]).current_dir(&dir))?;
        fs::create_dir_all(dir.join("node_modules"))?;
        fs::write(stamp(&dir), &lock).context("cannot stamp node_modules")
    };
    Ok(Some(Job { name, title: title.to_owned(), after: &[apt::JOB], cost: 0, work: Box::new(work) }))
}

/// The file that has the lock file's contents once that is installed.
fn stamp(dir: &Path) -> PathBuf {
    dir.join("node_modules/.dayfly-stamp")
}
