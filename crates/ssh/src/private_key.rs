//! A person's private key, from the text of its file.

use russh::keys::Algorithm;
use russh::keys::ssh_key;
use zeroize::Zeroizing;

use crate::interaction::{KeyProblem, PrivateKey};

/// Longest file that is looked at, in bytes. An RSA key of 16,384 bits is below 13 KiB.
const MAX_FILE: usize = 64 * 1024;
/// Label of OpenSSH's format in PEM (OpenSSH `PROTOCOL.key`).
const LABEL: &str = "OPENSSH PRIVATE KEY";

/// Reads a key in OpenSSH's format and decrypts it.
pub(crate) fn read(key: &PrivateKey) -> Result<ssh_key::PrivateKey, KeyProblem> {
    if key.pem.len() > MAX_FILE {
        return Err(KeyProblem::Unreadable);
    }
    let read = from_openssh(key.pem.trim_start().as_bytes()).ok_or(KeyProblem::Unreadable)?;
    match read.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => {}
        other => return Err(KeyProblem::Unsupported(other.as_str().to_owned())),
    }
    if !read.is_encrypted() {
        return Ok(read);
    }
    match &key.passphrase {
        None => Err(KeyProblem::NeedsPassphrase),
        Some(passphrase) => read.decrypt(passphrase.as_bytes()).map_err(|_| KeyProblem::WrongPassphrase),
    }
}

/// Reads a key as `ssh_key::PrivateKey::from_openssh` does.
///
/// That one's reader of PEM would make one more copy of all that decodes keys.
fn from_openssh(pem: &[u8]) -> Option<ssh_key::PrivateKey> {
    let mut decoder = pem_rfc7468::Decoder::new_detect_wrap(pem).ok()?;
    if decoder.type_label() != LABEL {
        return None;
    }
    // In one piece of memory, so that no part of it is left behind.
    let mut bytes = Zeroizing::new(vec![0; decoder.remaining_len()]);
    decoder.decode(&mut bytes).ok()?;
    ssh_key::PrivateKey::from_bytes(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(pem: &str, passphrase: Option<&str>) -> Option<KeyProblem> {
        let key = PrivateKey {
            pem: pem.to_owned().into(),
            passphrase: passphrase.map(|passphrase| passphrase.to_owned().into()),
        };
        read(&key).err()
    }

    #[test]
    fn another_format_is_told_apart_from_a_wrong_passphrase() {
        assert_eq!(problem("-----BEGIN RSA PRIVATE KEY-----\n", None), Some(KeyProblem::Unreadable));
        assert_eq!(problem(&"a".repeat(MAX_FILE + 1), None), Some(KeyProblem::Unreadable));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = problem(&text, Some("x"));
            let _ = problem(&format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{text}\n-----END OPENSSH PRIVATE KEY-----\n"), None);
        }
    }
}
