//! The greetings: who a client is, and whether it may come in.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use dayfly_platform::random::SystemRng;
use dayfly_wire::derp::{
    self, Frame, FrameError, FrameType, HEADER_LEN, Header, InfoError, Receiver, ServerInfo,
};
use dayfly_wire::key::NodePublic;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::verify::VerifyError;
use super::{Client, Origin, Server};
use crate::link::Link;
use crate::metrics::Reject;

/// How much is read at first; greetings are some 200 bytes.
const FIRST_READ: usize = 512;

/// Why a client was not let in.
#[derive(Debug, Error)]
pub(super) enum GreetError {
    #[error("no greeting came in time")]
    TimedOut,
    #[error("the connection ended before the greeting: {0}")]
    Io(#[from] io::Error),
    #[error("the greeting is not DERP's: {0}")]
    Frame(#[from] FrameError),
    #[error("the first frame is of type {:#04x}, not a greeting", kind.0)]
    NotAGreeting { kind: FrameType },
    #[error("the greeting is not valid: {0}")]
    Info(#[from] InfoError),
    #[error("the client {} is not let in: {reason}", key.short())]
    Refused { key: NodePublic, reason: VerifyError },
}

impl GreetError {
    /// Under which label the rejection is counted.
    pub(super) const fn reason(&self) -> Reject {
        match self {
            Self::TimedOut => Reject::Timeout,
            Self::Io(_) => Reject::Closed,
            Self::Frame(_) | Self::NotAGreeting { .. } => Reject::Protocol,
            Self::Info(_) => Reject::Greeting,
            Self::Refused { reason: VerifyError::Refused, .. } => Reject::NotAllowed,
            Self::Refused { .. } => Reject::VerifierFailed,
        }
    }
}

impl Server {
    /// Sends ServerKey, reads ClientInfo and makes the answer to it.
    pub(super) async fn greet<S>(
        self: &Arc<Self>,
        link: &mut Link<S>,
        origin: Origin,
    ) -> Result<Client, GreetError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut buffer = timeout(self.timeouts.handshake, self.read_greeting(link))
            .await
            .map_err(|_| GreetError::TimedOut)??;
        let header = header(&buffer).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let payload = buffer.get(HEADER_LEN..HEADER_LEN + header.len).unwrap_or_default();
        let Frame::ClientInfo { key, sealed } = Frame::parse(header.kind, payload)? else {
            return Err(GreetError::NotAGreeting { kind: header.kind });
        };
        let shared = self.key.shared(&key);
        let info = derp::open_client_info(&shared, sealed)?;
        if let Some(verifier) = &self.verifier {
            verifier.verify(&key, origin.ip).await.map_err(|reason| GreetError::Refused { key, reason })?;
        }
        tracing::trace!(client = %key.short(), version = info.version, app = ?info.app_name, "greeting accepted");
        let mut server_info = Vec::new();
        derp::put_server_info(&mut server_info, &shared, &ServerInfo::default(), &mut SystemRng)?;
        let early = buffer.split_off(HEADER_LEN + header.len);
        // A copy, so that a large buffer does not live on with a few bytes in it.
        Ok(Client { key, server_info, early: Bytes::copy_from_slice(&early) })
    }

    /// Sends ServerKey and reads the first frame, and maybe more.
    async fn read_greeting<S>(&self, link: &mut Link<S>) -> Result<BytesMut, GreetError>
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
                    return Err(GreetError::NotAGreeting { kind: header.kind });
                }
                header.check(Receiver::Server)?;
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

fn header(buffer: &[u8]) -> Option<Header> {
    buffer.first_chunk().copied().map(Header::parse)
}
