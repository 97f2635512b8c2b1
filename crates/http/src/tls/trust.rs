//! The servers that a client trusts.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{TlsError, certificates, provider, rustls};

/// The servers that a client trusts. Copies share their tables.
#[derive(Clone, Debug, Default)]
pub struct Trust(Option<Arc<ClientConfig>>);

impl Trust {
    /// Trusts no server: every connection by TLS fails.
    pub const fn nobody() -> Self {
        Self(None)
    }

    /// Trusts the system's authorities, and the certificates in PEM files as [`only`](Self::only) does.
    ///
    /// Reading what the system trusts takes some milliseconds and a megabyte.
    ///
    /// # Errors
    /// When a file has no certificate that can be used.
    pub fn system_and(files: &[impl AsRef<Path>]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in system.errors {
            tracing::debug!(%error, "a trusted certificate of the system cannot be read");
        }
        roots.add_parsable_certificates(system.certs);
        Self::new(roots, files)
    }

    /// Trusts the certificates in PEM files: servers that have one from these authorities, or one of these themselves.
    /// No file means nobody.
    ///
    /// # Errors
    /// When a file has no certificate that can be used.
    pub fn only(files: &[impl AsRef<Path>]) -> Result<Self, TlsError> {
        Self::new(RootCertStore::empty(), files)
    }

    /// Trusts every server, which protects from nobody who is on the way.
    ///
    /// # Errors
    /// When the library refuses its own defaults.
    pub fn anybody() -> Result<Self, TlsError> {
        client_config(Arc::new(AnyServer::default()))
    }

    fn new(mut roots: RootCertStore, files: &[impl AsRef<Path>]) -> Result<Self, TlsError> {
        let mut pinned = Vec::new();
        for path in files.iter().map(AsRef::as_ref) {
            for certificate in certificates(path)? {
                roots
                    .add(certificate.clone())
                    .map_err(|source| TlsError::Root { path: path.to_owned(), source })?;
                pinned.push(certificate);
            }
        }
        if roots.is_empty() {
            return Ok(Self::nobody());
        }
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| TlsError::Key(rustls::Error::General(error.to_string())))?;
        client_config(Arc::new(Verifier { authorities, pinned }))
    }

    /// Returns `true` if no server is trusted.
    pub const fn is_nobody(&self) -> bool {
        self.0.is_none()
    }

    /// The settings of a connection, or `None` when no server is trusted.
    pub(crate) fn config(&self) -> Option<Arc<ClientConfig>> {
        self.0.clone()
    }
}

fn client_config(verifier: Arc<dyn ServerCertVerifier>) -> Result<Trust, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Key)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Trust(Some(Arc::new(config))))
}

/// Trusts authorities, and servers by their very certificates.
///
/// Servers with a certificate that signs itself, as derper makes them for addresses and OpenSSL for everything, need
/// the latter: rustls takes no authority's certificate for a server's.
#[derive(Debug)]
struct Verifier {
    authorities: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pinned.contains(end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// A verifier that takes any certificate, but only from who has its key: for tests, and for relays that a map marks as
/// being for tests.
#[derive(Debug)]
pub struct AnyServer(Arc<CryptoProvider>);

impl Default for AnyServer {
    fn default() -> Self {
        Self(provider())
    }
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
