//! Small relays by region, in memory, on tokio.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dayfly_wire::key::NodePublic;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::Notify;

use super::{ClientId, Relay};
use crate::SeededRng;

/// Bytes between a client and its relay, each way.
const PIPE: usize = 16 << 10;

/// The relays of a test, by region. Clones are the same relays.
///
/// ```
/// use bytes::BytesMut;
/// use dayfly_testkit::SeededRng;
/// use dayfly_testkit::derp::{DerpClient, Relays};
/// use dayfly_wire::key::NodePrivate;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let relays = Relays::default();
/// let mut clients = Vec::new();
/// for seed in [1, 2] {
///     let key = NodePrivate::generate(&mut SeededRng::new(seed));
///     clients.push(DerpClient::handshake(relays.connect(1)?, BytesMut::new(), key, None).await?);
/// }
/// let [a, b] = &mut clients[..] else { unreachable!() };
/// a.send(&b.public(), b"hello").await?;
/// assert_eq!(b.packet().await?, (a.public(), b"hello".to_vec()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Relays(Arc<Mutex<HashMap<u32, Region>>>);

#[derive(Debug)]
struct Region {
    relay: Relay,
    /// Wakes each connection when something waits to be written to it.
    wake: HashMap<ClientId, Arc<Notify>>,
    is_down: bool,
    is_stuck: bool,
    dials: usize,
}

impl Default for Region {
    fn default() -> Self {
        let (relay, wake) = (Relay::new(SeededRng::fresh()), HashMap::new());
        Self { relay, wake, is_down: false, is_stuck: false, dials: 0 }
    }
}

impl Relays {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Region>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the relay of a region down, which ends its connections, or brings it back.
    pub fn set_down(&self, region: u32, is_down: bool) {
        let mut regions = self.lock();
        let region = regions.entry(region).or_default();
        region.is_down = is_down;
        if is_down {
            region.relay.close_all();
            region.wake.drain().for_each(|(_, wake)| wake.notify_one());
        }
    }

    /// Has the relay of a region take in nothing more from now on. It closes no connection.
    pub fn set_stuck(&self, region: u32) {
        self.lock().entry(region).or_default().is_stuck = true;
    }

    /// Returns how often the relay of a region was dialled.
    #[must_use]
    pub fn dials(&self, region: u32) -> usize {
        self.lock().get(&region).map_or(0, |region| region.dials)
    }

    /// Returns `true` while a client with this key is connected to the relay of a region.
    #[must_use]
    pub fn has_client(&self, region: u32, key: &NodePublic) -> bool {
        self.lock().get(&region).is_some_and(|region| region.relay.clients().any(|client| client == *key))
    }

    /// Opens a connection to the relay of a region, which a task serves from now on.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionRefused`] while that relay is down.
    pub fn connect(&self, region: u32) -> io::Result<DuplexStream> {
        let (client, stream) = tokio::io::duplex(PIPE);
        let wake = Arc::<Notify>::default();
        let mut regions = self.lock();
        let entry = regions.entry(region).or_default();
        entry.dials += 1;
        if entry.is_down {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let id = entry.relay.accept();
        entry.wake.insert(id, Arc::clone(&wake));
        drop(regions);
        let relays = self.clone();
        tokio::spawn(async move {
            // Whichever way it ended, the connection is over.
            let _ = relays.serve(region, id, &wake, stream).await;
            let mut regions = relays.lock();
            let region = regions.entry(region).or_default();
            region.relay.close(id);
            region.wake.remove(&id);
        });
        Ok(client)
    }

    async fn serve(
        &self,
        region: u32,
        id: ClientId,
        wake: &Notify,
        mut stream: DuplexStream,
    ) -> io::Result<()> {
        let mut chunk = vec![0; 4096];
        loop {
            let (is_stuck, waiting) = {
                let mut regions = self.lock();
                let region = regions.entry(region).or_default();
                (region.is_stuck, region.relay.transmit(id))
            };
            if is_stuck {
                std::future::pending::<()>().await;
            }
            let Some(waiting) = waiting else { return Ok(()) };
            stream.write_all(&waiting).await?;
            tokio::select! {
                read = stream.read(&mut chunk) => match read? {
                    0 => return Ok(()),
                    read => self.receive(region, id, chunk.get(..read).unwrap_or_default())?,
                },
                () = wake.notified() => {}
            }
        }
    }

    fn receive(&self, region: u32, id: ClientId, bytes: &[u8]) -> io::Result<()> {
        let mut regions = self.lock();
        let region = regions.entry(region).or_default();
        region.relay.receive(id, bytes).map_err(io::Error::other)?;
        while let Some(packet) = region.relay.poll_packet() {
            region.relay.deliver(&packet);
        }
        region.wake.values().for_each(|wake| wake.notify_one());
        Ok(())
    }
}
