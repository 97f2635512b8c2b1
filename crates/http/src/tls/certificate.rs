//! A server's certificate from files, which are read again while connections are served.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{TlsError, certificates, provider, rustls};

/// Files with a certificate and its key, both PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, followed by those that lead to its authority.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
}

/// Makes certificates for the end of the chain, each time that the files are read.
///
/// Clients of TLS 1.3 get them, where nobody on the way sees certificates. They prove nothing; protocols use them to say
/// something to a client before the server has said a word.
pub type ExtraChain = Arc<
    dyn Fn() -> Result<Vec<CertificateDer<'static>>, Box<dyn std::error::Error + Send + Sync>> + Send + Sync,
>;

/// A server's certificate, which can be read again while connections are served.
pub struct Certificate {
    files: TlsFiles,
    extra: Option<ExtraChain>,
    current: RwLock<Chains>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Chains {
    plain: Arc<CertifiedKey>,
    /// For clients of TLS 1.3.
    with_extra: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads a certificate and its key, to be sent with `extra` behind it.
    ///
    /// # Errors
    /// When a file cannot be read, or the key is not the certificate's.
    pub fn load(files: TlsFiles, extra: Option<ExtraChain>) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(Chains::load(&files, extra.as_ref())?);
        Ok(Arc::new(Self { files, extra, current }))
    }

    /// Reads the files again; the old certificate stays when they cannot be used.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn reload(&self) -> Result<(), TlsError> {
        let chains = Chains::load(&self.files, self.extra.as_ref())?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = chains;
        Ok(())
    }

    /// Makes the settings of a server: TLS 1.2 and 1.3 with HTTP/1.1 alone, since HTTP/2 has no upgrades.
    ///
    /// # Errors
    /// When the library refuses its own defaults.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Key)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let tls13 = client.cipher_suites().iter().any(|suite| u16::from(*suite) >> 8 == 0x13);
        let chains = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(if tls13 { &chains.with_extra } else { &chains.plain }))
    }
}

impl Chains {
    fn load(files: &TlsFiles, extra: Option<&ExtraChain>) -> Result<Self, TlsError> {
        let mut certificates = certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|source| TlsError::Pem { path: files.key.clone(), source })?;
        let signer = provider().key_provider.load_private_key(key).map_err(TlsError::Key)?;
        let plain = CertifiedKey::new(certificates.clone(), Arc::clone(&signer));
        plain.keys_match().map_err(TlsError::Key)?;
        if let Some(extra) = extra {
            certificates.extend(extra().map_err(TlsError::Extra)?);
        }
        Ok(Self { plain: Arc::new(plain), with_extra: Arc::new(CertifiedKey::new(certificates, signer)) })
    }
}
