//! Words that stand nowhere: promises, names that the glossary gave up, and paths of somebody's machine.

use super::File;

/// Words that promise work instead of doing it.
const PROMISES: &[&str] =
    &[concat!("todo", "!("), concat!("unimplemented", "!("), concat!("FIX", "ME"), concat!("TO", "DO:")];

/// Words for which the glossary in `ARCHITECTURE.md` has others.
const GIVEN_UP: &[(&str, &str)] = &[
    (concat!("coordination", " server"), "control server"),
    (concat!("Coordination", " server"), "control server"),
    (concat!("sign", " of life"), "keep-alive"),
];

/// The glossary, which names the words that were given up.
const GLOSSARY: &str = "ARCHITECTURE.md";

/// Paths that exist on one machine only.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/"), concat!("C:", "\\Users")];

pub(super) fn check(file: &File, found: &mut Vec<String>) {
    // What others wrote is theirs, recordings and lists of packages among it.
    let is_ours = file.is_source() || file.has_extension(&["md", "toml", "html", "json", "yml"]);
    let is_recorded = file.name.contains("/fixtures/") || file.name.ends_with("package-lock.json");
    if !is_ours || is_recorded {
        return;
    }
    for (number, line) in file.text.lines().enumerate() {
        if file.is_source() && PROMISES.iter().any(|word| line.contains(word)) {
            found.push(file.finding(number, "a promise instead of work"));
        }
        for (word, instead) in GIVEN_UP {
            if line.contains(word) && file.name != GLOSSARY {
                found.push(file.finding(number, &format!("the word here is `{instead}`")));
            }
        }
        if MACHINE_PATHS.iter().any(|path| line.contains(path)) {
            found.push(file.finding(number, "a path of one machine"));
        }
    }
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
    fn a_promise_is_found() {
        assert_eq!(found("a.rs", PROMISES.join("\n").as_str()), PROMISES.len());
    }

    #[test]
    fn words_that_were_given_up_are_found_in_code_and_prose() {
        for name in ["a.rs", "README.md", "www/src/a.ts", "Cargo.toml"] {
            assert_eq!(found(name, &format!("the {}", GIVEN_UP[0].0)), 1, "{name}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        assert_eq!(found("a.toml", &format!("path = \"{}x\"", MACHINE_PATHS[0])), 1);
        assert_eq!(found("crates/wire/fixtures/map.json", MACHINE_PATHS[0]), 0);
    }
}
