//! Where things are: the workspace, the cache of tools, the programs in it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The workspace's root directory.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The directory of tools and peers, which take minutes to build: it outlives the target directory.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("DAYFLY_CACHE") {
        return Ok(PathBuf::from(dir));
    }
    let home = env::var_os("HOME").context("neither DAYFLY_CACHE nor HOME is set")?;
    Ok(Path::new(&home).join(".cache/dayfly"))
}

/// `PATH` with the cache's programs in front.
pub(crate) fn path_with_cache() -> Result<OsString> {
    let cache = cache()?;
    let own = [cache.join("bin"), cache.join("npm/node_modules/.bin")];
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(own.into_iter().chain(env::split_paths(&path))).context("a path with a colon in it")
}

/// The first of `names` that is a program on `PATH` (or in `/usr/sbin`, which users may lack).
pub(crate) fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = env::split_paths(&path).collect();
    places.push(PathBuf::from("/usr/sbin"));
    names.iter().flat_map(|name| places.iter().map(move |place| place.join(name))).find(|path| path.is_file())
}

/// Cargo, in the workspace's root.
pub(crate) fn cargo() -> Command {
    // Through rustup, not by $CARGO: that names one toolchain's own binary, which ignores RUSTUP_TOOLCHAIN.
    let mut command = Command::new("cargo");
    command.current_dir(root());
    command
}
