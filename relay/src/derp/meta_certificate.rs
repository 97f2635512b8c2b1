//! The certificate that tells clients the relay's key before the server has said anything.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dayfly_http::tls::ExtraChain;
use dayfly_http::tls::rustls::pki_types::CertificateDer;
use dayfly_wire::derp;
use dayfly_wire::key::NodePublic;
use rcgen::{CertificateParams, DnType, IsCa, KeyPair, PKCS_ED25519, SerialNumber};
use thiserror::Error;

/// The beginning of the certificate's name (Tailscale `derp/derpconst/derpconst.go`, `MetaCertCommonNamePrefix`
/// (tailscale v1.102.5)).
const PREFIX: &str = "derpkey";
/// Days before and after its making for which the certificate is valid (Tailscale `derp/derpserver/derpserver.go`,
/// `initMetacert` (tailscale v1.102.5)).
const DAYS: u64 = 30;

/// The certificate could not be made.
#[derive(Debug, Error)]
#[error("the certificate with the relay's key could not be made: {0}")]
struct MetaCertificateError(#[from] rcgen::Error);

/// Makes the end of a certificate's chain, which is this certificate.
pub(crate) fn chain(key: NodePublic) -> ExtraChain {
    Arc::new(move || Ok(vec![meta_certificate(&key).map_err(MetaCertificateError)?]))
}

/// Makes a certificate that signs itself and whose name is the relay's key (Tailscale
/// `derp/derpserver/derpserver.go`, `initMetacert` (tailscale v1.102.5)).
fn meta_certificate(key: &NodePublic) -> Result<CertificateDer<'static>, rcgen::Error> {
    let mut params = CertificateParams::default();
    let digits = key.to_string();
    let name = format!("{PREFIX}{}", digits.trim_start_matches(NodePublic::PREFIX));
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(u64::from(derp::PROTOCOL_VERSION)));
    let (now, days) = (SystemTime::now(), Duration::from_secs(DAYS * 24 * 3600));
    params.not_before = (now - days).into();
    params.not_after = (now + days).into();
    params.is_ca = IsCa::ExplicitNoCa;
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    Ok(params.self_signed(&key)?.der().clone())
}
