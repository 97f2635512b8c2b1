//! Real peers under test: Headscale, `tailscaled`, `derper`, our own relay, and real browsers.
//!
//! A test is a [`scenario`]: it is given a [`Lab`], starts the peers that it needs, each in a directory and on
//! ports of its own, and returns an error when its claim does not hold. Whatever a peer writes is kept in
//! `target/test-logs/<test>/<peer>.log`, and the ends of those logs are printed when the scenario fails.
//! Everything that was started is killed when its handle is dropped, and by the kernel when the test itself dies.
//!
//! Waiting is always for an event (a log line, a port, an answer) with a deadline, never for a time to pass.
//! The harness is blocking on purpose: a test that needs tokio starts its own runtime.

pub mod browser;
pub mod derper;
pub mod headscale;
pub mod lab;
pub mod native;
pub mod page;
pub mod process;
pub mod relay;
pub mod shared;
pub mod skip;
pub mod sshd;
pub mod tailnet;
pub mod tailscaled;
pub mod tools;
pub mod wait;
pub mod webdriver;

pub use browser::{Browser, Engine};
pub use derper::Derper;
pub use headscale::{Headscale, HeadscaleOptions, KeyOptions, NodeInfo, Region};
pub use lab::{Lab, scenario};
pub use native::{NativeNode, NativeOptions};
pub use page::{Page, PageError};
pub use process::Process;
pub use relay::{Gateway, GatewayOptions, Relay, RelayOptions};
pub use skip::{skip, with_user};
pub use sshd::{Sshd, SshdOptions};
pub use tailnet::{Tailnet, Via};
pub use tailscaled::{Tailscaled, TailscaledOptions};
