//! Which Rust toolchain builds wasm.
//!
//! The pinned one, where rustup can add the target to it. Where it can't (no network to Rust's own servers), one
//! that is assembled from Debian's packages, with the standard library compiled once; see [`assemble`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::paths::{self, cargo};
use crate::setup::apt;
use crate::step::{output, run_lines, run_logged};

/// The target that pages run.
pub(crate) const WASM: &str = "wasm32-unknown-unknown";
/// The name of the job that makes one.
pub(crate) const JOB: &str = "wasm-std";
/// The name under which the assembled toolchain is registered with rustup.
const ASSEMBLED: &str = "dayfly-wasm";
/// Debian's packages of a Rust that is new enough, of the sources of its standard library, and of a linker for wasm.
const PACKAGES: &[&str] = &[
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-llvm",
    "rust-web-clippy",
    "rustfmt-web",
    "lld-22",
    "clang-22",
];

/// The name of a toolchain that can build wasm now, if there is one.
pub(crate) fn for_wasm() -> Option<String> {
    let pinned = pinned().ok()?;
    [pinned, ASSEMBLED.to_owned()].into_iter().find(|toolchain| has_wasm(toolchain))
}

/// As [`for_wasm`], making one when there is none.
pub(crate) fn ensure() -> Result<String> {
    if let Some(toolchain) = for_wasm() {
        return Ok(toolchain);
    }
    let pinned = pinned()?;
    let mut add = Command::new("rustup");
    add.args(["target", "add", WASM, "--toolchain", &pinned]).env("RUSTUP_MAX_RETRIES", "0");
    match run_lines(&mut add, Duration::from_secs(120), |line| println!("    {line}")) {
        Ok(true) if has_wasm(&pinned) => return Ok(pinned),
        _ => println!(
            "    rustup can't get {WASM} for {pinned}: assembling a toolchain from Debian's packages"
        ),
    }
    assemble()?;
    for_wasm().context("the assembled toolchain does not build wasm")
}

/// Cargo on the toolchain that builds wasm, with the C compiler that it needs and the cache's tools on `PATH`.
pub(crate) fn wasm_cargo(toolchain: &str) -> Result<Command> {
    let mut command = cargo();
    set_wasm_environment(&mut command, toolchain)?;
    Ok(command)
}

/// See [`wasm_cargo`]; for programs that start Cargo themselves.
pub(crate) fn set_wasm_environment(command: &mut Command, toolchain: &str) -> Result<()> {
    command.env("RUSTUP_TOOLCHAIN", toolchain).env("PATH", paths::path_with_cache()?);
    if let Some(clang) = paths::find_program(&["clang-22", "clang"]) {
        command.env("CC_wasm32_unknown_unknown", clang);
    }
    if let Some(ar) = paths::find_program(&["llvm-ar-22", "llvm-ar"]) {
        command.env("AR_wasm32_unknown_unknown", ar);
    }
    Ok(())
}

/// The toolchain that `rust-toolchain.toml` names.
fn pinned() -> Result<String> {
    let text = fs::read_to_string(paths::root().join("rust-toolchain.toml"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("channel = "));
    Ok(line.context("rust-toolchain.toml names no channel")?.trim_matches('"').to_owned())
}

/// Asks a toolchain whether it has a standard library for wasm.
fn has_wasm(toolchain: &str) -> bool {
    let mut rustc = Command::new("rustup");
    rustc.args(["run", toolchain, "rustc", "--print", "target-libdir", "--target", WASM]);
    let Ok(dir) = output(&mut rustc) else { return false };
    let entries = fs::read_dir(dir.trim()).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// Assemble a toolchain for the host and for wasm from Debian's packages, and register it with rustup.
///
/// rustc finds its libraries from the place of its own driver library, so the new directory gets a copy of that
/// one (a hard link where possible); the rest is copies of small programs and links to what Debian installed.
fn assemble() -> Result<()> {
    if !Path::new("/etc/debian_version").exists() {
        bail!(
            "run `rustup target add {WASM}` on a machine with a network, or install Debian's {}",
            PACKAGES.join(" ")
        );
    }
    apt::ensure_packages(PACKAGES)?;
    let dir = paths::cache()?.join("rust-wasm");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let (bin, lib) = (dir.join("bin"), dir.join("lib"));
    let rustlib = lib.join("rustlib");
    let wasm_lib = rustlib.join(WASM).join("lib");
    for path in [&bin, &wasm_lib] {
        fs::create_dir_all(path)?;
    }
    for program in ["rustc", "rustdoc", "cargo", "clippy-driver", "cargo-clippy", "rustfmt", "cargo-fmt"] {
        let from = Path::new("/usr/bin").join(program);
        if from.exists() {
            link_or_copy(&from, &bin.join(program))?;
        }
    }
    let host = host_triple()?;
    let (arch, _) = host.split_once('-').context("no architecture in the host's name")?;
    let drivers = matching(Path::new(&format!("/usr/lib/{arch}-linux-gnu")), "librustc_driver-", ".so")?;
    if drivers.is_empty() {
        bail!("Debian's rustc has no driver library in /usr/lib/{arch}-linux-gnu");
    }
    for driver in drivers {
        link_or_copy(&driver, &lib.join(driver.file_name().unwrap_or_default()))?;
    }
    for part in [host.as_str(), "etc", "src"] {
        std::os::unix::fs::symlink(Path::new("/usr/lib/rustlib").join(part), rustlib.join(part))?;
    }
    for library in build_std()? {
        fs::copy(&library, wasm_lib.join(library.file_name().unwrap_or_default()))?;
    }
    let mut link = Command::new("rustup");
    link.args(["toolchain", "link", ASSEMBLED]).arg(&dir);
    output(&mut link).map(drop)
}

/// Compile the standard library for wasm, once; the paths of its parts.
fn build_std() -> Result<Vec<PathBuf>> {
    let work = paths::cache()?.join("build/std");
    fs::create_dir_all(work.join("src"))?;
    fs::write(work.join("src/lib.rs"), "")?;
    let manifest = "[package]\nname = \"stdseed\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
                    [profile.release]\nopt-level = 3\ncodegen-units = 1\ndebug = 0\n";
    fs::write(work.join("Cargo.toml"), manifest)?;
    let mut build = Command::new("/usr/bin/cargo");
    build
        .args(["build", "--release", "--target", WASM, "-Zbuild-std=std,panic_abort,test"])
        .current_dir(&work);
    for name in ["RUSTC_WRAPPER", "CARGO_ENCODED_RUSTFLAGS", "RUSTUP_TOOLCHAIN", "CARGO", "RUSTDOC"] {
        build.env_remove(name);
    }
    // Building std asks for nightly's switches, and nothing else here does. Without its bitcode, no crate that
    // uses it could be linked with fat LTO.
    build.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", "/usr/bin/rustc").env("RUSTFLAGS", "-Cembed-bitcode=yes");
    build.env("CARGO_TARGET_DIR", work.join("target"));
    run_logged(JOB, &mut build)?;
    let parts = matching(&work.join("target").join(WASM).join("release/deps"), "lib", ".rlib")?;
    let is_std = |path: &PathBuf| !path.to_string_lossy().contains("libstdseed-");
    Ok(parts.into_iter().filter(is_std).collect())
}

fn host_triple() -> Result<String> {
    let about = output(Command::new("/usr/bin/rustc").args(["-vV"]).env_remove("RUSTUP_TOOLCHAIN"))?;
    let line = about.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(line.context("rustc -vV names no host")?.to_owned())
}

fn matching(dir: &Path, start: &str, end: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let fits = |path: &PathBuf| {
        path.file_name()
            .map(|name| name.to_string_lossy())
            .is_some_and(|n| n.starts_with(start) && n.ends_with(end))
    };
    Ok(entries.flatten().map(|entry| entry.path()).filter(fits).collect())
}

fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    let from = fs::canonicalize(from)?;
    if fs::hard_link(&from, to).is_err() {
        fs::copy(&from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}
