//! Somebody who is connected to the same relay, but is no peer, gets no answer from our node whatever he sends, and
//! does not disturb a shell by it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BytesMut};
use dayfly_node::{DerpAddress, Dialer as _};
use dayfly_platform::BoxByteStream;
use dayfly_platform::random::SystemRng;
use dayfly_platform::time::Moment;
use dayfly_ssh::Pty;
use dayfly_tests::native::{Carrier, Carrying, MACHINE, NativeDialer, ask, on_shared_tailnet};
use dayfly_tests::wait::READY;
use dayfly_wire::derp::{self, ClientInfo, Frame, MAX_PACKET_LEN, Receiver};
use dayfly_wire::disco;
use dayfly_wire::key::{DiscoPrivate, DiscoPublic, NodePrivate, NodePublic};
use dayfly_wireguard::{Device, PeerConfig};
use rand_core::Rng as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

/// How often each kind of packet is sent.
const ROUNDS: usize = 300;

#[test]
fn whatever_they_send() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let Carrying::Ours(relay) = &tailnet.relay else { bail!("another relay") };
        let node = tailnet.join(lab, "bothered")?;
        let (key, disco) = node
            .node()
            .with_netmap(|map| map.self_node().and_then(|me| Some((me.key(), me.disco_key()?))))
            .context("the node does not know its own keys")?;
        let session = node.ssh(MACHINE, "root")?;
        let mut shell = node.block_on(session.shell(Pty::new(80, 24)))??;

        let port = relay.region().derp_port;
        let address =
            DerpAddress { region: 901, host: "127.0.0.1".to_owned(), port, insecure_for_tests: true };
        let dialer = NativeDialer::new(tailnet.headscale.url(), Carrier::Upgrade, true, None)?;
        node.block_on(async {
            let mut stranger = Stranger::greet(dialer.derp(&address).await?).await?;
            for round in 0..ROUNDS {
                for packet in stranger.packets(&disco, &key, round) {
                    derp::put_send_packet(&mut stranger.out, &key, &packet)?;
                }
                stranger.flush().await?;
                if round % 100 == 0 {
                    let line = format!("echo $((500 + 500 + {round}))");
                    ask(&mut shell, &line, &format!("{}", 1000 + round)).await?;
                }
            }
            // What the relay hands on comes in order: the node has seen all of it once the shell has answered.
            ask(&mut shell, "echo $((40 + 2))", "42").await?;
            let answers = stranger.answers().await?;
            ensure!(
                answers.is_empty(),
                "the stranger got {} answers, of the kinds {answers:?}",
                answers.len()
            );
            Ok(())
        })?
    })
}

/// A client of the relay with a key that nobody knows.
struct Stranger {
    stream: BoxByteStream,
    key: NodePrivate,
    disco: DiscoPrivate,
    buffer: BytesMut,
    out: Vec<u8>,
}

impl Stranger {
    async fn greet(stream: BoxByteStream) -> Result<Self> {
        let key = NodePrivate::generate(&mut SystemRng);
        let disco = DiscoPrivate::generate(&mut SystemRng);
        let mut stranger = Self { stream, key, disco, buffer: BytesMut::new(), out: Vec::new() };
        let server = stranger.until(|frame| match frame {
            Frame::ServerKey { key } => Some(key),
            _ => None,
        });
        let server = server.await?;
        let info = ClientInfo::default();
        derp::put_client_info(&mut stranger.out, &stranger.key, &server, &info, &mut SystemRng)?;
        stranger.flush().await?;
        stranger.until(|frame| matches!(frame, Frame::ServerInfo { .. }).then_some(())).await?;
        Ok(stranger)
    }

    /// One packet of each kind: a disco ping, a WireGuard handshake that is in order but for its sender, noise behind
    /// the head of each kind of message, and noise alone, of all lengths.
    fn packets(&self, disco: &DiscoPublic, node: &NodePublic, round: usize) -> Vec<Vec<u8>> {
        let ping = disco::Message::Ping { tx_id: [7; 12], node: Some(self.key.public()) };
        let ping = ping.seal(&self.disco.public(), &self.disco.shared(disco), &mut SystemRng);

        let now = Moment::from_start(Duration::from_secs(round as u64));
        let mut device =
            Device::new(Zeroizing::new(*self.key.as_bytes()), Duration::from_secs(1_800_000_000));
        let public_key = *node.as_bytes();
        device.add_peer(PeerConfig { public_key, preshared_key: None, persistent_keepalive: None });
        device.connect(&public_key, now, &mut SystemRng);
        let initiation = device.poll_transmit().map(|transmit| transmit.datagram).unwrap_or_default();

        let mut packets = vec![ping, initiation];
        for (kind, length) in [(1, 148), (2, 92), (3, 64), (4, 32 + round), (4, 1400), (99, MAX_PACKET_LEN)] {
            let mut packet = vec![0; length];
            SystemRng.fill_bytes(&mut packet);
            packet.splice(..4, [kind, 0, 0, 0]);
            packets.push(packet);
        }
        packets.push(
            packets.first().and_then(|ping| ping.get(..round.min(ping.len()))).unwrap_or_default().to_vec(),
        );
        packets
    }

    async fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out).await?;
        self.stream.flush().await?;
        self.out.clear();
        Ok(())
    }

    /// The first bytes of the packets that have come, from whomever.
    async fn answers(&mut self) -> Result<Vec<Option<u8>>> {
        derp::put_ping(&mut self.out, *b"the end.");
        self.flush().await?;
        let mut packets = Vec::new();
        self.until(|frame| match frame {
            Frame::RecvPacket { data, .. } => {
                packets.push(data.first().copied());
                None
            }
            Frame::Pong(payload) => (payload == *b"the end.").then_some(()),
            _ => None,
        })
        .await?;
        Ok(packets)
    }

    /// Reads frames until `find` finds something.
    async fn until<T>(&mut self, mut find: impl FnMut(Frame<'_>) -> Option<T>) -> Result<T> {
        loop {
            while let Some(decoded) = derp::decode(&self.buffer, Receiver::Client)? {
                let found = find(decoded.frame);
                let consumed = decoded.consumed;
                self.buffer.advance(consumed);
                if let Some(found) = found {
                    return Ok(found);
                }
            }
            let read = tokio::time::timeout(READY, self.stream.read_buf(&mut self.buffer)).await??;
            ensure!(read > 0, "the relay hung up");
        }
    }
}
