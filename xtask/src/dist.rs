//! `cargo xtask dist`: the static directory that is served, from `src/` and `www/`.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::page::{drop_module_integrity, refuse_inline_scripts};
use crate::paths::{self, find_program};
use crate::setup::{self, Need};
use crate::step::{run, step};
use crate::toolchain::{WASM, set_wasm_environment, wasm_cargo};
use crate::wasm_file::imported_modules;

/// What the page is made of, by path from the root.
const SOURCES: &[&str] =
    &["src", "crates", "www", "Cargo.toml", "Cargo.lock", "Trunkfile.toml", "xtask/src", "xtask/npm"];

pub(crate) fn run_command() -> Result<ExitCode> {
    let ready = setup::run(Need::Page)?;
    build(&ready.toolchain)?;
    Ok(ExitCode::SUCCESS)
}

/// Build the page, unless nothing that it is made of has changed.
pub(crate) fn build(toolchain: &str) -> Result<()> {
    let dist = paths::root().join("dist");
    let stamp_file = paths::target().join("dist.stamp");
    step("the page, into dist/", || {
        // Two builds at once would mix their files. The lock goes with this handle.
        fs::create_dir_all(paths::target())?;
        let lock = fs::File::create(paths::target().join("dist.lock"))?;
        lock.lock().context("cannot wait for another build of the page")?;
        let stamp = format!("{toolchain} {:016x}", fingerprint()?);
        if dist.join("index.html").exists() && fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
            println!("    up to date");
            return Ok(());
        }
        let www = paths::root().join("www");
        run(Command::new("npm").args(["run", "--silent", "build"]).current_dir(&www))?;
        // What the front-end's build writes is no source, so the stamp is the one from before.
        trunk(toolchain)?;
        finish_pages(&dist)?;
        check_imports(&dist)?;
        precompress(&dist)?;
        fs::write(&stamp_file, stamp).context("cannot stamp the page")
    })
}

fn trunk(toolchain: &str) -> Result<()> {
    // Trunk is offline, and Cargo with it: a fresh clone's packages have to be there before.
    run(wasm_cargo(toolchain)?.args(["fetch", "--quiet", "--target", WASM]))?;
    let mut trunk = Command::new(paths::cache()?.join("bin/trunk"));
    trunk
        .args(["--config", "Trunkfile.toml", "build", "--release", "--cargo-profile", "dist"])
        .current_dir(paths::root());
    set_wasm_environment(&mut trunk, toolchain)?;
    trunk.env("CARGO_ENCODED_RUSTFLAGS", rust_flags()?);
    // Trunk reads NO_COLOR as a switch of its own and wants `true` or `false` there.
    trunk.env_remove("NO_COLOR");
    run(&mut trunk)
}

/// Flags for what is served: SIMD, which every browser of the page's has, and no path of this machine.
fn rust_flags() -> Result<String> {
    let mut flags = vec!["-Ctarget-feature=+simd128".to_owned()];
    flags.push(format!("--remap-path-prefix={}/=", paths::root().display()));
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let sources = home.context("Cargo has no home")?.join("registry/src");
    for registry in fs::read_dir(&sources).into_iter().flatten().flatten() {
        flags.push(format!("--remap-path-prefix={}/=", registry.path().display()));
    }
    Ok(flags.join("\x1f"))
}

fn finish_pages(dist: &Path) -> Result<()> {
    for path in files_with(dist, "html")? {
        let html = fs::read_to_string(&path)?;
        refuse_inline_scripts(&html).with_context(|| format!("cannot serve {}", path.display()))?;
        fs::write(&path, drop_module_integrity(&html))?;
    }
    Ok(())
}

/// Nothing may be left to link: a C function without a definition becomes an import from `env`, which no page has.
fn check_imports(dist: &Path) -> Result<()> {
    for path in files_with(dist, "wasm")? {
        let modules =
            imported_modules(&fs::read(&path)?).with_context(|| format!("{} is broken", path.display()))?;
        if modules.iter().any(|module| module == "env") {
            bail!("{} imports from `env`: something of C or of std is not linked", path.display());
        }
    }
    Ok(())
}

fn precompress(dist: &Path) -> Result<()> {
    let node = find_program(&["node", "nodejs"]).context("no Node.js")?;
    run(Command::new(node).arg(paths::root().join("xtask/npm/precompress.mjs")).arg(dist))
}

fn files_with(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect())
}

/// A number that changes with the name, size or time of anything that the page is made of.
fn fingerprint() -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for source in SOURCES {
        fingerprint_of(&paths::root().join(source), &mut hasher)?;
    }
    Ok(hasher.finish())
}

fn fingerprint_of(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    let Ok(about) = fs::metadata(path) else { return Ok(()) };
    path.hash(hasher);
    if about.is_file() {
        (about.len(), about.modified()?).hash(hasher);
        return Ok(());
    }
    let mut entries: Vec<_> = fs::read_dir(path)?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        // Hidden ones are what builds leave behind.
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name != "node_modules" && !name.starts_with('.') {
            fingerprint_of(&entry, hasher)?;
        }
    }
    Ok(())
}
