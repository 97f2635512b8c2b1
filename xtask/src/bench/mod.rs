//! `cargo xtask bench`: our page and Tailscale's own browser client, measured in turn against the same servers.

mod tsconnect;

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::dist::Build;
use crate::paths::{self, cargo};
use crate::setup;
use crate::step::{run, step};
use crate::{dist, namespace};

/// Measurements of clients.
const WHAT: [&str; 3] = ["size", "start", "stream"];
/// The measurement of our relay beside Tailscale's, done only when it is asked for.
const RELAY: &str = "relay";
/// The clients; both are measured in turn, unless one is named.
const CLIENTS: [&str; 2] = ["tsconnect", "dayfly"];

/// Set up, build both clients, and run the benchmark that `tests/bench/` holds; `wanted` are its arguments.
pub(crate) fn run_command(wanted: &[String]) -> Result<ExitCode> {
    let is_of = |words: &[&str]| wanted.iter().any(|word| words.contains(&word.as_str()));
    if let Some(word) = unknown(wanted) {
        bail!(
            "there is no benchmark of {word:?}: {}, {}, {RELAY}, --rounds N, --trace",
            WHAT.join(", "),
            CLIENTS.join(", ")
        );
    }
    let is_of_clients = is_of(&WHAT) || !is_of(&[RELAY]);
    let is_wanted = |client: &'static str| is_of_clients && (is_of(&[client]) || !is_of(&CLIENTS));

    let missing = setup::run(setup::BENCH)?;
    if !missing.is_empty() {
        bail!("the benchmark needs all peers, and this machine lacks {}", missing.join(", "));
    }
    if is_wanted("dayfly") {
        dist::build(Build::Served)?;
    }
    step("the relay and the benchmark's own program", || {
        run(cargo().args(["build", "--quiet", "-p", "dayfly-relay", "-p", "dayfly-tests", "--bins"]))
    })?;
    let mut bench = Command::new(paths::target().join("debug/dayfly-bench"));
    bench.args(wanted).env("PATH", paths::path_with_cache()?).current_dir(paths::root());
    if is_wanted("tsconnect") {
        bench.env("DAYFLY_TSCONNECT", tsconnect::build()?);
    }
    if is_of(&[RELAY]) {
        step("the relay as it is released", || {
            run(cargo().args(["build", "--quiet", "--release", "-p", "dayfly-relay", "--bins"]))
        })?;
        bench.env("DAYFLY_RELAY", paths::target().join("release/dayfly-relay"));
    }
    step("the benchmark", || match namespace::wrap(&bench)? {
        Some(mut inside) => run(&mut inside),
        None => {
            println!("    this machine allows no network namespace: the peers run in its own network");
            run(&mut bench)
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The first word that means nothing here, before anything is built for it.
fn unknown(wanted: &[String]) -> Option<&String> {
    let mut words = wanted.iter();
    while let Some(word) = words.next() {
        if word == "--rounds" {
            words.next();
        } else if !["--trace", RELAY].iter().chain(&WHAT).chain(&CLIENTS).any(|known| word == known) {
            return Some(word);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_without_a_meaning_are_found() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(unknown(&words("size start stream relay --rounds 3 --trace dayfly")), None);
        assert_eq!(unknown(&words("size speed")).map(String::as_str), Some("speed"));
    }
}
