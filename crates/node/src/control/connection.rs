//! One connection to the control server: ts2021 with HTTP/2 inside.

use std::time::Duration;

use bytes::Bytes;
use dayfly_platform::random::SystemRng;
use dayfly_platform::task::{AbortOnDropHandle, spawn};
use dayfly_platform::time::timeout;
use dayfly_ts2021::Handshake;
use dayfly_ts2021_io::NoiseStream;
use dayfly_wire::control::CAPABILITY_VERSION;
use dayfly_wire::key::{MachinePrivate, MachinePublic};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, PingPong, RecvStream};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use zeroize::Zeroizing;

use super::ControlError;
use crate::Dialer;

/// Time to open the connection: dialling and both handshakes.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// Time for the answer to a ping.
const PING_LIMIT: Duration = Duration::from_secs(5);
/// Unread bytes of one answer, and of all together, that HTTP/2 takes in.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 2 << 20;
/// Bytes of an answer's headers that are taken in.
const MAX_HEADERS: u32 = 16 << 10;
/// Bytes of an error's text that are shown.
const MAX_ERROR_TEXT: usize = 512;

/// An open connection. It closes when this and all requests of it are dropped.
pub(super) struct Connection {
    requests: Requests,
    probe: Option<Probe>,
    _task: AbortOnDropHandle<()>,
}

/// Makes requests on a [`Connection`].
#[derive(Clone)]
pub(super) struct Requests {
    sender: SendRequest<Bytes>,
    authority: String,
}

/// Finds out whether a [`Connection`] still leads anywhere.
pub(super) struct Probe(PingPong);

/// The head of an answer, and its body still to come.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: RecvStream,
}

impl Connection {
    /// Dials the server and sets up encryption and HTTP/2.
    pub(super) async fn open(
        dialer: &dyn Dialer,
        machine: &MachinePrivate,
        control: &MachinePublic,
    ) -> Result<Self, ControlError> {
        let open = Self::open_unlimited(dialer, machine, control);
        let late = |_| ControlError::TimedOut { step: "connecting", limit: OPEN_LIMIT };
        timeout(OPEN_LIMIT, open).await.map_err(late)?
    }

    async fn open_unlimited(
        dialer: &dyn Dialer,
        machine: &MachinePrivate,
        control: &MachinePublic,
    ) -> Result<Self, ControlError> {
        let (handshake, initiation) =
            Handshake::initiate(CAPABILITY_VERSION, machine, control, &mut SystemRng)?;
        let carrier = dialer.control(&initiation).await.map_err(ControlError::Dial)?;
        let stream = NoiseStream::connect(carrier, handshake).await?;
        let (sender, mut connection) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADERS)
            // Streams that were reset would be remembered by the system's clock, which a browser does not have.
            .max_concurrent_reset_streams(0)
            .handshake(stream)
            .await?;
        let probe = connection.ping_pong().map(Probe);
        let task = spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to the control server ended");
            }
        });
        let requests = Requests { sender, authority: authority(dialer.control_url()) };
        Ok(Self { requests, probe, _task: AbortOnDropHandle::new(task) })
    }

    pub(super) fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// Takes the probe, of which there is one.
    pub(super) fn take_probe(&mut self) -> Option<Probe> {
        self.probe.take()
    }
}

impl Probe {
    /// Pings the server: after a change of networks, nothing else distinguishes a dead connection from a quiet one.
    pub(super) async fn ping(&mut self) -> Result<(), ControlError> {
        let late = |_| ControlError::TimedOut { step: "its connection was tried", limit: PING_LIMIT };
        let pong = timeout(PING_LIMIT, self.0.ping(Ping::opaque())).await.map_err(late)?;
        pong?;
        Ok(())
    }
}

/// The host part of the control URL. Servers don't look at it, but HTTP/2 wants one.
fn authority(url: &str) -> String {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    if host.parse::<http::uri::Authority>().is_ok() { host.to_owned() } else { "unused".to_owned() }
}

impl Requests {
    /// Waits until a request can be made, and makes it.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Answer, ControlError> {
        self.sender = self.sender.clone().ready().await?;
        Answer::of(self.send_now(method, path, body)?).await
    }

    pub(super) async fn post(&mut self, path: &str, body: Vec<u8>) -> Result<Answer, ControlError> {
        self.send(Method::POST, path, body).await
    }

    /// Queues a request at once. The connection's task writes it when it next runs, without waiting for anything.
    pub(super) fn send_now(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<ResponseFuture, ControlError> {
        let uri = Uri::builder().scheme("https").authority(&*self.authority).path_and_query(path).build();
        let request = uri.and_then(|uri| Request::builder().method(method).uri(uri).body(()));
        let request = request.map_err(|error| ControlError::Lost(error.to_string()))?;
        let (answer, mut sending) = self.sender.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            // A registration holds the credential: the body is wiped once all of it went to the `NoiseStream`, which
            // takes the credential from here without another copy.
            sending.send_data(Bytes::from_owner(Zeroizing::new(body)), true)?;
        }
        Ok(answer)
    }
}

impl Answer {
    pub(super) async fn of(answer: ResponseFuture) -> Result<Self, ControlError> {
        let (head, body) = answer.await?.into_parts();
        Ok(Self { status: head.status, headers: head.headers, body })
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn data(&mut self) -> Result<Option<Bytes>, ControlError> {
        let Some(piece) = self.body.data().await.transpose()? else {
            return Ok(None);
        };
        // Fails only when the connection is lost, which the next piece says.
        let _ = self.body.flow_control().release_capacity(piece.len());
        Ok(Some(piece))
    }

    /// The whole body; what is beyond `limit` bytes is cut off.
    pub(super) async fn read(mut self, limit: usize) -> Result<Vec<u8>, ControlError> {
        let mut body = Vec::new();
        while body.len() < limit
            && let Some(piece) = self.data().await?
        {
            body.extend_from_slice(&piece);
        }
        body.truncate(limit);
        Ok(body)
    }

    /// The beginning of an error's text.
    pub(super) async fn error_text(self) -> String {
        let body = self.read(MAX_ERROR_TEXT).await.unwrap_or_default();
        String::from_utf8_lossy(&body).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, IoSlice};
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll};

    use dayfly_ts2021::accept;
    use dayfly_wire::control::{RegisterAuth, RegisterRequest};
    use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

    use super::*;
    use crate::control::register;

    const SECRET: &str = "tskey-auth-secret";

    /// Remembers where in memory the credential was when HTTP/2 wrote it.
    struct Spy {
        stream: NoiseStream<DuplexStream>,
        seen: Arc<Mutex<Vec<usize>>>,
    }

    impl Spy {
        fn look(&self, bytes: &[u8]) {
            let at = bytes.windows(SECRET.len()).position(|window| window == SECRET.as_bytes());
            self.seen.lock().unwrap().extend(at.map(|at| bytes.as_ptr() as usize + at));
        }
    }

    impl AsyncRead for Spy {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            out: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_read(cx, out)
        }
    }

    impl AsyncWrite for Spy {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.look(bytes);
            Pin::new(&mut self.stream).poll_write(cx, bytes)
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            pieces: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            pieces.iter().for_each(|piece| self.look(piece));
            Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
        }

        fn is_write_vectored(&self) -> bool {
            self.stream.is_write_vectored()
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn the_credential_is_written_from_where_it_is_wiped() {
        let [machine, control] = [(); 2].map(|()| MachinePrivate::generate(&mut SystemRng));
        let (handshake, initiation) =
            Handshake::initiate(CAPABILITY_VERSION, &machine, &control.public(), &mut SystemRng).unwrap();
        let accepted = accept(&initiation, &control, &mut SystemRng).unwrap();
        let (carrier, servers) = tokio::io::duplex(64 << 10);
        let server = NoiseStream::accept(servers, accepted, None).await.unwrap();
        let stream = NoiseStream::connect(carrier, handshake).await.unwrap();
        let seen = Arc::default();
        let spy = Spy { stream, seen: Arc::clone(&seen) };
        let server = async {
            let mut connection = h2::server::handshake(server).await.unwrap();
            let (request, _respond) = connection.accept().await.unwrap().unwrap();
            let mut body = request.into_body();
            let received = async { body.data().await.unwrap().unwrap() };
            tokio::select! {
                received = received => received,
                _ = connection.accept() => panic!("the connection has ended"),
            }
        };
        let client = async {
            let (sender, connection) = h2::client::handshake(spy).await.unwrap();
            let connection = tokio::spawn(connection);
            let mut requests = Requests { sender, authority: "control.test".to_owned() };
            // The shortest request: the earlier the credential comes, the nearer it is to what HTTP/2 copies.
            let auth = Some(RegisterAuth { auth_key: SECRET.to_owned().into() });
            let request = RegisterRequest { hostinfo: Some(Default::default()), auth, ..Default::default() };
            let body = register::json(&request);
            let memory = body.as_ptr() as usize..body.as_ptr() as usize + body.len();
            let answer = requests.send_now(Method::POST, "/machine/register", body).unwrap();
            (memory, answer, connection)
        };
        let ((memory, ..), received) = tokio::join!(client, server);
        assert!(received.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
        let seen = seen.lock().unwrap();
        assert!(seen.len() == 1 && memory.contains(&seen[0]), "{seen:?} {memory:?}");
    }

    #[test]
    fn the_authority_is_the_urls_host_and_port() {
        assert_eq!(authority("https://h.example:8443/x"), "h.example:8443");
        assert_eq!(authority("http://[::1]:80"), "[::1]:80");
        assert_eq!(authority("https://bad host"), "unused");
    }
}
