//! `cargo xtask dist`: the static directory that is served, from `src/` and `www/`.

mod html;
mod sources;
mod wasm_file;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::jobs::Job;
use crate::paths::{self, find_program};
use crate::setup::{self, apt, npm, rust};
use crate::step::{run, run_logged, step};
use crate::toolchain::{self, WASM, set_wasm_environment, wasm_cargo};
use html::{drop_module_integrity, refuse_inline_scripts};
use wasm_file::imported_modules;

/// A way to build the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// As it is served: optimised across crates, small, with compressed files beside.
    Served,
    /// For a developer's tests: nothing is optimised across crates, so that one changed crate is compiled in seconds.
    Quick,
}

impl Build {
    /// Cargo's profile.
    fn profile(self) -> &'static str {
        match self {
            Self::Served => "dist",
            Self::Quick => "page-dev",
        }
    }

    /// The directory that the page is built into.
    pub(crate) fn dir(self) -> PathBuf {
        match self {
            Self::Served => paths::root().join("dist"),
            Self::Quick => paths::target().join("page-dev"),
        }
    }

    /// The file that tells what the page was built from.
    fn stamp(self) -> PathBuf {
        paths::target().join(format!("{}.stamp", self.profile()))
    }

    /// Tells whether the page is built from what `stamp` stands for.
    fn is_current(self, stamp: &str) -> bool {
        self.dir().join("index.html").exists()
            && fs::read_to_string(self.stamp()).is_ok_and(|old| old == stamp)
    }
}

pub(crate) fn run_command() -> Result<ExitCode> {
    setup::run(setup::PAGE)?;
    build(Build::Served)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the page, unless nothing that it is made of has changed.
pub(crate) fn build(build: Build) -> Result<()> {
    step(&format!("the page, into {}", build.dir().display()), || {
        let toolchain = setup::wasm_toolchain()?;
        // Two builds at once would mix their files. The lock goes with this handle.
        fs::create_dir_all(paths::target())?;
        let lock = fs::File::create(paths::target().join("dist.lock"))?;
        lock.lock().context("cannot wait for another build of the page")?;
        let stamp = stamp(&toolchain)?;
        if build.is_current(&stamp) {
            println!("    up to date");
            return Ok(());
        }
        let www = paths::root().join("www");
        run(Command::new("npm").args(["run", "--silent", "build"]).current_dir(&www))?;
        // Trunk is offline, and Cargo with it: a fresh clone's packages have to be there before.
        run(wasm_cargo(&toolchain)?.args(["fetch", "--quiet", "--target", WASM]))?;
        trunk(&toolchain, build)?;
        let dir = build.dir();
        finish_pages(&dir)?;
        check_imports(&dir)?;
        if build == Build::Served {
            precompress(&dir)?;
        }
        fs::write(build.stamp(), stamp).context("cannot stamp the page")
    })
}

/// The jobs that build the page as it is served, for a set-up that does so beside the rest; none when it is up to date.
///
/// The module does not wait for what puts the page together: Trunk then finds it compiled.
pub(crate) fn jobs() -> Result<Vec<Job<'static>>> {
    if let Some(toolchain) = toolchain::for_wasm()
        && Build::Served.is_current(&stamp(&toolchain)?)
    {
        return Ok(Vec::new());
    }
    let module = || {
        let toolchain = setup::wasm_toolchain()?;
        let mut cargo = wasm_cargo(&toolchain)?;
        cargo.args(["build", "--target", WASM, "--profile", Build::Served.profile()]);
        run_logged(MODULE, cargo.env("CARGO_ENCODED_RUSTFLAGS", rust_flags()?))
    };
    Ok(vec![
        Job {
            name: MODULE,
            title: "the page's WebAssembly module".to_owned(),
            after: &[apt::JOB, toolchain::JOB],
            cost: 200,
            work: Box::new(module),
        },
        Job {
            name: "page",
            title: "the page".to_owned(),
            after: &[MODULE, npm::TOOLS, npm::PAGE, rust::WASM_BINDGEN, rust::TRUNK],
            cost: 60,
            work: Box::new(|| build(Build::Served)),
        },
    ])
}

/// The name of the job that compiles the module.
const MODULE: &str = "page-module";

/// Returns the stamp of a build of the sources as they are now.
fn stamp(toolchain: &str) -> Result<String> {
    Ok(format!("{toolchain} {:016x}", sources::fingerprint()?))
}

fn trunk(toolchain: &str, build: Build) -> Result<()> {
    let mut trunk = Command::new(paths::cache()?.join("bin/trunk"));
    // Trunk's release builds run wasm-opt.
    let release = if build == Build::Served { "true" } else { "false" };
    trunk.args(["--config", "Trunkfile.toml", "build", "--release", release]);
    trunk.args(["--cargo-profile", build.profile(), "--dist"]).arg(build.dir());
    trunk.current_dir(paths::root());
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
