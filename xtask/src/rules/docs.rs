//! A doc comment's first line stands alone in a hover: it begins with a verb or a noun and says what the thing is or does.

use super::File;

/// Words that begin a clause which leans on something that a hover does not show.
const QUESTIONS: &[&str] =
    &["What", "Whether", "How", "Who", "Whom", "Whose", "When", "Where", "Why", "Which"];

/// The most of a hundred first lines that may begin with one of [`QUESTIONS`].
const MOST_PER_CENT: usize = 5;

/// The first lines of all `///` comments of a file, with their numbers from zero.
fn first_lines(file: &File) -> impl Iterator<Item = (usize, &str)> {
    let mut was_doc = false;
    file.text.lines().enumerate().filter_map(move |(number, line)| {
        let doc = line.trim_start().strip_prefix("///").filter(|doc| !doc.starts_with('/'));
        let first = doc.filter(|_| !was_doc);
        was_doc = doc.is_some();
        Some((number, first?.trim()))
    })
}

fn is_question(line: &str) -> bool {
    QUESTIONS.contains(&line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default())
}

/// Finds comments that refer to a document outside of the repository.
pub(super) fn check(file: &File, found: &mut Vec<String>) {
    let outside = concat!("PROTO", "COL");
    for (number, line) in file.text.lines().enumerate() {
        let is_comment = line.trim_start().starts_with("//");
        let names_it = line.contains(&format!("{outside} ")) || line.contains(&format!("{outside}:"));
        if file.is_source() && is_comment && names_it {
            found.push(file.finding(number, "a document that is not in the repository"));
        }
    }
}

/// Checks how many first lines of the whole project begin with a question word.
pub(super) fn check_share(files: &[File], found: &mut Vec<String>) {
    let mut all = 0_usize;
    let mut questions = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for (number, line) in first_lines(file) {
            all += 1;
            if is_question(line) {
                questions.push(file.finding(number, "a first line that does not stand alone"));
            }
        }
    }
    println!("    {} of {all} doc comments begin with What, Whether, How, ...", questions.len());
    if questions.len() * 100 > all * MOST_PER_CENT {
        found.append(&mut questions);
        found.push(format!("more than {MOST_PER_CENT} % of all doc comments begin with a question word"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file;

    #[test]
    fn first_lines_are_those_of_each_comment() {
        let text = "//! A module.\n/// Returns one.\n/// And more.\nfn f() {}\n    /// Whether it is so.\n//// none\n";
        let file = file("a.rs", text);
        let lines: Vec<_> = first_lines(&file).collect();
        assert_eq!(lines, [(1, "Returns one."), (4, "Whether it is so.")]);
        assert!(is_question(lines[1].1) && !is_question(lines[0].1));
        assert!(!is_question("Whatever") && is_question("What's left"));
    }

    #[test]
    fn few_questions_pass_and_more_are_all_found() {
        let of = |questions: usize, others: usize| {
            let text = "/// What?\nx\n".repeat(questions) + &"/// A thing.\nx\n".repeat(others);
            let mut found = Vec::new();
            check_share(&[file("a.rs", &text)], &mut found);
            found.len()
        };
        assert_eq!(of(MOST_PER_CENT, 100 - MOST_PER_CENT), 0);
        assert_eq!(of(MOST_PER_CENT + 1, 99 - MOST_PER_CENT), MOST_PER_CENT + 2);
    }
}
