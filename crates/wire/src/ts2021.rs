//! Constants of ts2021, for those who carry it without speaking it: gateways, dialers and pages.
//!
//! The protocol itself, both ends of it, is the crate `dayfly-ts2021`.

/// Path that a connection begins at, by HTTP upgrade or by WebSocket (control/controlhttp/constants.go `serverUpgradePath`,
/// tailscale v1.102.5).
pub const PATH: &str = "/ts2021";

/// Path of the control server's key, to which the query `v=<capability version>` belongs.
pub const KEY_PATH: &str = "/key";

/// Most bytes of the answer to [`KEY_PATH`] that a node reads (control/controlclient/direct.go `loadServerPubKeys`,
/// tailscale v1.102.5).
pub const MAX_KEY_ANSWER: usize = 64 << 10;

/// Name of the HTTP upgrade and of the WebSocket subprotocol (control/controlhttp/controlhttpcommon/controlhttpcommon.go
/// `UpgradeHeaderValue`, tailscale v1.102.5).
pub const UPGRADE: &str = "tailscale-control-protocol";

/// Header, or query parameter on a WebSocket, that carries the initiation in standard base64
/// (control/controlhttp/controlhttpcommon/controlhttpcommon.go `HandshakeHeaderName`, tailscale v1.102.5).
pub const HANDSHAKE_HEADER: &str = "X-Tailscale-Handshake";

/// Length of a node's first message: version, type, length, ephemeral key, machine key, tag
/// (control/controlbase/messages.go `initiationMessage`, tailscale v1.102.5).
pub const INITIATION_LEN: usize = 101;

/// Length of the control server's response: header, ephemeral key, tag (control/controlbase/messages.go
/// `responseMessage`, tailscale v1.102.5).
pub const RESPONSE_LEN: usize = 51;
