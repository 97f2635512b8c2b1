//! The handshake on a carrier, at both ends.

use std::io;

use dayfly_ts2021::{Accepted, FRAME_HEADER_LEN, Handshake, HandshakeError, error_frame, first_frame_len};
use dayfly_wire::control::EarlyPayload;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::NoiseStream;

/// Reason why a node has no encrypted connection to a control server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The carrier failed, or ended within the handshake.
    #[error("the connection failed during the handshake: {0}")]
    Carrier(#[from] io::Error),
    /// The server rejected the handshake, or is another than the one expected.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

impl<S: AsyncRead + Unpin> NoiseStream<S> {
    /// Completes a node's handshake, whose initiation the server already has. Reads the server's first frame from the
    /// carrier, and not a byte more.
    ///
    /// # Errors
    /// When the carrier fails, or the handshake does.
    pub async fn connect(mut carrier: S, handshake: Handshake) -> Result<Self, ConnectError> {
        let mut frame = vec![0; FRAME_HEADER_LEN];
        carrier.read_exact(&mut frame).await?;
        let length = first_frame_len(&frame)?.ok_or(HandshakeError::Length(frame.len()))?;
        frame.resize(length, 0);
        carrier.read_exact(frame.get_mut(FRAME_HEADER_LEN..).unwrap_or_default()).await?;
        Ok(Self::new(carrier, handshake.finish(&frame)?))
    }
}

impl<S: AsyncWrite + Unpin> NoiseStream<S> {
    /// Completes a control server's handshake: sends the response, and the early payload in the same write. On a
    /// WebSocket there must be none.
    ///
    /// # Errors
    /// When the carrier fails.
    pub async fn accept(carrier: S, accepted: Accepted, early: Option<&EarlyPayload>) -> io::Result<Self> {
        let mut stream = Self::new(carrier, accepted.into_stream(early));
        stream.flush().await?;
        Ok(stream)
    }
}

/// Rejects a node in words, which it shows to a person, and closes the carrier.
///
/// # Errors
/// When the carrier fails.
pub async fn reject(mut carrier: impl AsyncWrite + Unpin, reason: &str) -> io::Result<()> {
    carrier.write_all(&error_frame(reason)).await?;
    carrier.shutdown().await
}

#[cfg(test)]
mod tests {
    use dayfly_wire::key::ChallengePublic;

    use super::*;
    use crate::testing::{Writes, handshakes};

    #[tokio::test]
    async fn the_response_and_the_early_payload_are_one_write() {
        let (handshake, accepted) = handshakes();
        let early = EarlyPayload { node_key_challenge: ChallengePublic::from_bytes([9; 32]) };
        let server = NoiseStream::accept(Writes::default(), accepted, Some(&early)).await.unwrap();
        let [written] = &server.into_carrier().0[..] else { panic!() };
        let mut node = NoiseStream::connect(&written[..], handshake).await.unwrap();
        let mut plain = Vec::new();
        node.read_to_end(&mut plain).await.unwrap();
        assert!(plain.is_empty());
    }

    #[tokio::test]
    async fn a_rejection_reaches_the_node_in_its_words() {
        let (carrier, servers) = tokio::io::duplex(64);
        let (rejected, connected) = tokio::join!(
            reject(servers, "this version is too old"),
            NoiseStream::connect(carrier, handshakes().0)
        );
        rejected.unwrap();
        let Err(ConnectError::Handshake(HandshakeError::Rejected(text))) = connected else { panic!() };
        assert_eq!(text, "this version is too old");
    }

    #[tokio::test]
    async fn a_carrier_that_ends_within_the_handshake_is_an_error() {
        for sent in [&[][..], &[2], &[2, 0, 48, 1, 2, 3]] {
            let connected = NoiseStream::connect(sent, handshakes().0).await;
            let Err(ConnectError::Carrier(error)) = connected else { panic!("{sent:?}") };
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[tokio::test]
    async fn nothing_behind_the_response_is_lost() {
        let (handshake, accepted) = handshakes();
        let mut server = accepted.into_stream(None);
        let mut sent = server.sealed().to_vec();
        server.sent(sent.len());
        server.write(b"PRI * HTTP/2.0");
        server.seal().unwrap();
        sent.extend_from_slice(server.sealed());
        let mut node = NoiseStream::connect(&sent[..], handshake).await.unwrap();
        let mut plain = Vec::new();
        node.read_to_end(&mut plain).await.unwrap();
        assert_eq!(plain, b"PRI * HTTP/2.0");
    }
}
