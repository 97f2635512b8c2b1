//! Helpers of this crate's own tests.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use dayfly_platform::random::SystemRng;
use dayfly_ts2021::{Accepted, Handshake, accept};
use dayfly_wire::key::MachinePrivate;
use tokio::io::AsyncWrite;

/// Both sides of a handshake, the server having accepted it.
pub(crate) fn handshakes() -> (Handshake, Accepted) {
    let [machine, control] = [(); 2].map(|()| MachinePrivate::generate(&mut SystemRng));
    let (handshake, initiation) =
        Handshake::initiate(130, &machine, &control.public(), &mut SystemRng).unwrap();
    (handshake, accept(&initiation, &control, &mut SystemRng).unwrap())
}

/// Carrier that remembers each write.
#[derive(Default)]
pub(crate) struct Writes(pub(crate) Vec<Vec<u8>>);

impl AsyncWrite for Writes {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.push(bytes.to_vec());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
