//! Rules of this house that no other tool checks.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::lint::findings;
use crate::paths;
use crate::step::output;

/// The longest that a source file may be: beyond it, it has more than one purpose.
const LONGEST_FILE: usize = 600;

/// Words that promise work instead of doing it. Spelled so that this file has none of them.
const PROMISES: &[&str] =
    &[concat!("todo", "!("), concat!("unimplemented", "!("), concat!("FIX", "ME"), concat!("TO", "DO:")];

/// Calls that wait for a time instead of for an event, which no test may do.
const SLEEPS: &[&str] = &[concat!("thread::", "sleep("), concat!("tokio::time::", "sleep(")];

/// How a lint is switched off.
const ALLOW: &str = concat!("[", "allow(");

/// Check every source file that git knows of.
pub(crate) fn check() -> Result<()> {
    let list = output(Command::new("git").args(["ls-files", "-z"]).current_dir(paths::root()))?;
    let mut found = Vec::new();
    for name in list.split('\0').filter(|name| is_source(name)) {
        // A file that was deleted and not committed yet has nothing to say.
        if let Ok(text) = fs::read_to_string(paths::root().join(name)) {
            check_file(name, &text, &mut found);
        }
    }
    findings(&found)
}

fn is_source(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|e| ["rs", "ts", "mjs", "js", "css"].iter().any(|wanted| e == *wanted))
}

fn check_file(name: &str, text: &str, found: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        found.push(format!("{name}: {lines} lines, more than {LONGEST_FILE}"));
    }
    for (number, line) in text.lines().enumerate() {
        let mut say = |what: &str| found.push(format!("{name}:{}: {what}: {}", number + 1, line.trim()));
        if PROMISES.iter().any(|word| line.contains(word)) {
            say("a promise instead of work");
        }
        if line.contains(ALLOW) && !line.trim_start().starts_with("//") && !has_reason(text, number) {
            say("a lint switched off without a reason");
        }
        if name.starts_with("tests/") && SLEEPS.iter().any(|call| line.contains(call)) {
            say("a test that waits by sleeping");
        }
    }
}

/// Whether the attribute that begins in this line, and may go on in the next ones, gives a reason.
fn has_reason(text: &str, number: usize) -> bool {
    let rest = text.lines().skip(number).collect::<Vec<_>>().join("\n");
    let attribute = rest.split_once(ALLOW).map_or("", |(_, after)| after);
    attribute.split(")]").next().is_some_and(|attribute| attribute.contains("reason"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, text: &str) -> usize {
        let mut found = Vec::new();
        check_file(name, text, &mut found);
        found.len()
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(found("a.rs", &"x\n".repeat(LONGEST_FILE)), 0);
        assert_eq!(found("a.rs", &"x\n".repeat(LONGEST_FILE + 1)), 1);
    }

    #[test]
    fn a_promise_is_found() {
        assert_eq!(found("a.rs", PROMISES.join("\n").as_str()), PROMISES.len());
    }

    #[test]
    fn a_switched_off_lint_needs_a_reason() {
        let file = |inside: &str| format!("#{ALLOW}{inside})]\nfn reason() {{}}");
        assert_eq!(found("a.rs", &file("clippy::foo")), 1);
        assert_eq!(found("a.rs", &file("clippy::foo, reason = \"because\"")), 0);
        assert_eq!(found("a.rs", &file("\n    clippy::foo,\n    reason = \"because\"\n")), 0);
    }

    #[test]
    fn sleeping_is_for_the_product_not_for_tests() {
        assert_eq!(found("tests/a.rs", SLEEPS[0]), 1);
        assert_eq!(found("relay/src/a.rs", SLEEPS[0]), 0);
    }
}
