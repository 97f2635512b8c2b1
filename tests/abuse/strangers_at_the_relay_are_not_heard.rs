//! Somebody who is connected to the same relay, but is no peer, gets no answer from our node whatever he sends, and
//! does not disturb a shell by it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::BytesMut;
use dayfly_node::{DerpAddress, Dialer as _};
use dayfly_platform::BoxByteStream;
use dayfly_platform::random::SystemRng;
use dayfly_platform::time::Moment;
use dayfly_ssh::Pty;
use dayfly_testkit::derp::{DerpClient, Received};
use dayfly_tests::native::{NativeDialer, Trust, ask};
use dayfly_tests::tailnet::{MACHINE, on_shared_tailnet};
use dayfly_tests::wait::READY;
use dayfly_wire::derp::{self, MAX_PACKET_LEN};
use dayfly_wire::disco;
use dayfly_wire::key::{DiscoPrivate, DiscoPublic, NodePrivate, NodePublic};
use dayfly_wireguard::{Device, PeerConfig};
use rand_core::Rng as _;
use zeroize::Zeroizing;

/// Packets of each kind that are sent.
const ROUNDS: usize = 300;

#[test]
fn whatever_they_send() -> Result<()> {
    on_shared_tailnet(|lab, tailnet| {
        let node = tailnet.join(lab, "bothered")?;
        let (key, disco) = node
            .node()
            .with_netmap(|map| map.self_node().and_then(|me| Some((me.key(), me.disco_key()?))))
            .context("the node does not know its own keys")?;
        let session = node.ssh(MACHINE, "root")?;
        let mut shell = node.block_on(session.shell(Pty::new(80, 24)))??;

        let port = tailnet.relay.region().derp_port;
        let address =
            DerpAddress { region: 901, host: "127.0.0.1".to_owned(), port, insecure_for_tests: true };
        let dialer = NativeDialer::with_trust(tailnet.headscale.url(), Trust::nobody())?.plain_relays();
        node.block_on(async {
            let key_of_nobody = NodePrivate::generate(&mut SystemRng);
            let stream = dialer.derp(&address).await?;
            let client =
                DerpClient::handshake(stream, BytesMut::new(), key_of_nobody.clone(), Some(READY)).await?;
            let mut stranger =
                Stranger { client, key: key_of_nobody, disco: DiscoPrivate::generate(&mut SystemRng) };
            for round in 0..ROUNDS {
                let mut out = Vec::new();
                for packet in stranger.packets(&disco, &key, round) {
                    derp::put_send_packet(&mut out, &key, &packet)?;
                }
                stranger.client.write(&out).await?;
                if round % 100 == 0 {
                    let line = format!("echo $((500 + 500 + {round}))");
                    ask(&mut shell, &line, &format!("{}", 1000 + round)).await?;
                }
            }
            // What the relay hands on comes in order: the node has seen all of it once the shell has answered.
            ask(&mut shell, "echo $((40 + 2))", "42").await?;
            let received = stranger.client.sync().await?;
            let answers: Vec<_> =
                received.iter().filter(|received| matches!(received, Received::Packet(..))).collect();
            ensure!(answers.is_empty(), "the stranger got {} answers: {answers:?}", answers.len());
            Ok(())
        })?
    })
}

/// A client of the relay with a key that nobody knows.
struct Stranger {
    client: DerpClient<BoxByteStream>,
    key: NodePrivate,
    disco: DiscoPrivate,
}

impl Stranger {
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
}
