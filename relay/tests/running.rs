//! A relay that runs inside the test.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use dayfly_relay::config::Config;
use dayfly_relay::{DerpConfig, Relay, Reloader};
use dayfly_wire::key::NodePublic;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long anything may take before its test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// A running relay. It dies with the test's runtime.
pub(crate) struct Running {
    pub(crate) http: SocketAddr,
    pub(crate) stun: Option<SocketAddr>,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) reloader: Reloader,
    key: Option<NodePublic>,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A free port of loopback.
pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

impl Running {
    /// Runs a relay and nothing else.
    pub(crate) fn relay() -> Self {
        Self::start(Config { derp: Some(DerpConfig::default()), ..Config::default() })
    }

    /// Runs whatever `config` says, on free ports.
    pub(crate) fn start(mut config: Config) -> Self {
        config.listen = vec![loopback()];
        config.metrics_listen = Some(loopback());
        if config.derp.is_some() {
            config.stun.listen = vec![loopback()];
        }
        Self::of(Relay::bind(config).unwrap())
    }

    /// Runs a relay that listens.
    pub(crate) fn of(relay: Relay) -> Self {
        let (key, reloader, addresses) = (relay.derp_key(), relay.reloader(), relay.addresses().clone());
        let (shutdown, down) = oneshot::channel();
        let task = tokio::spawn(relay.run(async {
            let _ = down.await;
        }));
        let stun = addresses.stun.first().copied();
        Self { http: addresses.http[0], stun, metrics: addresses.metrics, reloader, key, shutdown, task }
    }

    /// The relay's public key.
    pub(crate) fn key(&self) -> NodePublic {
        self.key.unwrap()
    }

    /// Has the process go down, and waits until it is.
    pub(crate) async fn stop(self) {
        self.shutdown.send(()).unwrap();
        timeout(LIMIT, self.task).await.expect("the relay did not end").unwrap();
    }

    /// The value of a metric, labels included in its name.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let answer = get(self.metrics.unwrap(), "/metrics", "").await;
        let line = answer.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().parse().unwrap()
    }
}

/// Sends a GET with more header lines (each ended by CR LF), and returns the whole answer.
pub(crate) async fn get(to: SocketAddr, path: &str, headers: &str) -> String {
    request(to, &format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n{headers}\r\n")).await
}

/// Sends `text` and returns all that comes back.
pub(crate) async fn request(to: SocketAddr, text: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    timeout(LIMIT, exchange).await.expect("no answer")
}

/// The status of an answer.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer of HTTP")
}

/// The value of a header of an answer, whose name is written in lower case.
pub(crate) fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// What follows an answer's head.
pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
