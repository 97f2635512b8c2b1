//! One relay connection: made, run, and made again.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use dayfly_platform::BoxByteStream;
use dayfly_platform::random::SystemRng;
use dayfly_platform::time::{sleep, timeout};
use dayfly_wire::derp::HEADER_LEN;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use super::RelayState;
use super::node_core::NodeCore;
use crate::control::Backoff;
use crate::derp::RelayError;
use crate::{DerpAddress, DialError, Dialer};

/// Time to open a connection.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait before the next attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Bytes that are read at once; also the longest frame that is taken in (DERP's is a packet of 64 KiB).
const READ_BUFFER: usize = 128 << 10;
/// Reads in a row before others get their turn.
const TURN: usize = 16;

/// New state of a relay connection.
pub(super) struct RelayNote {
    pub(super) region: u32,
    pub(super) state: RelayState,
}

/// Keeps a region connected until it is aborted.
pub(super) async fn keep(
    core: Arc<NodeCore>,
    dialer: Arc<dyn Dialer>,
    region: u32,
    notes: mpsc::Sender<RelayNote>,
) {
    let mut backoff = Backoff::default();
    let report = async |state| {
        // The driver ends together with this task.
        let _ = notes.send(RelayNote { region, state }).await;
    };
    loop {
        report(RelayState::Connecting).await;
        let error = match dial(&core, &*dialer, region).await {
            Ok(stream) => {
                core.with(|tunnel, now| tunnel.relay_connected(region, now));
                let (error, was_ready) = run(&core, region, stream).await;
                if was_ready {
                    backoff.reset();
                }
                error
            }
            Err(error) => error.into(),
        };
        let retry_in = backoff.next(&mut SystemRng).min(LONGEST_WAIT);
        core.with(|tunnel, now| tunnel.relay_lost(region, error.clone(), now));
        report(RelayState::Failed { error, retry_in }).await;
        tokio::select! {
            biased;
            () = core.retried() => {}
            () = sleep(retry_in) => {}
        }
    }
}

/// Opens a connection to the first relay of the region that answers.
async fn dial(core: &NodeCore, dialer: &dyn Dialer, region: u32) -> Result<BoxByteStream, DialError> {
    let nodes = core.region(region).map(|region| region.nodes).unwrap_or_default();
    let mut failure = DialError::BadAddress {
        url: format!("region {region}"),
        reason: "the tailnet's map of relays names no relay there".to_owned(),
    };
    for node in nodes.into_iter().filter(|node| !node.stun_only) {
        let address = DerpAddress {
            region,
            port: if node.derp_port == 0 { 443 } else { node.derp_port },
            insecure_for_tests: node.insecure_for_tests,
            host: node.host_name,
        };
        match timeout(DIAL_LIMIT, dialer.derp(&address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = error,
            Err(_) => {
                failure = DialError::TimedOut { url: format!("{}:{}", address.host, address.port) };
            }
        }
    }
    Err(failure)
}

/// Carries bytes until the connection ends. Returns why it ended, and whether it was ever ready.
pub(super) async fn run(core: &NodeCore, region: u32, mut stream: BoxByteStream) -> (RelayError, bool) {
    let mut pump = Pump {
        core,
        region,
        buffer: vec![0; READ_BUFFER],
        filled: 0,
        outgoing: BytesMut::new(),
        is_flushed: true,
        was_ready: false,
    };
    let error = poll_fn(|context| pump.poll(&mut stream, context)).await;
    (error, pump.was_ready)
}

struct Pump<'a> {
    core: &'a NodeCore,
    region: u32,
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that were read and are not done with.
    filled: usize,
    /// Bytes that were taken from the tunnel and are not written yet.
    outgoing: BytesMut,
    /// All that was written has been flushed.
    is_flushed: bool,
    was_ready: bool,
}

impl Pump<'_> {
    fn poll(&mut self, stream: &mut BoxByteStream, context: &mut Context<'_>) -> Poll<RelayError> {
        for _ in 0..TURN {
            if let Err(error) = self.write(stream, context) {
                return Poll::Ready(error);
            }
            match self.read(stream, context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => {
                    // What was read may have had an answer.
                    return match self.write(stream, context) {
                        Ok(()) => Poll::Pending,
                        Err(error) => Poll::Ready(error),
                    };
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what waits, as far as the connection takes it. The tunnel is locked only to take bytes and to report them as
    /// written: a connection may encrypt and call the system meanwhile.
    fn write(&mut self, stream: &mut BoxByteStream, context: &mut Context<'_>) -> Result<(), RelayError> {
        let mut written = 0;
        loop {
            let Self { core, region, outgoing, .. } = self;
            core.with(|tunnel, now| {
                tunnel.note_written(*region, written, now);
                tunnel.take_transmit(*region, outgoing, context.waker())
            })?;
            written = 0;
            while !outgoing.is_empty() {
                match Pin::new(&mut *stream).poll_write(context, outgoing) {
                    Poll::Ready(Ok(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                    Poll::Ready(Ok(taken)) => {
                        outgoing.advance(taken);
                        written += taken;
                    }
                    Poll::Ready(Err(error)) => return Err(error.into()),
                    Poll::Pending => break,
                }
            }
            self.is_flushed &= written == 0;
            if !self.is_flushed
                && let Poll::Ready(flushed) = Pin::new(&mut *stream).poll_flush(context)
            {
                flushed?;
                self.is_flushed = true;
            }
            if written == 0 {
                return Ok(());
            }
        }
    }

    /// Reads once, and hands on the frames that are complete.
    fn read(
        &mut self,
        stream: &mut BoxByteStream,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), RelayError>> {
        // The codec takes no frame that is longer than the buffer, so there is room while one is incomplete.
        let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let mut chunk = ReadBuf::new(free);
        let read = match Pin::new(&mut *stream).poll_read(context, &mut chunk) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Ready(Ok(())) => chunk.filled().len(),
        };
        if read == 0 {
            return Poll::Ready(Err(RelayError::Closed));
        }
        self.filled += read;
        if self.filled < HEADER_LEN {
            return Poll::Ready(Ok(()));
        }
        let bytes = self.buffer.get_mut(..self.filled).unwrap_or_default();
        let handled = self.core.with(|tunnel, now| {
            let done = tunnel.handle_relay(self.region, bytes, now);
            let ready = tunnel.relays().get(self.region).is_some_and(|link| link.is_ready());
            (done, ready)
        });
        match handled {
            (Ok(done), ready) => {
                self.was_ready |= ready;
                self.buffer.copy_within(done..self.filled, 0);
                self.filled -= done;
                Poll::Ready(Ok(()))
            }
            (Err(error), _) => Poll::Ready(Err(error.into())),
        }
    }
}
