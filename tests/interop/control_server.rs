//! A control server of a hundred lines on our own `ts2021` and `wire`, which remembers each request as it came.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use dayfly_platform::random::SystemRng;
use dayfly_ts2021::{Accepted, accept};
use dayfly_ts2021_io::NoiseStream;
use dayfly_wire::control::{
    EarlyPayload, MAP_PATH, MapCompression, MapRequest, MapResponse, OverTlsPublicKeyResponse, REGISTER_PATH,
    RegisterRequest, RegisterResponse, from_json,
};
use dayfly_wire::key::{MachinePrivate, MachinePublic};
use dayfly_wire::ts2021::{HANDSHAKE_HEADER, KEY_PATH, PATH, UPGRADE};
use h2::server::SendResponse;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// A request that came through the encrypted stream.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) path: String,
    /// Capability version and machine key that the handshake proved.
    pub(crate) version: u16,
    pub(crate) machine: MachinePublic,
    pub(crate) body: Vec<u8>,
}

/// The first message of each map stream, by the request that opens it and the machine key of who asks.
pub(crate) type FirstMap = Box<dyn Fn(&MapRequest, &MachinePublic) -> Result<MapResponse> + Send + Sync>;

struct State {
    key: MachinePrivate,
    registered: RegisterResponse,
    first_map: FirstMap,
    requests: Mutex<Vec<Recorded>>,
    /// Open map streams by their machines.
    streams: Mutex<HashMap<MachinePublic, mpsc::Sender<MapResponse>>>,
}

/// The server, for as long as it is kept.
pub(crate) struct ControlServer {
    state: Arc<State>,
    address: SocketAddr,
    _runtime: Runtime,
}

impl ControlServer {
    /// Starts one that answers each registration with `registered`.
    pub(crate) fn start(registered: RegisterResponse, first_map: FirstMap) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            key: MachinePrivate::generate(&mut SystemRng),
            registered,
            first_map,
            requests: Mutex::default(),
            streams: Mutex::default(),
        });
        runtime.spawn(listen(listener, Arc::clone(&state)));
        Ok(Self { state, address, _runtime: runtime })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests that came so far.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.state.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a message on the map stream of a machine.
    pub(crate) fn send(&self, machine: &MachinePublic, message: MapResponse) -> Result<()> {
        let streams = self.state.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = streams.get(machine).context("the machine has no map stream")?;
        stream.try_send(message).context("the map stream has ended")
    }
}

async fn listen(listener: TcpListener, state: Arc<State>) {
    while let Ok((socket, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(Arc::clone(&state), request));
        tokio::spawn(async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            if let Err(error) = connection.with_upgrades().await {
                eprintln!("control server: {error}");
            }
        });
    }
}

/// Answers what comes before the encrypted stream.
async fn answer(
    state: Arc<State>,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let mut response = Response::new(Full::default());
    if path == KEY_PATH {
        let key = OverTlsPublicKeyResponse { public_key: state.key.public(), ..Default::default() };
        *response.body_mut() = Full::from(serde_json::to_vec(&key).unwrap_or_default());
        return Ok(response);
    }
    let initiation = request.headers().get(HANDSHAKE_HEADER).map(|text| BASE64_STANDARD.decode(text));
    match initiation.filter(|_| path == PATH) {
        Some(Ok(initiation)) => match accept(&initiation, &state.key, &mut SystemRng) {
            Ok(accepted) => {
                let upgraded = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let served = async { serve(state, TokioIo::new(upgraded.await?), accepted).await };
                    if let Err(error) = served.await {
                        eprintln!("control server: {error:#}");
                    }
                });
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                let headers = response.headers_mut();
                headers.insert(header::UPGRADE, header::HeaderValue::from_static(UPGRADE));
                headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
            }
            Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
        },
        _ => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    Ok(response)
}

/// Serves HTTP/2 inside the encrypted stream.
async fn serve(
    state: Arc<State>,
    carrier: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    accepted: Accepted,
) -> Result<()> {
    let (version, machine) = (accepted.version(), accepted.machine());
    let stream = NoiseStream::accept(carrier, accepted, Some(&EarlyPayload::default())).await?;
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let path = request.uri().path().to_owned();
            let body = read(request.into_body()).await?;
            let recorded = Recorded { path, version, machine, body };
            state.requests.lock().unwrap_or_else(PoisonError::into_inner).push(recorded.clone());
            respond_to(&state, &recorded, respond).await.inspect_err(|error| eprintln!("{error:#}"))
        });
    }
    Ok(())
}

async fn read(mut stream: h2::RecvStream) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

async fn respond_to(state: &State, request: &Recorded, mut respond: SendResponse<Bytes>) -> Result<()> {
    let (status, body) = match request.path.as_str() {
        REGISTER_PATH => {
            from_json::<RegisterRequest>(&request.body)?;
            (200, serde_json::to_vec(&state.registered)?)
        }
        MAP_PATH => {
            let asked: MapRequest = from_json(&request.body)?;
            if asked.stream {
                return stream_map(state, &asked, &request.machine, respond).await;
            }
            (200, Vec::new())
        }
        _ => (404, Vec::new()),
    };
    let mut stream = respond.send_response(Response::builder().status(status).body(())?, false)?;
    stream.send_data(body.into(), true)?;
    Ok(())
}

/// Sends the first map, a keep-alive, and then what the test sends, until the node hangs up.
async fn stream_map(
    state: &State,
    asked: &MapRequest,
    machine: &MachinePublic,
    mut respond: SendResponse<Bytes>,
) -> Result<()> {
    let Some(compression) = MapCompression::requested(&asked.compress) else {
        bail!("unknown compression {}", asked.compress);
    };
    let (sender, mut messages) = mpsc::channel(8);
    let mut stream = respond.send_response(Response::new(()), false)?;
    let first = (state.first_map)(asked, machine)?;
    state.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(*machine, sender);
    let mut next = Some(first);
    let mut alive = Some(MapResponse { keep_alive: true, ..MapResponse::default() });
    while let Some(message) = next {
        let mut frame = Vec::new();
        compression.write_frame(&message, &mut frame)?;
        stream.send_data(frame.into(), false)?;
        next = match alive.take() {
            Some(alive) => Some(alive),
            None => messages.recv().await,
        };
    }
    Ok(())
}
