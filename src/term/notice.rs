//! Text of a server for a terminal, above a shell's first output.

/// Makes lines of text into a terminal's: each ends with a carriage return and a line feed, the last one too.
#[must_use]
pub fn terminal_lines(text: &str) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len() + 64);
    for line in text.trim_end().lines() {
        lines.extend_from_slice(line.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_begins_at_the_left() {
        assert_eq!(
            terminal_lines("Authorised use only.\n\n  Call 555."),
            b"Authorised use only.\r\n\r\n  Call 555.\r\n"
        );
    }

    #[test]
    fn nothing_is_no_line() {
        assert!(terminal_lines("").is_empty());
        assert!(terminal_lines("\n \n").is_empty());
    }
}
