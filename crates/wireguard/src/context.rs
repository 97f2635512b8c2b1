//! The device's side of its peers' sessions.

use zeroize::Zeroizing;

use crate::indices::Indices;
use crate::outbox::Outbox;
use crate::tai64n::Stamper;

/// State that all peers of a device share: its key, its session numbers, its clock stamps and its output.
pub(crate) struct Context {
    pub(crate) private_key: Zeroizing<[u8; 32]>,
    pub(crate) stamper: Stamper,
    pub(crate) indices: Indices,
    pub(crate) outbox: Outbox,
}
