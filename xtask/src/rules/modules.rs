//! One way to lay out modules: `x/mod.rs`, never `x.rs` beside `x/`; and what is for tests alone is compiled for them alone.

use super::File;

pub(super) fn check(files: &[File], found: &mut Vec<String>) {
    let rust: Vec<&File> = files.iter().filter(|file| file.is_rust()).collect();
    for file in &rust {
        // The file of a program or a test beside a folder of its name is none: clippy's `self_named_module_files` agrees.
        let dir = file.name.strip_suffix(".rs").map(|stem| format!("{stem}/"));
        if dir.is_some_and(|dir| rust.iter().any(|other| other.name.starts_with(&dir))) {
            found.push(format!("{}: beside a folder of its name, where it should be mod.rs", file.name));
        }
        check_gates(file, found);
    }
}

/// Checks that the modules which do not count as sources of the page (`dist/sources.rs`) are not compiled into it.
fn check_gates(file: &File, found: &mut Vec<String>) {
    if !file.name.contains("/src/") && !file.name.starts_with("src/") {
        return;
    }
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    for (number, line) in lines.iter().enumerate() {
        let Some((_, name)) = line.split_once("mod ") else { continue };
        let gate = match name.trim_end_matches([';', '{', ' ']) {
            "tests" => "#[cfg(test)]",
            "fuzzing" => "#[cfg(feature = \"fuzzing\")]",
            _ => continue,
        };
        let is_item = line.starts_with("mod ") || line.starts_with("pub");
        let attributes = lines.get(..number).unwrap_or_default().iter().rev();
        let mut attributes = attributes.take_while(|line| line.starts_with('#') || line.starts_with("//"));
        if is_item
            && !attributes
                .any(|line| line.contains(gate) || line.contains("any(test, feature = \"fuzzing\")"))
        {
            found.push(file.finding(number, &format!("a module for tests without {gate}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file;

    fn found(files: &[(&str, &str)]) -> usize {
        let files: Vec<_> = files.iter().map(|(name, text)| file(name, text)).collect();
        let mut found = Vec::new();
        check(&files, &mut found);
        found.len()
    }

    #[test]
    fn a_module_beside_its_folder_is_found() {
        assert_eq!(found(&[("src/term.rs", ""), ("src/term/view.rs", "")]), 1);
        assert_eq!(found(&[("src/term/mod.rs", ""), ("src/term/view.rs", ""), ("src/terminal.rs", "")]), 0);
    }

    #[test]
    fn a_module_for_tests_needs_its_gate() {
        assert_eq!(found(&[("src/lib.rs", "#[cfg(test)]\nmod tests;\n")]), 0);
        assert_eq!(found(&[("src/lib.rs", "mod tests;\n")]), 1);
        assert_eq!(found(&[("src/lib.rs", "#[cfg(feature = \"fuzzing\")]\npub mod fuzzing;\n")]), 0);
        assert_eq!(found(&[("src/lib.rs", "pub mod fuzzing;\n")]), 1);
    }
}
