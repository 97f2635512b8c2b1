//! The handshake: who a client is, and whether it is admitted.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use dayfly_http::Duplex;
use dayfly_platform::random::SystemRng;
use dayfly_wire::derp::{
    self, Frame, FrameError, FrameType, HEADER_LEN, Header, InfoError, Receiver, ServerInfo,
};
use dayfly_wire::key::NodePublic;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::metrics::Reject;
use super::verify::VerifyError;
use super::{Client, Server, Source};

/// Bytes that are read at first; a ClientInfo frame has some 200.
const FIRST_READ: usize = 512;

/// The longest ClientInfo that is read of a client that is not admitted yet, in bytes. derper takes 256 KiB.
const MAX_CLIENT_INFO: usize = 4 << 10;

/// Reasons why a client was rejected.
#[derive(Debug, Error)]
pub(super) enum HandshakeError {
    #[error("no handshake came in time")]
    TimedOut,
    #[error("the connection ended before the handshake: {0}")]
    Io(#[from] io::Error),
    #[error("the handshake is not DERP's: {0}")]
    Frame(#[from] FrameError),
    #[error("the first frame is of type {:#04x}, not a ClientInfo", kind.0)]
    NotClientInfo { kind: FrameType },
    #[error("the ClientInfo has {0} bytes, more than {MAX_CLIENT_INFO}")]
    TooLong(usize),
    // Not the parser's own text: it repeats what the client sent.
    #[error("{}", short(.0))]
    Info(#[from] InfoError),
    #[error("the client {} is not admitted: {reason}", key.short())]
    Refused { key: NodePublic, reason: VerifyError },
}

impl HandshakeError {
    /// The label under which the rejection is counted.
    pub(super) const fn reason(&self) -> Reject {
        match self {
            Self::TimedOut => Reject::Timeout,
            Self::Io(_) => Reject::Closed,
            Self::Frame(_) | Self::NotClientInfo { .. } | Self::TooLong(_) => Reject::Protocol,
            Self::Info(_) => Reject::Handshake,
            Self::Refused { reason: VerifyError::Refused, .. } => Reject::NotAllowed,
            Self::Refused { .. } => Reject::VerifierFailed,
        }
    }
}

impl Server {
    /// Sends ServerKey, reads ClientInfo and makes the answer to it.
    pub(super) async fn handshake<S>(
        self: &Arc<Self>,
        link: &mut Duplex<S>,
        source: Source,
    ) -> Result<Client, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut buffer = timeout(self.timeouts.handshake, self.read_client_info(link))
            .await
            .map_err(|_| HandshakeError::TimedOut)??;
        let header = header(&buffer).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let payload = buffer.get(HEADER_LEN..HEADER_LEN + header.len).unwrap_or_default();
        let Frame::ClientInfo { key, sealed } = Frame::parse(header.kind, payload)? else {
            return Err(HandshakeError::NotClientInfo { kind: header.kind });
        };
        let shared = self.key.shared(&key);
        let info = derp::open_client_info(&shared, sealed)?;
        if let Some(verifier) = &self.verifier {
            verifier
                .verify(&key, source.ip)
                .await
                .map_err(|reason| HandshakeError::Refused { key, reason })?;
        }
        tracing::trace!(client = %key.short(), version = info.version, app = ?info.app_name, "handshake accepted");
        let mut server_info = Vec::new();
        derp::put_server_info(&mut server_info, &shared, &ServerInfo::default(), &mut SystemRng)?;
        let early = buffer.split_off(HEADER_LEN + header.len);
        // A copy, so that a large buffer does not live on with a few bytes in it.
        Ok(Client { key, server_info, early: Bytes::copy_from_slice(&early) })
    }

    /// Sends ServerKey and reads the first frame, and maybe more.
    async fn read_client_info<S>(&self, link: &mut Duplex<S>) -> Result<BytesMut, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut out = Vec::with_capacity(64);
        derp::put_server_key(&mut out, &self.public);
        link.write_all(&out).await?;
        link.flush().await?;
        let mut buffer = BytesMut::with_capacity(FIRST_READ);
        loop {
            if let Some(header) = header(&buffer) {
                if header.kind != FrameType::CLIENT_INFO {
                    return Err(HandshakeError::NotClientInfo { kind: header.kind });
                }
                header.check(Receiver::Server)?;
                if header.len > MAX_CLIENT_INFO {
                    return Err(HandshakeError::TooLong(header.len));
                }
                if buffer.len() >= HEADER_LEN + header.len {
                    return Ok(buffer);
                }
            }
            // The buffer grows with what comes, not with what the header claims.
            if buffer.capacity() == buffer.len() {
                buffer.reserve(buffer.len().max(FIRST_READ));
            }
            if link.read_buf(&mut buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

/// Returns what is wrong with a handshake, without a word of the client's.
const fn short(error: &InfoError) -> &'static str {
    match error {
        InfoError::TooLong { .. } => "the handshake is too long",
        InfoError::Open(_) => "the handshake was not sealed by the key that it claims",
        InfoError::Json(_) => "the handshake is not the JSON that it should be",
    }
}

fn header(buffer: &[u8]) -> Option<Header> {
    buffer.first_chunk().copied().map(Header::parse)
}
