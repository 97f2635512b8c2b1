//! Host keys that are known to be right for one server.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use russh::keys::{Algorithm, EcdsaCurve, PublicKey};

use crate::error::ConnectError;
use crate::host_key::fingerprint;
use crate::text;

/// Host key algorithms, most preferred first, that signatures can be checked of here.
const CHECKABLE: [Algorithm; 4] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
];

/// The host keys that are right for one server.
#[derive(Clone, Debug)]
pub(crate) struct KnownHostKeys(Vec<PublicKey>);

impl KnownHostKeys {
    /// Reads lines in the format of `authorized_keys`, as a peer's `Hostinfo.sshHostKeys` has them.
    ///
    /// Lines that hold no key are left out, but never all: a list of which nothing can be used is an error, since an
    /// empty list would mean that nothing is known.
    pub(crate) fn parse(host: &str, lines: &[String]) -> Result<Self, ConnectError> {
        let keys: Vec<_> = lines.iter().filter_map(|line| from_openssh(line)).collect();
        let known = Self(keys);
        if !lines.is_empty() && !CHECKABLE.iter().any(|algorithm| known.has(algorithm)) {
            let mut algorithms: Vec<String> =
                known.0.iter().map(|key| text::line(key.algorithm().as_str(), 64)).collect();
            if known.0.len() < lines.len() {
                algorithms.push("unreadable".to_owned());
            }
            return Err(ConnectError::HostKeysUnusable { host: host.to_owned(), algorithms });
        }
        Ok(known)
    }

    /// Returns `true` if nothing is known, so that a person has to be asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, key: &PublicKey) -> bool {
        self.0.iter().any(|known| known.key_data() == key.key_data())
    }

    pub(crate) fn fingerprints(&self) -> Vec<String> {
        self.0.iter().map(fingerprint).collect()
    }

    /// The algorithms to offer: those of known keys first, so that the server proves a key that can be compared.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let (mut first, rest): (Vec<_>, Vec<_>) =
            CHECKABLE.into_iter().partition(|algorithm| self.has(algorithm));
        first.extend(rest);
        first
    }

    fn has(&self, algorithm: &Algorithm) -> bool {
        self.0.iter().any(|key| key.algorithm() == *algorithm)
    }
}

/// Reads a key as `PublicKey::from_openssh` does.
///
/// That one's reader of base64 would make one more copy of all that decodes keys.
fn from_openssh(line: &str) -> Option<PublicKey> {
    let mut words = line.split_ascii_whitespace();
    let (algorithm, base64) = (words.next()?, words.next()?);
    let key = PublicKey::from_bytes(&BASE64_STANDARD.decode(base64).ok()?).ok()?;
    (key.algorithm().as_str() == algorithm).then_some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const P256: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";

    fn known(lines: &[&str]) -> Result<KnownHostKeys, ConnectError> {
        let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
        KnownHostKeys::parse("host", &lines)
    }

    #[test]
    fn comments_and_white_space_do_not_change_a_key() {
        let keys = known(&[&format!("{ED25519} root@host\n")]).unwrap();
        assert!(keys.contains(&PublicKey::from_openssh(ED25519).unwrap()));
        assert!(!keys.contains(&PublicKey::from_openssh(P256).unwrap()));
    }

    #[test]
    fn algorithms_of_known_keys_are_offered_first() {
        let keys = known(&[P256]).unwrap();
        assert_eq!(keys.algorithms().first(), Some(&Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }));
        assert_eq!(keys.algorithms().len(), CHECKABLE.len());
        assert_eq!(known(&[]).unwrap().algorithms().first(), Some(&Algorithm::Ed25519));
    }

    #[test]
    fn unreadable_lines_never_make_a_host_unknown() {
        assert!(matches!(known(&["what"]), Err(ConnectError::HostKeysUnusable { .. })));
        assert!(matches!(known(&[""]), Err(ConnectError::HostKeysUnusable { .. })));
        assert!(!known(&["what", ED25519]).unwrap().is_empty());
        assert!(known(&[]).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(lines in proptest::collection::vec(".*", 0..4)) {
            let _ = KnownHostKeys::parse("host", &lines);
        }
    }
}
