//! Through our gateway, a page that neither could serve reaches a real Headscale and a real `derper`, by plain HTTP and
//! by TLS with certificates that no browser takes.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::BytesMut;
use dayfly_platform::random::SystemRng;
use dayfly_testkit::derp::DerpClient;
use dayfly_testkit::{SeededRng, websocket};
use dayfly_tests::wait::{ANSWER, run};
use dayfly_tests::{Derper, Gateway, GatewayOptions, Headscale, HeadscaleOptions, Lab, scenario};
use dayfly_ts2021::{Handshake, first_frame_len};
use dayfly_wire::key::{MachinePrivate, MachinePublic, NodePrivate};
use dayfly_wire::ts2021::{HANDSHAKE_HEADER, UPGRADE};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::time::timeout;

/// A page of another site that the gateway allows.
const PAGE: &str = "https://page.example";
/// The capability version that the handshake reports.
const VERSION: u16 = 130;

#[test]
fn headscale_by_plain_http() -> Result<()> {
    scenario(|lab| control(lab, false))
}

#[test]
fn headscale_by_tls() -> Result<()> {
    scenario(|lab| control(lab, true))
}

fn control(lab: &Lab, tls: bool) -> Result<()> {
    let derper = Derper::start(lab, 900, false)?;
    let options = HeadscaleOptions { tls, ..HeadscaleOptions::with_region(derper.region()) };
    let headscale = Headscale::start(lab, &options)?;
    let gateway = gateway(lab, headscale.url(), None, headscale.certificate())?;

    let url = format!("{}/key?v={VERSION}", gateway.url());
    let mut answer = ureq::get(&url).header("Origin", PAGE).call()?;
    let shared = answer.headers().get("access-control-allow-origin").cloned();
    ensure!(shared.is_some_and(|origin| origin == PAGE), "the page may not read the key");
    let key: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
    let key: MachinePublic = key["publicKey"].as_str().context("no key")?.parse()?;
    let refused = ureq::get(&url).header("Origin", "https://evil.example").call();
    ensure!(matches!(refused, Err(ureq::Error::StatusCode(403))), "another page got {refused:?}");

    run(async {
        let machine = MachinePrivate::generate(&mut SystemRng);
        let (handshake, initiation) = Handshake::initiate(VERSION, &machine, &key, &mut SystemRng)?;
        let parameter = BASE64_STANDARD.encode(initiation);
        let parameter = parameter.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let url = format!("{}/ts2021?{HANDSHAKE_HEADER}={parameter}", gateway.url().replace("http", "ws"));
        let mut stream = open(&url, UPGRADE, PAGE).await?;
        let mut buffer = BytesMut::new();
        let len = loop {
            if let Some(len) = first_frame_len(&buffer)?.filter(|len| buffer.len() >= *len) {
                break len;
            }
            let read = timeout(ANSWER, stream.read_buf(&mut buffer)).await??;
            ensure!(read > 0, "closed in the handshake");
        };
        // Only who has Headscale's key can have made an answer that this takes.
        handshake.finish(&buffer.split_to(len))?;
        let other = open(&url, UPGRADE, "https://evil.example").await;
        ensure!(other.is_err(), "another page got a connection");
        Ok(())
    })
}

#[test]
fn derper_by_plain_http() -> Result<()> {
    scenario(|lab| relay(lab, false))
}

#[test]
fn derper_by_tls() -> Result<()> {
    scenario(|lab| relay(lab, true))
}

fn relay(lab: &Lab, tls: bool) -> Result<()> {
    let derper = Derper::start(lab, 900, tls)?;
    let scheme = if tls { "https" } else { "http" };
    let upstream = format!("900={scheme}://127.0.0.1:{}", derper.region().derp_port);
    // The control server is not asked for anything here.
    let gateway = gateway(lab, "http://127.0.0.1:9", Some(upstream), derper.certificate())?;
    run(async {
        let url = format!("{}/gateway/derp/900", gateway.url().replace("http", "ws"));
        let connect = async || {
            let key = NodePrivate::generate(&mut SeededRng::fresh());
            let stream = open(&url, "derp", PAGE).await?;
            anyhow::Ok(DerpClient::handshake(stream, BytesMut::new(), key, Some(ANSWER)).await?)
        };
        let (mut near, mut far) = (connect().await?, connect().await?);
        for len in [1, 1280, 65_536] {
            let packet = vec![7; len];
            near.send(&far.public(), &packet).await?;
            ensure!(far.packet().await? == (near.public(), packet.clone()), "{len} bytes arrived changed");
            far.send(&near.public(), &packet).await?;
            ensure!(near.packet().await? == (far.public(), packet), "{len} bytes came back changed");
        }
        ensure!(open(&url, "derp", "https://evil.example").await.is_err(), "another page got a connection");
        let elsewhere = url.replace("/900", "/901");
        ensure!(open(&elsewhere, "derp", PAGE).await.is_err(), "another region leads somewhere");
        Ok(())
    })
}

/// Opens a WebSocket as a page of `origin` does.
async fn open(url: &str, subprotocol: &str, origin: &str) -> Result<DuplexStream> {
    let socket = timeout(ANSWER, websocket::connect(url, subprotocol, Some(origin))).await??;
    Ok(websocket::carry(socket).stream)
}

fn gateway(lab: &Lab, control: &str, derp: Option<String>, trust: Option<&PathBuf>) -> Result<Gateway> {
    let mut arguments = vec!["--allow-origin".to_owned(), PAGE.to_owned()];
    if let Some(certificate) = trust {
        arguments.extend(["--upstream-ca".to_owned(), certificate.display().to_string()]);
    }
    Gateway::start(
        lab,
        &GatewayOptions { control: control.to_owned(), derp, arguments, ..GatewayOptions::default() },
    )
}
