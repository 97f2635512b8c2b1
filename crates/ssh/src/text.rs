//! Text that a server sends for a person to read, made safe to show and bounded. Terminal output is not text: it is
//! bytes, and never comes through here.

/// Longest text of one message, in characters; the rest is cut.
pub(crate) const MAX_TEXT: usize = 8 * 1024;

/// Keeps printable characters, line feeds and tabs of `text`, at most `limit` characters.
///
/// Control characters could drive a terminal or end a log's line (RFC 4252 section 5.4 asks clients to filter them);
/// characters that turn the direction of writing could make a text read as another.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let mut kept: String = text.chars().filter(|&c| is_shown(c)).take(limit + 1).collect();
    if let Some((cut, _)) = kept.char_indices().nth(limit) {
        kept.truncate(cut);
        kept.push('…');
    }
    kept
}

/// Keeps what [`printable`] keeps, without white space at the end: a question.
pub(crate) fn paragraph(text: &str, limit: usize) -> String {
    printable(text, limit).trim_end().to_owned()
}

/// Keeps what [`printable`] keeps, as a single line: a name, a reason.
pub(crate) fn line(text: &str, limit: usize) -> String {
    printable(text, limit).replace(['\n', '\t'], " ").trim_end().to_owned()
}

fn is_shown(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        // Marks, embeddings, overrides and isolates of bidirectional text (Unicode UAX #9), and line separators.
        '\u{200e}'
        | '\u{200f}'
        | '\u{061c}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => false,
        c => !c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_lose_their_escape() {
        assert_eq!(printable("a\x1b[31mb\r\nc\u{9b}31m\x07", 99), "a[31mb\nc31m");
    }

    #[test]
    fn overrides_of_direction_are_dropped() {
        assert_eq!(printable("user\u{202e}toor\u{2066}", 99), "usertoor");
    }

    #[test]
    fn long_text_is_cut_at_the_limit() {
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(printable("äöü", 3), "äöü");
    }

    #[test]
    fn a_prompt_is_one_line() {
        assert_eq!(line("Password:\n\t\n", 99), "Password:");
    }

    proptest! {
        #[test]
        fn nothing_but_printable_text_comes_out(text in ".*", limit in 0_usize..64) {
            let shown = printable(&text, limit);
            prop_assert!(shown.chars().count() <= limit + 1);
            prop_assert!(shown.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        }
    }
}
