//! A node's way out of a page: `fetch` for the control server's key, WebSockets for all else.

#[cfg(target_arch = "wasm32")]
mod dialer;
#[cfg(target_arch = "wasm32")]
mod fetch;
pub mod inbox;
#[cfg(target_arch = "wasm32")]
mod page;
#[cfg(target_arch = "wasm32")]
mod socket;

#[cfg(target_arch = "wasm32")]
pub(crate) use dialer::PageDialer;
#[cfg(target_arch = "wasm32")]
pub(crate) use page::{PageEvents, is_secure, window};
