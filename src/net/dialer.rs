//! Dialer of a node in a page: control servers by `fetch` and WebSocket, relays by WebSocket.

use std::rc::Rc;

use dayfly_node::{DerpAddress, DialError, Dialer};
use dayfly_platform::{BoxByteStream, BoxFuture};
use dayfly_wire::ts2021;

use super::fetch;
use super::socket::Socket;
use crate::address::{ControlUrl, RelayUrls};

/// Subprotocol of DERP over WebSocket (derp/derpserver/websocket.go `AddWebSocketSupport`, tailscale v1.102.5).
const DERP_PROTOCOL: &str = "derp";

/// Opens a node's connections from a page.
pub(crate) struct PageDialer {
    control: ControlUrl,
    relays: RelayUrls,
    /// Called when the control server has taken a connection.
    on_control: Rc<dyn Fn()>,
}

impl PageDialer {
    /// Dials this control server, and relays as `relays` says. Each connection to the first calls `on_control`.
    pub(crate) fn new(control: ControlUrl, relays: RelayUrls, on_control: Rc<dyn Fn()>) -> Self {
        Self { control, relays, on_control }
    }
}

impl Dialer for PageDialer {
    fn control_url(&self) -> &str {
        self.control.as_str()
    }

    fn control_key(&self, version: u16) -> BoxFuture<Result<Vec<u8>, DialError>> {
        let url = self.control.key(version);
        Box::pin(async move { fetch::get(&url).await })
    }

    fn control(
        &self,
        initiation: &[u8; ts2021::INITIATION_LEN],
    ) -> BoxFuture<Result<BoxByteStream, DialError>> {
        let (url, shown) = (self.control.handshake(initiation), self.control.ts2021());
        let on_control = Rc::clone(&self.on_control);
        Box::pin(async move {
            let socket = Socket::open(&url, &shown, ts2021::UPGRADE).await?;
            on_control();
            Ok(Box::new(socket) as BoxByteStream)
        })
    }

    fn derp(&self, address: &DerpAddress) -> BoxFuture<Result<BoxByteStream, DialError>> {
        let urls = self.relays.of(address);
        Box::pin(async move {
            let mut failed = None;
            for url in urls {
                match Socket::open(&url, &url, DERP_PROTOCOL).await {
                    Ok(socket) => return Ok(Box::new(socket) as BoxByteStream),
                    // Of several ways the first is the likely one: its failure is the one to tell.
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            let nowhere =
                || DialError::BadAddress { url: String::new(), reason: "it has no address".to_owned() };
            Err(failed.unwrap_or_else(nowhere))
        })
    }
}
