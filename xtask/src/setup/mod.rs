//! `cargo xtask setup`: everything that the other commands need, built or installed only where it is missing.

pub(crate) mod apt;
mod go;
pub(crate) mod npm;
pub(crate) mod rust;

use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

use crate::jobs::{self, Job};
use crate::step::step;
use crate::toolchain;

/// A part of what commands need of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Node.js and the page's packages: types, lint and tests of the page's scripts.
    Scripts,
    /// A Rust toolchain for wasm, with a C compiler for it.
    Wasm,
    /// Tools that put the page together: wasm-bindgen, Trunk, wasm-opt.
    Page,
    /// Chromium with its driver.
    Chromium,
    /// Firefox and WebKit with their drivers.
    Browsers,
    /// Headscale and `tailscaled`.
    Peers,
    /// `derper`, and an SSH server with what its users need.
    Lab,
    /// Linters besides those that rustup brings.
    Linters,
}

/// The parts that a build of the page needs.
pub(crate) const PAGE: &[Part] = &[Part::Scripts, Part::Wasm, Part::Page];
/// The parts that the demo needs.
pub(crate) const DEMO: &[Part] = &[Part::Scripts, Part::Wasm, Part::Page, Part::Peers];
/// The parts that `cargo xtask lint` needs.
pub(crate) const LINT: &[Part] = &[Part::Scripts, Part::Wasm, Part::Linters];
/// The parts that the benchmark needs.
pub(crate) const BENCH: &[Part] =
    &[Part::Scripts, Part::Wasm, Part::Page, Part::Chromium, Part::Peers, Part::Lab];
/// All parts: what `cargo xtask test` needs.
pub(crate) const ALL: &[Part] = &[
    Part::Scripts,
    Part::Wasm,
    Part::Page,
    Part::Chromium,
    Part::Browsers,
    Part::Peers,
    Part::Lab,
    Part::Linters,
];

/// Peers that this machine can't have; what needs them is skipped.
pub(crate) type Missing = Vec<String>;

/// Brings the machine to where it has all of `parts`.
pub(crate) fn run(parts: &[Part]) -> Result<Missing> {
    run_with(parts, Vec::new())
}

/// As [`run`], with more jobs beside, which may wait for those of set-up by their names.
pub(crate) fn run_with(parts: &[Part], more: Vec<Job<'_>>) -> Result<Missing> {
    let missing = Mutex::new(Vec::new());
    let mut jobs = needed(parts, &missing)?;
    jobs.extend(more);
    step("set-up", || {
        if jobs.is_empty() {
            println!("    up to date");
        }
        jobs::run(jobs)
    })?;
    Ok(missing.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The jobs of `parts` that are not done already.
fn needed<'a>(parts: &[Part], missing: &'a Mutex<Missing>) -> Result<Vec<Job<'a>>> {
    let mut jobs = Vec::new();
    let packages = apt::lacking(parts);
    if !packages.is_empty() {
        jobs.push(Job {
            name: apt::JOB,
            title: format!("programs of the system ({})", packages.join(" ")),
            after: &[],
            cost: 0,
            work: Box::new(move || apt::install_and_check(&packages)),
        });
    }
    if parts.contains(&Part::Wasm) && toolchain::for_wasm().is_none() {
        jobs.push(Job {
            name: toolchain::JOB,
            title: "a Rust toolchain for wasm".to_owned(),
            // Where it is assembled from Debian's packages: two runs of apt-get exclude each other.
            after: &[apt::JOB],
            cost: 0,
            work: Box::new(|| toolchain::ensure().map(drop)),
        });
    }
    jobs.extend(npm::jobs(parts)?);
    jobs.extend(rust::jobs(parts)?);
    jobs.extend(go::jobs(parts, missing)?);
    Ok(jobs)
}

/// The Rust toolchain that builds wasm, after a set-up with [`Part::Wasm`].
pub(crate) fn wasm_toolchain() -> Result<String> {
    toolchain::for_wasm().context("no Rust toolchain here builds wasm: run `cargo xtask setup`")
}
