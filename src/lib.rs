//! The browser edge of Dayfly: one tailnet node in a page, and shells over it.
//!
//! `www/src/api.ts` describes what the module exports. The module `api`, which exists in wasm only, implements it over the node of `dayfly-node`
//! and the SSH sessions of `dayfly-ssh`; [`net`] is how that node reaches the outside from a page: WebSockets and
//! `fetch`; [`term`] carries bytes between a shell and a terminal.
//!
//! The other modules know of no browser: [`address`] makes the URLs that are dialled, [`events`] follows a node's
//! way into the tailnet, [`problem`] says what failed, and [`machine`] describes a machine. They are tested natively.

pub mod address;
pub mod events;
pub mod machine;
pub mod names;
pub mod net;
pub mod problem;
pub mod term;

#[cfg(target_arch = "wasm32")]
pub mod api;
#[cfg(target_arch = "wasm32")]
mod js;
