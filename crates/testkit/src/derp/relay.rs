//! A small relay as a state machine: bytes go in, bytes come out, and each packet passes through the test's hands.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf as _, BytesMut};
use dayfly_wire::derp::{self, Decoded, Frame, FrameError, PeerGoneReason, Receiver, ServerInfo};
use dayfly_wire::key::{NodePrivate, NodePublic};

use crate::SeededRng;

/// Bytes that wait for one client at most. Beyond it packets are dropped, as relays do.
const MAX_WAITING: usize = 8 << 20;

/// A connection of a [`Relay`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientId(u64);

/// A packet on its way through a [`Relay`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// The connection that it came by.
    pub from: ClientId,
    /// The key of its sender.
    pub src: NodePublic,
    /// The key of its recipient.
    pub dst: NodePublic,
    /// The bytes that it carries.
    pub data: Vec<u8>,
}

#[derive(Debug, Default)]
struct Client {
    /// Known once its handshake is over.
    key: Option<NodePublic>,
    /// Received bytes that are no whole frame yet.
    received: BytesMut,
    /// Bytes that are to be written to it.
    waiting: BytesMut,
}

/// A DERP relay without sockets, clock and limits. It believes every client, and keeps no one alive by itself.
///
/// ```
/// use dayfly_testkit::SeededRng;
/// use dayfly_testkit::derp::Relay;
/// use dayfly_wire::derp::{self, Frame, Receiver};
///
/// let mut relay = Relay::new(SeededRng::new(1));
/// let client = relay.accept();
/// let written = relay.transmit(client).unwrap();
/// let first = derp::decode(&written, Receiver::Client)?.unwrap();
/// assert_eq!(first.frame, Frame::ServerKey { key: relay.public() });
/// # Ok::<(), derp::FrameError>(())
/// ```
#[derive(Debug)]
pub struct Relay {
    key: NodePrivate,
    rng: SeededRng,
    clients: BTreeMap<ClientId, Client>,
    packets: VecDeque<Packet>,
    accepted: u64,
}

impl Relay {
    /// A relay with a key drawn from `rng`.
    #[must_use]
    pub fn new(mut rng: SeededRng) -> Self {
        let key = NodePrivate::generate(&mut rng);
        Self { key, rng, clients: BTreeMap::new(), packets: VecDeque::new(), accepted: 0 }
    }

    /// Returns the relay's public key.
    #[must_use]
    pub fn public(&self) -> NodePublic {
        self.key.public()
    }

    /// Begins a connection.
    pub fn accept(&mut self) -> ClientId {
        self.accepted += 1;
        let id = ClientId(self.accepted);
        let mut client = Client::default();
        derp::put_server_key(&mut client.waiting, &self.key.public());
        self.clients.insert(id, client);
        id
    }

    /// Ends a connection. What waits for the client is lost; nobody is notified.
    pub fn close(&mut self, id: ClientId) {
        self.clients.remove(&id);
    }

    /// Ends all connections.
    pub fn close_all(&mut self) {
        self.clients.clear();
    }

    /// Returns the keys of the clients whose handshake is over.
    pub fn clients(&self) -> impl Iterator<Item = NodePublic> + '_ {
        self.clients.values().filter_map(|client| client.key)
    }

    /// Takes in bytes of a client. Packets among them wait at [`Relay::poll_packet`].
    ///
    /// # Errors
    /// When the client sends something that is no frame.
    pub fn receive(&mut self, id: ClientId, bytes: &[u8]) -> Result<(), FrameError> {
        let Some(client) = self.clients.get_mut(&id) else { return Ok(()) };
        client.received.extend_from_slice(bytes);
        while let Some(Decoded { frame, consumed }) = derp::decode(&client.received, Receiver::Server)? {
            match frame {
                Frame::ClientInfo { key, .. } => {
                    client.key = Some(key);
                    let (shared, info) = (self.key.shared(&key), ServerInfo::default());
                    // Its info is far shorter than any limit.
                    let _ = derp::put_server_info(&mut client.waiting, &shared, &info, &mut self.rng);
                }
                Frame::Ping(payload) => derp::put_pong(&mut client.waiting, payload),
                Frame::SendPacket { dst, data } => {
                    if let Some(src) = client.key {
                        self.packets.push_back(Packet { from: id, src, dst, data: data.to_vec() });
                    }
                }
                _ => {}
            }
            client.received.advance(consumed);
        }
        Ok(())
    }

    /// Takes a packet that a client sent: [`Relay::deliver`] hands it on, and what a test does not hand on is lost.
    pub fn poll_packet(&mut self) -> Option<Packet> {
        self.packets.pop_front()
    }

    /// Hands a packet to its recipient, whose newest connection counts, or notifies its sender that there is none.
    pub fn deliver(&mut self, packet: &Packet) {
        let recipient = self.clients.values_mut().rev().find(|client| client.key == Some(packet.dst));
        match recipient {
            Some(client) if client.waiting.len() + packet.data.len() <= MAX_WAITING => {
                // A packet that a frame carried here is short enough for another.
                let _ = derp::put_recv_packet(&mut client.waiting, &packet.src, &packet.data);
            }
            Some(_) => {}
            None => {
                if let Some(sender) = self.clients.get_mut(&packet.from) {
                    derp::put_peer_gone(&mut sender.waiting, &packet.dst, PeerGoneReason::NOT_HERE);
                }
            }
        }
    }

    /// Sends a keep-alive to a client.
    pub fn keep_alive(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(&id) {
            derp::put_keep_alive(&mut client.waiting);
        }
    }

    /// Takes the bytes that are to be written to a client; `None` once its connection has ended.
    pub fn transmit(&mut self, id: ClientId) -> Option<BytesMut> {
        self.clients.get_mut(&id).map(|client| client.waiting.split())
    }
}
