//! `cargo xtask test`: from a fresh clone to one closing line, `N passed, N failed, N skipped`.

mod suite;
mod tally;

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::dist::Build;
use crate::paths::cargo;
use crate::setup::{self, Missing};
use crate::step::{run, seconds, step};
use crate::{dist, fuzz, lint};
use suite::Suite;
use tally::Tally;

/// Runs a suite (`unit`, `page`, `interop`, `faults`, `abuse`, `browser`), or tests against peers by their names, or, without
/// `arguments`, everything.
pub(crate) fn run_command(arguments: &[String]) -> Result<ExitCode> {
    let start = Instant::now();
    let mut tally = Tally::default();
    let suite = arguments.first().and_then(|word| Suite::named(word));
    match suite {
        Some(suite) => one(suite, arguments.get(1..).unwrap_or_default(), &mut tally)?,
        None if arguments.is_empty() => everything(&mut tally)?,
        None => {
            let missing = setup::run(setup::ALL)?;
            peers(&Suite::WITH_PEERS, &missing, arguments, &mut tally);
        }
    }
    println!("all of it took {}", seconds(start.elapsed()));
    if tally.failed == 0 && !tally.is_good() {
        println!("a test that is skipped on a CI machine is a failure");
    }
    println!("{tally}");
    Ok(if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one suite with only the set-up that it needs; `names` are the tests of it.
fn one(suite: Suite, names: &[String], tally: &mut Tally) -> Result<()> {
    let parts = suite.parts();
    let missing = if parts.is_empty() { Missing::new() } else { setup::run(parts)? };
    if suite.has_peers() {
        peers(&[suite], &missing, names, tally);
    } else {
        tally.add(suite.title(), || suite.run(&missing, names));
    }
    Ok(())
}

fn everything(tally: &mut Tally) -> Result<()> {
    let missing = setup::run(setup::ALL)?;
    tally.failed += lint::all(&setup::wasm_toolchain()?);
    for suite in [Suite::Unit, Suite::Page] {
        tally.add(suite.title(), || suite.run(&missing, &[]));
    }
    tally.add("a short run of each fuzz target", || {
        let mut outcomes = Tally::default();
        for outcome in fuzz::smoke()? {
            outcomes.plus(Tally::one(&outcome));
        }
        Ok(outcomes)
    });
    peers(&Suite::WITH_PEERS, &missing, &[], tally);
    Ok(())
}

/// Builds what the tests against peers start, and runs those of `suites` that `names` match.
fn peers(suites: &[Suite], missing: &Missing, names: &[String], tally: &mut Tally) {
    // A developer with one test in mind waits for no optimiser.
    let is_whole = suites.len() > 1 && names.is_empty();
    let page = if is_whole || env::var_os("CI").is_some() { Build::Served } else { Build::Quick };
    let needs_page = suites.iter().any(|suite| suite.parts().contains(&setup::Part::Page));
    // Without a page or a relay there is still much to be found out about the rest.
    let outcomes = [
        if needs_page { dist::build(page) } else { Ok(()) },
        step("the relay, for tests", || {
            run(cargo().args(["build", "--quiet", "-p", "dayfly-relay", "--bins"]))
        }),
    ];
    for error in outcomes.into_iter().filter_map(Result::err) {
        eprintln!("test: {error:#}");
        tally.failed += 1;
    }
    for suite in suites {
        tally.add(suite.title(), || suite.run_against_peers(missing, page, names));
    }
}
