//! A relay that loses, alters and replays packets, and puts the wrong sender on them, can slow a session down, but what
//! is printed and typed in it arrives whole. The relay is ours, behind a proxy that does all that to what it sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use bytes::{Buf as _, BytesMut};
use dayfly_tests::native::{Carrier, NativeNode, NativeOptions};
use dayfly_tests::tailnet::MACHINE;
use dayfly_tests::{
    Headscale, HeadscaleOptions, KeyOptions, Region, Relay, RelayOptions, Tailscaled, TailscaledOptions,
    scenario,
};
use dayfly_wire::derp::{self, Frame, Receiver};
use dayfly_wire::key::NodePublic;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

#[test]
fn but_the_time_that_it_takes() -> Result<()> {
    scenario(|lab| {
        let relay = Relay::start(lab, RelayOptions::default())?;
        let proxy = Proxy::start(relay.region().derp_port)?;
        let region = Region { derp_port: proxy.port, ..relay.region() };
        let headscale = Headscale::start(lab, &HeadscaleOptions::with_region(region))?;
        let key = headscale.preauth_key(&KeyOptions::default())?;
        let _machine = Tailscaled::join(lab, headscale.url(), &key, TailscaledOptions::machine(MACHINE))?;
        let options = NativeOptions::new("deceived", &headscale.ephemeral_key()?);
        let options = NativeOptions { carrier: Carrier::Upgrade, ..options };
        let node = NativeNode::join(lab, headscale.url(), options)?;
        node.until_sees(MACHINE)?;

        let session = node.ssh(MACHINE, "root")?;
        let ran = node.run(&session, "seq 1 100000", b"")?;
        let numbers: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
        ensure!(ran.output == numbers.as_bytes(), "{} bytes came of {}", ran.output.len(), numbers.len());
        let ran = node.run(&session, "cat", numbers.as_bytes())?;
        ensure!(
            ran.output == numbers.as_bytes(),
            "{} bytes came back of {}",
            ran.output.len(),
            numbers.len()
        );
        let packets = proxy.packets.load(Ordering::Relaxed);
        ensure!(packets > 500, "the proxy saw {packets} packets only");
        Ok(())
    })
}

/// A proxy before a relay.
struct Proxy {
    port: u16,
    packets: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl Proxy {
    fn start(relay: u16) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let port = listener.local_addr()?.port();
        let packets = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&packets);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", relay)).await else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (mut from_client, to_client) = client.into_split();
                let (from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                tokio::spawn(deceive(from_server, to_client, Arc::clone(&count)));
            }
        });
        Ok(Self { port, packets, _runtime: runtime })
    }
}

/// Hands on the HTTP answer as it is, and what follows with everything done to it.
async fn deceive(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: Arc<AtomicUsize>) -> Result<()> {
    let mut buffer = BytesMut::new();
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        ensure!(from.read_buf(&mut buffer).await? > 0, "no answer");
    };
    to.write_all(&buffer.split_to(head)).await?;
    let mut before = Vec::new();
    loop {
        while let Some(decoded) = derp::decode(&buffer, Receiver::Client)? {
            let consumed = decoded.consumed;
            let mut out = Vec::new();
            match decoded.frame {
                Frame::RecvPacket { src, data } => {
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    put_deceit(&mut out, number, &src, data, &before)?;
                    before = data.to_vec();
                }
                _ => out.extend_from_slice(buffer.get(..consumed).unwrap_or_default()),
            }
            to.write_all(&out).await?;
            buffer.advance(consumed);
        }
        if from.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

fn put_deceit(out: &mut Vec<u8>, number: usize, src: &NodePublic, data: &[u8], before: &[u8]) -> Result<()> {
    if number.is_multiple_of(5) {
        let mut altered = data.to_vec();
        let at = number % altered.len().max(1);
        if let Some(byte) = altered.get_mut(at) {
            *byte ^= 1 << (number % 8);
        }
        derp::put_recv_packet(out, src, &altered)?;
    }
    if number.is_multiple_of(3) {
        derp::put_recv_packet(out, src, before)?;
    }
    if number.is_multiple_of(7) {
        derp::put_recv_packet(out, &NodePublic::from_bytes([9; 32]), data)?;
    }
    if number % 64 != 63 {
        derp::put_recv_packet(out, src, data)?;
    }
    Ok(())
}
