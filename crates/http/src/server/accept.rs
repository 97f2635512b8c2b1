//! Accepting connections, and TLS on them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::{ConnectionPermit, State, connection, is_loopback};
use crate::rate::TokenBucket;
use crate::service::Connection;
use crate::socket::Socket;
use crate::tls;

/// Time for a TLS handshake.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for which the kernel tries to deliver data to a client that does not take it, also where nobody waits for that.
const USER_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause after an error that will not pass at once, such as too many open files.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections and serves each in a task of its own, for ever.
pub(super) async fn accept(state: Arc<State>, listener: TcpListener, tls: Option<Arc<ServerConfig>>) {
    let tls = tls.map(TlsAcceptor::from);
    let loopback = is_loopback(&listener);
    let per_second = f64::from(state.limits.accept_per_second.max(1));
    let mut rate = TokenBucket::new(per_second, per_second, Instant::now());
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
                {
                    tracing::error!(%error, "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        state.metrics.accepted.inc();
        let Some(permit) = ConnectionPermit::take(&state) else {
            state.metrics.refused_full.inc();
            continue;
        };
        let (state, tls) = (Arc::clone(&state), tls.clone());
        tokio::spawn(async move {
            if let Some((takeover, upgraded)) = serve(&state, stream, peer, loopback, tls).await {
                // A task of its own, so that what HTTP needed is freed now and not when the connection ends.
                takeover.start(upgraded, permit);
            }
        });
        let now = Instant::now();
        if let Some(pause) = rate.charge(1, now) {
            sleep_until(now + pause).await;
        }
    }
}

/// Serves HTTP on a connection. Returns what it has become, if that is something else.
async fn serve(
    state: &Arc<State>,
    stream: TcpStream,
    peer: SocketAddr,
    is_loopback: bool,
    tls: Option<TlsAcceptor>,
) -> Option<connection::Changed> {
    let socket = SockRef::from(&stream);
    let options = socket.set_tcp_nodelay(true).and_then(|()| set_user_timeout(&socket));
    if let Err(error) = options {
        tracing::debug!(%peer, %error, "connection failed before its first byte");
        return None;
    }
    let socket = match tls {
        None => Socket::Plain(stream),
        Some(tls) => match timeout(TLS_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => Socket::Tls(Box::new(stream)),
            Ok(Err(error)) => {
                state.metrics.tls_failed.inc();
                if !tls::is_noise(&error) {
                    tracing::debug!(%peer, %error, "TLS handshake failed");
                }
                return None;
            }
            Err(_) => {
                state.metrics.tls_failed.inc();
                return None;
            }
        },
    };
    let connection = Connection { peer, is_tls: socket.is_tls(), is_loopback };
    connection::serve(state, socket, connection).await
}

#[cfg(target_os = "linux")]
fn set_user_timeout(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

#[cfg(not(target_os = "linux"))]
fn set_user_timeout(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(USER_TIMEOUT))
}
