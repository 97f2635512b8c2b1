//! Where the programs that tests start are found. `cargo xtask setup` puts them there.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A program that the machine does not have.
#[derive(Debug)]
pub struct Missing {
    /// Name of the missing program.
    pub program: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not on this machine: run `cargo xtask setup`", self.program)
    }
}

impl std::error::Error for Missing {}

/// The cache of tools and peers: `$DAYFLY_CACHE`, or `~/.cache/dayfly`.
pub fn cache() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("DAYFLY_CACHE") {
        return Ok(PathBuf::from(dir));
    }
    let home = env::var_os("HOME").context("neither DAYFLY_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/dayfly"))
}

/// The path of a peer or tool: first in the cache, then on `PATH` (and in `/usr/sbin`).
///
/// # Errors
/// [`Missing`], when it is in neither.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = std::iter::once(cache()?.join("bin")).chain(env::split_paths(&path));
    let mut candidates = places.chain([PathBuf::from("/usr/sbin")]).map(|dir| dir.join(name));
    candidates
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| Missing { program: name.to_owned() }.into())
}

/// The path of a program of this workspace, built beside the running test: `target/<profile>/<name>`.
///
/// # Errors
/// [`Missing`], when it has not been built.
pub fn own_program(name: &str) -> Result<PathBuf> {
    let test = env::current_exe().context("the running test has no path")?;
    let found = test.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| Missing { program: name.to_owned() }.into())
}

/// The workspace's root directory.
#[must_use]
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The built page: `$DAYFLY_DIST`, or `dist/` in the workspace.
#[must_use]
pub fn dist() -> PathBuf {
    env::var_os("DAYFLY_DIST").map_or_else(|| root().join("dist"), PathBuf::from)
}
