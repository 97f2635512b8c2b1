//! The load: clients of a relay that send to each other, or do nothing.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use dayfly_node::{DerpAddress, Dialer as _};
use dayfly_platform::BoxByteStream;
use dayfly_testkit::SeededRng;
use dayfly_testkit::derp::DerpClient;
use dayfly_tests::native::{Carrier, NativeDialer, Trust};
use dayfly_wire::derp::{self, Frame};
use dayfly_wire::key::NodePrivate;
use futures::future::try_join_all;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Bytes of packets that are forwarded.
pub(super) const FORWARDED: usize = PAIRS * PACKETS * PACKET;

/// The length of a packet: a full one of a tunnel.
const PACKET: usize = 1280;
/// Clients that send, each to one that receives.
const PAIRS: usize = 8;
/// Packets that each of them sends.
const PACKETS: usize = 48_000;
/// Packets of one sender that are on their way at most: `derper` keeps 32 for a client, and drops more.
const WINDOW: usize = 24;
/// Packets that are written at once.
const BATCH: usize = 8;
/// Clients that connect at the same time.
const AT_ONCE: usize = 20;
/// The longest that a handshake, or all packets, may take.
const LIMIT: Duration = Duration::from_secs(300);

/// The source of clients of one relay.
pub(super) struct Load {
    dialer: NativeDialer,
    address: DerpAddress,
}

/// A client that the relay has admitted.
pub(super) type Client = DerpClient<BoxByteStream>;

impl Load {
    /// Clients of the relay on `port` of 127.0.0.1.
    pub(super) fn new(port: u16, tls: bool) -> Result<Self> {
        // Relays alone are dialled.
        let dialer =
            NativeDialer::with_trust("http://127.0.0.1:1", Trust::nobody())?.carrier(Carrier::Upgrade);
        let dialer = if tls { dialer } else { dialer.plain_relays() };
        let host = "127.0.0.1".to_owned();
        Ok(Self { dialer, address: DerpAddress { region: 900, host, port, insecure_for_tests: true } })
    }

    /// Connect that many clients.
    pub(super) async fn connect(&self, count: usize) -> Result<Vec<Client>> {
        let mut clients = Vec::with_capacity(count);
        while clients.len() < count {
            let some = AT_ONCE.min(count - clients.len());
            let connecting = (0..some).map(|_| timeout(LIMIT, self.client()));
            for client in try_join_all(connecting).await? {
                clients.push(client?);
            }
        }
        Ok(clients)
    }

    /// Have [`FORWARDED`] bytes forwarded.
    pub(super) async fn forward(&self) -> Result<()> {
        let mut clients = self.connect(2 * PAIRS).await?.into_iter();
        let mut flows = Vec::new();
        while let (Some(from), Some(to)) = (clients.next(), clients.next()) {
            flows.push(flow(from, to));
        }
        timeout(LIMIT, try_join_all(flows)).await.context("a packet was lost")??;
        Ok(())
    }

    async fn client(&self) -> Result<Client> {
        let stream = self.dialer.derp(&self.address).await?;
        let key = NodePrivate::generate(&mut SeededRng::fresh());
        Ok(DerpClient::handshake(stream, BytesMut::new(), key, None).await?)
    }
}

/// Sends all packets of one pair, never more than the window before what has arrived.
async fn flow(mut from: Client, mut to: Client) -> Result<()> {
    let window = Semaphore::new(WINDOW);
    let mut batch = Vec::new();
    for _ in 0..BATCH {
        derp::put_send_packet(&mut batch, &to.public(), &[0x5a; PACKET])?;
    }
    let sending = async {
        for _ in 0..PACKETS / BATCH {
            window.acquire_many(BATCH as u32).await?.forget();
            from.write(&batch).await?;
        }
        anyhow::Ok(())
    };
    let receiving = async {
        let mut received = 0;
        while received < PACKETS {
            let mut packets = 0;
            to.frames(|frame| packets += usize::from(matches!(frame, Frame::RecvPacket { .. }))).await?;
            window.add_permits(packets);
            received += packets;
        }
        Ok(())
    };
    tokio::try_join!(sending, receiving).map(drop)
}
