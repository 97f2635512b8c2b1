//! A control server in memory, whose every answer the test gives itself.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use dayfly_platform::random::SystemRng;
use dayfly_platform::{BoxByteStream, BoxFuture};
use dayfly_ts2021::{Accepted, accept};
use dayfly_ts2021_io::{NoiseStream, reject};
use dayfly_wire::control::{MapResponse, Node, OverTlsPublicKeyResponse, RegisterResponse, write_map_frame};
use dayfly_wire::key::{MachinePrivate, MachinePublic};
use dayfly_wire::ts2021::INITIATION_LEN;
use h2::SendStream;
use h2::server::SendResponse;
use http::Response;
use serde_json::Value;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, oneshot};

use crate::{DerpAddress, DialError, Dialer};

/// The dialer of the node under test, and the server behind it.
#[derive(Clone)]
pub(crate) struct Server {
    key: MachinePrivate,
    pub(crate) key_fetches: Arc<AtomicUsize>,
    pub(crate) dials: Arc<AtomicUsize>,
    /// Failures of the next dials.
    pub(crate) failures: Arc<Mutex<VecDeque<DialError>>>,
    /// Early payload, ahead of HTTP/2.
    pub(crate) early: Vec<u8>,
    requests: mpsc::Sender<Incoming>,
}

/// A request of the node.
pub(crate) struct Incoming {
    pub(crate) path: String,
    pub(crate) machine: MachinePublic,
    pub(crate) body: Value,
    /// The body as it came.
    pub(crate) raw: Vec<u8>,
    respond: SendResponse<Bytes>,
    line: Line,
}

/// End of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It is closed.
    Closed,
    /// Nothing comes any more, and nobody says why: the network has changed.
    Silent,
}

/// Cuts the connection that a request came by.
#[derive(Clone)]
struct Line(Arc<Mutex<Option<oneshot::Sender<Cut>>>>);

impl Line {
    fn cut(&self, how: Cut) {
        self.0.lock().unwrap().take().unwrap().send(how).unwrap();
    }
}

/// A map stream of the server.
pub(crate) struct Map {
    stream: SendStream<Bytes>,
    line: Line,
}

impl Server {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Incoming>) {
        let (requests, receiver) = mpsc::channel(16);
        let server = Self {
            key: MachinePrivate::generate(&mut SystemRng),
            key_fetches: Arc::default(),
            dials: Arc::default(),
            failures: Arc::default(),
            early: Vec::new(),
            requests,
        };
        (server, receiver)
    }

    pub(crate) fn public_key(&self) -> MachinePublic {
        self.key.public()
    }

    pub(crate) fn fail_next(&self, error: DialError) {
        self.failures.lock().unwrap().push_back(error);
    }

    async fn serve(self, carrier: DuplexStream, accepted: Accepted) {
        let machine = accepted.machine();
        let mut stream = NoiseStream::accept(carrier, accepted, None).await.unwrap();
        stream.write_all(&self.early).await.unwrap();
        let (line, mut cut) = oneshot::channel();
        let line = Line(Arc::new(Mutex::new(Some(line))));
        let Ok(mut connection) = h2::server::handshake(stream).await else {
            return;
        };
        loop {
            let next = tokio::select! {
                biased;
                how = &mut cut => {
                    if how == Ok(Cut::Silent) {
                        std::future::pending::<()>().await;
                    }
                    return;
                }
                next = connection.accept() => next,
            };
            let Some(Ok((request, respond))) = next else {
                return;
            };
            let (requests, line) = (self.requests.clone(), line.clone());
            tokio::spawn(async move {
                let path = request.uri().path().to_owned();
                let mut stream = request.into_body();
                let mut raw = Vec::new();
                while let Some(Ok(piece)) = stream.data().await {
                    stream.flow_control().release_capacity(piece.len()).unwrap();
                    raw.extend_from_slice(&piece);
                }
                let body = serde_json::from_slice(&raw).unwrap_or_default();
                let _ = requests.send(Incoming { path, machine, body, raw, respond, line }).await;
            });
        }
    }
}

impl Dialer for Server {
    fn control_url(&self) -> &str {
        "https://control.test"
    }

    fn control_key(&self, _: u16) -> BoxFuture<Result<Vec<u8>, DialError>> {
        self.key_fetches.fetch_add(1, Ordering::Relaxed);
        let response =
            OverTlsPublicKeyResponse { public_key: self.key.public(), ..OverTlsPublicKeyResponse::default() };
        Box::pin(async move { Ok(serde_json::to_vec(&response).unwrap()) })
    }

    fn control(&self, initiation: &[u8; INITIATION_LEN]) -> BoxFuture<Result<BoxByteStream, DialError>> {
        self.dials.fetch_add(1, Ordering::Relaxed);
        let failure = self.failures.lock().unwrap().pop_front();
        let accepted = accept(initiation, &self.key, &mut SystemRng);
        let server = self.clone();
        Box::pin(async move {
            if let Some(error) = failure {
                return Err(error);
            }
            let (node, carrier) = tokio::io::duplex(64 << 10);
            match accepted {
                Ok(accepted) => drop(tokio::spawn(server.serve(carrier, accepted))),
                Err(_) => {
                    drop(tokio::spawn(async move { reject(carrier, "who are you?").await.unwrap() }));
                }
            }
            Ok(Box::new(node) as BoxByteStream)
        })
    }

    fn derp(&self, _: &DerpAddress) -> BoxFuture<Result<BoxByteStream, DialError>> {
        unreachable!("the control client dials no relays")
    }
}

impl Incoming {
    pub(crate) fn is_stream(&self) -> bool {
        self.body["Stream"] == true
    }

    /// Answers with a status and a body.
    pub(crate) fn answer(self, status: u16, body: impl Into<Bytes>) {
        // A node that has seen enough by the status may have reset the stream by now.
        let _ = self.begin(status).send_data(body.into(), true);
    }

    /// Answers with a status, and a body that is still to come.
    pub(crate) fn begin(mut self, status: u16) -> SendStream<Bytes> {
        let response = Response::builder().status(status).body(()).unwrap();
        self.respond.send_response(response, false).unwrap()
    }

    /// Cuts the connection that it came by.
    pub(crate) fn cut(&self, how: Cut) {
        self.line.cut(how);
    }

    /// Answers a registration.
    pub(crate) fn register(self, response: &RegisterResponse) {
        assert_eq!(self.path, "/machine/register");
        let body = serde_json::to_vec(response).unwrap();
        self.answer(200, body);
    }

    pub(crate) fn too_many(mut self, retry_after: &str) {
        let response = Response::builder().status(429).header("retry-after", retry_after).body(()).unwrap();
        self.respond.send_response(response, true).unwrap();
    }

    /// Opens the map stream.
    pub(crate) fn map(self) -> Map {
        assert!(self.is_stream(), "{}", self.body);
        let line = self.line.clone();
        Map { stream: self.begin(200), line }
    }
}

impl Map {
    pub(crate) fn send(&mut self, message: &MapResponse) {
        let mut bytes = Vec::new();
        write_map_frame(message, &mut bytes).unwrap();
        self.raw(bytes);
    }

    pub(crate) fn raw(&mut self, bytes: Vec<u8>) {
        self.stream.send_data(bytes.into(), false).unwrap();
    }

    pub(crate) fn keep_alive(&mut self) {
        self.send(&MapResponse { keep_alive: true, ..MapResponse::default() });
    }

    pub(crate) fn first(&mut self) {
        let node = Node { id: 1, name: "page.tail.test.".to_owned(), ..Node::default() };
        self.send(&MapResponse { node: Some(Box::new(node)), ..MapResponse::default() });
    }

    /// Cuts the connection that the stream is on.
    pub(crate) fn cut(&self, how: Cut) {
        self.line.cut(how);
    }

    /// Closes the connection that the stream is on.
    pub(crate) fn hang_up(self) {
        self.cut(Cut::Closed);
    }
}
