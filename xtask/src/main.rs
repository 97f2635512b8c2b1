//! `cargo xtask <command>`: everything that a person or a CI machine does with this project.
//!
//! Each command does all of its own set-up first, says in one line what each step does, and skips what is up to
//! date. Little is depended on here, since whoever runs a command waits for this program to compile.

mod bench;
mod demo;
mod dist;
mod fuzz;
mod jobs;
mod lint;
mod namespace;
mod paths;
mod rules;
mod setup;
mod step;
mod test;
mod toolchain;

use std::env;
use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
usage: cargo xtask <command>

  setup          install and build what the other commands need, into ~/.cache/dayfly (or $DAYFLY_CACHE)
  demo           run Headscale, tailscaled, the relay and the page on loopback, and print the page's address
  test           set up, lint, build and test everything
  test SUITE [NAME..]
                 one suite, with only the set-up that it needs: unit, page, interop, faults, abuse, browser
  test NAME..    the tests against peers and in browsers that match
  fuzz [TARGET..] [--seconds N]
                 libFuzzer on the targets in fuzz/, 60 s each unless told
  lint [rules]   formatting, clippy (native and wasm), house rules, documentation, the page's scripts, licences;
                 or the house rules alone
  dist           build the page into dist/
  bench [WHAT..] measure the page and Tailscale's own client in turn: size, start, stream;
                 or, for relay, our relay and derper
";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match run(&command, &rest) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cargo xtask {command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, arguments: &[String]) -> Result<ExitCode> {
    match command {
        "setup" => setup::run(setup::ALL).map(|_| ExitCode::SUCCESS),
        "demo" => demo::run_command(arguments),
        "test" => test::run_command(arguments),
        "fuzz" => fuzz::run_command(arguments),
        "lint" => lint::run_command(arguments),
        "dist" => dist::run_command(),
        "bench" => bench::run_command(arguments),
        namespace::INSIDE => namespace::inside(arguments),
        _ => {
            eprint!("{USAGE}");
            Ok(if matches!(command, "help" | "--help" | "-h") {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}
