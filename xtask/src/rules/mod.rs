//! Rules of this house that no other tool has.

mod arrows;
mod docs;
mod modules;
mod versions;
mod waits;
mod words;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::paths;
use crate::step::output;

/// The longest that a source file may be: beyond it, it has more than one purpose.
const LONGEST_FILE: usize = 600;

/// Longer files, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// The attribute that switches a lint off.
const ALLOW: &str = concat!("[", "allow(");

/// A file that git knows of, or would.
struct File {
    /// Its path from the root.
    name: String,
    text: String,
}

impl File {
    fn has_extension(&self, extensions: &[&str]) -> bool {
        let extension = Path::new(&self.name).extension();
        extension.is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
    }

    fn is_source(&self) -> bool {
        self.has_extension(&["rs", "ts", "mjs", "js", "css"])
    }

    fn is_rust(&self) -> bool {
        self.has_extension(&["rs"])
    }

    /// A finding in a line, which is counted from zero.
    fn finding(&self, number: usize, what: &str) -> String {
        let line = self.text.lines().nth(number).unwrap_or_default();
        format!("{}:{}: {what}: {}", self.name, number + 1, line.trim())
    }
}

/// Checks everything.
///
/// # Errors
/// When something breaks a rule; each finding is printed.
pub(crate) fn check() -> Result<()> {
    let files = files()?;
    let mut found = Vec::new();
    for file in &files {
        check_length(file, &mut found);
        check_allows(file, &mut found);
        words::check(file, &mut found);
        waits::check(file, &mut found);
        docs::check(file, &mut found);
    }
    docs::check_share(&files, &mut found);
    modules::check(&files, &mut found);
    versions::check(&mut found)?;
    arrows::check(&files, &mut found)?;
    for finding in &found {
        println!("    {finding}");
    }
    match found.len() {
        0 => Ok(()),
        count => bail!("{count} findings"),
    }
}

/// All text files of the project's, without those that git is told to ignore.
fn files() -> Result<Vec<File>> {
    let mut list = Command::new("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(paths::root());
    let list = output(&mut list)?;
    let read = |name: &str| {
        // A file that was deleted and not committed yet has nothing to say, nor has one that is no text.
        let text = fs::read_to_string(paths::root().join(name)).ok()?;
        Some(File { name: name.to_owned(), text })
    };
    Ok(list.split('\0').filter(|name| !name.is_empty()).filter_map(read).collect())
}

fn check_length(file: &File, found: &mut Vec<String>) {
    let lines = file.text.lines().count();
    let is_listed = LONG_FILES.iter().any(|(name, _)| *name == file.name);
    if file.is_source() && lines > LONGEST_FILE && !is_listed {
        found.push(format!("{}: {lines} lines, more than {LONGEST_FILE}: one purpose, one file", file.name));
    }
}

fn check_allows(file: &File, found: &mut Vec<String>) {
    if !file.is_rust() {
        return;
    }
    for (number, line) in file.text.lines().enumerate() {
        if line.contains(ALLOW) && !line.trim_start().starts_with("//") && !has_reason(&file.text, number) {
            found.push(file.finding(number, "a lint switched off without a reason"));
        }
    }
}

/// Tells whether the attribute that begins in this line, and may go on in the next ones, gives a reason.
fn has_reason(text: &str, number: usize) -> bool {
    let rest = text.lines().skip(number).collect::<Vec<_>>().join("\n");
    let attribute = rest.split_once(ALLOW).map_or("", |(_, after)| after);
    attribute.split(")]").next().is_some_and(|attribute| attribute.contains("reason"))
}

#[cfg(test)]
fn file(name: &str, text: &str) -> File {
    File { name: name.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: fn(&File, &mut Vec<String>), name: &str, text: &str) -> usize {
        let mut found = Vec::new();
        check(&file(name, text), &mut found);
        found.len()
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(found(check_length, "a.rs", &"x\n".repeat(LONGEST_FILE)), 0);
        assert_eq!(found(check_length, "a.rs", &"x\n".repeat(LONGEST_FILE + 1)), 1);
        assert_eq!(found(check_length, "Cargo.lock", &"x\n".repeat(LONGEST_FILE + 1)), 0);
    }

    #[test]
    fn a_switched_off_lint_needs_a_reason() {
        let file = |inside: &str| format!("#{ALLOW}{inside})]\nfn reason() {{}}");
        assert_eq!(found(check_allows, "a.rs", &file("clippy::foo")), 1);
        assert_eq!(found(check_allows, "a.rs", &file("clippy::foo, reason = \"because\"")), 0);
        assert_eq!(found(check_allows, "a.rs", &file("\n    clippy::foo,\n    reason = \"because\"\n")), 0);
    }
}
