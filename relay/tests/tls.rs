//! TLS by certificates from files, in front and towards upstreams.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::BytesMut;
use dayfly_http::tls::AnyServer;
use dayfly_relay::Relay;
use dayfly_relay::config::{Config, DerpConfig, GatewayConfig, RelayRegion, TlsFiles};
use dayfly_testkit::derp::Received;
use dayfly_testkit::websocket::carry;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, SupportedProtocolVersion, version};

use super::client::{admit, open_websocket};
use super::running::{Running, get, status};

async fn connect(to: SocketAddr, version: &'static SupportedProtocolVersion) -> TlsStream<TcpStream> {
    let mut provider = ring::default_provider();
    // As clients that know only one version do; rustls would offer the suites of both.
    provider.cipher_suites.retain(|suite| suite.version() == version);
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer::default()))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

fn chain(stream: &TlsStream<TcpStream>) -> Vec<CertificateDer<'static>> {
    stream.get_ref().1.peer_certificates().unwrap().to_vec()
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
}

/// Writes a certificate that signs itself, as OpenSSL makes them: an authority's and a server's at once.
fn write_certificate(directory: &Path) -> (TlsFiles, CertificateDer<'static>) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let files = TlsFiles { certificate: directory.join("cert.pem"), key: directory.join("key.pem") };
    std::fs::write(&files.certificate, pem("CERTIFICATE", certificate.der())).unwrap();
    std::fs::write(&files.key, pem("PRIVATE KEY", &key.serialize_der())).unwrap();
    (files, certificate.der().clone())
}

fn relay() -> (TempDir, Running, CertificateDer<'static>) {
    let directory = tempfile::tempdir().unwrap();
    let (files, certificate) = write_certificate(directory.path());
    let relay =
        Running::start(Config { derp: Some(DerpConfig::default()), tls: Some(files), ..Config::default() });
    (directory, relay, certificate)
}

#[tokio::test]
async fn the_relays_key_stands_in_a_second_certificate_where_nobody_else_sees_it() {
    let (_directory, relay, certificate) = relay();
    let old = connect(relay.http, &version::TLS12).await;
    assert_eq!(chain(&old), std::slice::from_ref(&certificate));
    let new = connect(relay.http, &version::TLS13).await;
    assert_eq!(new.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "h2 leaves no way to DERP");
    let chain = chain(&new);
    assert_eq!((chain.len(), &chain[0]), (2, &certificate));
    let name = format!("derpkey{}", relay.key().to_string().strip_prefix("nodekey:").unwrap());
    assert!(chain[1].windows(name.len()).any(|window| window == name.as_bytes()));
}

#[tokio::test]
async fn clients_start_fast_over_tls() {
    let (_directory, relay, _) = relay();
    let mut stream = connect(relay.http, &version::TLS13).await;
    let request =
        "GET /derp HTTP/1.1\r\nHost: r\r\nConnection: Upgrade\r\nUpgrade: DERP\r\nDerp-Fast-Start: 1\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut client = admit(stream, BytesMut::new(), &relay.key()).await.unwrap();
    let own = client.public();
    client.send(&own, &[5; 60_000]).await.unwrap();
    assert_eq!(client.next().await.unwrap(), Received::Packet(own, vec![5; 60_000]));
}

#[tokio::test]
async fn a_certificate_is_read_again_when_asked_to_and_kept_when_it_is_broken() {
    let (directory, relay, first) = relay();
    let (files, second) = write_certificate(directory.path());
    assert_eq!(chain(&connect(relay.http, &version::TLS13).await)[0], first);
    relay.reloader.reload();
    assert_eq!(chain(&connect(relay.http, &version::TLS13).await)[0], second);
    std::fs::write(&files.certificate, "nothing").unwrap();
    relay.reloader.reload();
    assert_eq!(chain(&connect(relay.http, &version::TLS13).await)[0], second);
}

#[tokio::test]
async fn plain_http_is_for_this_machine() {
    let listen = vec!["0.0.0.0:0".parse().unwrap()];
    let refused =
        Relay::bind(Config { listen: listen.clone(), ..Config::default() }).unwrap_err().to_string();
    assert!(refused.contains("--allow-plain-http"), "{refused}");
    assert!(Relay::bind(Config { listen, allow_plain_http: true, ..Config::default() }).is_ok());
}

#[tokio::test]
async fn a_gateway_trusts_the_certificates_that_it_was_given_and_no_others() {
    let (directory, relay, _) = relay();
    let url = format!("https://{}", relay.http);
    let pem = directory.path().join("cert.pem");
    let gateway = |upstream_ca| {
        Running::start(Config {
            gateway: GatewayConfig {
                relays: vec![(RelayRegion::Any, url.parse().unwrap())],
                upstream_ca,
                ..GatewayConfig::default()
            },
            ..Config::default()
        })
    };
    let trusting = gateway(vec![pem]);
    let socket = open_websocket(&format!("ws://{}/derp", trusting.http), "derp", None).await.unwrap();
    assert!(admit(carry(socket).stream, BytesMut::new(), &relay.key()).await.is_ok());

    let other = tempfile::tempdir().unwrap();
    let (files, _) = write_certificate(other.path());
    let wary = gateway(vec![files.certificate]);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: derp\r\n";
    let request = format!("GET /derp HTTP/1.1\r\nHost: {}\r\n{upgrade}\r\n", wary.http);
    let mut stream = TcpStream::connect(wary.http).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let (head, _) = super::client::read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(status(&get(wary.http, "/healthz", "").await), 200);
}
