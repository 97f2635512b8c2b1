//! TLS on both ends: a server's certificate from files, and the servers that a client trusts.

mod certificate;
mod trust;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use thiserror::Error;
pub use tokio_rustls::rustls;

pub use self::certificate::{Certificate, ExtraChain, TlsFiles};
pub use self::trust::{AnyServer, Trust};

/// Reasons why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file has no certificate or key, or cannot be read.
    #[error("{} cannot be read as PEM: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The parser's or the system's error.
        source: rustls::pki_types::pem::Error,
    },
    /// A file has no certificate.
    #[error("{} has no certificate", .0.display())]
    Empty(PathBuf),
    /// The key does not belong to the certificate, or is of a kind that is not known.
    #[error("the certificate and its key cannot be used: {0}")]
    Key(#[source] rustls::Error),
    /// The certificates for the end of the chain could not be made.
    #[error(transparent)]
    Extra(Box<dyn std::error::Error + Send + Sync>),
    /// A certificate that was to be trusted is not one.
    #[error("a trusted certificate in {} cannot be used: {source}", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// The library's error.
        source: rustls::Error,
    },
}

/// The cryptography of all TLS here.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem { path: path.to_owned(), source };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(failed)?.collect();
    let chain = chain.map_err(failed)?;
    if chain.is_empty() { Err(TlsError::Empty(path.to_owned())) } else { Ok(chain) }
}

/// Returns `true` for an error of a handshake that only says that a client went away, or spoke no TLS.
pub(crate) fn is_noise(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::InvalidData
    )
}
