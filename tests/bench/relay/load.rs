//! The load: clients of a relay that send to each other, or do nothing.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::{Buf as _, BytesMut};
use dayfly_node::{DerpAddress, Dialer as _};
use dayfly_platform::BoxByteStream;
use dayfly_platform::random::SystemRng;
use dayfly_tests::native::{Carrier, NativeDialer};
use dayfly_wire::derp::{self, ClientInfo, Frame, Receiver};
use dayfly_wire::key::{NodePrivate, NodePublic};
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many bytes of packets are forwarded.
pub(super) const FORWARDED: usize = PAIRS * PACKETS * PACKET;

/// The length of a packet: a full one of a tunnel.
const PACKET: usize = 1280;
/// How many clients send, each to one that receives.
const PAIRS: usize = 8;
/// How many packets each sends.
const PACKETS: usize = 48_000;
/// How many packets of one sender are on their way at most: `derper` keeps 32 for a client, and drops more.
const WINDOW: usize = 24;
/// How many are written at once.
const BATCH: usize = 8;
/// How many clients connect at the same time.
const AT_ONCE: usize = 20;
/// How long a greeting, or all packets, may take.
const LIMIT: Duration = Duration::from_secs(300);

/// What makes clients of one relay.
pub(super) struct Load {
    dialer: NativeDialer,
    address: DerpAddress,
}

/// A client that was let in.
pub(super) struct Client {
    stream: BoxByteStream,
    buffer: BytesMut,
    key: NodePublic,
}

impl Load {
    /// Clients of the relay on `port` of 127.0.0.1.
    pub(super) fn new(port: u16, tls: bool) -> Result<Self> {
        let dialer = NativeDialer::new("http://127.0.0.1:1", Carrier::Upgrade, !tls, None)?;
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
        let own = NodePrivate::generate(&mut SystemRng);
        let stream = self.dialer.derp(&self.address).await?;
        let mut client = Client { stream, buffer: BytesMut::new(), key: own.public() };
        let mut server = None;
        client
            .until(|frame| match frame {
                Frame::ServerKey { key } => {
                    server = Some(key);
                    true
                }
                _ => false,
            })
            .await?;
        let mut out = Vec::new();
        let server = server.context("no key of the relay")?;
        derp::put_client_info(&mut out, &own, &server, &ClientInfo::default(), &mut SystemRng)?;
        client.write(&out).await?;
        client.until(|frame| matches!(frame, Frame::ServerInfo { .. })).await?;
        Ok(client)
    }
}

impl Client {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Take frames until one is `wanted`.
    async fn until(&mut self, mut wanted: impl FnMut(Frame<'_>) -> bool) -> Result<()> {
        loop {
            while let Some(decoded) = derp::decode(&self.buffer, Receiver::Client)? {
                let (found, consumed) = (wanted(decoded.frame), decoded.consumed);
                self.buffer.advance(consumed);
                if found {
                    return Ok(());
                }
            }
            self.read().await?;
        }
    }

    /// Take all frames that have come, or wait for some; how many of them are packets.
    async fn packets(&mut self) -> Result<usize> {
        self.read().await?;
        let mut packets = 0;
        while let Some(decoded) = derp::decode(&self.buffer, Receiver::Client)? {
            packets += usize::from(matches!(decoded.frame, Frame::RecvPacket { .. }));
            let consumed = decoded.consumed;
            self.buffer.advance(consumed);
        }
        Ok(packets)
    }

    async fn read(&mut self) -> Result<()> {
        self.buffer.reserve(64 << 10);
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the relay hung up");
        Ok(())
    }
}

/// Sends all packets of one pair, never more than the window before what has arrived.
async fn flow(mut from: Client, mut to: Client) -> Result<()> {
    let window = Semaphore::new(WINDOW);
    let mut batch = Vec::new();
    for _ in 0..BATCH {
        derp::put_send_packet(&mut batch, &to.key, &[0x5a; PACKET])?;
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
            let packets = to.packets().await?;
            window.add_permits(packets);
            received += packets;
        }
        Ok(())
    };
    tokio::try_join!(sending, receiving).map(drop)
}
