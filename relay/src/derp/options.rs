//! The settings of the relay on the command line, and the file with its key.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use dayfly_cli::{Needs, needs};
use dayfly_http::client::ServerUrl;
use dayfly_platform::random::SystemRng;
use dayfly_wire::derp::{HEADER_LEN, MAX_PACKET_LEN};
use dayfly_wire::key::{KEY_LEN, NodePrivate, ParseKeyError};
use thiserror::Error;
use zeroize::Zeroizing;

use super::config::{ClientRate, DerpConfig};

/// The least burst of a client's rate limit, in bytes: one of the longest frames.
pub(crate) const MIN_BURST: u64 = (HEADER_LEN + KEY_LEN + MAX_PACKET_LEN) as u64;

/// Settings of the relay.
#[derive(Args, Debug)]
#[command(next_help_heading = "Relay")]
pub(crate) struct DerpArgs {
    /// File with the relay's key, made on first start; without one, each start has a new key
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Ask this server whether a client may use the relay, as derper does; Headscale has it at /verify
    #[arg(long, value_name = "URL")]
    verify_client_url: Option<ServerUrl>,
    /// Let clients in when that server cannot be asked
    #[arg(long)]
    verify_client_url_fail_open: bool,
    /// How many bytes a second to read from one client; no limit when not given
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1024..))]
    client_rate: Option<u64>,
    /// How many bytes one client may send at once after a pause; two seconds' worth when not given
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(MIN_BURST..))]
    client_burst: Option<u64>,
    /// How many seconds are between keep-alives to a client: fewer than what is in front waits for a silent connection
    #[arg(
        long, value_name = "SECONDS", default_value_t = super::KEEP_ALIVE.as_secs(),
        value_parser = clap::value_parser!(u64).range(5..=100)
    )]
    keep_alive: u64,
}

/// Reasons why the key file cannot be used.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// It cannot be read or made.
    #[error("the key file {} cannot be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It holds something else.
    #[error("the key file {} does not hold a key: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        source: ParseKeyError,
    },
}

impl DerpArgs {
    /// Refuses settings without those that they need.
    pub(crate) fn check(&self) -> Result<(), Needs> {
        let (verifies, limits) = (self.verify_client_url.is_some(), self.client_rate.is_some());
        let fails_open = self.verify_client_url_fail_open;
        needs("verify-client-url-fail-open", fails_open, "verify-client-url", verifies)?;
        needs("client-burst", self.client_burst.is_some(), "client-rate", limits)
    }

    /// Returns the settings that they make, with the key that is in the key file.
    pub(crate) fn config(self) -> Result<DerpConfig, KeyFileError> {
        let key = match &self.key_file {
            Some(path) => read_key(path)?,
            None => NodePrivate::generate(&mut SystemRng),
        };
        let client_rate = self.client_rate.map(|bytes_per_second| ClientRate {
            bytes_per_second,
            burst: self.client_burst.unwrap_or_else(|| bytes_per_second.saturating_mul(2).max(MIN_BURST)),
        });
        Ok(DerpConfig {
            key,
            verify_url: self.verify_client_url,
            verify_fail_open: self.verify_client_url_fail_open,
            client_rate,
            keep_alive: Duration::from_secs(self.keep_alive),
        })
    }
}

/// Reads the key in a file, or makes one that only its owner can read.
fn read_key(path: &Path) -> Result<NodePrivate, KeyFileError> {
    let failed = |source| KeyFileError::Io { path: path.to_owned(), source };
    match fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => text.trim().parse().map_err(|source| KeyFileError::Key { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = NodePrivate::generate(&mut SystemRng);
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(path).map_err(failed)?;
            file.write_all(key.to_secret_text().as_bytes()).map_err(failed)?;
            file.write_all(b"\n").and_then(|()| file.sync_all()).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let first = read_key(&path).unwrap();
        assert_eq!(read_key(&path).unwrap().as_bytes(), first.as_bytes());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&path, "something else").unwrap();
        assert!(matches!(read_key(&path), Err(KeyFileError::Key { .. })));
    }
}
