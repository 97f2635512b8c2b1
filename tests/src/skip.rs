//! Tests that cannot run on a machine, so that they do not count as passed.

use std::env;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::sshd::{USER, has_user};

/// Counts the running test as skipped: a line `NAME: REASON` in the file that `DAYFLY_SKIPPED` names, which
/// `cargo xtask test` reads. Output would be swallowed by the test program, which shows none of tests that pass.
///
/// # Errors
/// In CI (`CI=true`), where every test has to run.
pub fn skip(reason: impl Display) -> Result<()> {
    let current = thread::current();
    let line = format!("{}: {reason}\n", current.name().unwrap_or("main"));
    if env::var("CI").is_ok_and(|ci| ci == "true") {
        bail!("nothing is skipped in CI, but this is: {reason}");
    }
    eprint!("skipped: {line}");
    let Some(path) = env::var_os("DAYFLY_SKIPPED") else { return Ok(()) };
    let append = || OpenOptions::new().create(true).append(true).open(&path)?.write_all(line.as_bytes());
    append().with_context(|| format!("cannot write {}", path.display()))
}

/// Runs `claim` where the namespace's normal user is, and counts the test as skipped elsewhere.
///
/// # Errors
/// When the claim does not hold, or the test is skipped in CI.
pub fn with_user(claim: impl FnOnce() -> Result<()>) -> Result<()> {
    if has_user() { claim() } else { skip(format_args!("the user {USER} is only in the tests' namespace")) }
}
