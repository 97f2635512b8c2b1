//! The client's side of a DERP connection.

use std::time::Duration;

use bytes::BytesMut;
use dayfly_platform::time::Moment;
use dayfly_wire::derp::{
    self, ClientInfo, Frame, FrameError, FrameType, HEADER_LEN, Header, PacketTooLong, PeerGoneReason,
    Receiver, ServerInfo,
};
use dayfly_wire::key::{KEY_LEN, NodePrivate, NodePublic};
use dayfly_wire::nacl::SharedKey;
use rand_core::CryptoRng;

use super::error::{DerpError, RelayError};

/// Time that the handshake may take; derper gives up after as long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for which a relay may be silent: twice its keep-alive interval (`derp/derp_client.go`, `Client.Recv`
/// (tailscale v1.102.5)).
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// Time that an answer to a probe may take. WireGuard begins a handshake after 15 s without an answer, with a third of a
/// second at random, and so a relay that is away is found out within 20 s.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);
/// Longest text about its health that is taken from a relay, in bytes.
const MAX_HEALTH: usize = 256;
/// Bytes that may wait in [`Client::transmit`]. Packets beyond it are refused.
pub(crate) const TRANSMIT_CAP: usize = 1 << 20;
/// Bytes above [`TRANSMIT_CAP`] for pongs, so that a relay's pings are answered while packets wait.
const PONG_RESERVE: usize = 4 << 10;

/// Reason why a packet was not queued. It is dropped then, as on any network.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum SendError {
    /// The handshake is not complete.
    #[error("the relay connection is not ready")]
    NotReady,
    /// [`TRANSMIT_CAP`] bytes wait to be written already.
    #[error("too much waits to be written to the relay")]
    Full,
    /// The relay has named a limit, and this is more.
    #[error("the relay takes no more than {bytes_per_second} bytes a second")]
    RateLimited {
        /// The relay's limit.
        bytes_per_second: u64,
    },
    /// The packet is longer than DERP relays.
    #[error(transparent)]
    TooLong(#[from] PacketTooLong),
}

/// Result of [`Client::handle`].
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    /// Bytes from the front of the buffer that are done with. With 0 and no event, more bytes are needed.
    pub consumed: usize,
    /// Event that they amount to, if it is of interest outside.
    pub event: Option<Event<'a>>,
}

/// Event of a relay connection.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Event<'a> {
    /// The handshake is complete: packets may be sent.
    Ready {
        /// The relay's key.
        server_key: NodePublic,
        /// The relay's version and its limits for this client.
        info: ServerInfo,
    },
    /// A peer's packet, in the buffer that was handed in.
    Packet {
        /// Sender of the packet, as the relay knows it.
        src: NodePublic,
        /// The packet, to be decrypted where it lies.
        data: &'a mut [u8],
    },
    /// A peer cannot be reached over this relay.
    PeerGone {
        /// The peer.
        peer: NodePublic,
        /// Reason: it left, or was never here.
        reason: PeerGoneReason,
    },
    /// Problem with this connection, such as another one with the same key; empty when all is well again. At most
    /// 256 bytes of what the relay said.
    Health(String),
    /// The relay is about to restart.
    Restarting {
        /// Time after which to connect again.
        reconnect_in: Duration,
        /// Time for which to go on trying.
        try_for: Duration,
    },
    /// The answer to [`Client::probe`].
    Pong([u8; 8]),
}

/// Progress of the handshake.
#[derive(Debug)]
enum State {
    AwaitServerKey,
    AwaitServerInfo { server_key: NodePublic, shared: SharedKey },
    Ready,
}

/// One connection to a relay.
///
/// Input: [`handle`](Self::handle) with what was read, in a loop; [`handle_timeout`](Self::handle_timeout) once
/// [`poll_timeout`](Self::poll_timeout) has passed. Output: what [`transmit`](Self::transmit) holds after any
/// call. After an error the connection is to be closed and the client dropped.
#[derive(Debug)]
pub(crate) struct Client {
    node_key: NodePrivate,
    state: State,
    /// Moment at which the handshake has to be complete, or the relay has been silent too long.
    deadline: Moment,
    /// Moment at which the last frame came.
    heard: Moment,
    transmit: BytesMut,
    rate: Option<TokenBucket>,
}

impl Client {
    /// Starts a connection that has just been opened at `now`. `node_key` is the address on the relay.
    pub(crate) fn new(node_key: NodePrivate, now: Moment) -> Self {
        Self {
            node_key,
            state: State::AwaitServerKey,
            deadline: now + HANDSHAKE_TIMEOUT,
            heard: now,
            transmit: BytesMut::new(),
            rate: None,
        }
    }

    /// Returns `true` once the handshake is complete.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready)
    }

    /// Returns the moment at which the last frame came, or the connection was opened.
    pub(crate) fn heard(&self) -> Moment {
        self.heard
    }

    /// Takes the first frame off `data`, what was read and not yet consumed.
    ///
    /// Frames without anything of interest are consumed without an event; a relay's ping is answered.
    ///
    /// # Errors
    /// When the server does not speak DERP or broke its rules.
    pub(crate) fn handle<'a>(
        &mut self,
        data: &'a mut [u8],
        now: Moment,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Progress<'a>, DerpError> {
        let Some(header) = data.first_chunk::<HEADER_LEN>().copied().map(Header::parse) else {
            return Ok(Progress { consumed: 0, event: None });
        };
        header.check(Receiver::Client)?;
        let consumed = HEADER_LEN + header.len;
        let Some(payload) = data.get_mut(HEADER_LEN..consumed) else {
            return Ok(Progress { consumed: 0, event: None });
        };
        self.heard = now;
        let event = match &self.state {
            State::AwaitServerKey => {
                self.server_key(header.kind, payload, rng)?;
                None
            }
            State::AwaitServerInfo { server_key, shared } => {
                let server_key = *server_key;
                match Frame::parse(header.kind, payload)? {
                    Frame::ServerInfo { sealed } => {
                        let info = derp::open_server_info(shared, sealed)?;
                        self.rate = TokenBucket::new(&info, now);
                        self.state = State::Ready;
                        self.deadline = now + READ_TIMEOUT;
                        Some(Event::Ready { server_key, info })
                    }
                    Frame::KeepAlive | Frame::Unknown { .. } => None,
                    _ => return Err(DerpError::Unexpected { kind: header.kind }),
                }
            }
            State::Ready => {
                self.deadline = now + READ_TIMEOUT;
                self.frame(header.kind, payload)?
            }
        };
        Ok(Progress { consumed, event })
    }

    /// Answers the relay's key with this node's side of the handshake.
    fn server_key(
        &mut self,
        kind: FrameType,
        payload: &[u8],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(), DerpError> {
        let Frame::ServerKey { key } = Frame::parse(kind, payload)? else {
            return Err(DerpError::Unexpected { kind });
        };
        let shared = self.node_key.shared(&key);
        derp::put_client_info(&mut self.transmit, &self.node_key, &key, &ClientInfo::default(), rng)?;
        self.state = State::AwaitServerInfo { server_key: key, shared };
        Ok(())
    }

    /// Takes a frame after the handshake.
    fn frame<'a>(&mut self, kind: FrameType, payload: &'a mut [u8]) -> Result<Option<Event<'a>>, DerpError> {
        if kind == FrameType::RECV_PACKET {
            // Taken apart here, for the codec hands out shared borrows only.
            let short = FrameError::TooShort { kind, len: payload.len(), min: KEY_LEN };
            let (src, data) = payload.split_first_chunk_mut().ok_or(short)?;
            return Ok(Some(Event::Packet { src: NodePublic::from_bytes(*src), data }));
        }
        Ok(match Frame::parse(kind, payload)? {
            Frame::PeerGone { peer, reason } => Some(Event::PeerGone { peer, reason }),
            Frame::Health(text) => {
                let text = text.get(..MAX_HEALTH).unwrap_or(text);
                Some(Event::Health(String::from_utf8_lossy(text).into_owned()))
            }
            Frame::Restarting { reconnect_in, try_for } => Some(Event::Restarting { reconnect_in, try_for }),
            Frame::Pong(payload) => Some(Event::Pong(payload)),
            Frame::Ping(payload) => {
                if self.transmit.len() < TRANSMIT_CAP + PONG_RESERVE {
                    derp::put_pong(&mut self.transmit, payload);
                }
                None
            }
            _ => None,
        })
    }

    /// Queues a packet for `dst`.
    ///
    /// # Errors
    /// When the packet cannot be sent now; it is dropped, and nothing is queued.
    pub(crate) fn send_packet(
        &mut self,
        dst: &NodePublic,
        data: &[u8],
        now: Moment,
    ) -> Result<(), SendError> {
        let len = HEADER_LEN + KEY_LEN + data.len();
        if !self.is_ready() {
            return Err(SendError::NotReady);
        }
        if self.transmit.len() + len > TRANSMIT_CAP {
            return Err(SendError::Full);
        }
        if data.len() > derp::MAX_PACKET_LEN {
            return Err(PacketTooLong { len: data.len() }.into());
        }
        if let Some(rate) = &mut self.rate
            && !rate.take(len, now)
        {
            return Err(SendError::RateLimited { bytes_per_second: rate.bytes_per_second });
        }
        Ok(derp::put_send_packet(&mut self.transmit, dst, data)?)
    }

    /// Reports to the relay whether it is this node's home. Does nothing before [`Event::Ready`].
    pub(crate) fn note_preferred(&mut self, home: bool) {
        if self.is_ready() {
            derp::put_note_preferred(&mut self.transmit, home);
        }
    }

    /// Asks the relay for a keep-alive, which must come within 4 s: for when the connection may have died unnoticed,
    /// while a machine slept for instance. Does nothing before [`Event::Ready`].
    pub(crate) fn probe(&mut self, payload: [u8; 8], now: Moment) {
        if self.is_ready() {
            derp::put_ping(&mut self.transmit, payload);
            self.deadline = self.deadline.min(now + PROBE_TIMEOUT);
        }
    }

    /// Returns the bytes that wait to be written; what was written is to be taken off the front.
    pub(crate) fn transmit(&mut self) -> &mut BytesMut {
        &mut self.transmit
    }

    /// Returns the number of bytes that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.transmit.len()
    }

    /// Returns the moment at which [`handle_timeout`](Self::handle_timeout) has to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        Some(self.deadline)
    }

    /// Finds out whether the relay has had its time.
    ///
    /// # Errors
    /// When the handshake took too long or the relay has been silent too long.
    pub(crate) fn handle_timeout(&self, now: Moment) -> Result<(), RelayError> {
        if now < self.deadline {
            return Ok(());
        }
        Err(if self.is_ready() { RelayError::Silent } else { RelayError::HandshakeTimedOut })
    }
}

/// Rate limit that a relay has set this client: whole bytes, of which a packet takes its own or none.
///
/// The relay's bucket (`relay/src/derp/rate.rs`) is another: it goes into debt and says how long to wait, counts fractions of
/// connections too, and runs on tokio's clock.
#[derive(Debug)]
struct TokenBucket {
    bytes_per_second: u64,
    burst: u64,
    /// Bytes that may be sent at [`Self::at`].
    tokens: u64,
    at: Moment,
}

impl TokenBucket {
    /// Makes the bucket of the limit that a relay has named, if it named one. The bucket starts full.
    fn new(info: &ServerInfo, now: Moment) -> Option<Self> {
        let &ServerInfo { bytes_per_second, bytes_burst: burst, .. } = info;
        (bytes_per_second > 0).then_some(Self { bytes_per_second, burst, tokens: burst, at: now })
    }

    /// Takes `len` bytes. Returns `false` where they are too many.
    fn take(&mut self, len: usize, now: Moment) -> bool {
        const NANOS: u128 = 1_000_000_000;
        let rate = u128::from(self.bytes_per_second);
        let refill = (now - self.at).as_nanos().saturating_mul(rate) / NANOS;
        if refill > 0 {
            let tokens = refill.saturating_add(self.tokens.into()).min(self.burst.into());
            self.tokens = u64::try_from(tokens).unwrap_or(self.burst);
            self.at = now;
        }
        match self.tokens.checked_sub(len as u64) {
            Some(rest) => self.tokens = rest,
            None => return false,
        }
        true
    }
}
