//! Writing to a relay whose connection takes little at a time, and sends nothing before it is flushed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use dayfly_wire::derp::{self, Decoded, Frame, Receiver};
use dayfly_wire::key::{DiscoPrivate, NodePrivate};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::*;
use crate::runtime::node_core::NodeCore;
use crate::runtime::pump;

const REGION: u32 = 1;

/// A connection that takes a few bytes at every other attempt, and sends them when a flush is attempted again.
struct Reluctant {
    relay: DuplexStream,
    unsent: Vec<u8>,
    takes: bool,
    flushes: bool,
}

impl Reluctant {
    /// Returns `true` every other time; the task is woken for the next.
    fn is_willing(flag: &mut bool, context: &Context<'_>) -> bool {
        *flag = !*flag;
        if !*flag {
            context.waker().wake_by_ref();
        }
        *flag
    }
}

impl AsyncRead for Reluctant {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.relay).poll_read(context, out)
    }
}

impl AsyncWrite for Reluctant {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !Self::is_willing(&mut self.takes, context) {
            return Poll::Pending;
        }
        let taken = bytes.len().min(7);
        self.unsent.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !Self::is_willing(&mut self.flushes, context) {
            return Poll::Pending;
        }
        let Self { relay, unsent, .. } = &mut *self;
        while !unsent.is_empty() {
            match Pin::new(&mut *relay).poll_write(context, unsent) {
                Poll::Ready(sent) => drop(unsent.drain(..sent?)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_little_at_a_time_gets_all_of_it_in_order() {
    let key = NodePrivate::generate(&mut SystemRng);
    let core = Arc::new(NodeCore::new(key.clone(), DiscoPrivate::generate(&mut SystemRng)));
    core.with(|tunnel, now| {
        tunnel.open_relay(REGION, now);
        tunnel.relay_connected(REGION, now);
    });
    let (near, mut relay) = tokio::io::duplex(1 << 10);
    let stream = Reluctant { relay: near, unsent: Vec::new(), takes: true, flushes: true };
    let shared = Arc::clone(&core);
    let pump = tokio::spawn(async move { pump::run(&shared, REGION, Box::new(stream)).await });

    let server = NodePrivate::generate(&mut SystemRng);
    let mut hello = Vec::new();
    derp::put_server_key(&mut hello, &server.public());
    relay.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    let proof = loop {
        let mut chunk = [0; 64];
        let read = relay.read(&mut chunk).await.unwrap();
        answer.extend_from_slice(&chunk[..read]);
        if let Some(Decoded { frame: Frame::ClientInfo { key, sealed }, .. }) =
            derp::decode(&answer, Receiver::Server).unwrap()
        {
            break (key, derp::open_client_info(&server.shared(&key), sealed).is_ok());
        }
    };
    assert_eq!(proof, (key.public(), true), "all of it came, in order");
    drop(relay);
    let (error, was_ready) = pump.await.unwrap();
    assert_eq!((error, was_ready), (crate::derp::RelayError::Closed, false));
}
