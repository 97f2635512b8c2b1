//! TLS: certificates from files, and the certificate that tells DERP's key.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use dayfly_wire::derp;
use dayfly_wire::key::NodePublic;
use rcgen::{CertificateParams, DnType, IsCa, KeyPair, PKCS_ED25519, SerialNumber};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use thiserror::Error;
use tokio_rustls::rustls;

/// What the name in the certificate with DERP's key starts with (Tailscale `derp/derpconst`).
const META_CERT_PREFIX: &str = "derpkey";
/// For how long before and after its making that certificate is valid (derpserver.go).
const META_CERT_DAYS: u64 = 30;

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file has no certificate or key, or cannot be read.
    #[error("{} cannot be read as PEM: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A file has no certificate.
    #[error("{} has no certificate", .0.display())]
    Empty(PathBuf),
    /// The key does not belong to the certificate, or is of a kind that is not known.
    #[error("the certificate and its key cannot be used: {0}")]
    Key(#[source] rustls::Error),
    /// The certificate with DERP's key could not be made.
    #[error("the certificate with the relay's key could not be made: {0}")]
    Meta(#[source] rcgen::Error),
    /// The system's trusted certificates could not be read.
    #[error("a trusted certificate in {} cannot be used: {source}", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem { path: path.to_owned(), source };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(failed)?.collect();
    let chain = chain.map_err(failed)?;
    if chain.is_empty() { Err(TlsError::Empty(path.to_owned())) } else { Ok(chain) }
}

/// The server's certificate, which can be read again while connections are served.
#[derive(Debug)]
pub(crate) struct Certificate {
    chain_file: PathBuf,
    key_file: PathBuf,
    /// With DERP's key at the end of the chain, if there is DERP.
    current: RwLock<Chains>,
    /// DERP's key, if there is DERP.
    derp_key: Option<NodePublic>,
}

#[derive(Debug)]
struct Chains {
    plain: Arc<CertifiedKey>,
    /// For clients of TLS 1.3, where nobody on the way sees certificates.
    with_meta: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads the certificate and its key.
    pub(crate) fn load(
        chain: &Path,
        key: &Path,
        derp_key: Option<NodePublic>,
    ) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(Chains::load(chain, key, derp_key.as_ref())?);
        Ok(Arc::new(Self { chain_file: chain.to_owned(), key_file: key.to_owned(), current, derp_key }))
    }

    /// Reads the files again; the old certificate stays when they cannot be used.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let chains = Chains::load(&self.chain_file, &self.key_file, self.derp_key.as_ref())?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = chains;
        Ok(())
    }

    /// TLS 1.2 and 1.3 with HTTP/1.1 alone: other protocols leave no way to DERP.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
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
        Some(Arc::clone(if tls13 { &chains.with_meta } else { &chains.plain }))
    }
}

impl Chains {
    fn load(chain: &Path, key: &Path, derp_key: Option<&NodePublic>) -> Result<Self, TlsError> {
        let mut certificates = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|source| TlsError::Pem { path: key.to_owned(), source })?;
        let signer = provider().key_provider.load_private_key(key).map_err(TlsError::Key)?;
        let plain = CertifiedKey::new(certificates.clone(), Arc::clone(&signer));
        plain.keys_match().map_err(TlsError::Key)?;
        if let Some(derp_key) = derp_key {
            certificates.push(meta_certificate(derp_key)?);
        }
        Ok(Self { plain: Arc::new(plain), with_meta: Arc::new(CertifiedKey::new(certificates, signer)) })
    }
}

/// A self-signed certificate whose name is DERP's key, from which clients know it before the server has said anything
/// (Tailscale `derp/derpserver/derpserver.go`, `initMetacert`).
fn meta_certificate(key: &NodePublic) -> Result<CertificateDer<'static>, TlsError> {
    let mut params = CertificateParams::default();
    let digits = key.to_string();
    let name = format!("{META_CERT_PREFIX}{}", digits.trim_start_matches(NodePublic::PREFIX));
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(u64::from(derp::PROTOCOL_VERSION)));
    let (now, days) = (SystemTime::now(), Duration::from_secs(META_CERT_DAYS * 24 * 3600));
    params.not_before = (now - days).into();
    params.not_after = (now + days).into();
    params.is_ca = IsCa::ExplicitNoCa;
    let key = KeyPair::generate_for(&PKCS_ED25519).map_err(TlsError::Meta)?;
    Ok(params.self_signed(&key).map_err(TlsError::Meta)?.der().clone())
}

/// What upstreams are trusted: those with a certificate of the system's authorities or of those in `extra`, and those
/// whose very certificate is in `extra`. `None`, when that is nobody.
pub(crate) fn client_config(extra: &[PathBuf]) -> Result<Option<Arc<ClientConfig>>, TlsError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in system.errors {
        tracing::debug!(%error, "a trusted certificate of the system cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    let mut pinned = Vec::new();
    for path in extra {
        for certificate in certificates(path)? {
            roots.add(certificate.clone()).map_err(|source| TlsError::Root { path: path.clone(), source })?;
            pinned.push(certificate);
        }
    }
    if roots.is_empty() {
        return Ok(None);
    }
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| TlsError::Key(rustls::Error::General(error.to_string())))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Key)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trust { authorities, pinned }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}

/// Authorities, and servers that are trusted by their very certificates.
///
/// Servers with a certificate that signs itself, as derper makes them for addresses and OpenSSL for everything, need
/// the latter: rustls takes no authority's certificate for a server's.
#[derive(Debug)]
struct Trust {
    authorities: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trust {
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

/// Whether an error of a handshake is only a client that went away, or spoke no TLS.
pub(crate) fn is_noise(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::InvalidData
    )
}
