//! A socket that takes its time: a node's other users don't wait for it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::task::{Context, Poll};
use std::thread;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::*;

/// Blocks the thread of the next write to a relay, as encryption and a slow system call do.
pub(super) struct Gate {
    closed: AtomicBool,
    entered: std_mpsc::SyncSender<()>,
    release: Mutex<std_mpsc::Receiver<()>>,
}

impl Gate {
    fn new() -> (Arc<Self>, std_mpsc::Receiver<()>, std_mpsc::SyncSender<()>) {
        let (entered, is_entered) = std_mpsc::sync_channel(1);
        let (release, released) = std_mpsc::sync_channel(1);
        let gate = Self { closed: AtomicBool::new(false), entered, release: Mutex::new(released) };
        (Arc::new(gate), is_entered, release)
    }
}

/// A relay connection behind a gate.
pub(super) struct Gated {
    pub(super) stream: DuplexStream,
    pub(super) gate: Arc<Gate>,
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, out)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.gate.closed.swap(false, Ordering::SeqCst) {
            self.gate.entered.send(()).unwrap();
            // The test's end releases it as well.
            let _ = self.gate.release.lock().unwrap().recv();
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_that_blocks_its_thread_holds_up_no_other_user_of_the_node() {
    const LIMIT: Duration = Duration::from_secs(20);
    let relays = Relays::default();
    let (gate, is_entered, release) = Gate::new();
    relays.gates.lock().unwrap().insert(1, Arc::clone(&gate));
    let [near, far] = pair(&relays, [1, 1]).await;
    let mut listener = far.node.listen(PORT).unwrap();
    let mut client = near.node.connect("node1", PORT, |_| {}).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    exchange(&mut client, &mut server, b"before").await;

    gate.closed.store(true, Ordering::SeqCst);
    client.write_all(b"mean").await.unwrap();
    tokio::task::block_in_place(|| is_entered.recv_timeout(LIMIT)).expect("something is written");
    // Each of these takes the lock that the write must not hold.
    let users = [near.node.clone(), far.node.clone()];
    let (done, is_done) = std_mpsc::channel();
    thread::spawn(move || {
        for node in users {
            assert_eq!(node.status().home, Some(1));
            node.warm("node1");
            node.retry_now();
        }
        done.send(())
    });
    let free = tokio::task::block_in_place(|| is_done.recv_timeout(LIMIT));
    if free.is_ok() {
        client.write_all(b"while").await.unwrap();
    }
    release.send(()).unwrap();
    free.expect("no user waits for the socket");

    let mut read = [0; 9];
    server.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"meanwhile", "nothing is lost or out of order");
}
