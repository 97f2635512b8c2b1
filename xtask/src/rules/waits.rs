//! No test waits for a time instead of for an event: on a busy machine it is too short, and on an idle one too long.
//!
//! Time that a test moves itself is none: a file whose tests run on tokio's paused clock may sleep.

use super::File;

/// A call of any function of these names, however it was imported.
const CALLS: &[&str] = &[concat!("sleep", "("), concat!("sleep_", "until("), concat!("park_", "timeout(")];

/// The same in the page.
const TIMEOUTS: &[&str] = &[concat!("set", "Timeout("), concat!("set", "Interval(")];

/// A test's clock that stands still until everything waits.
const PAUSED: &[&str] = &[concat!("start_", "paused"), concat!("time::", "pause(")];

/// Places that wait for a time on purpose, each with its reason.
const PLACES: &[(&str, &str)] = &[
    ("tests/src/wait.rs", "the one loop that asks until an event has happened"),
    ("tests/src/webdriver.rs", "the same loop, within a browser"),
    ("tests/browser/three_engines_can_be_driven.rs", "the page under test changes itself later"),
    ("tests/bench/scripts/echo.js", "the pause between two keystrokes of a person"),
    ("tests/bench/native.rs", "the same pause, without a page"),
    ("tests/bench/relay/mod.rs", "what is measured is what clients cost that are idle for some time"),
    (
        "tests/browser/a_flood_of_output_is_bounded.rs",
        "the most memory of a time is found by looking now and then",
    ),
    ("www/test/browser.mjs", "the one loop that asks until the page has changed"),
    ("www/test/pictures.mjs", "takes pictures of what moves, and tests nothing"),
];

pub(super) fn check(file: &File, found: &mut Vec<String>) {
    if PLACES.iter().any(|(name, _)| *name == file.name) {
        return;
    }
    let test_file = is_test(&file.name);
    let is_paused = PAUSED.iter().any(|word| file.text.contains(word));
    let mut in_tests = test_file;
    for (number, line) in file.text.lines().enumerate() {
        // A file's tests are its end.
        in_tests |= line.trim() == "#[cfg(test)]" && next_is_module(&file.text, number);
        let sleeps = file.is_rust() && !is_paused && CALLS.iter().any(|call| calls(line, call));
        let waits = file.is_source() && test_file && TIMEOUTS.iter().any(|call| calls(line, call));
        if in_tests && (sleeps || waits) {
            found.push(file.finding(number, "a test that waits for a time and not for an event"));
        }
    }
}

/// Tells whether a file holds nothing but tests and what is for them.
fn is_test(name: &str) -> bool {
    let mut parts = name.split('/');
    name.starts_with("crates/testkit/")
        || name.starts_with("www/test/")
        || parts.any(|part| part == "tests" || part == "tests.rs")
}

fn next_is_module(text: &str, number: usize) -> bool {
    text.lines().nth(number + 1).is_some_and(|line| line.trim_start().starts_with("mod "))
}

/// Tells whether a line calls a function called `call`: not a method of that name, nor one whose name ends so.
fn calls(line: &str, call: &str) -> bool {
    let is_call = |before: &str| {
        !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.') && !before.ends_with("fn ")
    };
    !line.trim_start().starts_with("//") && line.match_indices(call).any(|(at, _)| is_call(&line[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file;

    fn found(name: &str, text: &str) -> usize {
        let mut found = Vec::new();
        check(&file(name, text), &mut found);
        found.len()
    }

    #[test]
    fn sleeping_is_found_in_tests_of_every_kind() {
        let sleep = format!("    {}SECOND).await;", CALLS[0]);
        for name in
            ["tests/abuse/a.rs", "relay/tests/a.rs", "crates/ssh/tests/a.rs", "crates/node/src/tests/a.rs"]
        {
            assert_eq!(found(name, &sleep), 1, "{name}");
            assert_eq!(found(name, &format!("    tokio::time::{}", sleep.trim())), 1, "{name}");
        }
        assert_eq!(found("relay/src/idle.rs", &format!("#[cfg(test)]\nmod tests {{\n{sleep}")), 1);
        assert_eq!(found("relay/src/idle.rs", &sleep), 0);
        let timeout = format!("new Promise((r) => {}r, 20))", TIMEOUTS[0]);
        assert_eq!(found("www/test/unit/a.ts", &timeout), 1);
        assert_eq!(found("www/src/a.ts", &timeout), 0);
    }

    #[test]
    fn time_that_a_test_moves_itself_may_pass() {
        let sleep = format!("    {}SECOND).await;", CALLS[0]);
        assert_eq!(
            found("crates/node/src/tests.rs", &format!("#[tokio::test({} = true)]\n{sleep}", PAUSED[0])),
            0
        );
        assert_eq!(found("crates/node/src/tests.rs", &format!("    world.{}5);", CALLS[0])), 0);
        assert_eq!(found("crates/node/src/tests.rs", &format!("    fn {}end: u64) {{", CALLS[0])), 0);
    }
}
