//! The edge that the native tests put under our node opens what the engine asks for, by HTTP upgrade as by WebSocket:
//! the first messages of Headscale, of `derper` and of our relay come out of its streams.

use anyhow::{Context as _, Result, bail, ensure};
use dayfly_node::{DerpAddress, DialError, Dialer as _};
use dayfly_platform::BoxByteStream;
use dayfly_platform::random::SystemRng;
use dayfly_tests::native::{Carrier, Firewall, NativeDialer, Trust};
use dayfly_tests::{Derper, Headscale, HeadscaleOptions, Region, Relay, RelayOptions, scenario};
use dayfly_ts2021::Handshake;
use dayfly_wire::control::{CAPABILITY_VERSION, parse_control_key};
use dayfly_wire::derp::{self, Frame, Receiver};
use dayfly_wire::key::MachinePrivate;
use dayfly_wire::ts2021::RESPONSE_LEN;
use tokio::io::AsyncReadExt as _;

/// Nothing is asked of a control server where relays alone are dialled.
const NO_CONTROL: &str = "http://127.0.0.1:1";
const CARRIERS: [Carrier; 3] = [Carrier::Either, Carrier::Upgrade, Carrier::WebSocket];

#[test]
fn to_headscale() -> Result<()> {
    scenario(|lab| {
        let options = HeadscaleOptions { embedded_derp: true, tls: true, ..HeadscaleOptions::default() };
        let headscale = Headscale::start(lab, &options)?;
        let embedded = headscale.address().port();
        for carrier in CARRIERS {
            let url = headscale.url();
            let trust = headscale.certificate().map(std::slice::from_ref).unwrap_or_default();
            let dialer = NativeDialer::with_trust(url, Trust::only(trust)?)?.carrier(carrier);
            wait(async {
                let body = dialer.control_key(CAPABILITY_VERSION).await?;
                let key = parse_control_key(&body)?;
                let machine = MachinePrivate::generate(&mut SystemRng);
                let (handshake, initiation) =
                    Handshake::initiate(CAPABILITY_VERSION, &machine, &key, &mut SystemRng)?;
                let mut stream = dialer.control(&initiation).await?;
                let mut response = [0; RESPONSE_LEN];
                stream.read_exact(&mut response).await?;
                handshake.finish(&response)?;
                first_frame(dialer.derp(&address(embedded, false)).await?).await
            })
            .with_context(|| format!("by {carrier:?}"))?;

            let stranger = NativeDialer::with_trust(url, Trust::nobody())?.carrier(carrier);
            match wait(async { Ok(stranger.control_key(CAPABILITY_VERSION).await) })? {
                Err(DialError::Unreachable { reason, .. }) => {
                    ensure!(reason.contains("certificate"), "it does not name the certificate: {reason}");
                }
                other => bail!("without trust: {other:?}"),
            }
            let page = NativeDialer::with_trust(&format!("{url}/no-such-page"), Trust::only(trust)?)?
                .carrier(carrier);
            match wait(async { Ok(page.control_key(CAPABILITY_VERSION).await) })? {
                Err(DialError::Status { status: 404, .. }) => {}
                other => bail!("a page that is not there: {other:?}"),
            }
        }
        Ok(())
    })
}

#[test]
fn to_relays() -> Result<()> {
    scenario(|lab| {
        let derper = Derper::start(lab, 900, true)?;
        let relay = Relay::start(lab, RelayOptions::default())?;
        for carrier in CARRIERS {
            for (Region { derp_port, .. }, plain) in [(derper.region(), false), (relay.region(), true)] {
                let dialer = NativeDialer::with_trust(NO_CONTROL, Trust::nobody())?.carrier(carrier);
                let dialer = Firewall::new(if plain { dialer.plain_relays() } else { dialer });
                let opened = wait(async { first_frame(dialer.derp(&address(derp_port, true)).await?).await });
                opened.with_context(|| format!("by {carrier:?}, plain: {plain}"))?;
                dialer.set_closed(900, true);
                let opened = wait(async { Ok(dialer.derp(&address(derp_port, true)).await) })?;
                ensure!(opened.is_err(), "a region that is cut off was dialled");
            }
        }
        Ok(())
    })
}

fn address(port: u16, insecure_for_tests: bool) -> DerpAddress {
    DerpAddress { region: 900, host: "127.0.0.1".to_owned(), port, insecure_for_tests }
}

/// Reads a relay's first frame, which has its key.
async fn first_frame(mut stream: BoxByteStream) -> Result<()> {
    let mut buffer = Vec::new();
    loop {
        if let Some(first) = derp::decode(&buffer, Receiver::Client)? {
            ensure!(matches!(first.frame, Frame::ServerKey { .. }), "the first frame is {:?}", first.frame);
            return Ok(());
        }
        ensure!(stream.read_buf(&mut buffer).await? > 0, "the relay hung up after {} bytes", buffer.len());
    }
}

fn wait<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { tokio::time::timeout(dayfly_tests::wait::READY, future).await })?
}
