//! Lines that a server sends before its identification (RFC 4253 section 4.2), and the identification itself.

use crate::text;

/// Lines before the identification that are passed over: as many as OpenSSH's client takes (`sshd.c` and `kex.c`,
/// `SSH_MAX_PRE_BANNER_LINES`).
const MAX_LINES: usize = 1024;

/// Longest of these lines, in bytes, as OpenSSH's client takes them (`kex.h`, `SSH_MAX_BANNER_LEN`).
const MAX_LINE: usize = 8 * 1024;

/// Bytes of the first lines that are kept, to name what answered.
const KEPT: usize = 256;

/// Answers of an SSH server that takes no connections for now: OpenSSH's `sshd.c` says the first when `MaxStartups` is
/// reached, and the second by `PerSourcePenalties`.
const BUSY: [&str; 2] = ["Exceeded MaxStartups", "Not allowed at this time"];

/// Reads what comes before the protocol begins.
#[derive(Debug, Default)]
pub(crate) struct Preamble {
    /// The line that is being received.
    line: Vec<u8>,
    lines: usize,
    /// The beginning of what was received.
    kept: Vec<u8>,
    identification: Option<String>,
}

/// The other side is not an SSH 2 server.
#[derive(Debug, thiserror::Error)]
#[error("no identification of an SSH 2 server")]
pub(crate) struct NotSsh;

impl Preamble {
    /// Takes in bytes of the server. Returns the first bytes of the protocol, which begin with the identification, once
    /// it is complete.
    ///
    /// # Errors
    /// When no SSH 2 server sends such bytes.
    pub(crate) fn receive(&mut self, mut bytes: &[u8]) -> Result<Option<Vec<u8>>, NotSsh> {
        let room = KEPT.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        loop {
            let end = bytes.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.line.len() + piece.len() > MAX_LINE {
                return Err(NotSsh);
            }
            self.line.extend_from_slice(piece);
            bytes = rest;
            if end.is_none() {
                return Ok(None);
            }
            if self.line.starts_with(b"SSH-") {
                if !self.line.starts_with(b"SSH-2.0-") && !self.line.starts_with(b"SSH-1.99-") {
                    return Err(NotSsh);
                }
                self.identification = Some(text::line(&String::from_utf8_lossy(&self.line), KEPT));
                let mut protocol = std::mem::take(&mut self.line);
                protocol.extend_from_slice(bytes);
                return Ok(Some(protocol));
            }
            self.line.clear();
            self.lines += 1;
            if self.lines > MAX_LINES {
                return Err(NotSsh);
            }
        }
    }

    /// Returns `true` until the identification has been received.
    pub(crate) fn is_pending(&self) -> bool {
        self.identification.is_none()
    }

    /// Returns the server's identification, for instance `SSH-2.0-OpenSSH_10.2`, safe to show.
    pub(crate) fn identification(&self) -> Option<&str> {
        self.identification.as_deref()
    }

    /// Returns the beginning of what was received, as one line that is safe to show.
    pub(crate) fn seen(&self) -> String {
        text::line(&String::from_utf8_lossy(&self.kept), KEPT)
    }

    /// Returns the line by which a server says that it takes no connections for now, if there was one.
    pub(crate) fn busy(&self) -> Option<String> {
        let kept = String::from_utf8_lossy(&self.kept);
        let line = kept.lines().find(|line| BUSY.iter().any(|busy| line.starts_with(busy)))?;
        Some(text::line(line, KEPT))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn received(bytes: &[u8]) -> Option<String> {
        let protocol = Preamble::default().receive(bytes).ok()?;
        protocol.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn as_many_and_as_long_lines_are_passed_over_as_openssh_takes() {
        let lines = |count: usize, length: usize| format!("{}\n", "x".repeat(length - 1)).repeat(count);
        for before in ["\n", "\r\n", "a notice\r\n", &lines(MAX_LINES, 1), &lines(9, MAX_LINE)] {
            let bytes = format!("{before}SSH-2.0-x\r\nrest");
            assert_eq!(received(bytes.as_bytes()).as_deref(), Some("SSH-2.0-x\r\nrest"));
        }
        for before in [lines(MAX_LINES + 1, 1), lines(1, MAX_LINE + 1)] {
            assert!(Preamble::default().receive(format!("{before}SSH-2.0-x\r\n").as_bytes()).is_err());
        }
    }

    #[test]
    fn the_first_version_of_the_protocol_is_refused() {
        assert!(Preamble::default().receive(b"SSH-1.5-old\n").is_err());
        assert_eq!(received(b"SSH-1.99-both\n").as_deref(), Some("SSH-1.99-both\n"));
    }

    #[test]
    fn a_busy_server_is_recognised_by_its_words() {
        for (said, busy) in [
            ("Exceeded MaxStartups\r\n", true),
            ("Not allowed at this time\r\n", true),
            ("HTTP/1.1 400 Bad Request\r\n", false),
            ("", false),
        ] {
            let mut preamble = Preamble::default();
            preamble.receive(said.as_bytes()).unwrap();
            assert_eq!(preamble.busy().is_some(), busy, "{said}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(before in "([a-z \r]{0,9}\n){0,4}", cut in 0_usize..64) {
            let bytes = format!("{before}SSH-2.0-x y\r\n\0\0rest").into_bytes();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut preamble = Preamble::default();
            let mut out = Vec::new();
            if let Some(protocol) = preamble.receive(first).unwrap() {
                out.extend(protocol);
                out.extend(second);
            } else {
                out.extend(preamble.receive(second).unwrap().unwrap());
            }
            prop_assert_eq!(out, b"SSH-2.0-x y\r\n\0\0rest");
            prop_assert_eq!(preamble.identification(), Some("SSH-2.0-x y"));
        }

        #[test]
        fn anything_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Preamble::default().receive(&bytes);
        }
    }
}
