//! Messages between a node and its control server, inside ts2021 and around it.
//!
//! These are the JSON bodies of `/key`, `/machine/register` and `/machine/map`, the framing of a streamed map
//! answer ([`MapFrames`]) and nothing of HTTP, connections or time. One type serves both sides of the wire.
//!
//! Reading is tolerant, as Go's is, when it goes through [`from_json`]: unknown keys are ignored, and `null` or absence
//! is the empty value. Writing leaves out what is empty, except where tailcfg/tailcfg.go always writes a key.
//!
//! The types name all keys of tailcfg in Tailscale 1.102.5 but those that their documentation lists as not kept. Keys of later
//! versions are dropped, on purpose: who passes a message on says by a type what it passes on. Where that would lose what
//! others defined, values stay as they came: [`RawJson`] in capabilities, [`Deferred`] for parts that few readers want.
//! Messages recorded from Headscale and `tailscaled`, both directions, are in `testdata/`; nothing of them is lost.

mod capabilities;
mod client;
mod derp_map;
mod dns;
mod filter;
#[cfg(test)]
mod fixtures;
mod frames;
mod hostinfo;
mod map;
mod node;
mod ping;
mod prefix;
mod raw;
mod register;
mod repair;
mod server_key;
mod ssh;
mod timestamp;
mod tolerant;
#[cfg(feature = "zstd")]
mod zstd;

pub use capabilities::{CapGrant, CapMap};
pub use client::{ClientVersion, ControlCandidate, ControlDialPlan, TailnetLockInfo};
pub use derp_map::{DerpHomeParams, DerpMap, DerpNode, DerpRegion};
pub use dns::{DnsConfig, DnsRecord, DnsResolver};
pub use filter::{FilterRule, NetPortRange, PortRange};
pub use frames::{MAX_MAP_BODY, MAX_MAP_FRAME, MapCompression, MapFrameError, MapFrames, write_map_frame};
pub use hostinfo::{Hostinfo, NetInfo, Service};
pub use map::{Debug, DisplayMessage, DisplayMessageAction, MapRequest, MapResponse, PeerChange};
pub use node::{Node, UserProfile};
pub use ping::{PingRequest, PingResponse};
pub use prefix::{IpPrefix, IpPrefixError};
pub use raw::{Deferred, RawJson};
pub use register::{Login, RegisterAuth, RegisterRequest, RegisterResponse, User};
pub use server_key::{ControlKeyError, EarlyPayload, OverTlsPublicKeyResponse, parse_control_key};
pub use ssh::{OnRecordingFailure, SshAction, SshDelegation, SshPolicy, SshPrincipal, SshRule, SshVerdict};
pub use timestamp::{Timestamp, TimestampError};
pub use tolerant::from_json;
#[cfg(feature = "zstd")]
pub use zstd::{MAX_ZSTD_WINDOW, ZstdError};

/// Capability version that this implementation claims, of tailcfg's `CurrentCapabilityVersion` series.
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
