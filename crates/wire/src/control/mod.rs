//! What a node and its coordination server say to each other, inside the ts2021 transport and around it.
//!
//! These are the JSON bodies of `/key`, `/machine/register` and `/machine/map`, the framing of a streamed map
//! answer ([`MapFrames`]) and nothing of HTTP, connections or time. One type serves both sides of the wire.
//!
//! Reading is tolerant, as Go's is, when it goes through [`from_json`]: unknown keys are ignored, and `null` or absence
//! is the empty value. Writing
//! leaves out what is empty, except where the reader of `tailcfg/tailcfg.go` expects a key always.

mod derp_map;
mod dns;
mod filter;
mod frames;
mod hostinfo;
mod map;
mod node;
mod prefix;
mod register;
mod server_key;
#[cfg(feature = "ssh-policy")]
mod ssh;
mod timestamp;
mod tolerant;
#[cfg(feature = "zstd")]
mod zstd;

pub use derp_map::{DerpHomeParams, DerpMap, DerpNode, DerpRegion};
pub use dns::{DnsConfig, DnsRecord, DnsResolver};
pub use filter::{FilterRule, NetPortRange, PortRange};
pub use frames::{MAX_MAP_BODY, MAX_MAP_FRAME, MapFrameError, MapFrames, write_map_frame};
pub use hostinfo::{Hostinfo, NetInfo, Service};
pub use map::{Debug, DisplayMessage, MapRequest, MapResponse, PeerChange, PingRequest};
pub use node::{CapSet, Node, UserProfile};
pub use prefix::{IpPrefix, IpPrefixError};
pub use register::{Login, RegisterAuth, RegisterRequest, RegisterResponse, User};
pub use server_key::{ControlKeyError, EarlyPayload, OverTlsPublicKeyResponse, parse_control_key};
#[cfg(feature = "ssh-policy")]
pub use ssh::{OnRecordingFailure, SshAction, SshPolicy, SshPrincipal, SshRule};
pub use timestamp::{Timestamp, TimestampError};
pub use tolerant::from_json;
#[cfg(feature = "zstd")]
pub use zstd::{MAX_ZSTD_WINDOW, ZstdError};

/// The capability version that this implementation claims, of tailcfg's `CurrentCapabilityVersion` series.
///
/// It promises: delta maps and patches, named packet filters, `HomeDERP`, absent `AllowedIPs`, answers to 429.
/// Headscale accepts 113 and up.
pub const CAPABILITY_VERSION: u16 = 130;

/// Path of the registration request, on HTTP/2 inside ts2021.
pub const REGISTER_PATH: &str = "/machine/register";

/// Path of the map request, on HTTP/2 inside ts2021.
pub const MAP_PATH: &str = "/machine/map";

/// Most bytes of a registration answer that a node reads (control/controlclient/direct.go).
pub const MAX_REGISTER_RESPONSE: usize = 1 << 20;
