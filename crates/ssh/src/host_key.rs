//! A server's host key, as a person compares it.

use russh::keys::{HashAlg, PublicKey};

/// A server's host key, as a person compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    /// The host, as the caller named it.
    pub host: String,
    /// For instance `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:` and unpadded base64, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// The key in one line, as in `known_hosts` and `authorized_keys`, without a comment.
    pub openssh: String,
}

impl HostKey {
    pub(crate) fn new(host: &str, key: &PublicKey) -> Self {
        Self {
            host: host.to_owned(),
            algorithm: key.algorithm().as_str().to_owned(),
            fingerprint: fingerprint(key),
            openssh: PublicKey::from(key.key_data().clone()).to_openssh().unwrap_or_default(),
        }
    }
}

/// `SHA256:` and unpadded base64.
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn a_fingerprint_is_what_ssh_keygen_prints() {
        let key = HostKey::new("host", &PublicKey::from_openssh(ED25519).unwrap());
        assert_eq!(key.fingerprint, "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ");
        assert_eq!(key.openssh, ED25519);
        assert_eq!(key.algorithm, "ssh-ed25519");
    }
}
