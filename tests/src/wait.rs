//! Waiting for an event with a deadline, and handing out ports that nobody else has.

use std::collections::HashSet;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Time that a peer may take to be ready, on a machine that is busy with everything else too.
pub const READY: Duration = Duration::from_secs(60);

/// The longest that a server may take for one answer.
pub const ANSWER: Duration = Duration::from_secs(20);

/// Interval at which [`until`] asks again: short beside anything that is waited for, long beside the cost of asking.
const ASK_EVERY: Duration = Duration::from_millis(25);

/// Runs a future to its end on a tokio runtime of its own.
///
/// # Errors
/// The future's, or when there can be no runtime.
pub fn run<T, E: From<io::Error>>(future: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Ask `probe` until it answers with `Some`, or fail after `limit`, naming `what` was waited for.
pub fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return Ok(answer);
        }
        if start.elapsed() >= limit {
            bail!("{what}: not within {limit:?}");
        }
        thread::park_timeout(ASK_EVERY);
    }
}

/// Wait until a TCP connection to `address` is accepted.
pub fn until_listening(address: SocketAddr, limit: Duration) -> Result<()> {
    until(&format!("a listener on {address}"), limit, || {
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok().map(drop)
    })
}

/// A port on 127.0.0.1 that is free for TCP and UDP, and that this process hands out only once.
pub fn free_port() -> Result<u16> {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    for _ in 0..1000 {
        let tcp = TcpListener::bind(("127.0.0.1", 0)).context("no free TCP port")?;
        let port = tcp.local_addr()?.port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok()
            && GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port)
        {
            return Ok(port);
        }
    }
    bail!("no port is free for both TCP and UDP")
}
